"""The paper's accuracy grid with intervals, and ours beside it, cell by cell."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from serab_lib.corpora.file_lists import list_utterances
from serab_lib.corpora.sample_rates import describe_copies
from serab_lib.corpora.splits import split
from serab_lib.corpora.tasks import PAPER_TASKS, TASKS, get_task
from serab_lib.evaluation.intervals import wilson_interval
from serab_lib.evaluation.metrics import summarise_tasks
from serab_lib.evaluation.paper import read_accuracies
from serab_lib.extractors.registry import EXTRACTORS


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
    grid = read_accuracies()[list(PAPER_TASKS)].astype(float)
    sizes = count_test_utterances("released")
    means = pd.DataFrame([summarise_tasks(row, sizes) for _, row in grid.iterrows()], index=grid.index)
    return grid.join(means).sort_values("UM")


def mark_best(grid: pd.DataFrame) -> pd.DataFrame:
    """Write a grid as text with one decimal, the best of each column in bold."""
    text = grid.map(lambda value: "–" if pd.isna(value) else f"{value:.1f}")
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
    """List the corpora of which results were made from altered copies.

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
        n_all, n_originals = origin.get("n_utterances", 0), origin.get("n_originals")
        if code in TASKS and n_originals is not None and n_originals < n_all:
            lines[f"- {TASKS[code].title}: {n_originals:,} of {n_all:,} recordings as they were released."] = None
        if code in TASKS and (said := describe_copies(TASKS[code], origin.get("sample_rates_hz", {}))):
            lines[f"- {TASKS[code].title}: {said}."] = None
    return list(lines)
