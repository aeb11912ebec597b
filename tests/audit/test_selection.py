"""What selection on the test part is worth: measured cells, and the simulation against brute force."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from serab_lib.audit import selection
from serab_lib.benchmark.results import COLUMNS


def make_cells() -> pd.DataFrame:
    rows = []
    for protocol, tests in (("released", (0.7, 0.8)), ("described", (0.6, 0.65))):
        for classifier, validation, test in zip(("LDA", "SVC"), (0.75, 0.72), tests, strict=True):
            rows.append(dict.fromkeys(COLUMNS, 0) | {"task": "RAV", "model": "m", "protocol": protocol})
            rows[-1] |= {"classifier": classifier, "validation_accuracy": validation, "test_accuracy": test}
    return pd.DataFrame(rows)


def test_gap_of_a_measured_cell() -> None:
    row = selection.measure_selection(make_cells()).set_index("protocol").loc["released"]
    assert (row["chosen"], row["best"]) == ("LDA", "SVC")
    assert row["gap"] == pytest.approx(0.1)


def test_no_cells_give_an_empty_table() -> None:
    assert selection.measure_selection(make_cells().iloc[:0]).empty


def test_protocols_are_taken_apart() -> None:
    (row,) = selection.decompose_protocols(make_cells()).to_dict("records")
    assert (row["task"], row["described"], row["released"]) == ("RAV", pytest.approx(60), pytest.approx(80))
    assert row["effect_of_split"] == pytest.approx(10.0)
    assert row["effect_of_selection"] == pytest.approx(10.0)
    assert selection.decompose_protocols(make_cells().query("protocol == 'released'")).empty


def test_drawn_accuracies_have_the_right_mean_and_correlation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selection, "SPREAD", 0.0)
    monkeypatch.setattr(selection, "SHIFT", 0.0)
    _, test = selection.draw_accuracies(0.7, 400, 400, 4_000, np.random.default_rng(0))
    assert test.mean() == pytest.approx(0.7, abs=0.002)
    # The same by brute force: utterances one by one.
    rng = np.random.default_rng(1)
    shared, own = rng.standard_normal((1_000_000, 1)), rng.standard_normal((1_000_000, 2))
    right = np.sqrt(0.7) * shared + np.sqrt(0.3) * own < 0.5244005
    assert np.corrcoef(test.T)[0, 1] == pytest.approx(np.corrcoef(right.T)[0, 1], abs=0.03)


def test_no_gap_where_classifiers_never_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("SPREAD", 0.0), ("SHIFT", 0.0), ("CORRELATION", 1 - 1e-9)):
        monkeypatch.setattr(selection, name, value)
    assert selection.simulate_selection(n_draws=100)["gap"].max() < 0.1


def test_small_test_parts_gain_more() -> None:
    table = selection.simulate_selection(n_draws=300).set_index("task")
    assert table.loc["SAV", "gap"] > table.loc["CRE", "gap"] > 0
    assert (table["low"] <= table["gap"]).all() and (table["gap"] <= table["high"]).all()


def test_rankings_by_the_two_selections_differ_and_are_not_unrelated() -> None:
    table = selection.simulate_ranking(n_draws=20)
    assert 0.6 < table["kendall_tau"].mean() < 0.95
    assert 0 < table["same_best"].mean() < 1
