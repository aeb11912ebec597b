"""Intervals: how far an accuracy on a few hundred utterances of a few speakers can be trusted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from serab_lib.core import SerabError
from serab_lib.evaluation.paper import find_counts

N_DRAWS = 5_000
LEVEL = 0.95
# With fewer units than this a bootstrap interval is known to be too narrow.
FEW_UNITS = 10


@dataclass(frozen=True, kw_only=True)
class Interval:
    """An estimate and the interval around it.

    Attributes
    ----------
    estimate, low, high : float
        Fractions of 1; the bounds are NaN where nothing can be said.
    level : float
        Such as 0.95.
    method : str
    n_units : int
        What was resampled: utterances, or speakers.
    remark : str
        Why the interval deserves little trust; empty where it deserves some.
    """

    estimate: float
    low: float
    high: float
    level: float
    method: str
    n_units: int
    remark: str = ""


def wilson_interval(n_right: int, n: int, *, level: float = LEVEL) -> Interval:
    """Wilson's interval of an accuracy, from counts alone.

    Parameters
    ----------
    n_right, n : int
    level : float

    Returns
    -------
    Interval

    Raises
    ------
    SerabError
        If the counts contradict each other.

    Notes
    -----
    It takes utterances for independent of each other. They are not: those of one speaker succeed and fail together,
    so the truth about new speakers is less certain than this says.

    Examples
    --------
    >>> interval = wilson_interval(232, 300)
    >>> round(interval.low, 3), round(interval.high, 3)
    (0.723, 0.817)
    """
    if not 0 <= n_right <= n or n == 0:
        raise SerabError(f"{n_right} right of {n} utterances: pass counts of a test part that is not empty")
    found = stats.binomtest(int(n_right), int(n)).proportion_ci(confidence_level=level, method="wilson")
    return Interval(
        estimate=n_right / n,
        low=float(found.low),
        high=float(found.high),
        level=level,
        method="Wilson",
        n_units=int(n),
        remark="takes utterances of one speaker for independent",
    )


def intervals_of_table(accuracies: pd.DataFrame, sizes: pd.Series, *, level: float = LEVEL) -> pd.DataFrame:
    """Wilson intervals of every printed accuracy.

    Parameters
    ----------
    accuracies : pandas.DataFrame
        As from `serab_lib.evaluation.paper.read_accuracies`; percent.
    sizes : pandas.Series
        Task to number of test utterances, as from `serab_lib.audit.denominators.recover_sizes`.
    level : float

    Returns
    -------
    pandas.DataFrame
        One row per model and task: `n`, `k_low` and `k_high` (the fewest and the most right answers that print as
        this value; equal for small test parts), `accuracy`, `low`, `high` (percent, the interval covers both counts).
    """
    rows = []
    for model, row in accuracies.iterrows():
        for task, n in sizes.items():
            counts = find_counts(row[task], int(n))
            if not counts:
                raise SerabError(f"{model}, {task}: {row[task]} % cannot occur with {n} utterances: pass another size")
            low, high = (wilson_interval(k, int(n), level=level) for k in (counts[0], counts[-1]))
            rows.append(
                {
                    "model": model,
                    "task": task,
                    "n": int(n),
                    "k_low": counts[0],
                    "k_high": counts[-1],
                    "accuracy": float(row[task]),
                    "low": 100 * low.low,
                    "high": 100 * high.high,
                }
            )
    return pd.DataFrame(rows)


def bootstrap(
    truth: Sequence[str],
    predicted: Sequence[str],
    *,
    clusters: Sequence[str] | None = None,
    metric: str = "accuracy",
    level: float = LEVEL,
    n_draws: int = N_DRAWS,
    rng: np.random.Generator | int = 0,
) -> Interval:
    """Bootstrap an accuracy or an unweighted average recall over utterances, or over speakers.

    Parameters
    ----------
    truth, predicted : sequence of str, shape (n,)
    clusters : sequence of str, optional
        What is drawn as a whole, such as each utterance's speaker; utterances are drawn one by one if None.
    metric : {"accuracy", "uar"}
    level : float
    n_draws : int
        Resamples.
    rng : numpy.random.Generator or int
        A generator, or a seed.

    Returns
    -------
    Interval
        By percentiles. With one cluster nothing can be resampled, and the bounds are NaN.

    Notes
    -----
    Drawing speakers answers the question of a new user: how would it go with others? With the one to five test
    speakers of most tasks the answer is a lower bound of the doubt: a handful of voices shows too little of how voices
    differ, and percentiles of so few are too narrow. The remark says so below ten.

    A resample that lacks a class has no recall of it; its UAR is over the others.
    """
    resampler = _prepare(truth, predicted, clusters, metric)
    estimate, n_units = resampler.estimate, resampler.n_units
    what = "utterances" if clusters is None else "speakers"
    method = f"bootstrap over {what}, {n_draws:,} draws"
    if n_units < 2:
        remark = f"{n_units} of {what}: how others would differ cannot be known"
        return Interval(
            estimate=estimate,
            low=np.nan,
            high=np.nan,
            level=level,
            method=method,
            n_units=n_units,
            remark=remark,
        )
    scores = resampler.draw(n_draws, np.random.default_rng(rng))
    low, high = np.quantile(scores, [(1 - level) / 2, (1 + level) / 2])
    remark = f"only {n_units} {what}: the true interval is wider" if n_units < FEW_UNITS else ""
    return Interval(
        estimate=estimate,
        low=float(low),
        high=float(high),
        level=level,
        method=method,
        n_units=n_units,
        remark=remark,
    )


@dataclass(frozen=True)
class _Resampler:
    """Right and total utterances by unit and class, from which any resample's score follows by a product."""

    right: np.ndarray
    total: np.ndarray
    metric: str

    @property
    def n_units(self) -> int:
        return len(self.total)

    @property
    def estimate(self) -> float:
        return float(self.score(np.ones((1, self.n_units)))[0])

    def score(self, weights: np.ndarray) -> np.ndarray:
        right, total = weights @ self.right, weights @ self.total
        if self.metric == "accuracy":
            return right.sum(axis=1) / total.sum(axis=1)
        recalls = np.divide(right, total, out=np.full_like(right, np.nan), where=total > 0)
        return np.nanmean(recalls, axis=1)

    def draw(self, n_draws: int, rng: np.random.Generator) -> np.ndarray:
        chances = np.full(self.n_units, 1 / self.n_units)
        # In blocks, so that memory does not grow with draws times utterances.
        sizes = [min(500, n_draws - start) for start in range(0, n_draws, 500)]
        return np.concatenate([self.score(rng.multinomial(self.n_units, chances, size=n).astype(float)) for n in sizes])


def _prepare(truth: Sequence[str], predicted: Sequence[str], clusters: Sequence[str] | None, metric: str) -> _Resampler:
    if metric not in ("accuracy", "uar"):
        raise SerabError(f"there is no metric {metric!r}: choose accuracy or uar")
    truth, predicted = np.asarray(truth, dtype=str), np.asarray(predicted, dtype=str)
    if len(truth) != len(predicted) or len(truth) == 0:
        raise SerabError(f"{len(truth)} labels for {len(predicted)} predictions: pass one of each per utterance")
    units = np.arange(len(truth)) if clusters is None else np.unique(np.asarray(clusters), return_inverse=True)[1]
    classes, numbers = np.unique(truth, return_inverse=True)
    right, total = np.zeros((units.max() + 1, len(classes))), np.zeros((units.max() + 1, len(classes)))
    np.add.at(total, (units, numbers), 1.0)
    np.add.at(right, (units, numbers), (truth == predicted).astype(float))
    return _Resampler(right, total, metric)


def intervals_of_cell(
    predictions: pd.DataFrame, classifier: str, *, n_draws: int = N_DRAWS, rng: np.random.Generator | int = 0
) -> pd.DataFrame:
    """Give every interval of one measured cell.

    Parameters
    ----------
    predictions : pandas.DataFrame
        As from `serab_lib.benchmark.results.Results.read_predictions`.
    classifier : str
        Whose predictions.
    n_draws : int
    rng : numpy.random.Generator or int

    Returns
    -------
    pandas.DataFrame
        One row per metric and method: `metric`, `method`, `estimate`, `low`, `high` (percent), `n_units`, `remark`.
    """
    rng = np.random.default_rng(rng)
    truth, predicted = predictions["emotion"].tolist(), predictions[classifier].tolist()
    found: list[tuple[str, Interval]] = []
    for metric in ("accuracy", "uar"):
        if metric == "accuracy":
            n_right = int((predictions["emotion"] == predictions[classifier]).sum())
            found.append((metric, wilson_interval(n_right, len(predictions))))
        for clusters in (None, predictions["speaker"].tolist()):
            own: dict[str, Any] = {"clusters": clusters, "metric": metric, "n_draws": n_draws, "rng": rng}
            found.append((metric, bootstrap(truth, predicted, **own)))
    return pd.DataFrame(
        {
            "metric": metric,
            "method": interval.method,
            **{name: 100 * getattr(interval, name) for name in ("estimate", "low", "high")},
            "n_units": interval.n_units,
            "remark": interval.remark,
        }
        for metric, interval in found
    )
