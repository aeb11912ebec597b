"""Figures of what decides an accuracy besides the model: the order of the classes, the last bit of the audio."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from serab_lib.plots.legends import put_legend_above
from serab_lib.plots.style import PALETTE, new_figure


def plot_label_order(orders: pd.DataFrame, *, printed: float | None = None, column: str = "test_accuracy") -> Figure:
    """Draw the accuracies that random orders of the classes give.

    Parameters
    ----------
    orders : pandas.DataFrame
        As from `serab_lib.audit.label_order.measure_label_order`.
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


def plot_rounding(reported: pd.DataFrame, *, printed: Mapping[str, float] | None = None) -> Figure:
    """Draw what signals that round to the same recordings give.

    Parameters
    ----------
    reported : pandas.DataFrame
        As from `serab_lib.audit.rounding.report_draws`; draw 0 is the recording as it is.
    printed : mapping, optional
        Model to the paper's accuracy, percent.

    Returns
    -------
    Figure
        One row per model, coloured by what is reported.
    """
    models = list(dict.fromkeys(reported["model"]))
    settings = list(reported["setting"].value_counts().index)
    figure, axes = new_figure(height=1.4 + 0.6 * len(models))
    is_stored = reported["draw"] == 0
    # The recording itself in the middle of its row, draws above and below.
    height = reported["model"].map({model: float(row) for row, model in enumerate(models)})
    height += np.where(is_stored, 0.0, (reported["draw"] % 7 - 3) / 10)
    for colour, setting in zip(PALETTE, settings, strict=False):
        for which, marker, size in ((~is_stored, "o", 5), (is_stored, "D", 9)):
            chosen = which & (reported["setting"] == setting)
            accuracy = 100 * reported.loc[chosen, "test_accuracy"]
            axes.plot(accuracy, height[chosen], marker, color=colour, markersize=size, alpha=0.8)
    for row, model in enumerate(models):
        if model in (printed or {}):
            axes.plot([printed[model]] * 2, [row - 0.4, row + 0.4], "--", color="0.2", linewidth=1.5)
    axes.set_yticks(range(len(models)), models)
    axes.set_ylim(len(models) - 0.5, -0.5)
    axes.set_xlabel("accuracy on test (%)")
    handles = [
        Line2D([], [], linestyle="", marker="o", color=colour, label=setting)
        for colour, setting in zip(PALETTE, settings, strict=False)
    ]
    handles.append(Line2D([], [], linestyle="", marker="D", markersize=8, color="0.5", label="as stored"))
    handles.append(Line2D([], [], linestyle="--", color="0.2", label="printed"))
    put_legend_above(figure, handles, n_columns=3)
    return figure


def _name_setting(params: dict[str, object]) -> str:
    return f"{params['kernel']}, C = {params['C']:g}" + (", balanced" if params["class_weight"] else "")
