"""Models over tasks: ranks, planned contrasts, what a subset of the tasks does to a ranking, and sizes of models."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations, product

import numpy as np
import pandas as pd
from scipy import stats

from serab_lib.core import SerabError
from serab_lib.evaluation.significance import ALPHA, require

# Differences of up to so many points count as none in the Bayesian test, whose prior is half a task without any.
SMALL = 1.0
PRIOR_WEIGHT = 0.5
PREDICTORS = ("parameters_millions", "embedding_size")
# Of whether two models get an utterance right: near what was measured (`benchmarks/calibrate.py`).
CORRELATION = 0.4


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
    critical = stats.studentized_range.ppf(1 - ALPHA, n_models, np.inf) * np.sqrt(
        n_models * (n_models + 1) / 12 / n_tasks
    )
    ranks = accuracies.rank(ascending=False).mean(axis=1).sort_values()
    return RankComparison(ranks, float(stats.friedmanchisquare(*values).pvalue), p_pairs, float(critical), n_tasks)


def compare_pairs(accuracies: pd.DataFrame, means: pd.DataFrame, pairs: Iterable[tuple[str, str]]) -> pd.DataFrame:
    """Contrast planned pairs of models, the first minus the second, over the tasks (models by tasks, percent).

    Returns
    -------
    pandas.DataFrame
        One row per pair: `first`, `second`, the differences of the columns of `means` (models by UM, WM and GM), in how
        many tasks the first is `up`, `down` or `equal`, `p` of the exact Wilcoxon signed-rank test, and `better`,
        `alike` and `worse`: posterior means of the Bayesian signed-rank test, in percent. That test compares averages
        of two tasks each: how many favour the first by more than a point, neither, the second by more than a point?
    """
    rows = []
    for first, second in pairs:
        # Printed values differ by tenths; floats would break their ties.
        steps = (accuracies.loc[first] - accuracies.loc[second]).to_numpy(dtype=float).round(1)
        row = {"first": first, "second": second, **(means.loc[first] - means.loc[second])}
        row |= {"up": (steps > 0).sum(), "down": (steps < 0).sum(), "equal": (steps == 0).sum()}
        row["p"] = _test_signed_ranks(steps)
        rows.append(row | dict(zip(("better", "alike", "worse"), _weigh_signs(steps), strict=True)))
    return pd.DataFrame(rows)


def _test_signed_ranks(steps: np.ndarray) -> float:
    """Two-sided p-value of Wilcoxon's signed-rank test over all signs that the steps could have; zeros are left out."""
    steps = steps[steps != 0]
    ranks, signs = stats.rankdata(np.abs(steps)), np.array(list(product((-1, 1), repeat=len(steps))))
    return float(np.mean(np.abs(signs @ ranks) >= np.abs(np.sign(steps) @ ranks)))


def _weigh_signs(steps: np.ndarray) -> tuple[float, float, float]:
    """Posterior means of the Bayesian signed-rank test, exact: weights of tasks are drawn from a Dirichlet process."""
    steps, weights = np.append(steps, 0), np.append(np.ones(len(steps)), PRIOR_WEIGHT)
    products = (np.outer(weights, weights) + np.diag(weights)) / (weights.sum() * (weights.sum() + 1))
    means = np.add.outer(steps, steps).round(1) / 2
    better, worse = (100 * (products * np.heaviside(sign * means - SMALL, 0.5)).sum() for sign in (1, -1))
    return better, 100 - better - worse, worse


def rank_subsets(accuracies: pd.DataFrame) -> pd.DataFrame:
    """Rank the models by UM on every subset of the tasks.

    Parameters
    ----------
    accuracies : pandas.DataFrame
        Models by tasks, no means.

    Returns
    -------
    pandas.DataFrame
        One row per subset that is not empty: `tasks` (tuple), `n_tasks`, `tau_all` (Kendall's tau-b to the ranking on
        all tasks, of which the subset is a part, so that it has to rise to 1), `tau_rest` (to the ranking on the tasks
        that are left out) and `same_best` (whether the best model on all tasks is the best, or shares that place).
    """
    tasks = range(accuracies.shape[1])
    subsets = [subset for size in range(1, len(tasks) + 1) for subset in combinations(tasks, size)]
    masks = np.array([np.isin(tasks, subset) for subset in subsets])  # from single tasks to all of them
    values, codes = accuracies.to_numpy(dtype=float).T, np.array(accuracies.columns)
    means, rest = (chosen @ values / np.maximum(chosen.sum(axis=1, keepdims=True), 1) for chosen in (masks, ~masks))
    best = means[:, means[-1].argmax()]
    columns = {"tasks": [tuple(codes[mask]) for mask in masks], "n_tasks": masks.sum(axis=1)}
    columns |= {"tau_all": correlate_ranks(means, means[-1:]), "tau_rest": correlate_ranks(means, rest)}
    columns["same_best"] = _sign(means.max(axis=1) - best) == 0
    return pd.DataFrame(columns).assign(tau_rest=lambda table: table["tau_rest"].where(~masks.all(axis=1)))


def summarise_sizes(subsets: pd.DataFrame) -> pd.DataFrame:
    """Average the subsets by how many tasks they have; `tau_lowest` is of the least like ranking to that on all."""
    grouped = subsets.groupby("n_tasks")
    means = grouped[["tau_all", "tau_rest", "same_best"]].mean()
    return means.assign(tau_lowest=grouped["tau_all"].min()).reset_index()


def redraw(accuracies: np.ndarray, n: np.ndarray | int, rng: np.random.Generator) -> np.ndarray:
    """Draw what models of these accuracies [shape=(..., n_models)], 0 to 1, would get on n other utterances.

    Errors are as large as binomial ones, and `CORRELATION` of them is common to the models, which are tested on the
    same utterances.
    """
    shared = rng.standard_normal((*accuracies.shape[:-1], 1))
    errors = np.sqrt(CORRELATION) * shared + np.sqrt(1 - CORRELATION) * rng.standard_normal(accuracies.shape)
    drawn = accuracies + np.sqrt(accuracies * (1 - accuracies) / n) * errors
    return np.clip(np.round(drawn * n), 0, n) / n


def redraw_rankings(accuracies: pd.DataFrame, sizes: pd.Series, *, n_draws: int = 500) -> np.ndarray:
    """Kendall's tau of each redrawn ranking by UM to the one that is given (models by tasks, percent).

    That one holds the noise of its test parts already, and the draws are given it once more.
    """
    values, n = accuracies.to_numpy(dtype=float).T / 100, sizes[accuracies.columns].to_numpy()[:, None]
    drawn = redraw(np.broadcast_to(values, (n_draws, *values.shape)), n, np.random.default_rng(0))
    return correlate_ranks(drawn.mean(axis=1), values.mean(axis=0)[None])


def measure_noise(accuracies: pd.DataFrame, sizes: pd.Series, pairs: Sequence[tuple[str, str]]) -> np.ndarray:
    """Half of the 95 % interval of each pair's difference by UM, over other test utterances (models by tasks, percent).

    `CORRELATION` of the mistakes is common to the two, which were tested on the same utterances.
    """
    shares = accuracies[sizes.index] / 100
    errors = np.sqrt(shares * (1 - shares) / sizes)
    one, other = (errors.loc[[pair[place] for pair in pairs]].to_numpy() for place in (0, 1))
    variances = (one**2 + other**2 - 2 * CORRELATION * one * other).sum(axis=1)
    return 100 * stats.norm.ppf(1 - ALPHA / 2) * np.sqrt(variances) / len(sizes)


def measure_spread(accuracies: pd.DataFrame, sizes: pd.Series) -> pd.DataFrame:
    """Hold the spread of models (models by tasks, percent) against what equal models would show, task by task.

    Columns `spread` (standard deviation over the models), and that of equal ones whose mistakes are `independent`, or
    `correlated` by `CORRELATION`, which leaves less to differ by.
    """
    mean = accuracies[sizes.index].mean() / 100
    independent = 100 * np.sqrt(mean * (1 - mean) / sizes)
    columns = {"spread": accuracies[sizes.index].std(), "independent": independent}
    return pd.DataFrame(columns | {"correlated": independent * np.sqrt(1 - CORRELATION)}).rename_axis("task")


def correlate_ranks(scores: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Kendall's tau-b of rankings [shape=(n, n_models)] with as many, or with one [shape=(1, n_models)], row by row.

    Means that differ by rounding errors alone are equal.
    """
    one, other = np.triu_indices(scores.shape[1], k=1)
    signs, wanted = (_sign(values[:, one] - values[:, other]) for values in (scores, reference))
    pairs = np.count_nonzero(signs, axis=1) * np.count_nonzero(wanted, axis=1)
    return (signs * wanted).sum(axis=1) / np.sqrt(np.maximum(pairs, 1))


def _sign(differences: np.ndarray) -> np.ndarray:
    return np.where(np.abs(differences) < 1e-9, 0.0, np.sign(differences))


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
