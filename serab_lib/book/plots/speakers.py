"""Figures about who is tested: every speaker, other corpora, and who is heard worse."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from serab_lib.book.plots import PALETTE, PROTOCOL_COLOURS, name_rows, new_figure, put_legend_above

_SPLITS = {"described": (PROTOCOL_COLOURS["described"], "o", -0.16), "rotated": (PALETTE[1], "D", 0.16)}


def plot_rotation(scores: pd.DataFrame) -> Figure:
    """Draw the accuracy on the fixed split and on every speaker, with intervals over speakers; a panel a task."""
    tasks = list(scores["task"].drop_duplicates())
    models = list(scores.groupby("model")["accuracy"].mean().sort_values(ascending=False).index)
    n_rows = -(-len(tasks) // 2)
    height = n_rows * (0.42 * len(models) + 0.8) + 0.5
    figure, panels = new_figure(n_rows, 2, height=height, sharey=True, squeeze=False)
    for axes, task in zip(panels.flat, tasks, strict=False):
        for protocol, (colour, marker, shift) in _SPLITS.items():
            own = scores[(scores["task"] == task) & (scores["protocol"] == protocol)]
            y = shift + np.array([models.index(model) for model in own["model"]])
            axes.hlines(y, own["low_speakers"], own["high_speakers"], color=colour, linewidth=2, alpha=0.6)
            axes.plot(own["accuracy"], y, marker, color=colour, markersize=6, label=protocol)
        axes.set_title(task, fontsize=10)
        axes.set_xlabel("accuracy (%)")
        name_rows(axes, models)
    for axes in panels.flat[len(tasks) :]:
        axes.set_visible(False)
    put_legend_above(figure)
    return figure


def plot_transfer(tables: Mapping[str, pd.DataFrame], chance: float) -> Figure:
    """Draw how well each corpus (rows) teaches what another one (columns) tests; a panel a table of percentages."""
    n_columns, n_corpora = min(2, len(tables)), max(len(table) for table in tables.values())
    n_rows = -(-len(tables) // n_columns)
    options = {"height": n_rows * (0.34 * n_corpora + 0.7) + 0.6, "width": 0.6 + 3.3 * n_columns}
    figure, panels = new_figure(n_rows, n_columns, squeeze=False, sharex=True, sharey=True, **options)
    for axes, (title, table) in zip(panels.flat, tables.items(), strict=False):
        shares = table.to_numpy(dtype=float)
        image = axes.imshow(shares, cmap="Blues", vmin=chance, vmax=100, aspect="auto")
        for (row, column), share in np.ndenumerate(shares):
            colour = "white" if share > (100 + chance) / 2 else "0.15"
            text = "–" if np.isnan(share) else f"{share:.0f}"
            axes.text(column, row, text, ha="center", va="center", fontsize=8.5, color=colour)
            if table.index[row] == table.columns[column]:
                style = {"fill": False, "edgecolor": PALETTE[1], "linewidth": 2}
                axes.add_patch(Rectangle((column - 0.5, row - 0.5), 1, 1, **style))
        axes.set_xticks(range(table.shape[1]), table.columns)
        axes.set_yticks(range(len(table)), table.index)
        axes.set_title(title, fontsize=10)
        axes.grid(visible=False)
    for axes in panels.flat[len(tables) :]:
        axes.set_visible(False)
    figure.supxlabel("tested on", fontsize=10)
    figure.supylabel("trained on", fontsize=10)
    figure.colorbar(image, ax=panels, shrink=0.6, label=f"UAR (%), from chance ({chance:.0f}) to 100")
    return figure


def plot_breakdown(table: pd.DataFrame) -> Figure:
    """Draw accuracy, with its interval over speakers, and recall at each level of each fact; a panel a fact."""
    facts = dict(list(table.groupby("fact", sort=False)))
    sizes = [len(own) for own in facts.values()]
    options = {"sharex": True, "squeeze": False, "height_ratios": sizes}
    figure, panels = new_figure(len(facts), 1, height=0.28 * sum(sizes) + 0.5 * len(sizes) + 0.9, **options)
    for axes, (fact, own) in zip(panels.flat, facts.items(), strict=True):
        y = np.arange(len(own))
        axes.hlines(y, own["low"], own["high"], color=PALETTE[0], linewidth=3, alpha=0.5)
        axes.plot(own["accuracy"], y, "o", color=PALETTE[0], markersize=7, label="accuracy, with its interval")
        axes.plot(own["recall"], y, "|", color=PALETTE[1], markersize=13, mew=2, label="recall, mean over emotions")
        name_rows(axes, list(own["level"]))
        axes.set_ylabel(fact)
    panels[-1, 0].set_xlabel("percent, mean over models")
    put_legend_above(figure)
    return figure
