"""What was measured on real recordings for the audit, as the results folder holds it."""

from __future__ import annotations

import json

import pandas as pd

from serab_lib.benchmark.results import CELL_KEY, Results
from serab_lib.evaluation.significance import read_right

NO_ROWS = pd.DataFrame(columns=CELL_KEY)
_WINDOWS = {"window_400": "byol-a-512-window-400", "window_1024": "byol-a-512-window-1024"}


def read_measurement(results: Results, name: str) -> pd.DataFrame:
    """Read what a program in `benchmarks/` measured.

    Parameters
    ----------
    results : Results
        The folder that holds `audit/`.
    name : str
        Of the program and of its table: ``label_order``, ``resampler`` or ``speaker_leak``.

    Returns
    -------
    pandas.DataFrame
        With `task` and `model`; empty where nothing was measured.
    """
    path = results.folder / "audit" / f"{name}.csv"
    return pd.read_csv(path, converters={"best_params": json.loads}) if path.is_file() else NO_ROWS


def read_windows(results: Results) -> pd.DataFrame:
    """Read what BYOL-A 512 gave through the release's window and through its own.

    Parameters
    ----------
    results : Results
        The folder that holds `byol-a-window/`.

    Returns
    -------
    pandas.DataFrame
        One row per task and protocol, empty where nothing was measured: `task`, `protocol`, `n_test`; `window_400`
        and `window_1024` (percent, of the classifier that the protocol selects; both with the release's log-mel
        statistics); `only_400` and `only_1024` (utterances that are right through that window alone);
        `own_statistics` (percent, window 1,024 with statistics measured through it); `mean_400` and `mean_1024`, of
        the log-mel spectrograms of the training part.
    """
    measured = Results(results.folder / "byol-a-window")
    cells = measured.read_cells()
    if cells.empty:
        return NO_ROWS
    rows = []
    for task, protocol in cells[["task", "protocol"]].drop_duplicates().itertuples(index=False):
        right = read_right(measured, task, protocol, models=_WINDOWS.values())
        short, long = (right[model] for model in _WINDOWS.values())
        row = {"task": task, "protocol": protocol, "n_test": len(right)}
        row |= {"window_400": 100 * short.mean(), "window_1024": 100 * long.mean()}
        rows.append(row | {"only_400": int((short & ~long).sum()), "only_1024": int((long & ~short).sum())})
    accuracies = pd.read_csv(measured.folder / "accuracies.csv")[["task", "protocol", "own_statistics"]]
    means = pd.read_csv(measured.folder / "statistics.csv").pivot(index="task", columns="window_samples", values="mean")
    return pd.DataFrame(rows).merge(accuracies, how="left").merge(means.add_prefix("mean_").reset_index(), how="left")


def compare_windows(
    windows: pd.DataFrame, accuracies: pd.DataFrame, cells: pd.DataFrame, *, protocol: str = "released"
) -> pd.DataFrame:
    """Put accuracies through both windows beside the printed rows of BYOL-A 512 and BYOL-S 512.

    Parameters
    ----------
    windows : pandas.DataFrame
        As from `read_windows`.
    accuracies : pandas.DataFrame
        The paper's table 3.
    cells : pandas.DataFrame
        Measured cells, for BYOL-S 512; may be empty.
    protocol : str

    Returns
    -------
    pandas.DataFrame
        Percent; one row per task, the last one `mean`: `printed`, `window_400`, `window_1024`, `own_statistics`,
        `byol_s_printed` and, where it was measured on all these tasks, `byol_s_measured`.
    """
    table = windows[windows["protocol"] == protocol].set_index("task")[[*_WINDOWS, "own_statistics"]]
    printed = accuracies[table.index]
    table = table.assign(printed=printed.loc["BYOL-A, 512"], byol_s_printed=printed.loc["BYOL-S, 512"])
    own = cells[(cells["model"] == "byol-s-512") & (cells["protocol"] == protocol)] if len(cells) else NO_ROWS
    if len(own):
        own = own[own["selected"].astype(bool) & ~own["synthetic"].astype(bool)].set_index("task")
        if set(table.index) <= set(own.index):
            table["byol_s_measured"] = 100 * own["test_accuracy"]
    table.loc["mean"] = table.mean()
    return table
