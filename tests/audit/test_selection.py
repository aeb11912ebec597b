"""What selection on the test part is worth: measured cells, and the simulation against brute force."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from serab_lib.audit.selection import (
    SelectionModel,
    decompose_protocols,
    measure_selection,
    simulate_ranking,
    simulate_selection,
)
from serab_lib.benchmark.results import COLUMNS


def make_cells(released_test: tuple[float, float] = (0.7, 0.8), described_test: tuple[float, float] = (0.6, 0.65)):
    rows = []
    for protocol, tests in (("released", released_test), ("described", described_test)):
        for classifier, validation, test in zip(("LDA", "SVC"), (0.75, 0.72), tests, strict=True):
            rows.append(dict.fromkeys(COLUMNS, 0) | {"task": "RAV", "model": "m", "protocol": protocol})
            rows[-1] |= {"classifier": classifier, "validation_accuracy": validation, "test_accuracy": test}
            rows[-1] |= {"n_validation": 100, "n_test": 200, "synthetic": False}
    return pd.DataFrame(rows)


def test_gap_of_a_measured_cell() -> None:
    row = measure_selection(make_cells()).set_index("protocol").loc["released"]
    assert (row["chosen"], row["best"], row["n_utterances"]) == ("LDA", "SVC", 20)
    assert row["gap"] == pytest.approx(0.1)


def test_no_cells_give_an_empty_table() -> None:
    assert measure_selection(make_cells().iloc[:0]).empty


def test_protocols_are_taken_apart() -> None:
    (row,) = decompose_protocols(make_cells()).to_dict("records")
    assert row["effect_of_split"] == pytest.approx(10.0)
    assert row["effect_of_selection"] == pytest.approx(10.0)
    assert decompose_protocols(make_cells().query("protocol == 'released'")).empty


def test_simulated_counts_have_the_right_mean_and_correlation() -> None:
    model = SelectionModel(spread=0.0, shift=0.0, correlation=0.6, n_classifiers=2)
    draws = model.draw(0.7, 400, 400, 4_000, np.random.default_rng(0))
    assert draws.test.mean() == pytest.approx(0.7, abs=0.002)
    # The same by brute force: utterances one by one.
    rng = np.random.default_rng(1)
    shared, own = rng.standard_normal((2_000_000, 1)), rng.standard_normal((2_000_000, 2))
    right = np.sqrt(0.6) * shared + np.sqrt(0.4) * own < 0.5244005
    wanted = np.corrcoef(right.T)[0, 1]
    assert np.corrcoef(draws.test.T)[0, 1] == pytest.approx(wanted, abs=0.03)


def test_no_gap_where_classifiers_never_differ() -> None:
    sizes = pd.DataFrame({"task": ["A"], "n_validation": [100], "n_test": [100]})
    model = SelectionModel(spread=0.0, shift=0.0, correlation=0.999999)
    assert simulate_selection(sizes, pd.Series({"A": 70.0}), model=model, n_draws=200).loc[0, "gap"] < 0.1


def test_small_test_parts_gain_more_and_the_seed_decides() -> None:
    sizes = pd.DataFrame({"task": ["A", "B"], "n_validation": [100, 1000], "n_test": [100, 1000]})
    accuracies = pd.Series({"A": 70.0, "B": 70.0})
    table = simulate_selection(sizes, accuracies, n_draws=500, rng=3)
    assert table["gap"].iloc[0] > table["gap"].iloc[1] > 0
    assert (table["low"] <= table["gap"]).all()
    assert (table["gap"] <= table["high"]).all()
    pd.testing.assert_frame_equal(table, simulate_selection(sizes, accuracies, n_draws=500, rng=3))


def test_ranking_survives_where_models_are_far_apart() -> None:
    sizes = pd.DataFrame({"task": ["A"], "n_validation": [2000], "n_test": [2000]})
    apart = simulate_ranking(sizes, pd.DataFrame({"A": [40.0, 60.0, 80.0]}), n_draws=50)
    assert apart["same_best"].all()
    assert (apart["kendall_tau"] == 1).all()
    close = simulate_ranking(sizes, pd.DataFrame({"A": [60.0, 60.1, 60.2]}), n_draws=100)
    assert close["kendall_tau"].mean() < 0.9
    assert (close["gap"] >= 0).all()
