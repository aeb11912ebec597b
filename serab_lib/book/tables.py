"""The accuracy grid as tables: ours, the paper's, and both cell by cell with intervals; percent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from serab_lib.corpora.check import describe_copies
from serab_lib.corpora.manifests import list_utterances
from serab_lib.corpora.splits import split
from serab_lib.corpora.task import PAPER_TASKS, TASKS, get_task
from serab_lib.evaluation.intervals import wilson_interval
from serab_lib.evaluation.metrics import summarise_tasks
from serab_lib.evaluation.paper import read_accuracies
from serab_lib.extractors.registry import EXTRACTORS

MEANS = ("UM", "WM", "GM")


def accuracy_grid(cells: pd.DataFrame, protocol: str) -> pd.DataFrame:
    """Arrange the reported accuracies as models by tasks.

    Parameters
    ----------
    cells : pandas.DataFrame
        As `cells.csv` holds them.
    protocol : str

    Returns
    -------
    pandas.DataFrame
        Percent; one row per model, sorted by UM as in the paper, or by name where it is unknown. UM, WM and
        GM are over the measured tasks, and only given where there are several and every row has the same ones.
    """
    chosen = cells[(cells["protocol"] == protocol) & cells["selected"].astype(bool)]
    if chosen.empty:
        return pd.DataFrame()
    accuracies = chosen.pivot(index="model", columns="task", values="test_accuracy")
    accuracies = accuracies[[code for code in TASKS if code in accuracies] + _others(accuracies)]
    sizes = chosen.groupby("task")["n_test"].max()[accuracies.columns]
    grid = 100 * accuracies
    if accuracies.shape[1] > 1 and not accuracies.isna().any(axis=None):
        grid = _add_means(grid, sizes)
    grid.index = [EXTRACTORS[name].title if name in EXTRACTORS else name for name in grid.index]
    return grid.rename_axis("model")


def paper_grid(cells: pd.DataFrame, protocol: str) -> pd.DataFrame:
    """Give the paper's numbers for the same models and tasks; empty cells where it has none."""
    grid = accuracy_grid(cells, protocol)
    rows = {entry.title: entry.paper_row for entry in EXTRACTORS.values()}
    printed = read_accuracies()
    index = [rows.get(title) for title in grid.index]
    paper = printed.reindex(index=index, columns=[name for name in grid.columns if name not in MEANS])
    paper.index = grid.index
    return paper


def format_percent(grid: pd.DataFrame) -> pd.DataFrame:
    """Write numbers with one decimal, and a dash where nothing was measured."""
    return grid.map(lambda value: "–" if pd.isna(value) else f"{value:.1f}")


def render(grid: pd.DataFrame, form: str) -> str:
    """Write a grid as Markdown, CSV or LaTeX.

    Parameters
    ----------
    grid : pandas.DataFrame
        Percent.
    form : {"markdown", "csv", "latex"}
    """
    if form == "csv":
        return grid.to_csv(float_format="%.1f").rstrip("\n")
    text = format_percent(grid)
    if form == "latex":
        return text.to_latex(column_format="l" + "r" * len(grid.columns)).rstrip("\n")
    return text.to_markdown(stralign="right", disable_numparse=True)


def _others(accuracies: pd.DataFrame) -> list[str]:
    return [code for code in accuracies.columns if code not in TASKS]


def count_test_utterances(protocol: str) -> pd.Series:
    """Count the test utterances of the paper's tasks under a protocol, from the file lists."""
    sizes = {}
    for code in PAPER_TASKS:
        parts = split(list_utterances(code), get_task(code), protocol)
        sizes[code] = int((parts["part"] == "test").sum())
    return pd.Series(sizes)


def recompute_paper_grid() -> pd.DataFrame:
    """Take the paper's printed accuracies and recompute its means over tasks.

    Returns
    -------
    pandas.DataFrame
        Percent; 13 models by nine tasks, then UM, WM and GM computed here (WM with the `released` test sizes),
        sorted by UM as computed.
    """
    return _add_means(read_accuracies()[list(PAPER_TASKS)].astype(float), count_test_utterances("released"))


def _add_means(grid: pd.DataFrame, sizes: pd.Series) -> pd.DataFrame:
    means = pd.DataFrame([summarise_tasks(row, sizes) for _, row in grid.iterrows()], index=grid.index)
    return grid.join(means).sort_values("UM")


def mark_best(grid: pd.DataFrame) -> pd.DataFrame:
    """Write a grid as text with one decimal, the best of each column in bold."""
    text = format_percent(grid)
    for column in grid:
        best = grid[column].round(1) == grid[column].round(1).max()
        text.loc[best, column] = "**" + text.loc[best, column] + "**"
    return text


def compare_with_paper(cells: pd.DataFrame, protocol: str) -> pd.DataFrame:
    """Set every cell of the paper's grid beside the measured one.

    Parameters
    ----------
    cells : pandas.DataFrame
        As `cells.csv` holds them.
    protocol : str

    Returns
    -------
    pandas.DataFrame
        One row per cell of the paper's grid: `task`, `model`, `paper` and `ours`, each with its 95 % interval,
        `difference` (points), and `state`: measured, or why it is empty. Percent.
        Measured cells come first; cells of synthetic corpora count for nothing here.
    """
    printed = read_accuracies()
    sizes = count_test_utterances("released")
    real = cells[~cells["synthetic"].astype(bool)]
    chosen = real[(real["protocol"] == protocol) & real["selected"].astype(bool)].set_index(["task", "model"])
    rows = []
    for entry in EXTRACTORS.values():
        if entry.paper_row is None:
            continue
        for code in PAPER_TASKS:
            paper = float(printed.loc[entry.paper_row, code])
            row = {"task": code, "model": entry.title, "paper": paper}
            row["paper, 95 %"] = _write_interval(paper / 100, sizes[code])
            key = (code, entry.name)
            rows.append(row | (_describe(chosen.loc[key], paper) if key in chosen.index else _explain(code)))
    table = pd.DataFrame(rows)
    return table.sort_values("ours", na_position="last", kind="stable").reset_index(drop=True)


def _describe(cell: pd.Series, paper: float) -> dict[str, object]:
    ours = 100 * float(cell["test_accuracy"])
    interval = _write_interval(float(cell["test_accuracy"]), int(cell["n_test"]))
    state = "measured" if cell["complete"] else "measured on an incomplete corpus"
    return {"ours": ours, "ours, 95 %": interval, "difference": ours - paper, "state": state}


def _explain(code: str) -> dict[str, object]:
    reason = "not measured yet"
    if get_task(code).access == "restricted":
        reason += "; the corpus must be asked for"
    empty = float("nan")
    return {"ours": empty, "ours, 95 %": "–", "difference": empty, "state": reason}


def _write_interval(accuracy: float, n: int) -> str:
    interval = wilson_interval(round(accuracy * n), n)
    return f"{100 * interval.low:.1f}–{100 * interval.high:.1f}"


def list_measured(cells: pd.DataFrame) -> pd.DataFrame:
    """List the selected cells of both protocols: accuracy, interval, UAR, validation accuracy, classifier."""
    chosen = cells[cells["selected"].astype(bool)]
    rows = []
    for _, cell in chosen.iterrows():
        entry = EXTRACTORS.get(cell["model"])
        rows.append(
            {
                "task": cell["task"],
                "model": entry.title if entry else cell["model"],
                "protocol": cell["protocol"],
                "accuracy": 100 * cell["test_accuracy"],
                "interval": _write_interval(cell["test_accuracy"], int(cell["n_test"])),
                "UAR": 100 * cell["test_uar"],
                "validation": 100 * cell["validation_accuracy"],
                "classifier": cell["classifier"],
                "n test": int(cell["n_test"]),
                "as released": _count_originals(cell),
            }
        )
    return pd.DataFrame(rows).sort_values(["task", "protocol", "accuracy"], ascending=[True, True, False])


def _count_originals(cell: pd.Series) -> str:
    """How many of a cell's recordings are as they were released."""
    if pd.isna(cell["n_originals"]):
        return "–"
    n_all = cell[["n_train", "n_validation", "n_test"]].sum()
    return "all" if cell["n_originals"] == n_all else f"{cell['n_originals']:,} of {n_all:,}"


def list_copies(provenance: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """List the corpora of unknown content of which results were made from resampled copies.

    Parameters
    ----------
    provenance : mapping
        As from `serab_lib.benchmark.results.Results.read_provenance`.

    Returns
    -------
    list of str
        One line of Markdown per corpus; empty where all were measured on recordings as released.
    """
    lines = {}
    for key, origin in provenance.items():
        code = key.split("/")[0]
        if code in TASKS and (said := describe_copies(TASKS[code], origin.get("sample_rates_hz", {}))):
            lines[f"- {TASKS[code].title}: {said}."] = None
    return list(lines)
