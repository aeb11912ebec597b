"""Figures of pre-training: what the augmentations do, and whether a run learns anything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from serab_lib.book.plots import PALETTE, PAPER_COLOUR, new_figure, style
from serab_lib.pretraining.augmentations import Draws
from serab_lib.pretraining.clips import CROP_FRAMES
from serab_lib.pretraining.config import PretrainConfig

_FRAME_S, _CANVAS = 0.01, PretrainConfig.canvas[1]
_TICKS_HZ = (250, 500, 1000, 2000, 4000)
_LINES = ("-", "--", "-.", ":")


def plot_augmentations(crops: torch.Tensor, views: Sequence[tuple[Draws, torch.Tensor, torch.Tensor]]) -> Figure:
    """Draw a crop, its partner, and the two views on their way, as from `augmentations.illustrate`."""
    figure, axes = new_figure(2, 3, height=4.2, sharey=True, width_ratios=(1, _CANVAS, 1))
    spectrograms = [crops[0], *(mixed[0] for _, mixed, _ in views)]
    limits = (min(float(each.min()) for each in spectrograms), max(float(each.max()) for each in spectrograms))
    edge_s = (_CANVAS - 1) / 2 * CROP_FRAMES * _FRAME_S
    with style():
        for i, (name, (drawn, mixed, resized)) in enumerate(zip(("crop", "partner"), views, strict=True)):
            image = _draw_spectrogram(axes[i, 0], crops[i], limits)
            axes[i, 0].set(title=name, ylabel="frequency (Hz)")
            _draw_spectrogram(axes[i, 1], mixed[0], limits)
            axes[i, 1].set_title(f"view {i + 1}: {100 * float(drawn.ratios[0]):.0f}% of the partner")
            (top, height), (left, width) = drawn.rows[0].tolist(), drawn.columns[0].tolist()
            _mark_cut(axes[i, 1], (left * _FRAME_S - edge_s, top - 0.5), (width * _FRAME_S, height))
            # The canvas around the spectrogram is zero.
            axes[i, 1].set(xlim=(-edge_s, CROP_FRAMES * _FRAME_S + edge_s), facecolor=image.cmap(image.norm(0.0)))
            _draw_spectrogram(axes[i, 2], resized[0], limits)
            axes[i, 2].set_title("cut and resized")
        for axis in axes[1]:
            axis.set_xlabel("time (s)")
        figure.colorbar(image, ax=axes, label="log-mel energy, normalised", shrink=0.8)
    return figure


def plot_training(logs: pd.DataFrame | Mapping[str, pd.DataFrame]) -> Figure:
    """Draw the loss of one or several runs, and whether their representations collapse.

    Parameters
    ----------
    logs : pandas.DataFrame or mapping of str to DataFrame
        As from `serab_lib.pretraining.read_log`, by name where there are several.

    Returns
    -------
    matplotlib.figure.Figure
        Left the loss of each step and its mean over the epochs, in the middle the spread of embeddings and
        projections, right the agreement of the target with the online network.
    """
    runs = {"": logs} if isinstance(logs, pd.DataFrame) else dict(logs)
    figure, axes = new_figure(1, 3, height=3.0)
    with style():
        for i, (name, log) in enumerate(runs.items()):
            colour, line = PALETTE[i % len(PALETTE)], _LINES[i % len(_LINES)]
            axes[0].plot(log["step"], log["loss"], color=colour, alpha=0.3, linewidth=0.8)
            epochs = log.groupby("epoch").agg({"step": "mean", "loss": "mean"})
            marks = {"marker": "o", "markersize": 3} if len(epochs) < 30 else {}
            label = name or "mean of an epoch"
            axes[0].plot(epochs["step"], epochs["loss"], color=colour, linestyle=line, label=label, **marks)
            axes[1].plot(log["step"], log["embedding_std"], color=colour)
            axes[1].plot(log["step"], log["projection_std"], color=colour, linestyle=":")
            axes[2].plot(log["step"], log["agreement"], color=colour, linestyle=line)
        axes[0].set(title="loss, both directions", xlabel="step", ylabel="loss (0 to 8)", ylim=(0, None))
        axes[1].set(title="spread (0: collapsed)", xlabel="step", ylabel="standard deviation", ylim=(0, 1.05))
        axes[2].set(title="target and online network", xlabel="step", ylabel="mean cosine", ylim=(None, 1.02))
        axes[0].legend(fontsize="small")
        kinds = [Line2D([], [], color="0.3", linestyle=line) for line in ("-", ":")]
        axes[1].legend(kinds, ("embeddings", "projections"), fontsize="small", loc="lower right")
    return figure


def plot_probe(probe: pd.DataFrame) -> Figure:
    """Draw the probe's accuracy against the epochs, as from `serab_lib.pretraining.read_probe`."""
    figure, axis = new_figure(height=3.0)
    percent = 100 * probe.set_index("epoch")["validation_accuracy"]
    with style():
        axis.plot(percent, color=PALETTE[0], marker="o", label="this run")
        axis.axhline(percent.loc[0], color=PAPER_COLOUR, linestyle="--", label="random weights")
        axis.set(xlabel="epoch", ylabel=f"validation accuracy on {probe['task'].iloc[0]} (%)")
        axis.margins(y=0.15)
        axis.xaxis.get_major_locator().set_params(integer=True)
        axis.legend()
    return figure


def plot_gain(results: pd.DataFrame) -> Figure:
    """Draw the test accuracies of pre-trained and of random encoders with their intervals.

    Parameters
    ----------
    results : pandas.DataFrame
        One row a seed, condition and model: `model`, `seed`, `condition` (random or pretrained), `accuracy`, and
        the bounds `low` and `high` of its interval; fractions of 1. Rows of other conditions are not drawn.

    Returns
    -------
    matplotlib.figure.Figure
    """
    runs = list(dict.fromkeys(zip(results["model"], results["seed"].astype(str), strict=True)))
    runs = [run for run in runs if run[1] != "all"]
    figure, axis = new_figure(height=3.2)
    conditions = {
        "random": ("random weights", PAPER_COLOUR, "s", -0.08),
        "pretrained": ("pre-trained", PALETTE[0], "o", 0.08),
    }
    with style():
        for condition, (label, colour, marker, shift) in conditions.items():
            rows = results[results["condition"] == condition]
            places = [runs.index(run) + shift for run in zip(rows["model"], rows["seed"].astype(str), strict=True)]
            accuracy = 100 * rows["accuracy"].to_numpy(float)
            below = accuracy - 100 * rows["low"].to_numpy(float)
            above = 100 * rows["high"].to_numpy(float) - accuracy
            axis.errorbar(places, accuracy, [below, above], fmt=marker, color=colour, capsize=2, label=label)
        axis.set_xticks(range(len(runs)), [f"{model}\nseed {seed}" for model, seed in runs])
        axis.set_xlim(-0.5, len(runs) - 0.5)
        axis.set(ylabel="test accuracy (%)", xlabel="encoder and run")
        axis.grid(axis="x", visible=False)
        axis.legend()
    return figure


def _draw_spectrogram(axis: Axes, spectrogram: object, limits: tuple[float, float]) -> AxesImage:
    n_bands, n_frames = spectrogram.shape
    extent = (0, n_frames * _FRAME_S, -0.5, n_bands - 0.5)
    image = axis.imshow(
        np.asarray(spectrogram),
        origin="lower",
        aspect="auto",
        extent=extent,
        cmap="magma",
        vmin=limits[0],
        vmax=limits[1],
    )
    axis.set_yticks([_band(frequency) for frequency in _TICKS_HZ], [f"{frequency:,}" for frequency in _TICKS_HZ])
    axis.grid(False)
    return image


def _mark_cut(axis: Axes, corner: tuple[float, float], size: tuple[float, float]) -> None:
    for edge in ({"edgecolor": "white", "linewidth": 3}, {"edgecolor": "black", "linewidth": 1.2, "linestyle": "--"}):
        axis.add_patch(Rectangle(corner, *size, fill=False, clip_on=False, **edge))


def _band(frequency_hz: float) -> float:
    """Mel band whose centre a frequency is: 64 bands from 60 to 7,800 Hz, HTK's scale."""
    low, high, mel = (2595 * np.log10(1 + each / 700) for each in (60, 7800, frequency_hz))
    return (mel - low) / (high - low) * 65 - 1
