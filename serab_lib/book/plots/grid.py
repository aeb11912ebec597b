"""Figures of the accuracy grid: intervals, contrasts, ranks, subsets of the tasks, sizes of models, confusions."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from serab_lib.book.plots import (
    PALETTE,
    PAPER_COLOUR,
    STYLE,
    WIDTH_INCHES,
    explain,
    name_rows,
    new_figure,
    put_legend_above,
    set_log_ticks,
)
from serab_lib.corpora.task import PAPER_TASKS
from serab_lib.evaluation.paper import read_accuracies
from serab_lib.evaluation.rankings import RankComparison
from serab_lib.evaluation.significance import require

_COLOURS = {"BYOL-S": PALETTE[0], "BYOL-S/CvT": PALETTE[2], "BYOL-A": PALETTE[1], "other": PAPER_COLOUR}
_MARKERS = {"BYOL-S": "o", "BYOL-S/CvT": "^", "BYOL-A": "s", "other": "D"}
_SIZES = {
    "parameters_millions": ("parameters (millions)", [0.5, 1, 2, 5, 10, 20, 50]),
    "embedding_size": ("size of the embedding", [128, 512, 2048, 8192]),
}


def _find_family(model: str) -> str:
    name = model.split(",")[0]
    return name if name in _COLOURS else "other"


def plot_intervals(intervals: pd.DataFrame) -> Figure:
    """Draw every printed accuracy with its interval, a panel a task; the band is the interval of its best model."""
    tasks, models = list(intervals["task"].drop_duplicates()), list(intervals["model"].drop_duplicates())
    n_rows = len(tasks) // 3
    figure, panels = new_figure(n_rows, 3, height=n_rows * (0.19 * len(models) + 0.75) + 0.3, sharey=True)
    for axes, task in zip(panels.flat, tasks, strict=True):
        own = intervals[intervals["task"] == task].set_index("model").loc[models]
        best = own.loc[own["accuracy"].idxmax()]
        axes.axvspan(best["low"], best["high"], color="0.92", zorder=0)
        for y, (model, row) in enumerate(own.iterrows()):
            family = _find_family(model)
            axes.hlines(y, row["low"], row["high"], color=_COLOURS[family], linewidth=2)
            axes.plot(row["accuracy"], y, _MARKERS[family], color=_COLOURS[family], markersize=5)
        axes.set_title(f"{task}, n = {own['n'].iloc[0]:,}", fontsize=10)
        axes.set_ylim(-0.6, len(models) - 0.4)
        axes.set_yticks(range(len(models)), models, fontsize=8.5)
        axes.tick_params(axis="y", length=0)
    for axes in panels[-1]:
        axes.set_xlabel("accuracy (%)")
    return figure


def plot_agreement(beside: pd.DataFrame) -> Figure:
    """Draw each measured cell against the printed one, with its interval; on the diagonal they agree."""
    beside = beside.dropna(subset="difference")
    spans = [[float(end) for end in text.split("–")] for text in beside["ours, 95 %"]]
    low, high = np.reshape(spans, (-1, 2)).T
    figure, axes = new_figure(height=4.6, width=4.4)  # readable on a phone
    ends = [min([*low, *beside["paper"]], default=2) - 2, max([*high, *beside["paper"]], default=98) + 2]
    axes.plot(ends, ends, color="0.5", linewidth=1, linestyle="--", zorder=1)
    families = beside["model"].map(_find_family)
    for family in _COLOURS:
        own = families == family
        x, y = beside["paper"][own], beside["ours"][own]
        style = {"color": _COLOURS[family], "marker": _MARKERS[family], "label": family}
        axes.errorbar(x, y, [y - low[own], high[own] - y], linestyle="", elinewidth=1, **style)
    axes.set(xlim=ends, ylim=ends, aspect="equal", xlabel="printed accuracy (%)", ylabel="recomputed (%)")
    handles = [explain(name, _COLOURS[name], _MARKERS[name]) for name in _COLOURS if name in set(families)]
    put_legend_above(figure, handles, n_columns=4)
    return figure


def plot_coverage(beside: pd.DataFrame) -> Figure:
    """Draw the paper's grid as a map: what is measured, what can be, and for what something must be asked first."""
    kinds = {
        "measured": {"facecolor": PALETTE[0]},
        "can be fetched": {"facecolor": "0.9"},
        "needs permission": {"facecolor": "white", "hatch": "////"},
    }
    models, tasks = list(read_accuracies().index), list(PAPER_TASKS)
    figure, axes = new_figure(height=0.27 * len(models) + 1.1, width=5.2)
    for _, cell in beside.iterrows():
        x, y = tasks.index(cell["task"]), models.index(cell["model"])
        waits = "needs permission" if ";" in cell["state"] else "can be fetched"
        style = kinds["measured" if pd.notna(cell["ours"]) else waits]
        axes.add_patch(Rectangle((x - 0.46, y - 0.44), 0.92, 0.88, edgecolor="0.75", **style))
        if pd.notna(cell["ours"]):
            axes.text(x, y, f"{cell['ours']:.0f}", ha="center", va="center", fontsize=8.5, color="white")
    axes.set(xlim=(-0.5, len(tasks) - 0.5), xlabel="task", ylabel="model")
    axes.set_xticks(range(len(tasks)), tasks)
    name_rows(axes, models)
    axes.grid(visible=False)
    put_legend_above(figure, [Patch(edgecolor="0.75", label=name, **style) for name, style in kinds.items()])
    return figure


def plot_bold(comparison: pd.DataFrame, *, alpha: float = 0.05) -> Figure:
    """Draw the p-values that the pairings of the answers of the best model and another allow, task by task."""
    figure, axes = new_figure(height=0.38 * len(comparison) + 1.3)
    y = np.arange(len(comparison))
    axes.axvspan(1e-5, alpha, color="0.92", zorder=0)
    axes.hlines(y, comparison["p_lowest"], comparison["p_highest"], color=PALETTE[0], linewidth=3)
    for column in ("p_lowest", "p_highest"):
        axes.plot(comparison[column], y, "|", color=PALETTE[0], markersize=12, mew=2)
    axes.plot(comparison["p_unpaired"], y, "D", color=PALETTE[1], markersize=6)
    set_log_ticks(axes, [0.001, 0.01, 0.05, 0.1, 0.25, 0.5, 1])
    axes.set_xlim(max(5e-4, min(5e-3, comparison["p_lowest"].min() / 1.5)), 1.4)
    leads = (comparison["accuracy_best"] - comparison["accuracy_other"]).map("{:+.1f}".format).str.replace("-", "−")
    name_rows(axes, list(comparison["task"] + " (" + leads + ")"))
    axes.set(xlabel="p of the difference", ylabel="task (lead in points)")
    handles = [
        explain("paired: all possible pairings", PALETTE[0], line="-", linewidth=3),
        explain("unpaired: other utterances for each", PALETTE[1], "D"),
        Patch(color="0.92", label=f"p < {alpha:g}"),
    ]
    put_legend_above(figure, handles)
    return figure


def plot_critical_difference(comparison: RankComparison) -> Figure:
    """Draw mean ranks, and bars over models that cannot be told apart."""
    posthocs = require("scikit_posthocs")
    figure, axes = new_figure(height=0.2 * len(comparison.ranks) + 1.4)
    with mpl.rc_context(STYLE):
        posthocs.critical_difference_diagram(
            comparison.ranks,
            comparison.p_pairs,
            alpha=comparison.alpha,
            ax=axes,
            label_fmt_left="{label} ({rank:.1f})",
            label_fmt_right="({rank:.1f}) {label}",
            color_palette={model: _COLOURS[_find_family(model)] for model in comparison.ranks.index},
            label_props={"size": 10},
            crossbar_props={"color": "0.35", "linewidth": 3, "marker": None},
            marker_props={"marker": "o", "s": 30},
        )
    axes.grid(visible=False)
    axes.set_xlabel(f"mean rank over {comparison.n_tasks} tasks (1 is best)")
    axes.xaxis.set_label_position("top")
    return figure


def plot_contrasts(accuracies: pd.DataFrame, pairs: Mapping[str, tuple[str, str]]) -> Figure:
    """Draw by how much the first of two models is ahead or behind on every task, a panel for each pair."""
    figure, panels = new_figure(1, len(pairs), height=0.3 * accuracies.shape[1] + 1.3, sharex=True, sharey=True)
    y = np.arange(accuracies.shape[1])
    for axes, (title, (first, second)) in zip(panels, pairs.items(), strict=True):
        steps = accuracies.loc[first] - accuracies.loc[second]
        families = [_find_family(name) for name in (first, second)]
        axes.axvline(0, color="0.2", linewidth=1)
        for family, own in zip(families, (steps >= 0, steps < 0), strict=True):
            axes.hlines(y[own], 0, steps[own], color=_COLOURS[family], linewidth=3, alpha=0.5)
            label, style = f"{family} ahead", {"color": _COLOURS[family], "markersize": 7}
            axes.plot(steps[own], y[own], _MARKERS[family], label=label, **style)
        axes.set_title(title, fontsize=10)
    name_rows(panels[0], list(accuracies.columns))
    figure.supxlabel("difference in accuracy (points)", fontsize=10)
    put_legend_above(figure)
    return figure


def plot_subsets(groups: Mapping[str, pd.DataFrame], redrawn: np.ndarray) -> Figure:
    """Draw how rankings on some of the tasks agree with others, and how often the best model stays best.

    `groups` has a summary by number of tasks for each set of models; `redrawn` the tau of redrawn grids of the first.
    """
    figure, (left, right) = new_figure(1, 2, height=3.3)
    for (name, sizes), colour in zip(groups.items(), PALETTE, strict=False):
        x = sizes["n_tasks"]
        left.plot(x, sizes["tau_rest"], "o-", color=colour, label=f"{name}: with the tasks left out")
        left.plot(x, sizes["tau_all"], ":", color=colour, label=f"{name}: with all tasks")
        right.plot(x, 100 * sizes["same_best"], "o-", color=colour)
    low, high = np.quantile(redrawn, [0.025, 0.975])
    span = [[redrawn.mean() - low], [high - redrawn.mean()]]
    label = "all tasks, test sets redrawn: mean, 95 %"
    left.errorbar(x.max() + 0.25, redrawn.mean(), span, fmt="s", capsize=3, color=PALETTE[2], label=label)
    left.set(ylabel="Kendall's tau (mean)", ylim=(0, 1.03))
    right.set(ylabel="same best model (%)", ylim=(0, 103))
    for axes in (left, right):
        axes.set(xlabel="number of tasks", xticks=list(x))
    put_legend_above(figure, n_columns=2)
    return figure


def plot_task_spread(table: pd.DataFrame) -> Figure:
    """Draw how much models differ on each task, and by how much equal ones would seem to."""
    table = table.assign(excess=table["spread"] / table["correlated"]).sort_values("excess", ascending=False)
    figure, axes = new_figure(height=0.36 * len(table) + 1.2)
    y = np.arange(len(table))
    label = "equal models: mistakes correlated to independent"
    axes.hlines(y, table["correlated"], table["independent"], color=PAPER_COLOUR, linewidth=6, alpha=0.5, label=label)
    axes.plot(table["spread"], y, "o", color=PALETTE[0], markersize=8, label="as printed")
    name_rows(axes, list(table.index))
    axes.set(xlabel="standard deviation over the models (points)", xlim=(0, None))
    put_legend_above(figure)
    return figure


def plot_model_sizes(table: pd.DataFrame) -> Figure:
    """Draw UM against the number of parameters and the size of the embedding; lines join the sizes of a family."""
    figure, panels = new_figure(1, 2, height=3.5, sharey=True)
    for axes, (predictor, (label, ticks)) in zip(panels, _SIZES.items(), strict=True):
        for family, own in table[table[predictor].notna()].groupby("family", sort=False):
            own = own.sort_values("embedding_size")
            # Two CvTs of one size lie on each other: moved apart by a little.
            x = own[predictor] * (1 + 0.04 * own.groupby(predictor).cumcount())
            colour, line = _COLOURS[family], "" if family == "other" else "-"
            axes.errorbar(x, own["UM"], own["UM_half_width"], fmt="none", color=colour, alpha=0.5)
            axes.plot(x, own["UM"], marker=_MARKERS[family], linestyle=line, color=colour, markersize=7)
            if family == "other":
                _name_points(axes, x, own["UM"])
        set_log_ticks(axes, ticks)
        axes.set_xlabel(label)
        axes.margins(x=0.14, y=0.12)
    panels[0].set_ylabel("UM (%)")
    families = [name for name in _COLOURS if name in set(table["family"])]
    handles = [explain(name, _COLOURS[name], _MARKERS[name], "" if name == "other" else "-") for name in families]
    put_legend_above(figure, handles, n_columns=4)
    return figure


def _name_points(axes: Axes, x: pd.Series, y: pd.Series) -> None:
    """Write the best model's name above its marker, the others' below theirs."""
    for name in x.index:
        place = {"xytext": (0, 15 if y[name] == y.max() else -22), "textcoords": "offset points", "ha": "center"}
        axes.annotate(name.split(",")[0], (x[name], y[name]), **place, fontsize=9, color="0.25")


def plot_confusions(tables: Mapping[str, pd.DataFrame], *, n_columns: int = 2) -> Figure:
    """Draw what is taken for what, in percent of each true emotion; one panel a table of counts."""
    n_columns = min(n_columns, len(tables))
    n_rows, n_classes = -(-len(tables) // n_columns), len(next(iter(tables.values())))
    height = n_rows * (0.36 * n_classes + 0.8) + 0.5
    width = WIDTH_INCHES if n_columns > 1 else 0.62 * n_classes + 1.6
    options = {"squeeze": False, "sharex": True, "sharey": True}
    figure, panels = new_figure(n_rows, n_columns, height=height, width=width, **options)
    for axes, (title, table) in zip(panels.flat, tables.items(), strict=False):
        _draw_confusions(axes, title, table)
    for position in range(len(tables), panels.size):
        panels.flat[position].set_visible(False)
        panels.flat[position - n_columns].tick_params(labelbottom=True)
    figure.supxlabel("predicted", fontsize=10)
    figure.supylabel("true (utterances)", fontsize=10)
    return figure


def _draw_confusions(axes: Axes, title: str, table: pd.DataFrame) -> None:
    shares = 100 * table.div(table.sum(axis=1).replace(0, np.nan), axis=0).fillna(0)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=100, aspect="auto")
    for (row, column), share in np.ndenumerate(shares):
        if share >= 0.5:
            colour = "white" if share > 55 else "0.15"
            axes.text(column, row, f"{share:.0f}", ha="center", va="center", fontsize=8, color=colour)
    axes.set_xticks(range(len(table)), table.columns, rotation=40, ha="right")
    axes.set_yticks(range(len(table)), [f"{name} ({count})" for name, count in table.sum(axis=1).items()])
    axes.set_title(title, fontsize=10)
    axes.grid(visible=False)
