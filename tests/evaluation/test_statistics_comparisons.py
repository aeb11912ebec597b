"""Paired tests agree with statsmodels; bounds without the predictions agree with trying all pairings."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from statsmodels.stats.contingency_tables import mcnemar

from serab_lib.audit.denominators import compare_readings, recover_sizes
from serab_lib.benchmark.results import COLUMNS, Results
from serab_lib.core import SerabError
from serab_lib.evaluation.comparisons import (
    bound_mcnemar,
    compare_bold,
    compare_models,
    exact_mcnemar,
    holm,
    paired_bootstrap,
)
from serab_lib.evaluation.paper import read_accuracies
from serab_lib.evaluation.recalls import confuse, confuse_cells, measure_recalls, score_cells, tabulate_recalls


def write_results(folder: Path, models: dict[str, float], *, n: int = 200) -> Results:
    """Cells of one task, whose models get the given shares right."""
    rng = np.random.default_rng(0)
    base = pd.DataFrame({"stem": [f"u{i:03d}" for i in range(n)], "speaker": [f"s{i % 5}" for i in range(n)]})
    base["group"], base["emotion"] = base["speaker"], rng.choice(["anger", "fear", "joy"], n)
    (folder / "predictions").mkdir(parents=True)
    rows = []
    for model, share in models.items():
        right = rng.random(n) < share
        table = base.assign(LDA=np.where(right, base["emotion"], np.where(base["emotion"] == "joy", "fear", "joy")))
        table.sample(frac=1, random_state=1).to_parquet(folder / "predictions" / f"RAV-{model}-described.parquet")
        rows.append(dict.fromkeys(COLUMNS, 0) | {"task": "RAV", "model": model, "protocol": "described"})
        rows[-1] |= {"classifier": "LDA", "selected": True, "n_test": n, "synthetic": False, "best_params": "{}"}
    pd.DataFrame(rows)[COLUMNS].to_csv(folder / "cells.csv", index=False)
    return Results(folder)


@pytest.mark.parametrize(("b", "c"), [(0, 0), (10, 2), (3, 3), (0, 7), (40, 25)])
def test_mcnemar_agrees_with_statsmodels(b: int, c: int) -> None:
    wanted = mcnemar([[50, b], [c, 20]], exact=True).pvalue
    assert exact_mcnemar(b, c) == pytest.approx(min(1.0, wanted))


def test_holm_agrees_with_its_definition() -> None:
    p = [0.01, 0.04, 0.03, 0.005, 0.6]
    order = np.argsort(p)
    stepped = np.maximum.accumulate([min(1.0, (len(p) - i) * p[k]) for i, k in enumerate(order)])
    assert holm(p)[order] == pytest.approx(stepped)
    assert holm([]).size == 0


def test_without_statsmodels_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "statsmodels.stats.multitest", None)
    with pytest.raises(SerabError, match=r"statsmodels is not installed: pip install 'serab-companion\[stats\]'"):
        holm([0.1])


@pytest.mark.parametrize(("k1", "k2", "n"), [(80, 70, 100), (70, 80, 100), (20, 12, 30), (29, 27, 30), (15, 15, 30)])
def test_bounds_are_those_of_all_pairings(k1: int, k2: int, n: int) -> None:
    pairings = [exact_mcnemar(k1 - shared, k2 - shared) for shared in range(max(0, k1 + k2 - n), min(k1, k2) + 1)]
    assert bound_mcnemar(k1, k2, n) == pytest.approx((min(pairings), max(pairings)))


def test_paired_bootstrap_covers_the_difference_and_is_narrow_for_alike_models() -> None:
    rng = np.random.default_rng(0)
    first = rng.random(400) < 0.8
    second = np.where(rng.random(400) < 0.02, ~first, first)
    low, high = paired_bootstrap(first, second, n_draws=2_000)
    assert low <= first.mean() - second.mean() <= high
    shuffled = rng.permutation(second)
    wide = np.diff(paired_bootstrap(first, shuffled, n_draws=2_000))[0]
    assert high - low < wide / 2
    # The normal approximation, as a second opinion.
    difference = first.astype(float) - second.astype(float)
    assert high - low == pytest.approx(2 * 1.96 * difference.std() / 20, rel=0.25)


def test_one_speaker_gives_no_interval() -> None:
    assert np.isnan(paired_bootstrap([True, False], [False, False], clusters=["s", "s"])).all()


def test_models_are_compared_on_the_same_utterances(tmp_path: Path) -> None:
    results = write_results(tmp_path / "r", {"good": 0.9, "bad": 0.5, "poor": 0.45})
    table = compare_models(results, "RAV", "described", n_draws=500).set_index(["first", "second"])
    assert len(table) == 3
    row = table.loc[("good", "bad")]
    assert row["p"] < 1e-6
    assert row["low"] < row["difference"] < row["high"]
    assert row["difference"] == pytest.approx((row["n_only_first"] - row["n_only_second"]) / 2)
    assert (table["p_holm"] >= table["p"]).all()


def test_models_with_other_test_parts_are_refused(tmp_path: Path) -> None:
    results = write_results(tmp_path / "r", {"one": 0.9, "two": 0.5})
    path = tmp_path / "r" / "predictions" / "RAV-two-described.parquet"
    pd.read_parquet(path).iloc[1:].to_parquet(path)
    with pytest.raises(SerabError, match="different utterances"):
        compare_models(results, "RAV", "described")
    with pytest.raises(SerabError, match="two are needed"):
        compare_models(results, "RAV", "described", models=["one"])


def test_none_of_the_papers_bold_numbers_is_distinguishable_under_every_pairing() -> None:
    accuracies = read_accuracies()
    sizes = recover_sizes(compare_readings(accuracies, n_draws=10))
    table = compare_bold(accuracies, sizes).set_index("task")
    assert "distinguishable" not in set(table["verdict"])
    assert table.loc["CRE", "verdict"] == "tie"
    assert table.index[table["verdict"] == "depends on the pairing"].tolist() == ["SHE"]
    assert (table["p_unpaired"] > 0.05).all()
    assert (table["p_lowest"] <= table["p_highest"]).all()
    assert table.loc["EMB", ["best", "k_best", "k_runner_up"]].tolist() == ["openSMILE", 76, 74]


def test_a_clear_lead_is_distinguishable() -> None:
    table = pd.DataFrame({"A": [95.0, 70.0, 60.0]}, index=["x", "y", "z"])
    (row,) = compare_bold(table, pd.Series({"A": 200})).to_dict("records")
    assert (row["verdict"], row["best"], row["runner_up"]) == ("distinguishable", "x", "y")


def test_recalls_and_confusions(tmp_path: Path) -> None:
    results = write_results(tmp_path / "r", {"one": 0.7})
    predictions = results.read_predictions("RAV", "one", "described")
    table, counts = measure_recalls(predictions, "LDA").set_index("emotion"), confuse(predictions, "LDA")
    assert counts.to_numpy().sum() == 200
    wanted = pd.crosstab(predictions["emotion"], predictions["LDA"])
    pd.testing.assert_frame_equal(counts[wanted.columns].loc[wanted.index], wanted, check_names=False)
    assert table.loc["joy", "most_taken_for"] == "fear"
    assert table.loc["anger", "most_taken_for"] == "joy"
    assert table.loc["anger", "precision"] == 100.0
    (scored,) = score_cells(results).to_dict("records")
    assert scored["uar"] == pytest.approx(table["recall"].mean())
    assert scored["worst_recall"] == table["recall"].min()
    assert (scored["n_test"], scored["n_speakers"]) == (200, 5)
    assert scored["accuracy"] == pytest.approx(100 * (predictions["emotion"] == predictions["LDA"]).mean())
    wide, narrow = (scored[f"high_{kind}"] - scored[f"low_{kind}"] for kind in ("speakers", "utterances"))
    assert scored["low_speakers"] < scored["accuracy"] < scored["high_speakers"]
    assert narrow == pytest.approx(scored["high"] - scored["low"], abs=1.5)
    assert wide != narrow


def test_recalls_of_all_models_of_a_task(tmp_path: Path) -> None:
    """The most accurate model comes first; UAR and recalls are those of each cell alone."""
    results = write_results(tmp_path / "r", {"one": 0.5, "two": 0.7})
    tables = confuse_cells(results, "RAV", "described")
    assert list(tables) == ["two", "one"]
    assert confuse_cells(results, "RAV", "released") == {}
    assert len({tuple(table.columns) for table in tables.values()}) == 1
    recalls = tabulate_recalls(tables)
    for row in score_cells(results, n_draws=50).to_dict("records"):
        alone = measure_recalls(results.read_predictions("RAV", row["model"], "described"), "LDA").set_index("emotion")
        np.testing.assert_allclose(recalls.loc[row["model"], alone.index], alone["recall"])
        assert recalls.loc[row["model"], "UAR"] == pytest.approx(row["uar"])
