"""The paper's tables, held against each other, against the lists of files and against the networks.

A test part of n utterances can only give the accuracies k/n. Printed with one decimal, a column of them rules out
many n, and so tells which reading of the protocol the numbers were made with.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd
from scipy import stats

from serab_lib.corpora.corpus import list_utterances
from serab_lib.corpora.splits import split
from serab_lib.corpora.task import PAPER_TASKS, get_task
from serab_lib.evaluation.paper import find_counts, read_accuracies, read_datasets, read_models
from serab_lib.extractors.registry import EXTRACTORS

# From 1,000 utterances on, every value with one decimal is some k/n.
LARGEST_TELLING_SIZE = 999
# Below this, a column of thirteen values allows few sizes; nearer to 1,000, dozens.
SMALL_SIZE = 500
# A number printed with one decimal stands for anything within half of its last digit.
HALF_DIGIT = 0.05
_TOLERANCE = HALF_DIGIT + 1e-9
MEANS = ["UM", "WM", "GM"]


@functools.cache
def list_possible_sizes() -> pd.DataFrame:
    """List every test size below 1,000 that all values of a task's column allow: `task` and `n`."""
    accuracies, sizes = read_accuracies(), range(10, LARGEST_TELLING_SIZE + 1)
    possible = [(task, n) for task in PAPER_TASKS for n in sizes if all(find_counts(x, n) for x in accuracies[task])]
    return pd.DataFrame(possible, columns=["task", "n"])


@functools.cache
def list_readings() -> pd.DataFrame:
    """List `n_groups` and the size of each part, by task and reading: the two protocols, and with files left out."""
    rows = []
    for task in map(get_task, PAPER_TASKS):
        utterances, everything = list_utterances(task), list_utterances(task, excluded=True)
        readings = {protocol: split(utterances, task, protocol) for protocol in ("released", "described")}
        if len(everything) > len(utterances):
            readings["all files"] = split(everything, task, "described")
        for reading, parts in readings.items():
            counts = parts["part"].value_counts()
            sizes = {f"n_{part}": int(counts[part]) for part in ("train", "validation", "test")}
            rows.append({"task": task.code, "reading": reading, "n_groups": parts["group"].nunique(), **sizes})
    return pd.DataFrame(rows)


@functools.cache
def compare_test_sizes() -> pd.DataFrame:
    """Hold the paper's columns against the test size of every reading.

    Returns
    -------
    pandas.DataFrame
        `task`, `reading`, `n_test`, `n_rows` (printed values), `n_fitting`, `impossible` (the values that cannot
        occur), `fits`, `small_sizes` (every size below 500 that all values allow) and `verdict`: `only size` (all
        readings give this size, and it fits), `confirmed` (it fits, and no other reading's does), `cannot be decided`,
        or `ruled out`.

    Notes
    -----
    It holds if no value of the column is misprinted.
    """
    accuracies, possible_sizes = read_accuracies(), list_possible_sizes()
    small = possible_sizes[possible_sizes["n"] < SMALL_SIZE].groupby("task")["n"].agg(tuple)
    rows = []
    for (task, n), own in list_readings().groupby(["task", "n_test"], sort=False):
        values = accuracies[task].to_numpy()
        possible = np.array([bool(find_counts(value, n)) for value in values])
        row = {"n_rows": len(values), "n_fitting": int(possible.sum()), "impossible": tuple(values[~possible].tolist())}
        row |= {"fits": bool(possible.all()), "small_sizes": small.get(task, ())}
        rows += [{"task": task, "reading": reading, "n_test": int(n), **row} for reading in own["reading"]]
    table = pd.DataFrame(rows)
    n_sizes = table.groupby("task")["n_test"].transform("nunique")
    n_rivals = table["task"].map(table[table["fits"]].groupby("task")["n_test"].nunique()) - 1
    conditions = [~table["fits"], n_sizes == 1, n_rivals > 0]
    verdict = np.select(conditions, ["ruled out", "only size", "cannot be decided"], "confirmed")
    return table.assign(verdict=verdict)


def recover_test_sizes() -> pd.Series:
    """Map each task to the test size its column was made with: of the first reading that fits, `released` first."""
    table = compare_test_sizes()
    return table[table["fits"]].drop_duplicates("task").set_index("task")["n_test"]


def check_weighted_means(task: str, sizes: Iterable[int]) -> pd.DataFrame:
    """Hold the printed weighted means against test sizes of one task, where its own column says too little.

    Parameters
    ----------
    task : str
        Whose size is varied; the others have their recovered sizes.
    sizes : iterable of int

    Returns
    -------
    pandas.DataFrame
        One row per size: `task`, `n`, `n_rows` (those whose printed WM follows from the recovered sizes; any other is
        wrong for another reason), `n_possible` of them, and `impossible`, the models of the others.

    Notes
    -----
    Over all test utterances together a model has a whole number of right answers, and this quotient has to print as
    its WM. A row also counts as possible if the WM follows from the accuracies as they are printed.
    """
    recovered = recover_test_sizes().to_dict()
    printed = read_accuracies().to_dict("index")
    usable = [model for model, row in printed.items() if _allows_weighted_mean(row, recovered)]
    rows = []
    for n in sizes:
        impossible = tuple(m for m in usable if not _allows_weighted_mean(printed[m], recovered | {task: int(n)}))
        possible = {"n_rows": len(usable), "n_possible": len(usable) - len(impossible), "impossible": impossible}
        rows.append({"task": task, "n": int(n), **possible})
    return pd.DataFrame(rows)


def _allows_weighted_mean(row: Mapping[str, float], sizes: Mapping[str, int]) -> bool:
    """Whether test sizes allow a row's printed WM, over whole numbers of right answers or printed accuracies."""
    counts = [find_counts(row[task], n) for task, n in sizes.items()]
    total = sum(sizes.values())
    wanted = find_counts(row["WM"], total)
    if not all(counts):
        return False
    whole = max(wanted[0], sum(own[0] for own in counts)) <= min(wanted[-1], sum(own[-1] for own in counts))
    rounded = sum(row[task] * n for task, n in sizes.items()) / total
    return whole or abs(rounded - row["WM"]) <= _TOLERANCE


def check_means(accuracies: pd.DataFrame, sizes: pd.Series) -> pd.DataFrame:
    """Recompute the three means over tasks of every row.

    Parameters
    ----------
    accuracies : pandas.DataFrame
        As from `serab_lib.evaluation.paper.read_accuracies`.
    sizes : pandas.Series
        Task to number of test utterances.

    Returns
    -------
    pandas.DataFrame
        One row per model and mean: `printed`, `computed`, `low` and `high` (the means of all accuracies' lower and
        upper ends, 0.05 away), `difference` (printed - computed) and `agrees`: a value between `low` and `high` prints
        as the number that is printed.
    """
    values = accuracies[list(sizes.index)].to_numpy(dtype=float)
    table = pd.DataFrame({"model": np.repeat(accuracies.index, len(MEANS)), "mean": MEANS * len(accuracies)})
    table["printed"] = accuracies[MEANS].to_numpy(dtype=float).ravel()
    for name, shift in (("computed", 0.0), ("low", -HALF_DIGIT), ("high", HALF_DIGIT)):
        end = np.clip(values + shift, 0, 100)
        means = end.mean(axis=1), np.average(end, axis=1, weights=sizes), stats.gmean(end, axis=1)
        table[name] = np.stack(means, axis=1).ravel()
    table["difference"] = table["printed"] - table["computed"]
    table["agrees"] = table["printed"].between(table["low"] - _TOLERANCE, table["high"] + _TOLERANCE)
    return table


def read_printed(task: str) -> dict[str, float]:
    """Map each extractor that has a row in the paper to its printed accuracy on a task, in percent."""
    column = read_accuracies()[task]
    return {name: float(column[entry.paper_row]) for name, entry in EXTRACTORS.items() if entry.paper_row}


def check_durations() -> pd.DataFrame:
    """Hold each mean duration against its total, and both against the recordings, where these are known."""
    columns = {"code": "task", "utterances": "n_printed", "mean_duration_s": "printed_mean_s"}
    columns["total_duration_h"] = "printed_total_h"
    table = read_datasets()[list(columns)].rename(columns=columns)
    for name, shift in (("implied_mean_s", 0.0), ("implied_low_s", -HALF_DIGIT), ("implied_high_s", HALF_DIGIT)):
        table[name] = 3600 * (table["printed_total_h"] + shift) / table["n_printed"]
    mean = table["printed_mean_s"]
    table["agrees"] = mean.between(table["implied_low_s"] - _TOLERANCE, table["implied_high_s"] + _TOLERANCE)
    durations = [list_utterances(task)["duration_s"] for task in table["task"]]
    table["n_listed"], table["n_timed"] = [len(own) for own in durations], [own.count() for own in durations]
    table["measured_mean_s"] = [own.mean() for own in durations]
    table["measured_total_h"] = table["measured_mean_s"] * table["n_listed"] / 3600
    return table


@functools.cache
def check_counts() -> pd.DataFrame:
    """Hold the numbers of utterances, speakers and classes against the lists, whole and as the release has them."""
    rows = []
    for _, row in read_datasets().iterrows():
        task = get_task(row["code"])
        table = list_utterances(task)
        kept = table[~table["emotion"].isin(task.released_without)]
        for quantity, column in (("utterances", "stem"), ("speakers", "speaker"), ("classes", "emotion")):
            found = {"described": table[column].nunique(), "released": kept[column].nunique()}
            rows.append({"task": task.code, "quantity": quantity, "printed": int(row[quantity]), **found})
    return pd.DataFrame(rows)


def check_parameters() -> pd.DataFrame:
    """Hold the paper's parameter counts against the networks; None where there is nothing to compare."""
    models = read_models()
    names = {entry.paper_row: name for name, entry in EXTRACTORS.items()}
    table = models[["model", "embedding_size"]].assign(extractor=models["row"].map(names))
    table["printed_millions"] = models["parameters_millions"]
    table["n_parameters"] = [EXTRACTORS[name].n_parameters for name in table["extractor"]]
    difference = table["n_parameters"] / 1e6 - table["printed_millions"]
    table["agrees"] = (difference.abs() <= _TOLERANCE).astype(object).where(difference.notna(), None)
    return table
