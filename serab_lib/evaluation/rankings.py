"""Models over tasks: ranks, what a subset of the tasks does to a ranking, and whether size helps."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations, pairwise

import numpy as np
import pandas as pd
from scipy import stats

from serab_lib.core import SerabError
from serab_lib.evaluation.significance import ALPHA, N_DRAWS, require

N_BAYESIAN_DRAWS = 20_000
PREDICTORS = ("parameters_millions", "embedding_size")


@dataclass(frozen=True)
class RankComparison:
    """Friedman's test with Nemenyi's comparisons: mean ranks, 1 is best, and p-values of every two models.

    Mean ranks that differ by less than the critical difference cannot be told apart.
    """

    ranks: pd.Series
    p_friedman: float
    p_pairs: pd.DataFrame
    critical_difference: float
    n_tasks: int
    alpha: float = ALPHA


def compare_ranks(accuracies: pd.DataFrame) -> RankComparison:
    """Compare models by their ranks within each task (models by tasks, any unit).

    Tasks are taken for equally telling, though some have 84 test utterances and others over a thousand.
    """
    n_models, n_tasks = accuracies.shape
    if n_models < 3 or n_tasks < 2:
        raise SerabError(f"{n_models} models on {n_tasks} tasks: ranks need three models and two tasks or more")
    values = accuracies.to_numpy(dtype=float)
    p_pairs = require("scikit_posthocs").posthoc_nemenyi_friedman(values.T)
    p_pairs.index = p_pairs.columns = accuracies.index
    critical = stats.studentized_range.ppf(1 - ALPHA, n_models, np.inf) / np.sqrt(2)
    return RankComparison(
        ranks=accuracies.rank(ascending=False).mean(axis=1).sort_values(),
        p_friedman=float(stats.friedmanchisquare(*values).pvalue),
        p_pairs=p_pairs,
        critical_difference=float(critical * np.sqrt(n_models * (n_models + 1) / (6 * n_tasks))),
        n_tasks=n_tasks,
    )


def compare_neighbours(accuracies: pd.DataFrame) -> pd.DataFrame:
    """Bayesian signed-rank test over the tasks of each model with the next by mean accuracy, in percent.

    The probabilities are that, of the three, it is most probable of a new task that the first is better by more than a
    point, that they are alike, or that the second is better.
    """
    test = require("baycomp").SignedRankTest
    rows = []
    for first, second in pairwise(accuracies.mean(axis=1).sort_values(ascending=False).index):
        one, other = (accuracies.loc[name].to_numpy(dtype=float) for name in (first, second))
        winners = test.sample(one, other, 1.0, nsamples=N_BAYESIAN_DRAWS, random_state=0).argmax(axis=1)
        shares = np.bincount(winners, minlength=3) / N_BAYESIAN_DRAWS
        rows.append((first, second, (one - other).mean(), *shares))
    return pd.DataFrame(rows, columns=["first", "second", "mean_difference", "first_better", "alike", "second_better"])


def rank_subsets(accuracies: pd.DataFrame) -> pd.DataFrame:
    """Rank the models by UM on every subset of the tasks.

    Parameters
    ----------
    accuracies : pandas.DataFrame
        Models by tasks, no means.

    Returns
    -------
    pandas.DataFrame
        One row per subset that is not empty: `tasks` (tuple), `n_tasks`, `kendall_tau` (tau-b to the ranking on all
        tasks) and `same_best` (whether the best model is the same; among equals the first).
    """
    masks = _list_masks(accuracies.shape[1])
    tau, same_best = _compare_subsets(accuracies.to_numpy(dtype=float), masks)
    codes = np.array(accuracies.columns)
    columns = {"tasks": [tuple(codes[mask]) for mask in masks], "n_tasks": masks.sum(axis=1)}
    return pd.DataFrame(columns | {"kendall_tau": tau, "same_best": same_best})


def summarise_sizes(subsets: pd.DataFrame) -> pd.DataFrame:
    """Summarise the subsets by how many tasks they have: tau, and the share that has the same best model."""
    grouped = subsets.groupby("n_tasks")
    tau = grouped["kendall_tau"]
    columns = {"tau_mean": tau.mean(), "tau_lowest": tau.min(), "tau_low": tau.quantile(0.05)}
    columns |= {"tau_high": tau.quantile(0.95), "same_best": grouped["same_best"].mean()}
    return pd.DataFrame(columns).reset_index()


def find_enough_tasks(sizes: pd.DataFrame) -> int | None:
    """Find the smallest number of tasks with a mean tau of 0.9: with 13 models, 4 of 78 pairs in the other order."""
    enough = sizes.loc[sizes["tau_mean"] >= 0.9, "n_tasks"]
    return int(enough.min()) if len(enough) else None


def weigh_tasks(subsets: pd.DataFrame) -> pd.DataFrame:
    """Say how much each task tells about the ranking on all of them.

    Tau is that of its own ranking, and means over the subsets that have it and that have not, each number of tasks
    counting alike, from one to all but one; `gain` is the difference of the means.
    """
    everything = max(subsets["tasks"], key=len)
    some = subsets[subsets["n_tasks"] < len(everything)]
    alone = subsets.set_index("tasks")["kendall_tau"]
    rows = []
    for task in everything:
        has = some["tasks"].map(lambda tasks, task=task: task in tasks)
        means = some.groupby([has, "n_tasks"])["kendall_tau"].mean().groupby(level=0).mean()
        rows.append((task, alone[(task,)], means[True], means[False], means[True] - means[False]))
    return pd.DataFrame(rows, columns=["task", "tau_alone", "tau_with_it", "tau_without_it", "gain"])


def bootstrap_subsets(
    accuracies: pd.DataFrame, sizes: pd.Series, *, n_draws: int = 500, rng: np.random.Generator | int = 0
) -> pd.DataFrame:
    """Give the stability of subsets with 95 % intervals, by redrawing what was measured.

    Parameters
    ----------
    accuracies : pandas.DataFrame
        Models by tasks, percent.
    sizes : pandas.Series
        Task to number of test utterances: every accuracy is redrawn as a binomial count of that many.
    n_draws : int
    rng : numpy.random.Generator or int

    Returns
    -------
    pandas.DataFrame
        One row per number of tasks: `n_tasks`, `low` and `high` (of the mean tau), `same_best_low`, `same_best_high`.

    Notes
    -----
    Each draw is held against the ranking as it was measured. That holds the noise of the test parts once already and is
    given it again, so that draws lie below what was measured. Models are redrawn independently, though they are tested
    on the same utterances; that overstates the noise of their differences.
    """
    values, n = accuracies.to_numpy(dtype=float), sizes[accuracies.columns].to_numpy(dtype=int)
    masks = _list_masks(len(n))
    by_size = np.eye(len(n))[masks.sum(axis=1) - 1]
    by_size /= by_size.sum(axis=0)
    draws = 100 * np.random.default_rng(rng).binomial(n, values / 100, size=(n_draws, *values.shape)) / n
    reference = values.mean(axis=1)
    compared = np.array([_compare_subsets(drawn, masks, reference) for drawn in draws]) @ by_size
    (low, same_best_low), (high, same_best_high) = np.quantile(compared, [0.025, 0.975], axis=0)
    columns = {"low": low, "high": high, "same_best_low": same_best_low, "same_best_high": same_best_high}
    return pd.DataFrame({"n_tasks": range(1, len(n) + 1)} | columns)


def correlate_ranks(scores: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Kendall's tau-b of many rankings [shape=(n, n_models)] with one, as scipy's `kendalltau` for all rows at once.

    Means that differ by rounding errors alone are equal.
    """
    one, other = np.triu_indices(scores.shape[1], k=1)
    signs = _sign(scores[:, one] - scores[:, other])
    wanted = _sign(reference[one] - reference[other])
    ties = (signs != 0).sum(axis=1) * np.count_nonzero(wanted)
    return (signs @ wanted) / np.sqrt(np.maximum(ties, 1))


def _sign(differences: np.ndarray) -> np.ndarray:
    return np.where(np.abs(differences) < 1e-9, 0.0, np.sign(differences))


def _list_masks(n_tasks: int) -> np.ndarray:
    """All subsets as rows of a table of bool, from single tasks to all of them."""
    chosen = [subset for size in range(1, n_tasks + 1) for subset in combinations(range(n_tasks), size)]
    return np.array([np.isin(range(n_tasks), subset) for subset in chosen])


def _compare_subsets(
    values: np.ndarray, masks: np.ndarray, reference: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Hold the mean of each model over each subset against a reference, the mean over all tasks by default."""
    means = (masks / masks.sum(axis=1, keepdims=True)) @ values.T
    reference = means[-1] if reference is None else reference
    return correlate_ranks(means, reference), means.argmax(axis=1) == reference.argmax()


def join_sizes(accuracies: pd.DataFrame, models: pd.DataFrame, sizes: pd.Series) -> pd.DataFrame:
    """Put the paper's tables 2 and 3 side by side, with each model's family and its UM from the row.

    `UM_half_width` is half of the 95 % interval of UM, from the binomial errors of its tasks.
    """
    table = accuracies.join(models.set_index("row")[list(PREDICTORS)])
    table["UM"] = table[sizes.index].mean(axis=1)
    shares = table[sizes.index] / 100
    variance = (shares * (1 - shares) / sizes).sum(axis=1) / len(sizes) ** 2
    table["UM_half_width"] = 100 * stats.norm.ppf(1 - ALPHA / 2) * np.sqrt(variance)
    first = table.index.str.split(",").str[0]
    table["family"] = np.where(first.str.startswith("BYOL"), first, "other")
    return table


def correlate_sizes(table: pd.DataFrame, *, n_draws: int = N_DRAWS, rng: np.random.Generator | int = 0) -> pd.DataFrame:
    """Correlate UM with the sizes of models, some rows of `join_sizes`; `slope` is for ten times the size.

    The models were not drawn at random, and size goes with other things: the large ones are of one family, the small
    baselines were trained on other data. A correlation over a dozen of them proves nothing about size.
    """
    rng = np.random.default_rng(rng)
    rows = []
    for predictor in PREDICTORS:
        known = table[table[predictor].notna()]
        x, y = np.log10(known[predictor].to_numpy(dtype=float)), known["UM"].to_numpy(dtype=float)
        permuted = stats.permutation_test(
            (y,), lambda y, axis, x=x: _spearman(x, y), permutation_type="pairings", n_resamples=n_draws, rng=rng
        )
        picked = rng.integers(0, len(x), size=(n_draws, len(x)))
        # NaN where a resample drew one size only.
        low, high = np.nanquantile(_spearman(x[picked], y[picked]), [0.025, 0.975])
        slope = float(np.polyfit(x, y, 1)[0])
        rows.append((predictor, len(x), float(permuted.statistic), low, high, float(permuted.pvalue), slope))
    return pd.DataFrame(rows, columns=["predictor", "n_models", "spearman", "low", "high", "p", "slope"])


def _spearman(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Spearman's correlation along the last axis."""
    x, y = (stats.rankdata(values, axis=-1) for values in (x, y))
    x, y = (values - values.mean(axis=-1, keepdims=True) for values in (x, y))
    with np.errstate(invalid="ignore"):
        return (x * y).sum(axis=-1) / np.sqrt((x**2).sum(axis=-1) * (y**2).sum(axis=-1))
