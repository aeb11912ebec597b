"""Ranks over tasks, subsets of the tasks and sizes of the models, held against scipy and brute force."""

from __future__ import annotations

import sys
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from serab_lib.core import SerabError
from serab_lib.evaluation.paper import read_accuracies, read_models
from serab_lib.evaluation.rankings import (
    bootstrap_subsets,
    compare_neighbours,
    compare_ranks,
    correlate_ranks,
    correlate_sizes,
    find_enough_tasks,
    join_sizes,
    rank_subsets,
    summarise_sizes,
    weigh_tasks,
)
from serab_lib.evaluation.significance import ALPHA

SIZES = pd.Series(
    {"AES": 207, "CAF": 216, "CRE": 1556, "EMB": 84, "EMV": 196, "IEM": 1122, "RAV": 300, "SAV": 120, "SHE": 372}
)


@pytest.fixture(scope="module")
def accuracies() -> pd.DataFrame:
    return read_accuracies()[list(SIZES.index)]


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
    found = compare_ranks(pd.DataFrame(np.random.default_rng(0).random((10, 30))))
    assert found.critical_difference == pytest.approx(3.164 * np.sqrt(10 * 11 / (6 * 30)), rel=1e-3)


def test_nemenyi_and_critical_difference_agree(accuracies: pd.DataFrame) -> None:
    found = compare_ranks(accuracies)
    for one, other in combinations(found.ranks.index, 2):
        is_alike = abs(found.ranks[one] - found.ranks[other]) < found.critical_difference
        assert is_alike == (found.p_pairs.loc[one, other] >= ALPHA)


def test_too_few_models_are_refused() -> None:
    with pytest.raises(SerabError, match="2 models on 3 tasks"):
        compare_ranks(pd.DataFrame(np.eye(3)[:2]))


@pytest.mark.parametrize(("name", "compare"), [("scikit_posthocs", compare_ranks), ("baycomp", compare_neighbours)])
def test_missing_libraries_name_the_extra(name, compare, accuracies, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(SerabError, match=rf"{name} is not installed: .*\[stats\]"):
        compare(accuracies)


def test_bayesian_signed_rank_is_sure_where_it_should_be() -> None:
    leads = np.array([[10.0], [10.1], [0.0]])
    table = pd.DataFrame(leads + np.random.default_rng(0).normal(50, 2, (1, 9)), index=["a", "b", "c"])
    found = compare_neighbours(table)
    assert found["first"].tolist() == ["b", "a"] and found["second"].tolist() == ["a", "c"]
    assert found["mean_difference"].to_numpy() == pytest.approx([0.1, 10.0])
    assert found["alike"][0] > 0.99 and found["first_better"][1] > 0.99
    assert found[["first_better", "alike", "second_better"]].sum(axis=1).to_numpy() == pytest.approx(1)


def test_all_511_subsets_agree_with_scipy(accuracies: pd.DataFrame, subsets: pd.DataFrame) -> None:
    assert len(subsets) == subsets["tasks"].nunique() == 511
    full = accuracies.mean(axis=1)
    for row in subsets.iloc[::23].itertuples():
        means = accuracies[list(row.tasks)].mean(axis=1)
        assert row.n_tasks == len(row.tasks)
        assert row.kendall_tau == pytest.approx(stats.kendalltau(means.round(9), full).statistic)
        assert row.same_best == (means.idxmax() == full.idxmax())


def test_tau_agrees_with_scipy_with_ties() -> None:
    rng = np.random.default_rng(0)
    scores, reference = rng.integers(0, 4, (50, 8)).astype(float), rng.integers(0, 5, 8).astype(float)
    wanted = [stats.kendalltau(row, reference).statistic for row in scores]
    assert correlate_ranks(scores, reference) == pytest.approx(wanted)


def test_subsets_by_size(subsets: pd.DataFrame) -> None:
    table = summarise_sizes(subsets)
    single = subsets.loc[subsets["n_tasks"] == 1, "kendall_tau"]
    wanted = [single.mean(), single.min(), single.quantile(0.05), single.quantile(0.95)]
    assert table.loc[0, ["tau_mean", "tau_lowest", "tau_low", "tau_high"]].tolist() == pytest.approx(wanted)
    assert table["tau_mean"].is_monotonic_increasing
    assert table.loc[8, ["n_tasks", "tau_mean", "same_best"]].tolist() == [9, 1, 1]
    assert find_enough_tasks(table) == 8
    assert find_enough_tasks(table.iloc[:3]) is None


def test_a_task_of_pure_noise_tells_least() -> None:
    rng = np.random.default_rng(0)
    table = pd.DataFrame(np.linspace(40, 80, 12)[:, None] + rng.normal(0, 1, (12, 4)), columns=list("ABCD"))
    table["N"] = rng.normal(60, 4, 12)
    subsets = rank_subsets(table)
    weights = weigh_tasks(subsets).set_index("task")
    assert weights["gain"].idxmin() == "N"
    assert weights.loc["A", "tau_alone"] == pytest.approx(
        stats.kendalltau(table["A"], table.mean(axis=1).round(9)).statistic
    )
    # Each number of tasks counts alike, however many subsets there are of it.
    has = subsets[subsets["tasks"].map(lambda tasks: "N" in tasks) & (subsets["n_tasks"] < 5)]
    assert weights.loc["N", "tau_with_it"] == pytest.approx(has.groupby("n_tasks")["kendall_tau"].mean().mean())


def test_redrawing_is_seeded_and_vanishes_with_endless_test_parts(
    accuracies: pd.DataFrame, subsets: pd.DataFrame
) -> None:
    one, same = (bootstrap_subsets(accuracies, SIZES[::-1], n_draws=40, rng=2) for _ in range(2))
    pd.testing.assert_frame_equal(one, same)
    assert one["high"].iloc[-1] < 1 and (one["low"] < one["high"]).all()
    # Numbers that print alike fall apart, so that tau is not quite the printed one.
    endless = bootstrap_subsets(accuracies, SIZES * 0 + 10**9, n_draws=20)
    measured = summarise_sizes(subsets)
    assert endless["low"].to_numpy() == pytest.approx(measured["tau_mean"].to_numpy(), abs=0.03)
    assert endless["same_best_low"].to_numpy() == pytest.approx(measured["same_best"].to_numpy(), abs=0.15)


def test_sizes_are_joined_with_every_row() -> None:
    table = join_sizes(read_accuracies(), read_models(), SIZES)
    assert table["embedding_size"].notna().all()
    assert table["parameters_millions"].isna().sum() == 1
    assert table["family"].value_counts().to_dict() == {"other": 4, "BYOL-A": 3, "BYOL-S": 3, "BYOL-S/CvT": 3}
    assert table.loc["BYOL-A, 512", "UM"] == pytest.approx(71.4)
    p = table.loc["YAMNet", list(SIZES.index)].to_numpy(dtype=float) / 100
    wanted = 1.959964 * np.sqrt((p * (1 - p) / SIZES.to_numpy()).sum()) / 9
    assert table.loc["YAMNet", "UM_half_width"] == pytest.approx(100 * wanted, rel=1e-5)


def test_correlations_agree_with_scipy() -> None:
    table = join_sizes(read_accuracies(), read_models(), SIZES)
    found = correlate_sizes(table, n_draws=2_000).set_index("predictor")
    for predictor, row in found.iterrows():
        known = table[table[predictor].notna()]
        wanted = stats.spearmanr(known[predictor], known["UM"])
        assert row["n_models"] == len(known)
        assert row["spearman"] == pytest.approx(wanted.statistic)
        assert row["p"] == pytest.approx(wanted.pvalue, abs=0.05)
        assert row["low"] < row["spearman"] < row["high"]
        assert row["slope"] == pytest.approx(stats.linregress(np.log10(known[predictor]), known["UM"]).slope)


def test_resamples_of_one_size_do_not_count() -> None:
    table = pd.DataFrame({"parameters_millions": [1.0, 1, 2], "embedding_size": [1.0, 2, 3], "UM": [1.0, 2, 3]})
    found = correlate_sizes(table, n_draws=200)
    assert found[["spearman", "low", "high"]].notna().all(axis=None)
