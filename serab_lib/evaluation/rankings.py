"""Models over tasks: ranks, critical differences, and how probable it is that one is better than another."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd
from scipy import stats

from serab_lib.core import SerabError
from serab_lib.evaluation.optional import require

N_DRAWS = 20_000


@dataclass(frozen=True)
class RankComparison:
    """Friedman's test with Nemenyi's comparisons.

    Attributes
    ----------
    ranks : pandas.Series
        Model to mean rank over the tasks, 1 is best, sorted.
    p_friedman : float
        That all models are alike.
    p_pairs : pandas.DataFrame
        Nemenyi's p-value of every two models.
    critical_difference : float
        Mean ranks that differ by less cannot be told apart.
    n_tasks : int
    alpha : float
    """

    ranks: pd.Series
    p_friedman: float
    p_pairs: pd.DataFrame
    critical_difference: float
    n_tasks: int
    alpha: float


def compare_ranks(accuracies: pd.DataFrame, *, alpha: float = 0.05) -> RankComparison:
    """Compare models by their ranks within each task.

    Parameters
    ----------
    accuracies : pandas.DataFrame
        Models by tasks, no means; any unit.
    alpha : float

    Returns
    -------
    RankComparison

    Raises
    ------
    SerabError
        If scikit-posthocs is not installed, or there are too few models or tasks.

    Notes
    -----
    Only the order within a task counts, not by how much models differ; tasks are taken for independent of each other
    and equally telling, though some have 84 test utterances and others over a thousand.
    """
    posthocs = require("scikit_posthocs")
    n_models, n_tasks = accuracies.shape
    if n_models < 3 or n_tasks < 2:
        raise SerabError(f"{n_models} models on {n_tasks} tasks: ranks need three models and two tasks or more")
    ranks = accuracies.rank(ascending=False).mean(axis=1).sort_values()
    p_pairs = posthocs.posthoc_nemenyi_friedman(accuracies.T.to_numpy(dtype=float))
    p_pairs.index = p_pairs.columns = accuracies.index
    critical = stats.studentized_range.ppf(1 - alpha, n_models, np.inf) / np.sqrt(2)
    return RankComparison(
        ranks=ranks,
        p_friedman=float(stats.friedmanchisquare(*accuracies.to_numpy(dtype=float)).pvalue),
        p_pairs=p_pairs,
        critical_difference=float(critical * np.sqrt(n_models * (n_models + 1) / (6 * n_tasks))),
        n_tasks=n_tasks,
        alpha=alpha,
    )


def compare_bayesian(
    accuracies: pd.DataFrame,
    pairs: list[tuple[str, str]] | None = None,
    *,
    rope: float = 1.0,
    n_draws: int = N_DRAWS,
    seed: int = 0,
) -> pd.DataFrame:
    """Bayesian signed-rank test of models over tasks.

    Parameters
    ----------
    accuracies : pandas.DataFrame
        Models by tasks, percent.
    pairs : list of (str, str), optional
        Each model with the next by mean accuracy, by default.
    rope : float
        Differences up to this many points count as none.
    n_draws : int
        Of the posterior.
    seed : int

    Returns
    -------
    pandas.DataFrame
        `first`, `second`, `mean_difference` (points), and the probabilities that, of the three, it is most probable of
        a new task that the first is better by more than the rope (`first_better`), that they are `alike`, or that the
        second is better (`second_better`).

    Raises
    ------
    SerabError
        If baycomp is not installed.
    """
    baycomp = require("baycomp")
    if pairs is None:
        order = accuracies.mean(axis=1).sort_values(ascending=False).index
        pairs = list(pairwise(order))
    rows = []
    for first, second in pairs:
        one, other = (accuracies.loc[name].to_numpy(dtype=float) for name in (first, second))
        drawn = baycomp.SignedRankTest.sample(one, other, rope, nsamples=n_draws, random_state=seed)
        shares = np.bincount(drawn.argmax(axis=1), minlength=3) / n_draws
        better = dict(zip(("first_better", "alike", "second_better"), map(float, shares), strict=True))
        rows.append({"first": first, "second": second, "mean_difference": float((one - other).mean()), **better})
    return pd.DataFrame(rows)
