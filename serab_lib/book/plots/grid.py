"""Figures of the statistics: intervals, ranks, subsets of the tasks, size against accuracy, confusions."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from serab_lib.book.plots import PALETTE, PAPER_COLOUR, WIDTH_INCHES, new_figure, put_legend_above, style
from serab_lib.evaluation.optional import require
from serab_lib.evaluation.rankings import RankComparison

FAMILY_COLOURS = {"BYOL-S": PALETTE[0], "BYOL-S/CvT": PALETTE[2], "BYOL-A": PALETTE[1], "other": PAPER_COLOUR}
FAMILY_MARKERS = {"BYOL-S": "o", "BYOL-S/CvT": "^", "BYOL-A": "s", "other": "D"}


def find_family(model: str) -> str:
    """Find the family that a model is coloured by."""
    name = str(model).split(",")[0]
    return name if name in FAMILY_COLOURS else "other"


def plot_intervals(intervals: pd.DataFrame, *, n_columns: int = 3) -> Figure:
    """Draw every printed accuracy with its interval, one panel per task.

    Parameters
    ----------
    intervals : pandas.DataFrame
        As from `serab_lib.evaluation.intervals.intervals_of_table`.
    n_columns : int

    Returns
    -------
    Figure
        The band is the interval of each task's best model.
    """
    tasks, models = list(intervals["task"].drop_duplicates()), list(intervals["model"].drop_duplicates())
    n_rows = -(-len(tasks) // n_columns)
    figure, panels = new_figure(
        n_rows, n_columns, height=n_rows * (0.19 * len(models) + 0.75) + 0.3, sharey=True, squeeze=False
    )
    for axes, task in zip(panels.ravel(), tasks, strict=False):
        own = intervals[intervals["task"] == task].set_index("model").loc[models]
        best = own.loc[own["accuracy"].idxmax()]
        axes.axvspan(best["low"], best["high"], color="0.92", zorder=0)
        for y, (model, row) in enumerate(own.iterrows()):
            family = find_family(model)
            axes.hlines(y, row["low"], row["high"], color=FAMILY_COLOURS[family], linewidth=2)
            axes.plot(row["accuracy"], y, FAMILY_MARKERS[family], color=FAMILY_COLOURS[family], markersize=5)
        axes.set_title(f"{task}, n = {own['n'].iloc[0]:,}", fontsize=10)
        axes.set_ylim(-0.6, len(models) - 0.4)
        axes.set_yticks(range(len(models)), models, fontsize=8.5)
        axes.tick_params(axis="y", length=0)
    for axes in panels.ravel()[len(tasks) :]:
        axes.set_visible(False)
    for axes in panels[-1]:
        axes.set_xlabel("accuracy (%)")
    return figure


def plot_bold(comparison: pd.DataFrame, *, alpha: float = 0.05) -> Figure:
    """Draw for each task what p-values are possible between the best model and the runner-up.

    Parameters
    ----------
    comparison : pandas.DataFrame
        As from `serab_lib.evaluation.comparisons.compare_bold`.
    alpha : float

    Returns
    -------
    Figure
        Each line goes from the most to the least favourable pairing of the two models' answers.
    """
    figure, axes = new_figure(height=0.38 * len(comparison) + 1.3)
    y = np.arange(len(comparison))
    axes.axvspan(1e-3, alpha, color="0.92", zorder=0)
    axes.hlines(y, comparison["p_lowest"], comparison["p_highest"], color=PALETTE[0], linewidth=3)
    axes.plot(comparison["p_lowest"], y, "|", color=PALETTE[0], markersize=12, mew=2)
    axes.plot(comparison["p_highest"], y, "|", color=PALETTE[0], markersize=12, mew=2)
    axes.plot(comparison["p_unpaired"], y, "D", color=PALETTE[1], markersize=6)
    axes.set_xscale("log")
    axes.set_xlim(min(5e-3, comparison["p_lowest"].min() / 1.5), 1.4)
    ticks = [0.01, 0.05, 0.1, 0.25, 0.5, 1]
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.set_xticks([], minor=True)
    gaps = comparison["accuracy_best"] - comparison["accuracy_runner_up"]
    axes.set_yticks(y, [f"{task} (+{gap:.1f})" for task, gap in zip(comparison["task"], gaps, strict=True)])
    axes.set_ylim(len(comparison) - 0.5, -0.5)
    axes.set_xlabel("p of best against runner-up")
    axes.set_ylabel("task (lead in points)")
    handles = [
        Line2D([], [], color=PALETTE[0], linewidth=3, label="paired: all possible pairings"),
        Line2D([], [], linestyle="", marker="D", color=PALETTE[1], label="unpaired"),
        Patch(color="0.92", label=f"p < {alpha:g}"),
    ]
    put_legend_above(figure, handles, n_columns=3)
    return figure


def plot_critical_difference(comparison: RankComparison) -> Figure:
    """Draw mean ranks, and bars over models that cannot be told apart.

    Parameters
    ----------
    comparison : RankComparison
        As from `serab_lib.evaluation.rankings.compare_ranks`.

    Returns
    -------
    Figure

    Raises
    ------
    SerabError
        If scikit-posthocs is not installed.
    """
    posthocs = require("scikit_posthocs")
    n_models = len(comparison.ranks)
    figure, axes = new_figure(height=0.2 * n_models + 1.4)
    colours = {model: FAMILY_COLOURS[find_family(model)] for model in comparison.ranks.index}
    with style():
        posthocs.critical_difference_diagram(
            comparison.ranks,
            comparison.p_pairs,
            alpha=comparison.alpha,
            ax=axes,
            label_fmt_left="{label} ({rank:.1f})",
            label_fmt_right="({rank:.1f}) {label}",
            color_palette=colours,
            label_props={"size": 10},
            crossbar_props={"color": "0.35", "linewidth": 3, "marker": None},
            marker_props={"marker": "o", "s": 30},
        )
    axes.grid(visible=False)
    axes.set_xlabel(f"mean rank over {comparison.n_tasks} tasks (1 is best)")
    axes.xaxis.set_label_position("top")
    return figure


def plot_subsets(sizes: pd.DataFrame, redrawn: pd.DataFrame | None = None) -> Figure:
    """Draw how well rankings on some of the tasks agree with that on all.

    Parameters
    ----------
    sizes : pandas.DataFrame
        As from `serab_lib.evaluation.subsets.summarise_sizes`.
    redrawn : pandas.DataFrame, optional
        As from `serab_lib.evaluation.subsets.bootstrap_subsets` over utterances.

    Returns
    -------
    Figure
    """
    figure, (left, right) = new_figure(1, 2, height=3.3)
    x = sizes["n_tasks"]
    left.fill_between(x, sizes["tau_low"], sizes["tau_high"], color=PALETTE[0], alpha=0.2, linewidth=0)
    left.plot(x, sizes["tau_mean"], "o-", color=PALETTE[0], label="as printed: mean, 5–95 % of the subsets")
    left.plot(x, sizes["tau_lowest"], "_", color=PALETTE[0], markersize=10, mew=2, label="as printed: lowest")
    right.plot(x, 100 * sizes["same_best"], "o-", color=PALETTE[0])
    if redrawn is not None:
        middle = (redrawn["low"] + redrawn["high"]) / 2
        errors = {"fmt": "none", "capsize": 3, "color": PALETTE[1], "linewidth": 2}
        left.errorbar(
            redrawn["n_tasks"] + 0.2,
            middle,
            (redrawn["high"] - redrawn["low"]) / 2,
            **errors,
            label="test parts redrawn: mean, 95 %",
        )
        low, high = 100 * redrawn["same_best_low"], 100 * redrawn["same_best_high"]
        right.errorbar(redrawn["n_tasks"] + 0.2, (low + high) / 2, (high - low) / 2, **errors)
    left.set_ylabel("Kendall's tau to the full ranking")
    left.set_ylim(0.25, 1.03)
    right.set_ylabel("same best model (% of subsets)")
    right.set_ylim(-3, 103)
    for axes in (left, right):
        axes.set_xlabel("number of tasks")
        axes.set_xticks(list(x))
    put_legend_above(figure, axes=left, n_columns=2)
    return figure


def plot_task_information(weights: pd.DataFrame) -> Figure:
    """Draw how much each task tells about the ranking on all of them.

    Parameters
    ----------
    weights : pandas.DataFrame
        As from `serab_lib.evaluation.subsets.weigh_tasks`.

    Returns
    -------
    Figure
    """
    table = weights.sort_values("gain").reset_index(drop=True)
    figure, axes = new_figure(height=0.38 * len(table) + 1.2)
    y = np.arange(len(table))
    axes.hlines(y, table["tau_without_it"], table["tau_with_it"], color="0.7", linewidth=3, zorder=1)
    axes.plot(table["tau_without_it"], y, "o", color="white", mec=PALETTE[0], mew=2, markersize=8, label="without it")
    axes.plot(table["tau_with_it"], y, "o", color=PALETTE[0], markersize=8, label="with it")
    axes.plot(table["tau_alone"], y, "x", color=PALETTE[1], markersize=8, mew=2, label="alone")
    axes.set_yticks(y, table["task"])
    axes.set_xlabel("Kendall's tau to the ranking on all tasks (mean over subsets)")
    axes.grid(axis="y", visible=False)
    put_legend_above(figure, axes=axes, n_columns=3)
    return figure


def plot_model_sizes(table: pd.DataFrame, outcome: str = "UM") -> Figure:
    """Draw accuracy against the number of parameters and the size of the embedding.

    Parameters
    ----------
    table : pandas.DataFrame
        As from `serab_lib.evaluation.model_size.join_sizes`; with `UM_half_width` the intervals are drawn too.
    outcome : str

    Returns
    -------
    Figure
        The sizes of a family are joined by a line.
    """
    figure, panels = new_figure(1, 2, height=3.5, sharey=True)
    labels = {"parameters_millions": "parameters (millions)", "embedding_size": "size of the embedding"}
    ticks = {"parameters_millions": [0.5, 1, 2, 5, 10, 20, 50], "embedding_size": [128, 512, 2048, 8192]}
    for axes, (predictor, label) in zip(panels, labels.items(), strict=True):
        for family, own in table[table[predictor].notna()].groupby("family", sort=False):
            own = own.sort_values(["embedding_size"])
            colour, marker = FAMILY_COLOURS[family], FAMILY_MARKERS[family]
            # Two CvTs of one size lie on each other: moved apart by a little.
            x = own[predictor] * (1 + 0.04 * own.groupby(predictor).cumcount())
            if f"{outcome}_half_width" in own:
                axes.errorbar(x, own[outcome], own[f"{outcome}_half_width"], fmt="none", color=colour, alpha=0.5)
            line = "" if family == "other" else "-"
            axes.plot(x, own[outcome], marker=marker, linestyle=line, color=colour, markersize=7, label=family)
            if family == "other":
                # The best one's name above, the others' below their markers.
                for name, x_name, y_name in zip(own.index, x, own[outcome], strict=True):
                    axes.annotate(
                        str(name).split(",")[0],
                        (x_name, y_name),
                        xytext=(0, 15 if y_name == own[outcome].max() else -22),
                        textcoords="offset points",
                        ha="center",
                        fontsize=9,
                        color="0.25",
                    )
        axes.set_xscale("log")
        axes.set_xticks(ticks[predictor], [f"{tick:g}" for tick in ticks[predictor]])
        axes.set_xticks([], minor=True)
        axes.set_xlabel(label)
        axes.margins(x=0.14, y=0.12)
    panels[0].set_ylabel(f"{outcome} (%)")
    handles = [
        Line2D([], [], marker=FAMILY_MARKERS[name], color=colour, linestyle="" if name == "other" else "-", label=name)
        for name, colour in FAMILY_COLOURS.items()
        if name in set(table["family"])
    ]
    put_legend_above(figure, handles, n_columns=4)
    return figure


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
