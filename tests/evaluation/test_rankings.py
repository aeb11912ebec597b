import csv
import sys
from itertools import combinations
from math import prod
from pathlib import Path

import baycomp
import numpy as np
import pandas as pd
import pytest
from scipy import stats

import serab_lib
from serab_lib.core import SerabError
from serab_lib.evaluation import paper, rankings, significance

SIZES = pd.Series(dict(AES=207, CAF=216, CRE=1556, EMB=84, EMV=196, IEM=1122, RAV=300, SAV=120, SHE=372))
ACCURACIES = paper.read_accuracies()[list(SIZES.index)]
LIKE = [(f"BYOL-S, {size}", f"BYOL-A, {size}") for size in (512, 1024, 2048)]


@pytest.fixture(scope="module")
def subsets() -> pd.DataFrame:
    return rankings.rank_subsets(ACCURACIES)


def read_table() -> tuple[dict[str, list[float]], dict[str, tuple[float, float, float]]]:
    """The second implementation: accuracies and UM, WM and GM by row, from the file alone."""
    with (Path(serab_lib.__file__).parent / "data" / "paper" / "table3_accuracy.csv").open() as file:
        rows = {row["model"]: [float(row[task]) for task in SIZES.index] for row in csv.DictReader(file)}
    weighted = {name: sum(n * x for n, x in zip(SIZES, row, strict=True)) / SIZES.sum() for name, row in rows.items()}
    means = {name: (sum(row) / 9, weighted[name], prod(x ** (1 / 9) for x in row)) for name, row in rows.items()}
    return rows, means


MEANS = pd.DataFrame(read_table()[1], index=["UM", "WM", "GM"]).T


def test_pairs_agree_with_a_second_implementation_and_posterior_means_with_draws() -> None:
    rows, _ = read_table()
    found = rankings.compare_pairs(ACCURACIES, MEANS, LIKE)
    assert found["UM"].round(2).tolist() == [1.62, -0.37, 2.23]
    for contrast, (first, second) in zip(found.to_dict("records"), LIKE, strict=True):
        steps = [round(a - b, 1) for a, b in zip(rows[first], rows[second], strict=True)]
        assert (contrast["up"], contrast["down"]) == (sum(x > 0 for x in steps), sum(x < 0 for x in steps))
        differences = (MEANS.loc[first] - MEANS.loc[second]).to_dict()
        assert {name: contrast[name] for name in MEANS} == pytest.approx(differences)
        # Wilcoxon's test by all 2 ** n signs of the ranks.
        ranks = stats.rankdata([abs(x) for x in steps if x])
        signs = 2 * (np.arange(2 ** len(ranks))[:, None] >> np.arange(len(ranks)) & 1) - 1
        extreme = abs(signs @ ranks) >= abs(np.sign([x for x in steps if x]) @ ranks) - 1e-9
        assert contrast["p"] == pytest.approx(extreme.mean())
    assert found[["up", "down", "equal"]].sum().tolist() == [18, 7, 2]
    for row in found.itertuples():
        pair = (ACCURACIES.loc[name].to_numpy() for name in (row.first, row.second))
        drawn = baycomp.SignedRankTest.sample(*pair, rankings.SMALL, nsamples=4_000, random_state=0).mean(axis=0)
        assert [row.better, row.alike, row.worse] == pytest.approx(100 * drawn, abs=1.5)


def test_friedman_nemenyi_and_ranks_agree_with_scipy_and_with_each_other() -> None:
    found = rankings.compare_ranks(ACCURACIES)
    ranks = stats.rankdata(-ACCURACIES.to_numpy(), axis=0).mean(axis=1)
    assert found.ranks[ACCURACIES.index].to_numpy() == pytest.approx(ranks)
    assert found.p_friedman == pytest.approx(stats.friedmanchisquare(*ACCURACIES.to_numpy()).pvalue)
    for one, other in combinations(found.ranks.index, 2):
        is_near = abs(found.ranks[one] - found.ranks[other]) < found.critical_difference
        assert is_near == (found.p_pairs.loc[one, other] >= significance.ALPHA)


def test_critical_difference_is_that_of_the_published_table_and_too_few_models_are_told(monkeypatch) -> None:
    # Demšar (2006), table 5: q = 3.164 for ten classifiers at 0.05.
    random = pd.DataFrame(np.random.default_rng(0).random((10, 30)))
    found = rankings.compare_ranks(random)
    assert found.critical_difference == pytest.approx(3.164 * np.sqrt(10 * 11 / (6 * 30)), rel=1e-3)
    with pytest.raises(SerabError, match="2 models on 3 tasks"):
        rankings.compare_ranks(pd.DataFrame(np.eye(3)[:2]))
    monkeypatch.setitem(sys.modules, "scikit_posthocs", None)
    with pytest.raises(SerabError, match=r"scikit_posthocs is not installed: .*\[stats\]"):
        rankings.compare_ranks(random)


def test_all_511_subsets_agree_with_scipy(subsets: pd.DataFrame) -> None:
    assert len(subsets) == subsets["tasks"].nunique() == 511
    full = ACCURACIES.mean(axis=1).round(9)
    for row in subsets.iloc[:-1:23].itertuples():
        means = ACCURACIES[list(row.tasks)].mean(axis=1).round(9)
        rest = ACCURACIES.drop(columns=list(row.tasks)).mean(axis=1).round(9)
        assert row.tau_all == pytest.approx(stats.kendalltau(means, full).statistic)
        assert row.tau_rest == pytest.approx(stats.kendalltau(means, rest).statistic)
        assert row.same_best == (means[full.idxmax()] == means.max())
    assert subsets["tau_rest"].isna().sum() == 1
    assert subsets.set_index("tasks").loc[[("CRE",)], "same_best"].all(), "a shared first place counts"


def test_subsets_do_not_foretell_the_other_tasks(subsets: pd.DataFrame) -> None:
    table = rankings.summarise_sizes(subsets)
    assert table["tau_all"].is_monotonic_increasing and table["tau_all"].iloc[-1] == 1
    assert table["tau_rest"].iloc[:8].max() < 0.6 < table["tau_all"].iloc[0]
    single = subsets.loc[subsets["n_tasks"] == 1, ["tau_all", "tau_rest", "same_best"]].mean()
    assert table.loc[0, single.index].tolist() == pytest.approx(single.tolist())
    byol = rankings.summarise_sizes(rankings.rank_subsets(ACCURACIES[ACCURACIES.index.str.startswith("BYOL")]))
    assert byol.set_index("n_tasks").loc[4, "tau_rest"] == pytest.approx(0.19, abs=0.005)


def test_redrawn_accuracies_have_correlated_binomial_errors_and_their_rankings_settle() -> None:
    drawn = rankings.redraw(np.full((20_000, 2), 0.8), 300, np.random.default_rng(0))
    assert drawn.std(axis=0) == pytest.approx(np.sqrt(0.8 * 0.2 / 300), rel=0.03)
    assert np.corrcoef(drawn.T)[0, 1] == pytest.approx(rankings.CORRELATION, abs=0.03)
    assert np.allclose(drawn * 300, np.round(drawn * 300)), "numbers of right answers are whole"
    assert rankings.redraw(np.array([[0.0, 1.0]]), 10, np.random.default_rng(0)).tolist() == [[0, 1]]
    one, same = (rankings.redraw_rankings(ACCURACIES, sizes, n_draws=40) for sizes in (SIZES, SIZES[::-1]))
    assert one.tolist() == same.tolist() and 0.7 < one.mean() < 0.9
    assert rankings.redraw_rankings(ACCURACIES, SIZES * 0 + 10**9, n_draws=20).min() > 0.98
    equal = rankings.redraw(np.full((9, 400), 0.7), SIZES.to_numpy()[:, None], np.random.default_rng(0))
    table = rankings.measure_spread(100 * pd.DataFrame(equal, index=SIZES.index).T, SIZES)
    assert (table["spread"] / table["correlated"]).mean() == pytest.approx(1, abs=0.03)
    assert (table["correlated"] < table["independent"]).all()


def test_sizes_are_joined_with_every_row() -> None:
    table = rankings.join_sizes(paper.read_accuracies(), paper.read_models(), SIZES)
    assert table[["embedding_size", "parameters_millions"]].isna().sum().tolist() == [0, 1]
    assert table["family"].value_counts().to_dict() == {"other": 4, "BYOL-A": 3, "BYOL-S": 3, "BYOL-S/CvT": 3}
    assert table.loc["BYOL-A, 512", "UM"] == pytest.approx(71.4)
    p = table.loc["YAMNet", list(SIZES.index)].to_numpy(dtype=float) / 100
    wanted = 1.959964 * np.sqrt((p * (1 - p) / SIZES.to_numpy()).sum()) / 9
    assert table.loc["YAMNet", "UM_half_width"] == pytest.approx(100 * wanted, rel=1e-5)
