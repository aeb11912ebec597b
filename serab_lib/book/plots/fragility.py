"""Figures of what decides an accuracy besides the model: the order of the classes, the resampler of a copy."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from serab_lib.book.plots.style import PALETTE, new_figure, put_legend_above

_MARKERS = "oDs^vPX*"


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
            axes.plot(accuracy, height, _MARKERS[position], color=PALETTE[position], markersize=7, label=name)
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
