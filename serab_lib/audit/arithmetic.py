"""The arithmetic of the paper's tables: means of accuracies, durations against totals, parameters against networks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd

from serab_lib.corpora.manifests import list_utterances
from serab_lib.corpora.task import Task, get_task
from serab_lib.evaluation.protocol import summarise_tasks
from serab_lib.extractors.registry import EXTRACTORS

# A number printed with one decimal stands for anything within half of its last digit.
HALF_DIGIT = 0.05
MEANS = ("UM", "WM", "GM")
_SLACK = 1e-9


def check_means(accuracies: pd.DataFrame, sizes: pd.Series) -> pd.DataFrame:
    """Recompute the three means over tasks of every row.

    Parameters
    ----------
    accuracies : pandas.DataFrame
        As from `serab_lib.evaluation.paper.read_accuracies`: one row per model, tasks, then UM, WM and GM; percent.
    sizes : pandas.Series
        Task to number of test utterances, as from `serab_lib.audit.denominators.recover_sizes`.

    Returns
    -------
    pandas.DataFrame
        One row per model and mean: `printed`, `computed`, `low` and `high` (what the mean can be, each accuracy being
        anything within 0.05 of what is printed), `difference` (printed - computed) and `agrees`: some value between
        `low` and `high` prints as the number that is printed.

    Notes
    -----
    All three means grow with every accuracy, so `low` and `high` are the means of the lower and upper ends. `agrees`
    therefore allows a difference of up to 0.1: 0.05 for the accuracies and 0.05 for the mean.
    """
    tasks = list(sizes.index)
    rows = []
    for model, row in accuracies.iterrows():
        values = row[tasks].to_numpy(dtype=float)
        means, low, high = (
            summarise_tasks(np.clip(values + shift, 0, 100), sizes) for shift in (0, -HALF_DIGIT, HALF_DIGIT)
        )
        for name in MEANS:
            printed = float(row[name])
            fits = low[name] - HALF_DIGIT - _SLACK <= printed <= high[name] + HALF_DIGIT + _SLACK
            rows.append(
                {
                    "model": model,
                    "mean": name,
                    "printed": printed,
                    "computed": means[name],
                    "low": low[name],
                    "high": high[name],
                    "difference": printed - means[name],
                    "agrees": bool(fits),
                }
            )
    return pd.DataFrame(rows)


def explain_means(accuracies: pd.DataFrame, model: str, sizes: pd.Series) -> pd.DataFrame:
    """Ask whether one misprinted accuracy could explain a row's means.

    Parameters
    ----------
    accuracies : pandas.DataFrame
        As from `serab_lib.evaluation.paper.read_accuracies`.
    model : str
        The row.
    sizes : pandas.Series
        Task to number of test utterances.

    Returns
    -------
    pandas.DataFrame
        One row per task and mean: `printed`, and the accuracy in its place that would give the printed mean
        (`needed`), between `low` and `high` for all numbers that print alike. Two means are explained by one cell
        where its two intervals meet.
    """
    tasks = list(sizes.index)
    row = accuracies.loc[model]
    values, weights = row[tasks].to_numpy(dtype=float), sizes.to_numpy(dtype=float)
    equal = np.ones(len(values))
    rows = []
    for name, weight, change in (("UM", equal, _same), ("WM", weights, _same), ("GM", equal, np.log)):
        for i, task in enumerate(tasks):
            others = np.delete(np.arange(len(values)), i)
            needed = []
            # The lowest this cell can be goes with the lowest mean and the highest of the others.
            for shift in (0.0, -HALF_DIGIT, HALF_DIGIT):
                mean, rest = change(float(row[name]) + shift), change(values[others] - shift)
                total = (mean * weight.sum() - (rest * weight[others]).sum()) / weight[i]
                needed.append(float(np.exp(total) if change is np.log else total))
            rows.append(dict(zip(("task", "mean", "printed"), (task, name, values[i]), strict=True)))
            rows[-1] |= dict(zip(("needed", "low", "high"), needed, strict=True))
    return pd.DataFrame(rows)


def _same(value: np.ndarray | float) -> np.ndarray | float:
    return value


def rank_by_mean(accuracies: pd.DataFrame, sizes: pd.Series, mean: str = "UM") -> pd.DataFrame:
    """Rank the models by a mean as it is printed, and as it follows from the row.

    Parameters
    ----------
    accuracies : pandas.DataFrame
    sizes : pandas.Series
    mean : {"UM", "WM", "GM"}

    Returns
    -------
    pandas.DataFrame
        One row per model: `printed`, `computed`, and `rank_printed` and `rank_computed` (1 is best).
    """
    table = check_means(accuracies, sizes)
    table = table[table["mean"] == mean].set_index("model")[["printed", "computed"]]
    for column in ("printed", "computed"):
        table[f"rank_{column}"] = table[column].rank(ascending=False, method="min").astype(int)
    return table.reset_index()


def check_durations(
    datasets: pd.DataFrame, utterances: Mapping[str, pd.DataFrame] | None = None, tasks: Iterable[Task] | None = None
) -> pd.DataFrame:
    """Hold each data set's mean duration against its total, and both against the recordings.

    Parameters
    ----------
    datasets : pandas.DataFrame
        As from `serab_lib.evaluation.paper.read_datasets`.
    utterances : mapping, optional
        Task code to utterances with `duration_s`; the shipped lists by default.
    tasks : iterable of Task, optional
        Records of tasks that are not in the registry.

    Returns
    -------
    pandas.DataFrame
        One row per data set: `printed_mean_s`, `printed_total_h`, `n_printed` (utterances), `implied_mean_s` (total
        over utterances), `implied_low_s` and `implied_high_s` (for all totals that print alike), `agrees` (mean and
        total can both be right), `n_listed` and `n_timed` (utterances on the list, and with a known duration),
        `measured_mean_s`, `measured_total_h` (the mean of those that are known, times all) and `measured_agrees`
        (the printed mean is within 0.1 s of it; None where some durations are not known).
    """
    records = {task.code: task for task in tasks or ()}
    rows = []
    for _, row in datasets.iterrows():
        code, n, mean, total = row["code"], row["utterances"], row["mean_duration_s"], row["total_duration_h"]
        implied, low, high = (3600 * (total + shift) / n for shift in (0, -HALF_DIGIT, HALF_DIGIT))
        task = records.get(code) or get_task(code)
        table = list_utterances(task, excluded=True) if utterances is None else utterances[code]
        durations = table["duration_s"].dropna() if "duration_s" in table else pd.Series(dtype=float)
        measured = float(durations.mean()) if len(durations) else float("nan")
        rows.append(
            {
                "task": code,
                "n_printed": int(n),
                "printed_mean_s": float(mean),
                "printed_total_h": float(total),
                "implied_mean_s": implied,
                "implied_low_s": low,
                "implied_high_s": high,
                "agrees": bool(low - _SLACK <= mean + HALF_DIGIT and mean - HALF_DIGIT <= high + _SLACK),
                "n_listed": len(table),
                "n_timed": len(durations),
                "measured_mean_s": measured,
                "measured_total_h": measured * len(table) / 3600,
                "measured_agrees": bool(abs(measured - mean) <= 2 * HALF_DIGIT)
                if len(durations) == len(table)
                else None,
            }
        )
    return pd.DataFrame(rows)


def check_counts(
    datasets: pd.DataFrame, utterances: Mapping[str, pd.DataFrame] | None = None, tasks: Iterable[Task] | None = None
) -> pd.DataFrame:
    """Hold the numbers of utterances, speakers and classes against the lists of files.

    Parameters
    ----------
    datasets : pandas.DataFrame
        As from `serab_lib.evaluation.paper.read_datasets`.
    utterances : mapping, optional
        Task code to utterances; the shipped lists by default.
    tasks : iterable of Task, optional
        Records of tasks that are not in the registry.

    Returns
    -------
    pandas.DataFrame
        One row per data set and quantity (`utterances`, `speakers`, `classes`): `printed`, `described` (all that the
        task has), `released` (without the classes that the release leaves out), `agrees_described`,
        `agrees_released`.
    """
    records = {task.code: task for task in tasks or ()}
    rows = []
    for _, row in datasets.iterrows():
        task = records.get(row["code"]) or get_task(row["code"])
        table = list_utterances(task) if utterances is None else utterances[task.code]
        kept = table[~table["emotion"].isin(task.released_without)]
        for quantity, column in (("utterances", "stem"), ("speakers", "speaker"), ("classes", "emotion")):
            found = {"described": table[column].nunique(), "released": kept[column].nunique()}
            agrees = {f"agrees_{name}": int(row[quantity]) == count for name, count in found.items()}
            rows.append({"task": task.code, "quantity": quantity, "printed": int(row[quantity]), **found, **agrees})
    return pd.DataFrame(rows)


def check_parameters(models: pd.DataFrame, n_parameters: Mapping[str, int | None] | None = None) -> pd.DataFrame:
    """Hold the paper's parameter counts against the networks.

    Parameters
    ----------
    models : pandas.DataFrame
        As from `serab_lib.evaluation.paper.read_models`.
    n_parameters : mapping, optional
        Extractor to measured count; those of the registry by default.

    Returns
    -------
    pandas.DataFrame
        One row per baseline: `model`, `embedding_size`, `extractor` (its name here), `printed_millions`,
        `n_parameters`, `agrees`: the count, in millions, is within 0.05 of what is printed; None where the paper
        prints none or nobody has counted.
    """
    counts = {name: entry.n_parameters for name, entry in EXTRACTORS.items()} if n_parameters is None else n_parameters
    names = {entry.paper_row: name for name, entry in EXTRACTORS.items()}
    rows = []
    for _, row in models.iterrows():
        name = names[row["row"]]
        printed, counted = float(row["parameters_millions"]), counts.get(name)
        known = counted is not None and not np.isnan(printed)
        rows.append(
            {
                "model": row["model"],
                "embedding_size": int(row["embedding_size"]),
                "extractor": name,
                "printed_millions": printed,
                "n_parameters": counted,
                "agrees": bool(abs(counted / 1e6 - printed) <= HALF_DIGIT + _SLACK) if known else None,
            }
        )
    return pd.DataFrame(rows)
