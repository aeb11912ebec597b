"""Intervals agree with formulas and full enumeration, paired tests with statsmodels, bounds with all pairings."""

from __future__ import annotations

import sys
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.proportion import proportion_confint

from serab_lib.benchmark.results import COLUMNS, Results
from serab_lib.core import SerabError
from serab_lib.evaluation.paper import read_accuracies
from serab_lib.evaluation.protocol import unweighted_average_recall
from serab_lib.evaluation.significance import (
    bootstrap,
    bound_mcnemar,
    compare_best_with_runner_up,
    compare_models,
    confidence_intervals,
    confuse,
    confuse_cells,
    exact_mcnemar,
    holm,
    intervals_of_cell,
    paired_bootstrap,
    read_right,
    score_cells,
    tabulate_recalls,
    wilson_interval,
)

# Five speakers of unequal size, and of unequal success with two models.
SIZES = (60, 5, 20, 8, 40)
RIGHT = (54, 1, 14, 7, 16), (30, 4, 15, 2, 21)
SPEAKERS = np.repeat(list("abcde"), SIZES)
FIRST, SECOND = (
    np.concatenate([np.arange(n) < k for n, k in zip(SIZES, right, strict=True)]).astype(float) for right in RIGHT
)
TEST_SIZES = pd.Series({"AES": 207, "CRE": 1556, "EMB": 84, "SHE": 372})


def enumerate_draws(values: np.ndarray) -> tuple[float, float]:
    """The 95 % interval over all 3,125 draws of five speakers, every utterance of equal weight."""
    sums = np.array([values[SPEAKERS == speaker].sum() for speaker in "abcde"])
    draws = np.array(list(product(range(5), repeat=5)))
    low, high = np.quantile(sums[draws].sum(axis=1) / np.array(SIZES)[draws].sum(axis=1), [0.025, 0.975])
    return float(low), float(high)


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
        rows[-1] |= {"classifier": "LDA", "selected": True, "n_test": n, "best_params": "{}"}
        rows[-1] |= {"search": False, "complete": True, "synthetic": False}
    pd.DataFrame(rows)[COLUMNS].to_csv(folder / "cells.csv", index=False)
    return Results(folder)


@pytest.mark.parametrize(("k", "n"), [(232, 300), (0, 20), (84, 84)])
def test_wilson_agrees_with_statsmodels(k: int, n: int) -> None:
    assert wilson_interval(k, n) == pytest.approx(proportion_confint(k, n, method="wilson"), abs=1e-9)


def test_every_printed_accuracy_has_an_interval() -> None:
    table = confidence_intervals(read_accuracies(), TEST_SIZES)
    assert len(table) == 13 * 4
    assert ((table["low"] < table["accuracy"]) & (table["accuracy"] < table["high"])).all()
    # 80.8 % of 1,556 may be 1,257 or 1,258 right answers: the interval has to cover those of both.
    (wide,) = confidence_intervals(pd.DataFrame({"CRE": [80.8]}, index=["x"]), TEST_SIZES[["CRE"]]).to_dict("records")
    assert wide["low"] == pytest.approx(100 * wilson_interval(1257, 1556)[0])
    assert wide["high"] == pytest.approx(100 * wilson_interval(1258, 1556)[1])
    with pytest.raises(SerabError, match="cannot occur with 372"):
        confidence_intervals(pd.DataFrame({"SHE": [86.9]}, index=["x"]), TEST_SIZES[["SHE"]])


@pytest.mark.parametrize("paired", [False, True])
def test_speakers_are_drawn_whole_and_weigh_by_their_utterances(paired: bool) -> None:
    if paired:
        found = paired_bootstrap(FIRST, SECOND, SPEAKERS, n_draws=20_000)
    else:
        found = bootstrap(FIRST[:, None], np.ones((len(FIRST), 1)), SPEAKERS, n_draws=20_000)
    assert found == pytest.approx(enumerate_draws(FIRST - paired * SECOND), abs=0.015)


def test_utterances_give_the_normal_approximation() -> None:
    difference = FIRST - SECOND
    low, high = paired_bootstrap(FIRST, SECOND, np.arange(len(FIRST)))
    half = 1.96 * difference.std() / np.sqrt(len(difference))
    assert (low, high) == pytest.approx((difference.mean() - half, difference.mean() + half), abs=0.01)


def test_average_recall_is_over_the_emotions_that_were_drawn() -> None:
    """Each unit one emotion: a draw of two is one emotion alone in half of all cases, and its recall is the mean."""
    sizes = np.repeat(np.eye(2), (10, 30), axis=0)
    right = np.concatenate([np.arange(10) < 9, np.arange(30) < 3])[:, None]
    assert bootstrap(right * sizes, sizes, sizes[:, 0], n_draws=500) == pytest.approx((0.1, 0.9))


def test_one_speaker_gives_no_interval_and_the_seed_decides() -> None:
    assert np.isnan(paired_bootstrap([True, False], [False, False], ["s", "s"])).all()
    one, same, other = (paired_bootstrap(FIRST, SECOND, np.arange(133), n_draws=200, rng=rng) for rng in (1, 1, 2))
    assert one == same != other


@pytest.mark.parametrize(("n_speakers", "warned"), [(9, True), (10, False)])
def test_a_cell_gets_every_interval(n_speakers: int, warned: bool) -> None:
    rng = np.random.default_rng(0)
    truth = rng.choice(["anger", "fear", "joy"], 240, p=[0.6, 0.3, 0.1])
    cell = pd.DataFrame({"emotion": truth, "speaker": np.arange(240) % n_speakers})
    cell["SVC"] = np.where(rng.random(240) < 0.7, truth, "anger")
    table = intervals_of_cell(cell, "SVC", n_draws=300)
    assert table["metric"].tolist() == ["accuracy"] * 3 + ["uar"] * 2
    assert table["estimate"].iloc[-1] == pytest.approx(100 * unweighted_average_recall(truth, cell["SVC"]))
    assert ((table["low"] < table["estimate"]) & (table["estimate"] < table["high"])).all()
    assert table["n_units"].tolist() == [240, 240, n_speakers, 240, n_speakers]
    assert table["remark"].str.startswith(f"only {n_speakers} speakers").tolist() == [
        False, False, warned, False, warned,
    ]  # fmt: skip


@pytest.mark.parametrize(("b", "c"), [(0, 0), (10, 2), (3, 3), (0, 7), (40, 25)])
def test_mcnemar_agrees_with_statsmodels(b: int, c: int) -> None:
    assert exact_mcnemar(b, c) == pytest.approx(min(1.0, mcnemar([[50, b], [c, 20]], exact=True).pvalue))


def test_holm_agrees_with_its_definition(monkeypatch: pytest.MonkeyPatch) -> None:
    p = [0.01, 0.04, 0.03, 0.005, 0.6]
    order = np.argsort(p)
    stepped = np.maximum.accumulate([min(1.0, (len(p) - i) * p[k]) for i, k in enumerate(order)])
    assert holm(p)[order] == pytest.approx(stepped)
    monkeypatch.setitem(sys.modules, "statsmodels.stats.multitest", None)
    with pytest.raises(SerabError, match=r"statsmodels is not installed: pip install 'serab-companion\[stats\]'"):
        holm([0.1])


def test_bounds_are_at_both_ends_of_the_pairings() -> None:
    assert bound_mcnemar(80, 70, 100) == pytest.approx((exact_mcnemar(10, 0), exact_mcnemar(30, 20)))
    assert bound_mcnemar(15, 15, 30) == (1, 1)
    assert bound_mcnemar(12, 20, 30) == pytest.approx((exact_mcnemar(8, 0), exact_mcnemar(18, 10)))


def test_models_are_compared_on_the_same_utterances(tmp_path: Path) -> None:
    results = write_results(tmp_path / "r", {"bad": 0.5, "good": 0.9, "poor": 0.45})
    table = compare_models(results, "RAV", "described", n_draws=500).set_index(["first", "second"])
    assert len(table) == 3
    row = table.loc[("good", "bad")]
    assert row["p"] < 1e-6
    assert row["low"] < row["difference"] < row["high"]
    assert row["low_speakers"] < row["difference"] < row["high_speakers"]
    assert row["difference"] == pytest.approx((row["n_only_first"] - row["n_only_second"]) / 2)
    assert table["p_holm"].to_numpy() == pytest.approx(holm(table["p"]))
    assert list(read_right(results, "RAV", "described", models=["poor", "good"])) == ["poor", "good"]


def test_models_with_other_test_parts_are_refused(tmp_path: Path) -> None:
    results = write_results(tmp_path / "r", {"one": 0.9, "two": 0.5})
    path = tmp_path / "r" / "predictions" / "RAV-two-described.parquet"
    pd.read_parquet(path).iloc[1:].to_parquet(path)
    with pytest.raises(SerabError, match="different utterances"):
        compare_models(results, "RAV", "described")
    with pytest.raises(SerabError, match="two are needed"):
        read_right(results, "RAV", "described", models=["one"])


def test_only_one_of_the_papers_best_numbers_may_be_distinguishable() -> None:
    table = compare_best_with_runner_up(read_accuracies(), TEST_SIZES).set_index("task")
    assert table.loc["CRE", "verdict"] == "tie"
    assert table.index[table["verdict"] == "depends on the pairing"].tolist() == ["SHE"]
    assert table.loc["EMB", ["best", "k_best", "k_runner_up"]].tolist() == ["openSMILE", 76, 74]
    assert (table["p_unpaired"] > 0.05).all()
    clear = pd.DataFrame({"EMB": [95.2, 70.2, 59.5, 70.2]}, index=["x", "y", "z", "w"])
    (row,) = compare_best_with_runner_up(clear, TEST_SIZES[["EMB"]]).to_dict("records")
    assert (row["verdict"], row["best"], row["runner_up"]) == ("distinguishable", "x", "y and w")


def test_confusions_and_recalls_of_all_models_of_a_task(tmp_path: Path) -> None:
    """The most accurate model comes first; an emotion that nobody utters has no recall."""
    results = write_results(tmp_path / "r", {"one": 0.5, "two": 0.7})
    tables = confuse_cells(results, "RAV", "described")
    assert list(tables) == ["two", "one"]
    assert confuse_cells(results, "RAV", "released") == {}
    recalls = tabulate_recalls(tables)
    for cell in score_cells(results, n_draws=50).to_dict("records"):
        predictions = results.read_predictions("RAV", cell["model"], "described")
        counts = confuse(predictions, "LDA", ["joy", "calm", "fear", "anger"])
        assert counts.loc["joy", "fear"] == ((predictions["emotion"] == "joy") & (predictions["LDA"] == "fear")).sum()
        assert counts.loc["calm"].sum() == counts["calm"].sum() == 0
        by_emotion = (predictions["emotion"] == predictions["LDA"]).groupby(predictions["emotion"]).mean()
        np.testing.assert_allclose(recalls.loc[cell["model"], by_emotion.index].astype(float), 100 * by_emotion)
        assert recalls.loc[cell["model"], "UAR"] == pytest.approx(cell["uar"])
        assert "calm" not in tabulate_recalls({"m": counts})
        assert cell["accuracy"] == pytest.approx(100 * (predictions["emotion"] == predictions["LDA"]).mean())
        assert cell["low_speakers"] < cell["accuracy"] < cell["high_speakers"]
        assert cell["high_utterances"] - cell["low_utterances"] == pytest.approx(cell["high"] - cell["low"], abs=2.5)
