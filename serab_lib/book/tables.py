"""How results look as tables: percent with one decimal, the paper's beside ours."""

from __future__ import annotations

import pandas as pd

from serab_lib.corpora.tasks import TASKS
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
        for model, row in accuracies.iterrows():
            means = summarise_tasks(row, sizes)
            grid.loc[model, list(MEANS)] = [100 * means[name] for name in MEANS]
        grid = grid.sort_values("UM")
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
