"""Legends that cover nothing."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure


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
