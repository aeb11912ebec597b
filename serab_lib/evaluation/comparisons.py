"""Which of two models is better on a task: paired tests of saved predictions, and what printed numbers allow."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy import stats

from serab_lib.core import SerabError
from serab_lib.evaluation.optional import require
from serab_lib.evaluation.paper import find_counts

if TYPE_CHECKING:
    from serab_lib.benchmark.results import Results

ALPHA = 0.05


def exact_mcnemar(n_only_first: int, n_only_second: int) -> float:
    """Exact McNemar test of two models on the same utterances.

    Parameters
    ----------
    n_only_first, n_only_second : int
        Utterances that only the one, and only the other, gets right.

    Returns
    -------
    float
        Two-sided p-value: how likely so uneven a split is if either is equally likely to be the right one.

    Examples
    --------
    >>> exact_mcnemar(10, 2)
    0.03857421875
    """
    n = n_only_first + n_only_second
    return float(stats.binomtest(n_only_first, n).pvalue) if n else 1.0


def holm(p_values: Sequence[float]) -> np.ndarray:
    """Adjust p-values for their number by Holm's method.

    Parameters
    ----------
    p_values : sequence of float

    Returns
    -------
    np.ndarray
        In the same order; comparable with the usual 0.05.

    Raises
    ------
    SerabError
        If statsmodels is not installed.
    """
    multitest = require("statsmodels.stats.multitest")
    return np.asarray(multitest.multipletests(list(p_values), method="holm")[1]) if len(p_values) else np.array([])


def paired_bootstrap(
    right_first: Sequence[bool],
    right_second: Sequence[bool],
    *,
    clusters: Sequence[str] | None = None,
    n_draws: int = 5_000,
    rng: np.random.Generator | int = 0,
) -> tuple[float, float]:
    """Bootstrap the difference of two accuracies on the same utterances.

    Parameters
    ----------
    right_first, right_second : sequence of bool, shape (n,)
        Which utterances each gets right.
    clusters : sequence of str, optional
        What is drawn as a whole, such as speakers; utterances if None.
    n_draws : int
    rng : numpy.random.Generator or int
        A generator, or a seed.

    Returns
    -------
    low, high : float
        95 % interval of first minus second, fractions of 1; NaN with a single cluster.
    """
    rng = np.random.default_rng(rng)
    difference = np.asarray(right_first, dtype=float) - np.asarray(right_second, dtype=float)
    units = np.arange(len(difference)) if clusters is None else np.unique(np.asarray(clusters), return_inverse=True)[1]
    sums, sizes = np.bincount(units, weights=difference), np.bincount(units).astype(float)
    if len(sums) < 2:
        return float("nan"), float("nan")
    draws = []
    for start in range(0, n_draws, 500):
        weights = rng.multinomial(len(sums), np.full(len(sums), 1 / len(sums)), size=min(500, n_draws - start))
        draws.append((weights @ sums) / (weights @ sizes))
    low, high = np.quantile(np.concatenate(draws), [0.025, 0.975])
    return float(low), float(high)


def read_right(results: Results, task: str, protocol: str, *, models: Iterable[str] | None = None) -> pd.DataFrame:
    """Read which test utterances each model gets right with the classifier that its cell reports.

    Parameters
    ----------
    results : Results
    task, protocol : str
    models : iterable of str, optional
        All that are there by default.

    Returns
    -------
    pandas.DataFrame
        One row per utterance, by `stem` and `speaker`; one column of bool per model.

    Raises
    ------
    SerabError
        If there are fewer than two models, or if their test parts differ.
    """
    cells = results.read_cells()
    own = cells[(cells["task"] == task) & (cells["protocol"] == protocol) & cells["selected"].astype(bool)]
    chosen = own.set_index("model")["classifier"]
    chosen = chosen if models is None else chosen[[model for model in models if model in chosen]]
    if len(chosen) < 2:
        raise SerabError(f"{len(chosen)} model with {task}, {protocol} in {results.folder}: two are needed to compare")
    right = {}
    for model, classifier in chosen.items():
        table = results.read_predictions(task, model, protocol).set_index(["stem", "speaker"]).sort_index()
        right[model] = table[classifier] == table["emotion"]
    first = next(iter(right.values()))
    if any(not each.index.equals(first.index) for each in right.values()):
        raise SerabError(f"{task}, {protocol}: models were tested on different utterances: run them on the same files")
    return pd.DataFrame(right)


def compare_models(
    results: Results,
    task: str,
    protocol: str,
    *,
    models: Iterable[str] | None = None,
    n_draws: int = 5_000,
    rng: np.random.Generator | int = 0,
) -> pd.DataFrame:
    """Compare every two models on a task by what they predicted.

    Parameters
    ----------
    results : Results
    task, protocol : str
    models : iterable of str, optional
        All that are there by default.
    n_draws : int
        Of the bootstrap.
    rng : numpy.random.Generator or int

    Returns
    -------
    pandas.DataFrame
        One row per pair, each with the classifier that its cell reports: `first`, `second` (the more accurate one
        first), `accuracy_first`, `accuracy_second`, `difference`, `low`, `high` (95 % bootstrap over utterances),
        `low_speakers`, `high_speakers` (over speakers), all in percent; `n_only_first`, `n_only_second`, `p` (exact
        McNemar) and `p_holm` (over these pairs).

    Raises
    ------
    SerabError
        If there are fewer than two models, if their test parts differ, or if statsmodels is not installed.
    """
    right = read_right(results, task, protocol, models=models)
    rng = np.random.default_rng(rng)
    order = sorted(right, key=lambda model: -right[model].mean())
    speakers = right.index.get_level_values("speaker").tolist()
    rows = []
    for one, other in combinations(order, 2):
        a, b = right[one].to_numpy(), right[other].to_numpy()
        own_rng = {"n_draws": n_draws, "rng": rng}
        low, high = paired_bootstrap(a, b, **own_rng)
        low_speakers, high_speakers = paired_bootstrap(a, b, clusters=speakers, **own_rng)
        only = int((a & ~b).sum()), int((b & ~a).sum())
        row = {"accuracy_first": a.mean(), "accuracy_second": b.mean(), "difference": a.mean() - b.mean()}
        row |= {"low": low, "high": high, "low_speakers": low_speakers, "high_speakers": high_speakers}
        rows.append({"first": one, "second": other, **{name: 100 * float(value) for name, value in row.items()}})
        rows[-1] |= {"n_only_first": only[0], "n_only_second": only[1], "p": exact_mcnemar(*only)}
    table = pd.DataFrame(rows)
    return table.assign(p_holm=holm(table["p"].tolist()))


def bound_mcnemar(k_first: int, k_second: int, n: int) -> tuple[float, float]:
    """Bound the exact McNemar test where only the two accuracies are known, not who got what right.

    Parameters
    ----------
    k_first, k_second : int
        Right answers of the two models on the same n utterances.
    n : int

    Returns
    -------
    lowest, highest : float
        Of the p-values of all pairings that give these counts: at one end the better model gets right all that the
        other does; at the other end the two get as few utterances right together as their counts allow.

    Examples
    --------
    >>> lowest, highest = bound_mcnemar(80, 70, 100)
    >>> round(lowest, 4), round(highest, 4)
    (0.002, 0.2026)
    """
    best, worst = max(k_first, k_second), min(k_first, k_second)
    shared = np.arange(max(0, best + worst - n), worst + 1)
    only_best, only_worst = best - shared, worst - shared
    trials = only_best + only_worst
    # Two-sided, and symmetric: twice the smaller tail.
    p = np.where(trials > 0, np.minimum(1.0, 2 * stats.binom.cdf(only_worst, np.maximum(trials, 1), 0.5)), 1.0)
    return float(p.min()), float(p.max())


def compare_bold(accuracies: pd.DataFrame, sizes: pd.Series, *, alpha: float = ALPHA) -> pd.DataFrame:
    """Ask of every column's best number whether it can be told from the runner-up.

    Parameters
    ----------
    accuracies : pandas.DataFrame
        As from `serab_lib.evaluation.paper.read_accuracies`.
    sizes : pandas.Series
        Task to number of test utterances.
    alpha : float

    Returns
    -------
    pandas.DataFrame
        One row per task: `best` and `runner_up` (models; several, where they print alike), `accuracy_best`,
        `accuracy_runner_up`, `n`, `k_best`, `k_runner_up`, `p_lowest` and `p_highest` (exact McNemar under the most
        and the least favourable pairing of their answers), `p_unpaired` (Fisher's exact test, which takes the
        answers for unrelated) and `verdict`:

        - `tie`: both print the same;
        - `not distinguishable`: not even under the most favourable pairing;
        - `depends on the pairing`: it takes the predictions to tell;
        - `distinguishable`: under every pairing.

    Notes
    -----
    Where a printed value stands for several counts, the bounds are over all of them, and the counts shown are the
    ones that are furthest apart. Nothing is corrected for the number of tasks, nor for the thirteen models of which
    the best was picked: both would make fewer differences distinguishable.
    """
    rows = []
    for task, n in sizes.items():
        column = accuracies[task].sort_values(ascending=False, kind="stable")
        best_value = column.iloc[0]
        best = list(column.index[column == best_value])
        runner_value = best_value if len(best) > 1 else column.iloc[1]
        others = best[1:] if len(best) > 1 else list(column.index[column == runner_value])
        k_best, k_runner = find_counts(best_value, int(n)), find_counts(runner_value, int(n))
        lowest, highest = (
            bound_mcnemar(k_best[-1], k_runner[0], int(n))[0],
            bound_mcnemar(k_best[0], k_runner[-1], int(n))[1],
        )
        table = [[k_best[-1], n - k_best[-1]], [k_runner[0], n - k_runner[0]]]
        verdict = "distinguishable" if highest < alpha else "depends on the pairing"
        verdict = "not distinguishable" if lowest >= alpha else verdict
        rows.append(
            {
                "task": task,
                "best": ", ".join(best[:1]),
                "runner_up": " and ".join(others),
                "accuracy_best": float(best_value),
                "accuracy_runner_up": float(runner_value),
                "n": int(n),
                "k_best": k_best[-1],
                "k_runner_up": k_runner[0],
                "p_lowest": lowest,
                "p_highest": highest,
                "p_unpaired": float(stats.fisher_exact(table).pvalue),
                "verdict": "tie" if runner_value == best_value else verdict,
            }
        )
    return pd.DataFrame(rows)
