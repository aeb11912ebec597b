"""Figures of the audit: which test sizes the printed accuracies allow, and what resamplers change."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from serab_lib.audit.tables import LARGEST_TELLING_SIZE, list_possible_sizes
from serab_lib.book.plots import (
    PALETTE,
    PAPER_COLOUR,
    PROTOCOL_COLOURS,
    explain,
    name_rows,
    new_figure,
    put_legend_above,
    set_log_ticks,
)

_READINGS = {**PROTOCOL_COLOURS, "all files": PALETTE[2]}
_READING_MARKERS = {"released": "o", "described": "s", "all files": "D"}
_RESAMPLER_MARKERS = "oDs^vPX*"


def _shift(position: int, n: int, step: float) -> float:
    """How far from the middle of its row the mark of one of n kinds lies, so that none covers another."""
    return step * (position - (n - 1) / 2)


def plot_test_sizes(comparison: pd.DataFrame) -> Figure:
    """Draw every test size that the printed accuracies allow, and the readings' sizes, open where ruled out."""
    tasks = list(comparison["task"].drop_duplicates())
    fitting = list_possible_sizes()
    figure, axes = new_figure(height=0.42 * len(tasks) + 1.5)
    rows = fitting["task"].map(tasks.index)
    axes.scatter(fitting["n"], rows, marker="|", s=90, linewidth=0.9, color=PAPER_COLOUR, zorder=2)
    axes.axvspan(LARGEST_TELLING_SIZE + 1, 2_000, color="0.92", zorder=0)
    for task, readings in comparison.groupby("task", sort=False):
        for reading, n, fits in readings[["reading", "n_test", "fits"]].itertuples(index=False):
            # Readings of about one size lie beside each other.
            near = list(readings.loc[(readings["n_test"] / n - 1).abs() < 0.05, "reading"])
            y = tasks.index(task) + _shift(near.index(reading), len(near), 0.24)
            face, edge = _READINGS[reading] if fits else "white", _READINGS[reading]
            style = {"marker": _READING_MARKERS[reading], "s": 42, "linewidth": 1.6, "zorder": 3}
            axes.scatter(n, y, facecolor=[face], edgecolor=[edge], **style)
    set_log_ticks(axes, [50, 100, 200, 500, 1_000, 2_000])
    axes.set(xlim=(50, 2_000), xlabel="size of the test set (utterances)")
    name_rows(axes, tasks)
    handles = [
        explain("fits all rows", PAPER_COLOUR, "|", markersize=10),
        *(explain(name, _READINGS[name], _READING_MARKERS[name]) for name in comparison["reading"].drop_duplicates()),
        explain("ruled out", "0.3", "s", markerfacecolor="white"),
        explain("every size fits", "0.88", "s", markersize=11),
    ]
    put_legend_above(figure, handles)
    return figure


def plot_resamplers(reported: pd.DataFrame, *, printed: Mapping[str, float]) -> Figure:
    """Draw what each protocol reports on copies of the same recordings by several resamplers, one mark each."""
    models, resamplers = list(reported["model"].unique()), list(reported["resampler"].unique())
    protocols = sorted(reported["protocol"].unique(), reverse=True)
    options = {"height": 1.4 + 0.6 * len(models), "squeeze": False, "sharex": True, "sharey": True}
    figure, panels = new_figure(1, len(protocols), **options)
    for axes, protocol in zip(panels.flat, protocols, strict=True):
        own = reported[reported["protocol"] == protocol]
        for i, name in enumerate(resamplers):
            accuracy = 100 * own[own["resampler"] == name].set_index("model")["test_accuracy"].reindex(models)
            y = np.arange(len(models)) + _shift(i, len(resamplers), 0.17)
            axes.plot(accuracy, y, _RESAMPLER_MARKERS[i], color=PALETTE[i], markersize=7, label=name)
        for row, model in enumerate(models):
            if model in printed:
                axes.plot([printed[model]] * 2, [row - 0.4, row + 0.4], "--", color="0.2", label="printed")
        axes.set_title(protocol, fontsize=10)
        axes.set_xlabel("accuracy on test (%)")
    name_rows(axes, models)
    handles = {handle.get_label(): handle for handle in axes.lines}
    put_legend_above(figure, list(handles.values()), n_columns=len(handles))
    return figure
