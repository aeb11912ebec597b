"""Figures of the chapters, and the visual language of all: palette, sizes, and what stands for what."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import matplotlib as mpl
import seaborn as sns
from matplotlib import pyplot as plt
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

# Okabe and Ito's palette in seaborn's order: told apart with every kind of colour vision.
PALETTE = sns.color_palette("colorblind")
PAPER_COLOUR = PALETTE[7]  # grey: what the paper prints
PROTOCOL_COLOURS = {"released": PALETTE[1], "described": PALETTE[0]}
PART_COLOURS = {"train": PALETTE[0], "validation": PALETTE[2], "test": PALETTE[1]}
WIDTH_INCHES = 7.2

_STYLE = {
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "figure.dpi": 110,
    "font.size": 10,
    "axes.titlesize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "0.9",
    "legend.frameon": False,
}


@contextmanager
def style() -> Iterator[None]:
    """Draw in the book's style inside a `with` block."""
    with mpl.rc_context({**sns.axes_style("ticks"), **_STYLE}):
        yield


def new_figure(
    n_rows: int = 1, n_columns: int = 1, *, height: float = 3.4, width: float = WIDTH_INCHES, **options: object
) -> tuple[Figure, object]:
    """Make a figure with axes in the book's style.

    Parameters
    ----------
    n_rows, n_columns : int
    height, width : float
        Inches.
    **options
        Passed on to `matplotlib.pyplot.subplots`.

    Returns
    -------
    figure : matplotlib.figure.Figure
        Not shown and not kept by pyplot.
    axes : Axes or array of Axes
    """
    with style():
        figure, axes = plt.subplots(
            n_rows,
            n_columns,
            figsize=(width, height),
            layout="constrained",
            **options,  # type: ignore[arg-type]
        )
    plt.close(figure)
    return figure, axes


def emotion_colours(emotions: list[str]) -> dict[str, tuple[float, float, float]]:
    """Give each emotion a colour, the same one on every page."""
    order = ("anger", "boredom", "calm", "disgust", "fear", "happiness", "neutral", "sadness", "surprise")
    known = dict(zip(order, sns.color_palette("colorblind", 10), strict=False))
    spare = iter(sns.color_palette("husl", 12))
    return {emotion: known.get(emotion) or next(spare) for emotion in emotions}


def hide_frame(axes: Axes) -> None:
    """Leave out ticks and frame, where positions mean nothing."""
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)


def put_legend_above(
    figure: Figure, handles: Sequence[Artist] | None = None, *, axes: Axes | None = None, n_columns: int = 3
) -> None:
    """Put a legend above all axes of a figure.

    Parameters
    ----------
    figure : Figure
        With constrained layout, which makes room.
    handles : sequence of Artist, optional
        What to explain; everything in `axes` that has a label by default.
    axes : Axes, optional
    n_columns : int
    """
    if handles is None:
        handles = (axes or figure.axes[0]).get_legend_handles_labels()[0]
    figure.legend(
        handles=handles, loc="outside upper left", ncols=n_columns, fontsize=9.5, handletextpad=0.4, frameon=False
    )
