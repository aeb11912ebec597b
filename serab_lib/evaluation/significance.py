"""How far an accuracy can be trusted, and which of two models is better: intervals and paired tests."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import combinations
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy import stats

from serab_lib.core import SerabError
from serab_lib.evaluation.paper import find_counts
from serab_lib.evaluation.protocol import unweighted_average_recall

if TYPE_CHECKING:
    from serab_lib.benchmark.results import Results

ALPHA = 0.05
N_DRAWS = 5_000
# With fewer units than this a bootstrap interval is known to be too narrow.
FEW_UNITS = 10


def require(module: str) -> ModuleType:
    """Import a library of the extra `stats`."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        name = module.split(".")[0]
        raise SerabError(f"{name} is not installed: pip install 'serab-companion[stats]'") from error


def wilson_interval(n_right: int, n: int) -> tuple[float, float]:
    """Wilson's 95 % interval of an accuracy, from counts alone; fractions of 1.

    It takes utterances for independent of each other. They are not: those of one speaker succeed and fail together,
    so the truth about new speakers is less certain than this says.

    Examples
    --------
    >>> low, high = wilson_interval(232, 300)
    >>> round(low, 3), round(high, 3)
    (0.723, 0.817)
    """
    found = stats.binomtest(int(n_right), int(n)).proportion_ci(confidence_level=1 - ALPHA, method="wilson")
    return float(found.low), float(found.high)


def bootstrap(
    values: np.ndarray,
    sizes: np.ndarray,
    units: Sequence,
    *,
    n_draws: int = N_DRAWS,
    rng: np.random.Generator | int = 0,
) -> tuple[float, float]:
    """Bootstrap a share of utterances, drawing whole units such as speakers.

    Parameters
    ----------
    values, sizes : np.ndarray [shape=(n_utterances, k)]
        The share is the mean over the columns of the sums of `values` over the sums of `sizes`: an accuracy with one
        column of right answers and one of ones, an unweighted average recall with one column per emotion. A draw that
        lacks an emotion has no recall of it.
    units : sequence [shape=(n_utterances,)]
        What is drawn as a whole: units weigh by their sizes.
    n_draws : int
    rng : numpy.random.Generator or int

    Returns
    -------
    low, high : float
        95 % interval by percentiles; NaN with a single unit, as nothing can be drawn anew.

    Notes
    -----
    Drawing speakers answers the question of a new user: how would it go with others? With the one to five test
    speakers of most tasks the answer is a lower bound of the doubt: a handful of voices shows too little of how voices
    differ, and percentiles of so few are too narrow.
    """
    numbers = np.unique(np.asarray(units), return_inverse=True)[1]
    values, sizes = (pd.DataFrame(table).groupby(numbers).sum().to_numpy(float) for table in (values, sizes))
    n_units = len(values)
    if n_units < 2:
        return float("nan"), float("nan")

    def score(drawn: np.ndarray, axis: int) -> np.ndarray:
        counts = np.apply_along_axis(np.bincount, axis, drawn, minlength=n_units)
        totals = counts @ sizes
        shares = np.divide(counts @ values, totals, out=np.full(totals.shape, np.nan), where=totals > 0)
        return np.nanmean(shares, axis=-1)

    found = stats.bootstrap(
        (np.arange(n_units),), score, n_resamples=n_draws, batch=500, method="percentile", vectorized=True, rng=rng
    )
    return float(found.confidence_interval.low), float(found.confidence_interval.high)


def paired_bootstrap(
    right_first: Sequence[bool],
    right_second: Sequence[bool],
    units: Sequence,
    *,
    n_draws: int = N_DRAWS,
    rng: np.random.Generator | int = 0,
) -> tuple[float, float]:
    """Bootstrap the first accuracy minus the second one on the same utterances; arguments as for `bootstrap`."""
    difference = np.asarray(right_first, dtype=float) - np.asarray(right_second, dtype=float)
    return bootstrap(difference[:, None], np.ones((len(difference), 1)), units, n_draws=n_draws, rng=rng)


def intervals_of_cell(
    predictions: pd.DataFrame, classifier: str, *, n_draws: int = N_DRAWS, rng: np.random.Generator | int = 0
) -> pd.DataFrame:
    """Give every interval of one classifier's predictions, in percent: a row per metric and method.

    `remark` says why an interval deserves little trust.
    """
    rng = np.random.default_rng(rng)
    right = (predictions["emotion"] == predictions[classifier]).to_numpy(dtype=float)[:, None]
    accuracy, uar = right.mean(), unweighted_average_recall(predictions["emotion"], predictions[classifier])
    units = {"utterances": np.arange(len(right)), "speakers": predictions["speaker"].to_numpy()}
    rows = [("accuracy", "Wilson", accuracy, *wilson_interval(right.sum(), len(right)), len(right), "")]
    by_emotion = pd.get_dummies(predictions["emotion"]).to_numpy(float)
    for metric, estimate, sizes in (("accuracy", accuracy, np.ones_like(right)), ("uar", uar, by_emotion)):
        for what, own in units.items():
            low, high = bootstrap(right * sizes, sizes, own, n_draws=n_draws, rng=rng)
            n_units = len(np.unique(own))
            remark = f"only {n_units} {what}: the true interval is wider" if n_units < FEW_UNITS else ""
            rows.append((metric, what, estimate, low, high, n_units, remark))
    table = pd.DataFrame(rows, columns=["metric", "method", "estimate", "low", "high", "n_units", "remark"])
    return table.assign(**{name: 100 * table[name] for name in ("estimate", "low", "high")})


def exact_mcnemar(n_only_first: int, n_only_second: int) -> float:
    """Two-sided p-value of the exact McNemar test, from the utterances that only one of two models gets right.

    Examples
    --------
    >>> exact_mcnemar(10, 2)
    0.03857421875
    """
    n = n_only_first + n_only_second
    return float(stats.binomtest(n_only_first, n).pvalue) if n else 1.0


def holm(p_values: Sequence[float]) -> np.ndarray:
    """Adjust p-values for their number by Holm's method, in the same order."""
    return require("statsmodels.stats.multitest").multipletests(list(p_values), method="holm")[1]


def read_right(results: Results, task: str, protocol: str, *, models: Iterable[str] | None = None) -> pd.DataFrame:
    """Read which test utterances (rows) each model (columns) gets right with the classifier that its cell reports."""
    right = {}
    for cell, predictions in _read_reported(results):
        if (cell.task, cell.protocol) == (task, protocol):
            table = predictions.set_index(["stem", "speaker"]).sort_index()
            right[cell.model] = table[cell.classifier] == table["emotion"]
    right = {model: right[model] for model in models or right if model in right}
    if len(right) < 2:
        raise SerabError(f"{len(right)} model with {task}, {protocol} in {results.folder}: two are needed to compare")
    first = next(iter(right.values()))
    if any(not each.index.equals(first.index) for each in right.values()):
        raise SerabError(f"{task}, {protocol}: models were tested on different utterances: run them on the same files")
    return pd.DataFrame(right)


def compare_models(results: Results, task: str, protocol: str, *, n_draws: int = N_DRAWS) -> pd.DataFrame:
    """Compare every two models on a task by what they predicted with the classifiers that their cells report.

    Returns
    -------
    pandas.DataFrame
        One row per pair, the more accurate model first: `first`, `second`, `accuracy_first`, `accuracy_second`,
        `difference`, its 95 % bootstraps over utterances (`low`, `high`) and over speakers (`low_speakers`,
        `high_speakers`), all in percent; `n_only_first`, `n_only_second`, `p` (exact McNemar) and `p_holm` of all
        pairs.

    Raises
    ------
    SerabError
        If there are fewer than two models, if their test parts differ, or if statsmodels is not installed.
    """
    right = read_right(results, task, protocol)
    rng = np.random.default_rng(0)
    units = {"": np.arange(len(right)), "_speakers": right.index.get_level_values("speaker")}
    rows = []
    for one, other in combinations(sorted(right, key=lambda model: -right[model].mean()), 2):
        a, b = right[one], right[other]
        shares = {"accuracy_first": a.mean(), "accuracy_second": b.mean(), "difference": a.mean() - b.mean()}
        for suffix, own in units.items():
            shares["low" + suffix], shares["high" + suffix] = paired_bootstrap(a, b, own, n_draws=n_draws, rng=rng)
        only = int((a & ~b).sum()), int((b & ~a).sum())
        rows.append({"first": one, "second": other} | {name: 100 * share for name, share in shares.items()})
        rows[-1] |= {"n_only_first": only[0], "n_only_second": only[1], "p": exact_mcnemar(*only)}
    return pd.DataFrame(rows).assign(p_holm=lambda table: holm(table["p"]))


def score_cells(results: Results, *, n_draws: int = N_DRAWS) -> pd.DataFrame:
    """Give accuracy and UAR of what every measured cell reports, with every interval of the accuracy, in percent."""
    rows = []
    for cell, predictions in _read_reported(results):
        intervals = intervals_of_cell(predictions, cell.classifier, n_draws=n_draws)
        wilson, utterances, speakers, uar, _ = intervals.itertuples()
        row = {name: getattr(cell, name) for name in ("task", "model", "protocol", "classifier")}
        row |= {"accuracy": wilson.estimate, "low": wilson.low, "high": wilson.high}
        row |= {"low_utterances": utterances.low, "high_utterances": utterances.high}
        rows.append(row | {"low_speakers": speakers.low, "high_speakers": speakers.high, "uar": uar.estimate})
    return pd.DataFrame(rows)


def confuse(predictions: pd.DataFrame, classifier: str, classes: Iterable[str]) -> pd.DataFrame:
    """Count the utterances of each true emotion (rows) that are taken for each emotion (columns)."""
    counts = pd.crosstab(predictions["emotion"], predictions[classifier].rename("predicted"))
    return counts.reindex(index=pd.Index(classes, name="emotion"), columns=list(classes), fill_value=0)


def confuse_cells(results: Results, task: str, protocol: str) -> dict[str, pd.DataFrame]:
    """Map each model on a task to its table of `confuse`, all with the same emotions, the most accurate first."""
    cells = {
        cell.model: (predictions, cell.classifier)
        for cell, predictions in _read_reported(results)
        if (cell.task, cell.protocol) == (task, protocol)
    }
    classes = sorted({each for table, name in cells.values() for each in (*table["emotion"], *table[name])})
    tables = {model: confuse(*cell, classes) for model, cell in cells.items()}
    return dict(sorted(tables.items(), key=lambda item: -np.trace(item[1]) / item[1].to_numpy().sum()))


def tabulate_recalls(confusions: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Give each model's recall of each emotion that occurs and their mean, the UAR, in percent."""
    rows = {}
    for model, table in confusions.items():
        n = table.sum(axis=1)
        recalls = (100 * np.diag(table) / n)[n > 0]
        rows[model] = {"UAR": recalls.mean(), **recalls}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("model")


def _read_reported(results: Results) -> Iterator[tuple]:
    """Each cell's row with the classifier that its protocol reports, and its predictions."""
    cells = results.read_cells()
    for cell in cells[cells["selected"].astype(bool)].itertuples():
        yield cell, results.read_predictions(cell.task, cell.model, cell.protocol)


def confidence_intervals(accuracies: pd.DataFrame, sizes: pd.Series) -> pd.DataFrame:
    """Wilson intervals of printed accuracies (models by tasks, percent) that cover all counts which print so."""
    rows = []
    for model, row in accuracies.iterrows():
        for task, n in sizes.items():
            counts = find_counts(row[task], int(n))
            if not counts:
                raise SerabError(f"{model}, {task}: {row[task]} % cannot occur with {n} utterances: pass another size")
            low, high = wilson_interval(counts[0], n)[0], wilson_interval(counts[-1], n)[1]
            rows.append((model, task, int(n), float(row[task]), 100 * low, 100 * high))
    return pd.DataFrame(rows, columns=["model", "task", "n", "accuracy", "low", "high"])


def bound_mcnemar(k_first: int, k_second: int, n: int) -> tuple[float, float]:
    """Bound the exact McNemar test where only the right answers of both models of n are known, not who got which.

    Examples
    --------
    >>> lowest, highest = bound_mcnemar(80, 70, 100)
    >>> round(lowest, 4), round(highest, 4)
    (0.002, 0.2026)
    """
    shared = np.arange(max(0, k_first + k_second - n), min(k_first, k_second) + 1)
    n_only_worse, n_discordant = min(k_first, k_second) - shared, k_first + k_second - 2 * shared
    # The test is symmetric, so that its p-value is twice the smaller tail.
    p = np.minimum(1.0, 2 * stats.binom.cdf(n_only_worse, n_discordant, 0.5))
    return float(p.min()), float(p.max())


def compare_best_with_runner_up(accuracies: pd.DataFrame, sizes: pd.Series) -> pd.DataFrame:
    """Ask of every task's best number (models by tasks, percent) whether it can be told from the runner-up.

    `p_lowest` and `p_highest` are of the exact McNemar test under the most and the least favourable pairing of the
    answers, `p_unpaired` is of Fisher's. Where a printed value stands for several counts, the bounds are over all of
    them, and the counts shown are furthest apart. Nothing is corrected for the number of tasks, nor for the thirteen
    models of which the best was picked: both would make fewer differences distinguishable.
    """
    rows = []
    for task, n in sizes.astype(int).items():
        column = accuracies[task].sort_values(ascending=False, kind="stable")
        best, second = column.iloc[:2]
        k_best, k_second = find_counts(best, n), find_counts(second, n)
        p_lowest = bound_mcnemar(k_best[-1], k_second[0], n)[0]
        p_highest = bound_mcnemar(k_best[0], k_second[-1], n)[1]
        if best == second:
            verdict = "tie"
        elif p_lowest >= ALPHA:
            verdict = "not distinguishable"
        else:
            verdict = "distinguishable" if p_highest < ALPHA else "depends on the pairing"
        counts = [[k_best[-1], n - k_best[-1]], [k_second[0], n - k_second[0]]]
        row = {"task": task, "best": column.index[0], "runner_up": " and ".join(column.index[1:][column[1:] == second])}
        row |= {"accuracy_best": float(best), "accuracy_runner_up": float(second), "n": n}
        row |= {"k_best": k_best[-1], "k_runner_up": k_second[0], "p_lowest": p_lowest, "p_highest": p_highest}
        rows.append(row | {"p_unpaired": float(stats.fisher_exact(counts).pvalue), "verdict": verdict})
    return pd.DataFrame(rows)
