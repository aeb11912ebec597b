import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from making import make_cells
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.proportion import proportion_confint

from serab_lib.benchmark.results import Results
from serab_lib.core import SerabError
from serab_lib.evaluation import paper, significance
from serab_lib.evaluation.significance import bound_mcnemar, compare_best, exact_mcnemar, t_interval, wilson_interval

TEST_SIZES = pd.Series({"AES": 207, "CRE": 1556, "EMB": 84, "SHE": 372})


def write_results(folder: Path, models: dict[str, float], *, n: int = 200) -> Results:
    rng, rows = np.random.default_rng(0), []
    base = pd.DataFrame({"stem": [f"u{i:03d}" for i in range(n)], "speaker": [f"s{i % 5}" for i in range(n)]})
    base["group"], base["emotion"] = base["speaker"], rng.choice(["anger", "fear", "joy"], n)
    (folder / "predictions").mkdir()
    for model, share in models.items():
        wrong = np.where(base["emotion"] == "joy", "fear", "joy")
        table = base.assign(LDA=np.where(rng.random(n) < share, base["emotion"], wrong))
        table.sample(frac=1, random_state=1).to_csv(folder / "predictions" / f"RAV-{model}-described.csv", index=False)
        rows.append({"model": model, "protocol": "described", "classifier": "LDA", "n_test": n})
    make_cells(*rows).to_csv(folder / "cells.csv", index=False)
    return Results(folder)


def test_intervals_and_mcnemar_agree_with_others_and_bounds_are_at_both_ends_of_the_pairings() -> None:
    for k, n in ((232, 300), (0, 20), (84, 84)):
        assert wilson_interval(k, n) == pytest.approx(proportion_confint(k, n, method="wilson"), abs=1e-9)
    for b, c in ((0, 0), (10, 2), (3, 3), (0, 7), (40, 25)):
        assert exact_mcnemar(b, c) == pytest.approx(min(1.0, mcnemar([[50, b], [c, 20]], exact=True).pvalue))
    assert bound_mcnemar(80, 70, 100) == pytest.approx((exact_mcnemar(10, 0), exact_mcnemar(30, 20)))
    assert bound_mcnemar(15, 15, 30) == (1, 1)
    assert bound_mcnemar(12, 20, 30) == pytest.approx((exact_mcnemar(8, 0), exact_mcnemar(18, 10)))
    values = [0.6, 0.9, 0.7, 0.75, 0.4]
    wanted = stats.ttest_1samp(values, 0).confidence_interval()
    assert t_interval(values) == pytest.approx((wanted.low, wanted.high))
    assert np.isnan(t_interval([0.7])).all()


def test_every_printed_accuracy_has_an_interval() -> None:
    table = significance.confidence_intervals(paper.read_accuracies(), TEST_SIZES)
    assert len(table) == 13 * 4
    assert ((table["low"] < table["accuracy"]) & (table["accuracy"] < table["high"])).all()
    # 80.8 % of 1,556 may be 1,257 or 1,258 right answers: the interval has to cover those of both.
    wide = significance.confidence_intervals(pd.DataFrame({"CRE": [80.8]}, index=["x"]), TEST_SIZES[["CRE"]])
    ends = [100 * wilson_interval(1257, 1556)[0], 100 * wilson_interval(1258, 1556)[1]]
    assert wide[["low", "high"]].to_numpy()[0] == pytest.approx(ends)
    with pytest.raises(SerabError, match="cannot occur with 372"):
        significance.confidence_intervals(pd.DataFrame({"SHE": [86.9]}, index=["x"]), TEST_SIZES[["SHE"]])


def test_holm_agrees_with_its_definition(monkeypatch: pytest.MonkeyPatch) -> None:
    p = [0.01, 0.04, 0.03, 0.005, 0.6]
    order = np.argsort(p)
    stepped = np.maximum.accumulate([min(1.0, (len(p) - i) * p[k]) for i, k in enumerate(order)])
    assert significance.holm(p)[order] == pytest.approx(stepped)
    monkeypatch.setitem(sys.modules, "statsmodels.stats.multitest", None)
    with pytest.raises(SerabError, match=r"statsmodels is not installed: pip install 'serab-companion\[stats\]'"):
        significance.holm([0.1])


def test_models_are_compared_on_the_same_utterances(tmp_path: Path) -> None:
    results = write_results(tmp_path, {"bad": 0.5, "good": 0.9, "poor": 0.45})
    table = significance.compare_models(results, "RAV", "described").set_index(["first", "second"])
    row = table.loc[("good", "bad")]
    assert len(table) == 3 and row["p"] < 1e-6 and row["low"] < row["difference"] < row["high"]
    right = significance.read_right(results, "RAV", "described").astype(float)
    own = (right["good"] - right["bad"]).groupby("speaker").mean()
    assert [row["low_speakers"], row["high_speakers"]] == pytest.approx([100 * end for end in t_interval(own)])
    assert row["difference"] == pytest.approx((row["n_only_first"] - row["n_only_second"]) / 2)
    assert table["p_holm"].to_numpy() == pytest.approx(significance.holm(table["p"]))
    assert list(significance.read_right(results, "RAV", "described", models=["poor", "good"])) == ["poor", "good"]
    path = tmp_path / "predictions" / "RAV-bad-described.csv"
    pd.read_csv(path, dtype=str).iloc[1:].to_csv(path, index=False)
    with pytest.raises(SerabError, match="different utterances"):
        significance.compare_models(results, "RAV", "described")
    with pytest.raises(SerabError, match="two are needed"):
        significance.read_right(results, "RAV", "described", models=["good"])


def test_only_one_of_the_papers_best_numbers_may_be_distinguishable() -> None:
    table = compare_best(paper.read_accuracies(), TEST_SIZES).set_index("task")
    assert table.loc["CRE", "verdict"] == "tie"
    assert table.index[table["verdict"] == "depends on the pairing"].tolist() == ["SHE"]
    assert table.loc["EMB", ["best", "k_best", "k_other"]].tolist() == ["openSMILE", 76, 74]
    assert (table["p_unpaired"] > 0.05).all()
    clear = pd.DataFrame({"EMB": [95.2, 70.2, 59.5, 70.2]}, index=["x", "y", "z", "w"])
    (row,) = compare_best(clear, TEST_SIZES[["EMB"]]).to_dict("records")
    assert (row["verdict"], row["best"], row["other"]) == ("distinguishable", "x", "y and w")


def test_the_best_of_others_is_held_against_a_rival_who_may_lead() -> None:
    rows = paper.read_accuracies()
    own = rows[rows.index.str.startswith("BYOL") | (rows.index == "openSMILE")]
    table = compare_best(own, TEST_SIZES, rival="openSMILE").set_index("task")
    row = table.loc["EMB", ["other", "k_best", "k_other", "verdict"]].tolist()
    assert row == ["openSMILE", 74, 76, "not distinguishable"]
    assert table.index[table["verdict"] == "distinguishable"].tolist() == ["CRE", "SHE"]
    # 84.9 and 93.0 % of 372 are one count each: the bounds are those of the two.
    assert table.loc["SHE", ["p_lowest", "p_highest"]].tolist() == pytest.approx(bound_mcnemar(346, 316, 372))


def test_confusions_and_recalls_of_all_models_of_a_task(tmp_path: Path) -> None:
    results = write_results(tmp_path, {"one": 0.5, "two": 0.7})
    tables = significance.confuse_cells(results, "RAV", "described")
    assert list(tables) == ["two", "one"]
    assert significance.confuse_cells(results, "RAV", "released") == {}
    recalls = significance.tabulate_recalls(tables)
    for cell in significance.score_cells(results).to_dict("records"):
        predictions = results.read_predictions("RAV", cell["model"], "described")
        right = predictions["emotion"] == predictions["LDA"]
        counts = significance.confuse(predictions, "LDA", ["joy", "calm", "fear", "anger"])
        assert counts.loc["joy", "fear"] == (~right[predictions["emotion"] == "joy"]).sum()
        assert counts.loc["calm"].sum() == counts["calm"].sum() == 0
        by_emotion = right.groupby(predictions["emotion"]).mean()
        np.testing.assert_allclose(recalls.loc[cell["model"], by_emotion.index].astype(float), 100 * by_emotion)
        assert recalls.loc[cell["model"], "UAR"] == pytest.approx(cell["uar"])
        assert "calm" not in significance.tabulate_recalls({"m": counts})
        assert cell["accuracy"] == pytest.approx(100 * right.mean())
        assert cell["low_speakers"] < cell["accuracy"] < cell["high_speakers"]
        assert (cell["low"], cell["n_speakers"]) == (pytest.approx(100 * wilson_interval(right.sum(), 200)[0]), 5)
