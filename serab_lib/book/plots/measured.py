"""Figures of measured cells: what is taken for what."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from serab_lib.book.plots.style import WIDTH_INCHES, new_figure


def plot_confusions(tables: Mapping[str, pd.DataFrame], *, n_columns: int = 2) -> Figure:
    """Draw what is taken for what, in percent of each true emotion, one panel a table.

    Parameters
    ----------
    tables : mapping from str to pandas.DataFrame
        Title to table, as from `serab_lib.evaluation.recalls.confuse`; all with the same emotions.
    n_columns : int
        Panels in a row, at most.

    Returns
    -------
    Figure
    """
    n_columns = min(n_columns, len(tables))
    n_rows = -(-len(tables) // n_columns)
    n_classes = max(map(len, tables.values()))
    figure, axes = new_figure(
        n_rows,
        n_columns,
        height=n_rows * (0.36 * n_classes + 0.8) + 0.5,
        width=WIDTH_INCHES if n_columns > 1 else 0.62 * n_classes + 1.6,
        squeeze=False,
        sharex=True,
        sharey=True,
    )
    for position, (title, table) in enumerate(tables.items()):
        _draw_confusions(axes.flat[position], title, table, font_size=9 if n_columns == 1 else 8)
    for position in range(len(tables), axes.size):
        axes.flat[position].set_visible(False)
        axes.flat[position - n_columns].tick_params(labelbottom=True)
    figure.supxlabel("predicted", fontsize=10)
    figure.supylabel("true (utterances)", fontsize=10)
    return figure


def _draw_confusions(axes: Axes, title: str, table: pd.DataFrame, *, font_size: int) -> None:
    shares = 100 * table.div(table.sum(axis=1).replace(0, np.nan), axis=0).fillna(0)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=100, aspect="auto")
    for (row, column), share in np.ndenumerate(shares):
        if share >= 0.5:
            colour = "white" if share > 55 else "0.15"
            axes.text(column, row, f"{share:.0f}", ha="center", va="center", fontsize=font_size, color=colour)
    axes.set_xticks(range(len(table)), table.columns, rotation=40, ha="right")
    axes.set_yticks(range(len(table)), [f"{name} ({count})" for name, count in table.sum(axis=1).items()])
    axes.set_title(title)
    axes.grid(visible=False)
