"""Ranks over tasks, subsets of the tasks and sizes of the models, held against scipy and brute force."""

from __future__ import annotations

import sys
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from serab_lib.core import SerabError
from serab_lib.corpora.task import PAPER_TASKS
from serab_lib.evaluation.model_size import correlate_sizes, join_sizes
from serab_lib.evaluation.paper import read_accuracies, read_models
from serab_lib.evaluation.rankings import compare_bayesian, compare_ranks
from serab_lib.evaluation.subsets import (
    bootstrap_subsets,
    correlate_ranks,
    find_enough_tasks,
    rank_subsets,
    summarise_sizes,
    weigh_tasks,
)

SIZES = pd.Series(dict(zip(PAPER_TASKS, (207, 216, 1556, 84, 196, 1122, 300, 120, 372), strict=True)))


@pytest.fixture(scope="module")
def accuracies() -> pd.DataFrame:
    return read_accuracies()[list(PAPER_TASKS)]


@pytest.fixture(scope="module")
def subsets(accuracies: pd.DataFrame) -> pd.DataFrame:
    return rank_subsets(accuracies)


def test_friedman_and_ranks_agree_with_scipy(accuracies: pd.DataFrame) -> None:
    found = compare_ranks(accuracies)
    ranks = stats.rankdata(-accuracies.to_numpy(), axis=0).mean(axis=1)
    assert found.ranks[accuracies.index].to_numpy() == pytest.approx(ranks)
    assert found.p_friedman == pytest.approx(stats.friedmanchisquare(*accuracies.to_numpy()).pvalue)
    assert found.ranks.index[0] == "BYOL-S, 2048"


def test_critical_difference_is_that_of_the_published_table() -> None:
    # Demšar (2006), table 5: q = 3.164 for ten classifiers at 0.05.
    table = pd.DataFrame(np.random.default_rng(0).random((10, 30)))
    found = compare_ranks(table)
    assert found.critical_difference == pytest.approx(3.164 * np.sqrt(10 * 11 / (6 * 30)), rel=1e-3)


def test_nemenyi_and_critical_difference_agree(accuracies: pd.DataFrame) -> None:
    found = compare_ranks(accuracies)
    alike = {
        pair
        for pair in combinations(found.ranks.index, 2)
        if abs(found.ranks[pair[0]] - found.ranks[pair[1]]) < found.critical_difference
    }
    assert alike == {pair for pair in combinations(found.ranks.index, 2) if found.p_pairs.loc[pair] >= found.alpha}
    assert ("BYOL-S, 2048", "BYOL-A, 512") in alike
    assert ("BYOL-S, 2048", "YAMNet") not in alike


def test_too_few_models_are_refused() -> None:
    with pytest.raises(SerabError, match="2 models on 3 tasks"):
        compare_ranks(pd.DataFrame(np.eye(3)[:2]))


@pytest.mark.parametrize("name", ["scikit_posthocs", "baycomp"])
def test_missing_libraries_name_the_extra(name: str, accuracies: pd.DataFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(SerabError, match=rf"{name} is not installed: .*\[stats\]"):
        (compare_ranks if name == "scikit_posthocs" else compare_bayesian)(accuracies)


def test_bayesian_signed_rank_is_sure_where_it_should_be(accuracies: pd.DataFrame) -> None:
    pairs = [("BYOL-S, 2048", "YAMNet"), ("YAMNet", "BYOL-S, 2048"), ("BYOL-S, 2048", "BYOL-S, 2048")]
    table = compare_bayesian(accuracies, pairs, n_draws=2_000)
    assert table.loc[0, "first_better"] > 0.99
    assert table.loc[1, "second_better"] > 0.99
    assert table.loc[2, "alike"] > 0.99
    assert table[["first_better", "alike", "second_better"]].sum(axis=1).to_numpy() == pytest.approx(1)
    pd.testing.assert_frame_equal(table, compare_bayesian(accuracies, pairs, n_draws=2_000))


def test_all_511_subsets_agree_with_scipy(accuracies: pd.DataFrame, subsets: pd.DataFrame) -> None:
    assert len(subsets) == 511
    assert subsets["tasks"].nunique() == 511
    full = accuracies.mean(axis=1)
    for row in subsets.iloc[::23].itertuples():
        means = accuracies[list(row.tasks)].mean(axis=1)
        assert row.kendall_tau == pytest.approx(stats.kendalltau(means.round(9), full).statistic)
        assert means[row.best] == pytest.approx(means.max())


def test_tau_agrees_with_scipy_with_ties() -> None:
    rng = np.random.default_rng(0)
    scores, reference = rng.integers(0, 4, (50, 8)).astype(float), rng.integers(0, 5, 8).astype(float)
    wanted = [stats.kendalltau(row, reference).statistic for row in scores]
    assert correlate_ranks(scores, reference) == pytest.approx(wanted)


def test_sizes_of_subsets(subsets: pd.DataFrame) -> None:
    table = summarise_sizes(subsets).set_index("n_tasks")
    assert table["n_subsets"].tolist() == [9, 36, 84, 126, 126, 84, 36, 9, 1]
    assert table["tau_mean"].is_monotonic_increasing
    assert table.loc[9, ["tau_mean", "same_best", "same_ranking"]].tolist() == [1, 1, 1]
    assert find_enough_tasks(table.reset_index(), tau=0.9) == 8
    assert find_enough_tasks(table.reset_index().iloc[:3], tau=0.9) is None


def test_weights_of_tasks_agree_with_leaving_one_out(accuracies: pd.DataFrame, subsets: pd.DataFrame) -> None:
    table = weigh_tasks(subsets).set_index("task")
    full = accuracies.mean(axis=1)
    for task in PAPER_TASKS:
        without = accuracies.drop(columns=task).mean(axis=1)
        assert table.loc[task, "tau_without"] == pytest.approx(stats.kendalltau(without.round(9), full).statistic)
        assert table.loc[task, "tau_alone"] == pytest.approx(stats.kendalltau(accuracies[task], full).statistic)
    assert table["gain"].idxmax() == "EMV"


def test_a_task_of_pure_noise_tells_least() -> None:
    rng = np.random.default_rng(0)
    truth = np.linspace(40, 80, 12)[:, None]
    table = pd.DataFrame(truth + rng.normal(0, 1, (12, 4)), columns=list("ABCD"))
    table["N"] = rng.normal(60, 4, 12)
    assert weigh_tasks(rank_subsets(table)).set_index("task")["gain"].idxmin() == "N"


def test_redrawing_is_seeded_and_vanishes_with_endless_test_parts(accuracies: pd.DataFrame) -> None:
    one, same = (bootstrap_subsets(accuracies, SIZES, n_draws=40, rng=2) for _ in range(2))
    pd.testing.assert_frame_equal(one, same)
    endless = bootstrap_subsets(accuracies, SIZES * 0 + 10**9, n_draws=20).set_index("n_tasks")
    # Numbers that print alike fall apart, so that tau is not quite the printed one.
    assert endless["low"].to_numpy() == pytest.approx(endless["tau_mean"].to_numpy(), abs=0.03)
    assert one.set_index("n_tasks").loc[9, "high"] < 1
    over_tasks = bootstrap_subsets(accuracies, n_draws=30).set_index("n_tasks")
    assert over_tasks.loc[9, ["low", "high"]].tolist() == [1, 1]


def test_too_many_tasks_are_refused() -> None:
    with pytest.raises(SerabError, match="12 tasks at most"):
        rank_subsets(pd.DataFrame(np.zeros((3, 13))))


def test_sizes_are_joined_with_every_row() -> None:
    table = join_sizes(read_accuracies(), read_models(), SIZES)
    assert table["embedding_size"].notna().all()
    assert table["parameters_millions"].isna().sum() == 1
    assert table.loc["BYOL-S/CvT, 2048", "family"] == "BYOL-S/CvT"
    assert table.loc["BYOL-A, 512", "UM"] == pytest.approx(71.4)
    p = table.loc["YAMNet", list(PAPER_TASKS)].to_numpy(dtype=float) / 100
    wanted = 1.959964 * np.sqrt((p * (1 - p) / SIZES.to_numpy()).sum()) / 9
    assert table.loc["YAMNet", "UM_half_width"] == pytest.approx(100 * wanted, rel=1e-5)


def test_correlations_agree_with_scipy() -> None:
    table = join_sizes(read_accuracies(), read_models())
    found = correlate_sizes(table, ["UM", "CRE"], n_draws=4_000).set_index(["predictor", "outcome"])
    for (predictor, outcome), row in found.iterrows():
        known = table[table[predictor].notna()]
        wanted = stats.spearmanr(known[predictor], known[outcome])
        assert row["spearman"] == pytest.approx(wanted.statistic)
        assert row["p"] == pytest.approx(wanted.pvalue, abs=0.05)
        assert row["low"] < row["spearman"] < row["high"]
        assert row["slope"] == pytest.approx(stats.linregress(np.log10(known[predictor]), known[outcome]).slope)


def test_permutation_p_agrees_with_scipy_on_a_small_sample() -> None:
    table = pd.DataFrame({"parameters_millions": [1, 2, 3, 4, 5, 6], "embedding_size": 1, "UM": [1, 3, 2, 4, 6, 5]})
    row = correlate_sizes(table.astype(float), ["UM"], n_draws=20_000).set_index("predictor").loc["parameters_millions"]
    exact = stats.permutation_test(
        (table["UM"],),
        lambda y: stats.spearmanr(table["parameters_millions"], y).statistic,
        permutation_type="pairings",
        n_resamples=np.inf,
        vectorized=False,
    )
    assert row["p"] == pytest.approx(exact.pvalue, abs=0.01)


def test_a_predictor_without_spread_gives_no_correlation() -> None:
    table = pd.DataFrame({"parameters_millions": [1.0, 1.0, 1.0], "embedding_size": [1, 2, 3], "UM": [1.0, 2.0, 3.0]})
    found = correlate_sizes(table, ["UM"], n_draws=200).set_index("predictor")
    assert np.isnan(found.loc["parameters_millions", "spearman"])
    assert found.loc["embedding_size", "spearman"] == 1
