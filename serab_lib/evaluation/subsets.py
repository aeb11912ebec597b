"""What is left of a ranking when only some of the tasks are used: all 511 subsets of the nine."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pandas as pd

from serab_lib.core import SerabError

MAX_TASKS = 12


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
        tasks), `best` (model; the first among equals), `same_best`, `n_moved` (models at another rank), `top3_kept`
        (how many of the best three are still among the best three).

    Raises
    ------
    SerabError
        If there are more than twelve tasks.

    Examples
    --------
    >>> from serab_lib.evaluation.paper import read_accuracies
    >>> from serab_lib.corpora.task import PAPER_TASKS
    >>> len(rank_subsets(read_accuracies()[list(PAPER_TASKS)]))
    511
    """
    masks = _list_masks(accuracies.shape[1])
    values = accuracies.to_numpy(dtype=float)
    means = _subset_means(values[None], masks)[0]
    tau = correlate_ranks(means, means[-1])
    full_ranks = _rank(means[-1:])[0]
    ranks = _rank(means)
    best = means.argmax(axis=1)
    top = np.argsort(-means, axis=1, kind="stable")[:, :3]
    names, codes = np.array(accuracies.index), np.array(accuracies.columns)
    return pd.DataFrame(
        {
            "tasks": [tuple(codes[mask]) for mask in masks],
            "n_tasks": masks.sum(axis=1),
            "kendall_tau": tau,
            "best": names[best],
            "same_best": best == best[-1],
            "n_moved": (ranks != full_ranks).sum(axis=1),
            "top3_kept": [len(set(row) & set(top[-1])) for row in top],
        }
    )


def summarise_sizes(subsets: pd.DataFrame) -> pd.DataFrame:
    """Summarise the subsets by how many tasks they have.

    Parameters
    ----------
    subsets : pandas.DataFrame
        As from `rank_subsets`.

    Returns
    -------
    pandas.DataFrame
        One row per number of tasks: `n_subsets`, `tau_mean`, `tau_lowest`, `tau_low` and `tau_high` (5th and 95th
        percentile), `same_best` (share with the same best model), `same_ranking` (share with the very same ranking),
        `n_moved` (mean).
    """
    grouped = subsets.groupby("n_tasks")
    tau = grouped["kendall_tau"]
    table = pd.DataFrame(
        {
            "n_subsets": grouped.size(),
            "tau_mean": tau.mean(),
            "tau_lowest": tau.min(),
            "tau_low": tau.quantile(0.05),
            "tau_high": tau.quantile(0.95),
            "same_best": grouped["same_best"].mean(),
            "same_ranking": grouped["n_moved"].apply(lambda moved: (moved == 0).mean()),
            "n_moved": grouped["n_moved"].mean(),
        }
    )
    return table.reset_index()


def weigh_tasks(subsets: pd.DataFrame) -> pd.DataFrame:
    """Say how much each task tells about the ranking on all of them.

    Parameters
    ----------
    subsets : pandas.DataFrame
        As from `rank_subsets`.

    Returns
    -------
    pandas.DataFrame
        One row per task: `tau_alone` (its own ranking against that of all), `tau_without` (that of all others),
        `tau_with_it` and `tau_without_it` (mean over the subsets that have it, and that have not, each number of
        tasks counting alike, from one to all but one), `gain` (their difference), `best_without` (whether the best
        model stays when it is left out).
    """
    everything = subsets.loc[subsets["n_tasks"].idxmax(), "tasks"]
    some = subsets[subsets["n_tasks"] < len(everything)]
    alone = subsets[subsets["n_tasks"] == 1].set_index(subsets[subsets["n_tasks"] == 1]["tasks"].str[0])
    rows = []
    for task in everything:
        has = some["tasks"].map(lambda tasks, task=task: task in tasks)
        means = {
            kind: own.groupby("n_tasks")["kendall_tau"].mean().mean() for kind, own in ((1, some[has]), (0, some[~has]))
        }
        without = subsets[subsets["tasks"] == tuple(code for code in everything if code != task)].iloc[0]
        rows.append(
            {
                "task": task,
                "tau_alone": float(alone.loc[task, "kendall_tau"]),
                "tau_without": float(without["kendall_tau"]),
                "tau_with_it": float(means[1]),
                "tau_without_it": float(means[0]),
                "gain": float(means[1] - means[0]),
                "best_without": bool(without["same_best"]),
            }
        )
    return pd.DataFrame(rows)


def bootstrap_subsets(
    accuracies: pd.DataFrame,
    sizes: pd.Series | None = None,
    *,
    n_draws: int = 500,
    rng: np.random.Generator | int = 0,
) -> pd.DataFrame:
    """Give the stability of subsets with intervals, by redrawing what was measured.

    Parameters
    ----------
    accuracies : pandas.DataFrame
        Models by tasks, percent.
    sizes : pandas.Series, optional
        Task to number of test utterances: every accuracy is then redrawn as a binomial count of that many. None draws
        the tasks themselves, with replacement, as if the nine were a sample of all tasks there could be.
    n_draws : int
    rng : numpy.random.Generator or int
        A generator, or a seed.

    Returns
    -------
    pandas.DataFrame
        One row per number of tasks: `tau_mean` (as measured), `low` and `high` (95 % of the draws' means),
        `same_best` with `same_best_low` and `same_best_high`, `n_draws`.

    Notes
    -----
    Over utterances, each draw's subsets are held against the ranking on all tasks as it was measured, so that the
    noise of the test parts counts: even all nine tasks together do not repeat their ranking. The measured accuracies
    hold that noise once already and are given it again, so these draws lie below what was measured. Models are
    redrawn independently, though they are tested on the same utterances; that overstates the noise of their
    differences.
    Over tasks, each draw's subsets are held against the ranking on that draw's nine.
    """
    rng = np.random.default_rng(rng)
    values = accuracies.to_numpy(dtype=float)
    masks = _list_masks(values.shape[1])
    n_tasks = masks.sum(axis=1)
    drawn = _redraw(values, sizes, accuracies.columns, n_draws, rng)
    measured = rank_subsets(accuracies).groupby("n_tasks")[["kendall_tau", "same_best"]].mean()
    taus, same = [], []
    for table in drawn:
        means = _subset_means(table[None], masks)[0]
        reference = means[-1] if sizes is None else values.mean(axis=1)
        tau, agrees = correlate_ranks(means, reference), means.argmax(axis=1) == reference.argmax()
        counts = np.bincount(n_tasks)[1:]
        taus.append(np.bincount(n_tasks, weights=tau)[1:] / counts)
        same.append(np.bincount(n_tasks, weights=agrees)[1:] / counts)
    low, high = np.quantile(taus, [0.025, 0.975], axis=0)
    same_low, same_high = np.quantile(same, [0.025, 0.975], axis=0)
    return pd.DataFrame(
        {
            "n_tasks": measured.index,
            "tau_mean": measured["kendall_tau"].to_numpy(),
            "low": low,
            "high": high,
            "same_best": measured["same_best"].to_numpy(),
            "same_best_low": same_low,
            "same_best_high": same_high,
            "n_draws": n_draws,
        }
    )


def find_enough_tasks(sizes: pd.DataFrame, *, tau: float = 0.9, column: str = "tau_mean") -> int | None:
    """Find the smallest number of tasks whose rankings agree well with that on all.

    Parameters
    ----------
    sizes : pandas.DataFrame
        As from `summarise_sizes` or `bootstrap_subsets`.
    tau : float
        How well: with 13 models, 0.9 means that 4 of their 78 pairs are in the other order.
    column : str
        `tau_mean`, or a lower bound such as `tau_low` or `low`.

    Returns
    -------
    int or None
        None where not even all tasks reach it.
    """
    enough = sizes.loc[sizes[column] >= tau, "n_tasks"]
    return int(enough.min()) if len(enough) else None


def correlate_ranks(scores: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Kendall's tau-b of many rankings with one.

    Parameters
    ----------
    scores : np.ndarray [shape=(n, n_models)]
    reference : np.ndarray [shape=(n_models,)]

    Returns
    -------
    np.ndarray [shape=(n,)]

    Notes
    -----
    scipy's `kendalltau`, for all rows at once. Means that differ by rounding errors alone are equal.
    """
    one, other = np.triu_indices(scores.shape[1], k=1)
    signs = _sign(scores[:, one] - scores[:, other])
    wanted = _sign(reference[one] - reference[other])
    ties = (signs != 0).sum(axis=1) * np.count_nonzero(wanted)
    return (signs @ wanted) / np.sqrt(np.maximum(ties, 1))


def _sign(differences: np.ndarray) -> np.ndarray:
    return np.where(np.abs(differences) < 1e-9, 0.0, np.sign(differences))


def _rank(scores: np.ndarray) -> np.ndarray:
    """Ranks from 0, equal for equals."""
    return (_sign(scores[:, None, :] - scores[:, :, None]) > 0).sum(axis=2)


def _list_masks(n_tasks: int) -> np.ndarray:
    """All subsets as rows of a table of bool, from single tasks to all of them."""
    if n_tasks > MAX_TASKS:
        raise SerabError(f"{n_tasks} tasks have {2**n_tasks - 1:,} subsets, {MAX_TASKS} tasks at most: leave some out")
    chosen = [subset for size in range(1, n_tasks + 1) for subset in combinations(range(n_tasks), size)]
    masks = np.zeros((len(chosen), n_tasks), dtype=bool)
    for row, subset in enumerate(chosen):
        masks[row, list(subset)] = True
    return masks


def _subset_means(tables: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """Mean of each model over each subset: (n_tables, n_models, n_tasks) to (n_tables, n_subsets, n_models)."""
    weights = masks / masks.sum(axis=1, keepdims=True)
    return np.einsum("tmk,sk->tsm", tables, weights)


def _redraw(
    values: np.ndarray, sizes: pd.Series | None, tasks: pd.Index, n_draws: int, rng: np.random.Generator
) -> np.ndarray:
    if sizes is None:
        picked = rng.integers(0, values.shape[1], size=(n_draws, values.shape[1]))
        return values[:, picked].transpose(1, 0, 2)
    n = sizes[tasks].to_numpy(dtype=int)
    return 100 * rng.binomial(n, values / 100, size=(n_draws, *values.shape)) / n
