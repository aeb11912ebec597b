"""Figures of the chapters, a module each, and the visual language of all: palette, sizes, what stands for what."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import seaborn as sns
from matplotlib import pyplot as plt
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

# Okabe and Ito's palette in seaborn's order: told apart with every kind of colour vision.
PALETTE = sns.color_palette("colorblind")
PAPER_COLOUR = PALETTE[7]  # grey: what the paper prints
PROTOCOL_COLOURS = {"released": PALETTE[1], "described": PALETTE[0]}
PART_COLOURS = {"train": PALETTE[0], "validation": PALETTE[2], "test": PALETTE[1]}
WIDTH_INCHES = 7.2

STYLE = sns.axes_style("ticks") | {"axes.spines.top": False, "axes.spines.right": False}
STYLE |= {"axes.grid": True, "grid.color": "0.9"}


def new_figure(
    n_rows: int = 1, n_columns: int = 1, *, height: float = 3.4, width: float = WIDTH_INCHES, **options: Any
) -> tuple[Figure, Any]:
    """Make a figure in the book's style, which pyplot neither shows nor keeps; sizes in inches."""
    with mpl.rc_context(STYLE):
        figure, axes = plt.subplots(n_rows, n_columns, figsize=(width, height), layout="constrained", **options)
    plt.close(figure)
    return figure, axes


def emotion_colours(emotions: Sequence[str]) -> dict[str, tuple[float, float, float]]:
    """Give each emotion a colour, the same one on every page."""
    order = ("anger", "boredom", "calm", "disgust", "fear", "happiness", "neutral", "sadness", "surprise")
    known = dict(zip(order, sns.color_palette("colorblind", 10), strict=False))
    spare = iter(sns.color_palette("husl", 12))
    return {emotion: known.get(emotion) or next(spare) for emotion in emotions}


def name_rows(axes: Axes, names: Sequence[str]) -> None:
    """Name the rows of a figure, the first one on top, and draw no lines along them."""
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.grid(axis="y", visible=False)


def set_log_ticks(axes: Axes, ticks: Sequence[float]) -> None:
    """Make the horizontal axis logarithmic, with these numbers at it."""
    axes.set_xscale("log")
    axes.set_xticks(ticks, [f"{tick:,g}" for tick in ticks])
    axes.set_xticks([], minor=True)


def explain(label: str, colour: Any, marker: str = "", line: str = "", **options: Any) -> Line2D:
    """Make an entry of a legend: a mark, a line, or both."""
    return Line2D([], [], color=colour, marker=marker, linestyle=line, label=label, **options)


def put_legend_above(figure: Figure, handles: Sequence[Artist] | None = None, *, n_columns: int = 3) -> None:
    """Put a legend above all axes of a figure: of everything in the first ones that has a label, if not told."""
    if handles is None:
        handles = figure.axes[0].get_legend_handles_labels()[0]
    figure.legend(
        handles=handles, loc="outside upper left", ncols=n_columns, fontsize=9.5, handletextpad=0.4, frameon=False
    )
