"""BYOL-A 512 through the release's window and through its own: what `results/byol-a-window` holds."""

from __future__ import annotations

import pandas as pd

from serab_lib.audit.kept import no_rows
from serab_lib.benchmark.results import CELL_KEY, Results
from serab_lib.evaluation.comparisons import read_right

FOLDER = "byol-a-window"
BYOL_A, BYOL_S = "BYOL-A, 512", "BYOL-S, 512"
_MODELS = {"window_400": "byol-a-512-window-400", "window_1024": "byol-a-512-window-1024"}


def read_windows(results: Results) -> pd.DataFrame:
    """Read what was measured through the two windows.

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
    measured = Results(results.folder / FOLDER)
    cells = measured.read_cells()
    if cells.empty:
        return no_rows()
    rows = []
    for task, protocol in cells[["task", "protocol"]].drop_duplicates().itertuples(index=False):
        right = read_right(measured, task, protocol, models=_MODELS.values())
        short, long = (right[model] for model in _MODELS.values())
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
    table = windows[windows["protocol"] == protocol].set_index("task")[["window_400", "window_1024", "own_statistics"]]
    printed = accuracies.loc[[BYOL_A, BYOL_S], table.index]
    table = table.assign(printed=printed.loc[BYOL_A], byol_s_printed=printed.loc[BYOL_S])
    if len(cells):
        selected = cells[cells["selected"].astype(bool) & ~cells["synthetic"].astype(bool)].set_index(CELL_KEY)
        keys = [(task, "byol-s-512", protocol) for task in table.index]
        if all(key in selected.index for key in keys):
            table["byol_s_measured"] = (100 * selected.loc[keys, "test_accuracy"]).to_numpy()
    table.loc["mean"] = table.mean()
    return table
