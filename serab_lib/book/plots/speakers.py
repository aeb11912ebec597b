"""Figures about who is tested: every speaker, and who is heard worse."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from serab_lib.book.plots import PALETTE, name_rows, new_figure, put_legend_above


def plot_spans(table: pd.DataFrame, label: str, *, n_columns: int = 2) -> Figure:
    """Draw numbers with their intervals: columns `panel`, `row`, `kind` (up to two), `value`, `low`, `high`."""
    panels, kinds = list(table.groupby("panel", sort=False)), list(table["kind"].unique())
    n_rows = -(-len(panels) // n_columns)
    sizes = [max(own["row"].nunique() for _, own in panels[n * n_columns :][:n_columns]) for n in range(n_rows)]
    height = 0.17 * (1 + len(kinds)) * sum(sizes) + 0.8 * n_rows + 0.4
    options = {"sharex": n_columns == 1, "squeeze": False, "height_ratios": sizes}
    figure, grid = new_figure(n_rows, n_columns, height=height, **options)
    for axes, (title, own) in zip(grid.flat, panels, strict=False):
        rows = list(own["row"].unique())
        for kind, marks in own.groupby("kind", sort=False):
            y = [rows.index(row) + 0.3 * (kinds.index(kind) - (len(kinds) - 1) / 2) for row in marks["row"]]
            style = {"color": PALETTE[kinds.index(kind)], "label": kind}
            axes.hlines(y, marks["low"], marks["high"], color=style["color"], linewidth=2, alpha=0.6)
            axes.plot(marks["value"], y, "oD"[kinds.index(kind)], markersize=6, **style)
        axes.set_title(title, fontsize=10)
        axes.set_xlabel(label)
        name_rows(axes, rows)
    for axes in grid.flat[len(panels) :]:
        axes.set_visible(False)
    put_legend_above(figure)
    return figure
