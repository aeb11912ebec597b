"""Figures of the audit: test sizes, two windows, selection on test, seen speakers, orders of classes, resamplers."""

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
# Column of a comparison of windows: what it is, its marker, its colour, and whether that fills the marker.
_WINDOWS = {
    "window_400": ("BYOL-A, window 400 (the release)", "o", PALETTE[1], True),
    "window_1024": ("BYOL-A, window 1,024 (NTT's)", "s", PALETTE[0], True),
    "own_statistics": ("BYOL-A, 1,024 with its own statistics", "s", PALETTE[0], False),
    "byol_s_printed": ("BYOL-S 512, printed", "D", PAPER_COLOUR, True),
    "byol_s_measured": ("BYOL-S 512, measured here", "D", PAPER_COLOUR, False),
}


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


def plot_weighted_means(scan: pd.DataFrame, sizes: Mapping[str, int]) -> Figure:
    """Draw how many printed weighted means each size of one task's test set allows, and each reading's."""
    figure, axes = new_figure(height=3.0)
    n_possible, n_rows = scan.set_index("n")["n_possible"], scan["n_rows"].max()
    axes.bar(n_possible.index, n_possible, width=1.0, color=PAPER_COLOUR, alpha=0.6)
    axes.axhline(n_rows, color="0.5", linewidth=1, linestyle=":")
    for name, n in sizes.items():
        axes.plot(n, n_possible[n], _READING_MARKERS[name], ms=8, color=_READINGS[name], label=name)
    axes.set(ylim=(0, n_rows + 1), ylabel=f"weighted means that are\npossible (of {n_rows})")
    label = f"assumed size of {scan['task'].iloc[0]}'s test set (utterances)"
    axes.xaxis.set(label_text=label, major_formatter="{x:,.0f}")
    put_legend_above(figure)
    return figure


def plot_selection_gap(simulated: pd.DataFrame, measured: pd.DataFrame) -> Figure:
    """Draw what choosing the classifier on the test part adds: simulated over 95 % of draws, measured as crosses."""
    table = simulated.sort_values("n_test")
    tasks = list(table["task"])
    figure, axes = new_figure(height=0.4 * len(table) + 1.2)
    y = np.arange(len(table))
    axes.hlines(y, table["low"], table["high"], color=PALETTE[0], linewidth=5, alpha=0.3)
    axes.plot(table["gap"], y, "o", markersize=8, color=PALETTE[0], label="simulated: mean, and 95 % of the draws")
    own = measured[measured["task"].isin(tasks)]
    if len(own):
        rows = own["task"].map(tasks.index)
        axes.plot(100 * own["gap"], rows, "x", color=PALETTE[1], markersize=8, mew=2, label="measured")
    name_rows(axes, [f"{task} ({n:,})" for task, n in zip(tasks, table["n_test"], strict=True)])
    axes.set_xlim(left=-0.3)
    axes.set(xlabel="best on test minus chosen on validation (points)", ylabel="task (test utterances)")
    put_legend_above(figure)
    return figure


def plot_measured_leak(tables: Mapping[str, pd.DataFrame]) -> Figure:
    """Draw accuracies with the test speakers unseen and seen in training, one line a speaker, one panel a model."""
    figure, panels = new_figure(1, len(tables), height=3.2, sharey=True, squeeze=False)
    for axes, (title, table) in zip(panels.flat, tables.items(), strict=True):
        accuracies = 100 * table[["unseen", "seen"]]
        axes.plot([0, 1], accuracies.T, "o-", color=PAPER_COLOUR, linewidth=1, markersize=5)
        axes.plot([0, 1], accuracies.mean(), "_-", color=PALETTE[0], markersize=24, mew=3, linewidth=2)
        axes.set_xticks([0, 1], accuracies.columns)
        axes.set_xlim(-0.4, 1.4)
        axes.set_title(title, fontsize=10)
        axes.grid(axis="x", visible=False)
    figure.supxlabel("test speakers in training", fontsize=10)
    panels[0][0].set_ylabel("accuracy on test (%)")
    return figure


def plot_windows(table: pd.DataFrame) -> Figure:
    """Draw how far BYOL-A 512 through either window, and BYOL-S 512, are from the printed BYOL-A 512."""
    series = [name for name in _WINDOWS if name in table]
    figure, axes = new_figure(height=0.19 * len(series) * len(table) + 1.4)
    axes.axvline(0, color="0.2", linewidth=1.5, linestyle="--", label="BYOL-A 512, printed")
    for i, name in enumerate(series):
        label, marker, colour, filled = _WINDOWS[name]
        y = np.arange(len(table)) + _shift(i, len(series), 0.16)
        points, face = table[name] - table["printed"], colour if filled else "white"
        axes.hlines(y, 0, points, color=colour, linewidth=1.5, alpha=0.6)
        axes.plot(points, y, marker, markersize=7, color=colour, mfc=face, mew=1.6, label=label)
    axes.axhline(len(table) - 1.5, color="0.6", linewidth=0.8)
    name_rows(axes, [f"{name}\n{value:.1f}" for name, value in table["printed"].items()])
    axes.set_xlabel("accuracy on test minus the printed accuracy of BYOL-A 512 (points)")
    axes.set_ylabel("task, and printed accuracy (%)")
    put_legend_above(figure, n_columns=2)
    return figure


def plot_label_order(orders: pd.DataFrame, *, printed: float) -> Figure:
    """Draw the accuracies that the released procedure gives over orders of the classes, by the chosen parameters."""
    accuracy = 100 * orders["released"]
    settings = orders["best_params"].map(_name_setting)
    names = list(settings.value_counts().index)
    step = 100 / 300 if accuracy.nunique() < 60 else 0.5
    figure, axes = new_figure(height=3.0)
    axes.hist(
        [accuracy[settings == name] for name in names],
        bins=np.arange(accuracy.min() - step / 2, accuracy.max() + step, step),
        stacked=True,
        color=PALETTE[: len(names)],
        label=names,
        weights=[np.full((settings == name).sum(), 100 / len(orders)) for name in names],
    )
    axes.axvline(printed, color="0.2", linewidth=1.5, linestyle="--", label="printed")
    axes.set(xlabel="accuracy on test (%)", ylabel="orders of the classes (%)")
    put_legend_above(figure, n_columns=2)
    return figure


def _name_setting(params: Mapping[str, object]) -> str:
    return f"{params['kernel']}, C = {params['C']:,g}" + (", balanced" if params["class_weight"] else "")


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
