"""Test sizes recovered from printed accuracies.

A test part of n utterances can only give the accuracies k/n. Printed with one decimal, a column of them rules out
many n, and so tells which reading of the protocol the numbers were made with.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd

from serab_lib.corpora.manifests import list_utterances
from serab_lib.corpora.splits import PROTOCOLS, split
from serab_lib.corpora.task import PAPER_TASKS, Task, get_task

N_DRAWS = 10_000
# From 1,000 utterances on, every value with one decimal is some k/n.
LARGEST_TELLING_SIZE = 999
# A reading counts as confirmed where a wrong size of its magnitude would pass as rarely as this.
CHANCE_LIMIT = 0.05


def fit_values(printed: Sequence[float] | np.ndarray, sizes: Sequence[int] | np.ndarray) -> np.ndarray:
    """Tell which printed accuracies can occur with which test sizes.

    Parameters
    ----------
    printed : array-like of float, shape (..., n_values)
        Percent with one decimal.
    sizes : array-like of int, shape (n_sizes,)

    Returns
    -------
    np.ndarray of bool, shape (n_sizes, ..., n_values)
    """
    tenths = np.rint(10 * np.asarray(printed, dtype=float)).astype(np.int64)
    n = np.asarray(sizes, dtype=np.int64).reshape(-1, *[1] * tenths.ndim)
    low = -((-(2 * tenths - 1) * n) // 2000)
    high = ((2 * tenths + 1) * n) // 2000
    return np.maximum(low, 0) <= np.minimum(high, n)


def scan_sizes(printed: Iterable[float], sizes: Iterable[int] | None = None) -> pd.DataFrame:
    """Hold a column of printed accuracies against every test size.

    Parameters
    ----------
    printed : iterable of float
        One task's column, percent with one decimal.
    sizes : iterable of int, optional
        10 to 1,200 by default.

    Returns
    -------
    pandas.DataFrame
        One row per size: `n`, `n_fitting` (values that can occur) and `fits` (all can).
    """
    sizes = np.arange(10, 1201) if sizes is None else np.array(list(sizes))
    fitting = fit_values(list(printed), sizes)
    return pd.DataFrame({"n": sizes, "n_fitting": fitting.sum(axis=1), "fits": fitting.all(axis=1)})


def list_readings(
    utterances: Mapping[str, pd.DataFrame] | None = None, tasks: Iterable[str | Task] = PAPER_TASKS
) -> pd.DataFrame:
    """List the split sizes that each reading of the protocol gives.

    Parameters
    ----------
    utterances : mapping, optional
        Task code to utterances; the shipped lists by default.
    tasks : iterable of str or Task

    Returns
    -------
    pandas.DataFrame
        `task`, `reading`, `n_groups`, `n_train`, `n_validation`, `n_test`. Readings are the two protocols and,
        where the task leaves files out, `all files`: the described protocol with them.
    """
    rows = []
    for task in map(get_task, tasks):
        table = list_utterances(task) if utterances is None else utterances[task.code]
        readings = {protocol: split(table, task, protocol) for protocol in PROTOCOLS}
        if utterances is None and not task.counts:
            whole = list_utterances(task, excluded=True)
            if len(whole) > len(table):
                readings["all files"] = split(whole, task, "described")
        for reading, parts in readings.items():
            counts = parts["part"].value_counts()
            sizes = {f"n_{part}": int(counts[part]) for part in ("train", "validation", "test")}
            rows.append({"task": task.code, "reading": reading, "n_groups": parts["group"].nunique(), **sizes})
    return pd.DataFrame(rows)


def simulate_chance(
    printed: Sequence[float], n: int, *, n_draws: int = N_DRAWS, rng: np.random.Generator | int = 0
) -> float:
    """Simulate how often a wrong test size passes by chance.

    Parameters
    ----------
    printed : sequence of float
        The task's column, percent: how many values there are, and where.
    n : int
        The size that is tested.
    n_draws : int
    rng : numpy.random.Generator or int
        A generator, or a seed.

    Returns
    -------
    float
        Share of the draws in which all values fit `n`, though they were made with another size.

    Notes
    -----
    Each draw takes a true size between half and twice `n`, any but `n`, all equally likely; for each model a number
    of right answers that is binomial around its printed accuracy; and prints the quotients with one decimal.
    """
    rng = np.random.default_rng(rng)
    true = rng.integers(max(2, n // 2), 2 * n, size=n_draws)
    true[true >= n] += 1
    shares = np.asarray(printed, dtype=float) / 100
    right = rng.binomial(true[:, None], shares)
    values = np.round(100 * right / true[:, None], 1)
    return float(fit_values(values, [n])[0].all(axis=1).mean())


def compare_readings(
    accuracies: pd.DataFrame,
    readings: pd.DataFrame | None = None,
    *,
    n_draws: int = N_DRAWS,
    rng: np.random.Generator | int = 0,
) -> pd.DataFrame:
    """Hold the paper's columns against the test size of every reading.

    Parameters
    ----------
    accuracies : pandas.DataFrame
        As from `serab_lib.evaluation.paper.read_accuracies`.
    readings : pandas.DataFrame, optional
        As from `list_readings`.
    n_draws : int
        Of the simulation behind `chance`.
    rng : numpy.random.Generator or int

    Returns
    -------
    pandas.DataFrame
        `task`, `reading`, `n_test`, `n_rows` (printed values), `n_fitting`, `impossible` (the values that cannot
        occur), `fits`, `chance` (that a wrong size of this magnitude fits all rows) and `verdict`:

        - `only size`: all readings give this size, and it fits;
        - `confirmed`: it fits, no other reading's size does, and a wrong one would seldom pass;
        - `cannot be decided`: it fits, but so does another, or a wrong one would pass easily;
        - `ruled out`: some printed value cannot occur.
    """
    readings = list_readings() if readings is None else readings
    rng = np.random.default_rng(rng)
    rows = []
    for task, own in readings.groupby("task", sort=False):
        printed = accuracies[task].tolist()
        checked = {}
        for n in own["n_test"].unique():
            possible = fit_values(printed, [n])[0]
            impossible = tuple(value for value, fine in zip(printed, possible, strict=True) if not fine)
            checked[n] = impossible, simulate_chance(printed, n, n_draws=n_draws, rng=rng)
        for _, reading in own.iterrows():
            n = reading["n_test"]
            impossible, chance = checked[n]
            rivals = [other for other, (missing, _) in checked.items() if other != n and not missing]
            rows.append(
                {
                    "task": task,
                    "reading": reading["reading"],
                    "n_test": int(n),
                    "n_rows": len(printed),
                    "n_fitting": len(printed) - len(impossible),
                    "impossible": impossible,
                    "fits": not impossible,
                    "chance": chance,
                    "verdict": _judge(not impossible, len(checked), rivals, chance),
                }
            )
    return pd.DataFrame(rows)


def _judge(fits: bool, n_sizes: int, rivals: list[int], chance: float) -> str:
    if not fits:
        return "ruled out"
    if n_sizes == 1:
        return "only size"
    return "cannot be decided" if rivals or chance > CHANCE_LIMIT else "confirmed"


def recover_sizes(comparison: pd.DataFrame) -> pd.Series:
    """Choose for each task the test size that the paper's numbers were most probably made with.

    Parameters
    ----------
    comparison : pandas.DataFrame
        As from `compare_readings`.

    Returns
    -------
    pandas.Series
        Task to size: that of the first reading that fits (`released` comes first), or of the first of all where
        none does.
    """
    best = comparison.sort_values("fits", ascending=False, kind="stable").drop_duplicates("task")
    order = comparison["task"].drop_duplicates()
    return best.set_index("task")["n_test"].loc[order]


def list_fitting_sizes(accuracies: pd.DataFrame, tasks: Iterable[str] = PAPER_TASKS) -> pd.DataFrame:
    """List every test size that all of a column's values allow.

    Parameters
    ----------
    accuracies : pandas.DataFrame
        As from `serab_lib.evaluation.paper.read_accuracies`.
    tasks : iterable of str

    Returns
    -------
    pandas.DataFrame
        `task`, `n`: sizes below 1,000. From there on every size fits.
    """
    parts = []
    for task in tasks:
        scan = scan_sizes(accuracies[task], range(10, LARGEST_TELLING_SIZE + 1))
        parts.append(pd.DataFrame({"task": task, "n": scan.loc[scan["fits"], "n"]}))
    return pd.concat(parts, ignore_index=True)
