"""Figures of the audit: test sizes, shared voices, selection on test, speaker leaks, two windows."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from serab_lib.audit.denominators import LARGEST_TELLING_SIZE, list_fitting_sizes
from serab_lib.book.plots import PALETTE, PAPER_COLOUR, PROTOCOL_COLOURS, new_figure, put_legend_above

_MARKERS = {"released": "o", "described": "s", "all files": "D"}
_READING_COLOURS = {**PROTOCOL_COLOURS, "all files": PALETTE[2]}


def plot_test_sizes(accuracies: pd.DataFrame, comparison: pd.DataFrame) -> Figure:
    """Draw every test size that the printed accuracies allow, with those of the protocol's readings.

    Parameters
    ----------
    accuracies : pandas.DataFrame
        As from `serab_lib.evaluation.paper.read_accuracies`.
    comparison : pandas.DataFrame
        As from `serab_lib.audit.denominators.compare_readings`.

    Returns
    -------
    Figure
        One row per task: a tick for each size that fits, a filled marker for a reading that fits and an open one for
        a reading that is ruled out.
    """
    tasks = list(comparison["task"].drop_duplicates())
    fitting = list_fitting_sizes(accuracies, tasks)
    figure, axes = new_figure(height=0.42 * len(tasks) + 1.5)
    rows = {task: row for row, task in enumerate(tasks)}
    axes.scatter(fitting["n"], fitting["task"].map(rows), marker="|", s=90, linewidth=0.9, color=PAPER_COLOUR, zorder=2)
    axes.axvspan(LARGEST_TELLING_SIZE + 1, 2_000, color="0.92", zorder=0)
    for (task, reading), own in comparison.groupby(["task", "reading"], sort=False):
        # Readings of about one size lie beside each other.
        near = (comparison["n_test"] / own["n_test"].iloc[0] - 1).abs() < 0.05
        same = comparison[(comparison["task"] == task) & near]
        offset = 0.24 * (list(same["reading"]).index(reading) - (len(same) - 1) / 2)
        colour = _READING_COLOURS[reading]
        axes.scatter(
            own["n_test"],
            rows[task] + offset,
            marker=_MARKERS[reading],
            s=42,
            facecolor=colour if own["fits"].iloc[0] else "white",
            edgecolor=colour,
            linewidth=1.6,
            zorder=3,
        )
    axes.set_xscale("log")
    ticks = [50, 100, 200, 500, 1_000, 2_000]
    axes.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
    axes.set_xticks([], minor=True)
    axes.set_xlim(50, 2_000)
    axes.set_yticks(range(len(tasks)), tasks)
    axes.set_ylim(len(tasks) - 0.5, -0.5)
    axes.grid(axis="y", visible=False)
    axes.set_xlabel("size of the test part (utterances)")
    handles = [
        Line2D([], [], linestyle="", marker="|", markersize=10, color=PAPER_COLOUR, label="fits all rows"),
        *(
            Line2D([], [], linestyle="", marker=_MARKERS[name], color=_READING_COLOURS[name], label=name)
            for name in comparison["reading"].drop_duplicates()
        ),
        Line2D([], [], linestyle="", marker="s", markerfacecolor="white", color="0.3", label="ruled out"),
        Line2D([], [], linestyle="", marker="s", markersize=11, color="0.88", label="every size fits"),
    ]
    put_legend_above(figure, handles, n_columns=3)
    return figure


def plot_weighted_means(scan: pd.DataFrame, sizes: dict[str, int]) -> Figure:
    """Draw how well each size of one task's test part explains the printed weighted means.

    Parameters
    ----------
    scan : pandas.DataFrame
        As from `serab_lib.audit.weighted.weigh_sizes` over a range of sizes.
    sizes : dict
        Reading to size, such as ``{"released": 1122, "described": 1157}``.

    Returns
    -------
    Figure
    """
    figure, axes = new_figure(height=3.0)
    floor = 1e-6  # what the draws can show
    axes.plot(scan["n"], scan["relative"].clip(lower=floor), color=PAPER_COLOUR, linewidth=2)
    axes.set_yscale("log")
    axes.set_ylim(floor / 2, 5)
    for name, n in sizes.items():
        value = scan.set_index("n")["relative"].get(n, np.nan)
        axes.axvline(n, color=_READING_COLOURS[name], linewidth=1, linestyle=":")
        axes.plot(n, max(value, floor), marker=_MARKERS[name], markersize=8, color=_READING_COLOURS[name], label=name)
    axes.set_xlabel(f"assumed size of the test part of {scan['task'].iloc[0]} (utterances)")
    axes.set_ylabel("likelihood of the printed\nweighted means (best = 1)")
    put_legend_above(figure, axes=axes, n_columns=3)
    return figure


def plot_shared_speakers(speakers: pd.DataFrame) -> Figure:
    """Draw, for each task and protocol, how much of the test part is spoken by people who are in train.

    Parameters
    ----------
    speakers : pandas.DataFrame
        As from `serab_lib.audit.speakers.compare_speakers`.

    Returns
    -------
    Figure
        The numbers at the bars are the speakers of the test parts.
    """
    test = speakers[speakers["part"] == "test"]
    tasks = list(test["task"].drop_duplicates())
    figure, axes = new_figure(height=0.45 * len(tasks) + 1.2)
    for shift, protocol in ((-0.2, "released"), (0.2, "described")):
        own = test[test["protocol"] == protocol].set_index("task").loc[tasks]
        y = np.arange(len(tasks)) + shift
        axes.barh(y, 100, height=0.34, color="0.93", zorder=1)
        axes.barh(
            y, 100 * own["shared_with_train"], height=0.34, color=PROTOCOL_COLOURS[protocol], label=protocol, zorder=2
        )
        for position, n in zip(y, own["n_speakers"], strict=True):
            axes.text(102, position, f"{n}", va="center", fontsize=9, color="0.25")
    axes.text(101, -0.62, "test\nspeakers", va="bottom", fontsize=9, color="0.25", linespacing=1.0)
    axes.set_yticks(range(len(tasks)), tasks)
    axes.set_ylim(len(tasks) - 0.5, -0.6)
    axes.set_xlim(0, 112)
    axes.set_xticks(range(0, 101, 25))
    axes.grid(axis="y", visible=False)
    axes.set_xlabel("test utterances whose speaker is also in train (%)")
    put_legend_above(figure, axes=axes, n_columns=2)
    return figure


def plot_selection_gap(simulated: pd.DataFrame, measured: pd.DataFrame | None = None) -> Figure:
    """Draw what choosing the classifier on the test part adds, task by task.

    Parameters
    ----------
    simulated : pandas.DataFrame
        As from `serab_lib.audit.selection.simulate_selection`.
    measured : pandas.DataFrame, optional
        As from `serab_lib.audit.selection.measure_selection`, one protocol; tasks that are not simulated are left out.

    Returns
    -------
    Figure
        Means, with bars over 95 % of the simulated draws; measured cells as crosses.
    """
    table = simulated.sort_values("n_test").reset_index(drop=True)
    figure, axes = new_figure(height=0.4 * len(table) + 1.2)
    y = np.arange(len(table))
    axes.hlines(y, table["low"], table["high"], color=PALETTE[0], linewidth=5, alpha=0.3)
    axes.plot(table["gap"], y, "o", markersize=8, color=PALETTE[0], label="simulated: mean, and 95 % of the draws")
    if measured is not None and len(measured):
        rows = {task: row for row, task in enumerate(table["task"])}
        own = measured[measured["task"].isin(rows)]
        axes.plot(100 * own["gap"], own["task"].map(rows), "x", color=PALETTE[1], markersize=8, mew=2, label="measured")
    axes.set_yticks(y, [f"{row.task} ({row.n_test:,})" for row in table.itertuples()])
    axes.set_ylim(len(table) - 0.5, -0.5)
    axes.set_xlim(left=-0.3)
    axes.set_xlabel("best on test minus chosen on validation (points)")
    axes.set_ylabel("task (test utterances)")
    put_legend_above(figure, axes=axes, n_columns=2)
    return figure


def plot_measured_leak(tables: dict[str, pd.DataFrame]) -> Figure:
    """Draw what it is worth to have heard the test speakers, on the same test utterances.

    Parameters
    ----------
    tables : dict
        Name, such as a model, to a table as from `benchmarks/speaker_leak.py`.

    Returns
    -------
    Figure
        One line per halving of the test part.
    """
    figure, panels = new_figure(1, len(tables), height=3.2, sharey=True, squeeze=False)
    for axes, (title, table) in zip(panels[0], tables.items(), strict=True):
        for row in table.itertuples():
            axes.plot([0, 1], [100 * row.without, 100 * row.with_leak], color=PAPER_COLOUR, linewidth=1, alpha=0.6)
        for x, column, protocol in ((0, "without", "described"), (1, "with_leak", "released")):
            values = 100 * table[column]
            axes.plot([x] * len(values), values, "o", color=PROTOCOL_COLOURS[protocol], markersize=5)
            axes.plot(x, values.mean(), "_", color=PROTOCOL_COLOURS[protocol], markersize=36, mew=3)
        axes.set_xticks([0, 1], ["unknown", "known"])
        axes.set_xlim(-0.4, 1.4)
        axes.set_title(title, fontsize=10)
        axes.grid(axis="x", visible=False)
    figure.supxlabel("test speakers in training", fontsize=10)
    panels[0][0].set_ylabel("accuracy on test (%)")
    return figure


_WINDOW_SERIES = {
    "window_400": ("BYOL-A, window 400 (the release)", "o", PALETTE[1], True),
    "window_1024": ("BYOL-A, window 1,024 (NTT's)", "s", PALETTE[0], True),
    "own_statistics": ("BYOL-A, 1,024 with its own statistics", "s", PALETTE[0], False),
    "byol_s_printed": ("BYOL-S 512, printed", "D", PAPER_COLOUR, True),
    "byol_s_measured": ("BYOL-S 512, measured here", "D", PAPER_COLOUR, False),
}


def plot_windows(table: pd.DataFrame) -> Figure:
    """Draw how far BYOL-A 512 through either window, and BYOL-S 512, are from the printed BYOL-A 512.

    Parameters
    ----------
    table : pandas.DataFrame
        As from `serab_lib.audit.measurements.compare_windows`.

    Returns
    -------
    Figure
        One row per task, with the printed accuracy of BYOL-A beside its name, and one for their mean.
    """
    series = [name for name in _WINDOW_SERIES if name in table]
    figure, axes = new_figure(height=0.19 * len(series) * len(table) + 1.4)
    axes.axvline(0, color="0.2", linewidth=1.5, linestyle="--", label="BYOL-A 512, printed")
    for lane, name in enumerate(series):
        label, marker, colour, filled = _WINDOW_SERIES[name]
        y = np.arange(len(table)) + 0.16 * (lane - (len(series) - 1) / 2)
        points = table[name] - table["printed"]
        axes.hlines(y, 0, points, color=colour, linewidth=1.5, alpha=0.6)
        axes.plot(
            points, y, marker, markersize=7, color=colour, mfc=colour if filled else "white", mew=1.6, label=label
        )
    axes.axhline(len(table) - 1.5, color="0.6", linewidth=0.8)
    axes.set_yticks(range(len(table)), [f"{name}\n{value:.1f}" for name, value in table["printed"].items()])
    axes.set_ylim(len(table) - 0.5, -0.5)
    axes.grid(axis="y", visible=False)
    axes.set_xlabel("accuracy on test minus the printed accuracy of BYOL-A 512 (points)")
    axes.set_ylabel("task, and printed accuracy (%)")
    put_legend_above(figure, axes=axes, n_columns=2)
    return figure


_RESAMPLER_MARKERS = "oDs^vPX*"


def plot_label_order(orders: pd.DataFrame, *, printed: float | None = None, column: str = "test_accuracy") -> Figure:
    """Draw the accuracies that random orders of the classes give.

    Parameters
    ----------
    orders : pandas.DataFrame
        As `benchmarks/label_order.py` writes them.
    printed : float, optional
        The paper's accuracy, percent.
    column : str
        `test_accuracy` of the SVM, or `released`.

    Returns
    -------
    Figure
        Coloured by the parameters that validation chooses.
    """
    figure, axes = new_figure(height=3.0)
    accuracy = 100 * orders[column]
    settings = orders["best_params"].map(_name_setting)
    step = 100 / 300 if accuracy.nunique() < 60 else 0.5
    edges = np.arange(accuracy.min() - step / 2, accuracy.max() + step, step)
    names = list(settings.value_counts().index)
    axes.hist(
        [accuracy[settings == name] for name in names],
        bins=edges,
        stacked=True,
        color=[PALETTE[number % len(PALETTE)] for number in range(len(names))],
        label=names,
        weights=[np.full((settings == name).sum(), 100 / len(orders)) for name in names],
    )
    if printed is not None:
        axes.axvline(printed, color="0.2", linewidth=1.5, linestyle="--", label="printed")
    axes.set_xlabel("accuracy on test (%)")
    axes.set_ylabel("orders of the classes (%)")
    put_legend_above(figure, axes=axes, n_columns=2)
    return figure


def plot_resamplers(reported: pd.DataFrame, *, printed: Mapping[str, float] | None = None) -> Figure:
    """Draw what a protocol reports on copies of the same recordings by several resamplers.

    Parameters
    ----------
    reported : pandas.DataFrame
        `model`, `resampler`, `protocol` and `test_accuracy` (0 to 1), one row each.
    printed : mapping, optional
        Model to the paper's accuracy, percent.

    Returns
    -------
    Figure
        A panel per protocol, with one row per model and one mark per resampler.
    """
    models, resamplers, protocols = (list(dict.fromkeys(reported[key])) for key in ("model", "resampler", "protocol"))
    protocols.sort(reverse=True)
    figure, panels = new_figure(
        1, len(protocols), height=1.4 + 0.6 * len(models), squeeze=False, sharex=True, sharey=True
    )
    for axes, protocol in zip(panels[0], protocols, strict=True):
        own = reported[reported["protocol"] == protocol]
        for position, name in enumerate(resamplers):
            accuracy = 100 * own[own["resampler"] == name].set_index("model")["test_accuracy"].reindex(models)
            # A mark a line inside the row, so that equal accuracies do not cover each other.
            height = np.arange(len(models)) + 0.17 * (position - (len(resamplers) - 1) / 2)
            axes.plot(accuracy, height, _RESAMPLER_MARKERS[position], color=PALETTE[position], markersize=7, label=name)
        for row, model in enumerate(models):
            if model in (printed or {}):
                axes.plot([printed[model]] * 2, [row - 0.4, row + 0.4], "--", color="0.2", label="printed")
        axes.set_title(protocol)
        axes.set_xlabel("accuracy on test (%)")
    axes.set_yticks(range(len(models)), models)
    axes.set_ylim(len(models) - 0.5, -0.5)
    handles = {handle.get_label(): handle for handle in axes.lines}
    put_legend_above(figure, list(handles.values()), n_columns=len(handles))
    return figure


def _name_setting(params: dict[str, object]) -> str:
    return f"{params['kernel']}, C = {params['C']:g}" + (", balanced" if params["class_weight"] else "")
