"""Figures of pre-training: what the augmentations do, and whether a run learns anything."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from serab_lib.book.plots import PALETTE, PAPER_COLOUR, new_figure, style
from serab_lib.pretraining.clips import CROP_FRAMES
from serab_lib.pretraining.config import PretrainConfig
from serab_lib.pretraining.illustration import Illustration

_FRAME_S, _CANVAS = 0.01, PretrainConfig.canvas[1]
_TICKS_HZ = (250, 500, 1000, 2000, 4000)
_LINES = ("-", "--", "-.", ":")


def plot_augmentations(illustration: Illustration) -> Figure:
    """Draw a crop, its partner, and the two views on their way.

    Parameters
    ----------
    illustration : Illustration
        As from `serab_lib.pretraining.illustration.illustrate`.

    Returns
    -------
    matplotlib.figure.Figure
        Two rows of three spectrograms. The mixed ones lie on their canvas of zeros, and a rectangle marks what is
        cut out of it.
    """
    figure, axes = new_figure(2, 3, height=4.2, sharey=True, width_ratios=(1, _CANVAS, 1))
    spectrograms = [illustration.crop, *(view.mixed for view in illustration.views)]
    limits = (min(float(each.min()) for each in spectrograms), max(float(each.max()) for each in spectrograms))
    first = (("crop", illustration.crop), ("partner", illustration.partner))
    with style():
        for row, ((name, start), view) in enumerate(zip(first, illustration.views, strict=True)):
            image = _draw_spectrogram(axes[row, 0], start, limits)
            axes[row, 0].set_title(name)
            _draw_spectrogram(axes[row, 1], view.mixed, limits)
            axes[row, 1].set_title(f"view {row + 1}: {100 * view.ratio:.0f}% of the partner")
            _mark_cut(axes[row, 1], view.row, view.column)
            # The canvas around the spectrogram is zero.
            axes[row, 1].set_xlim(
                -(_CANVAS - 1) / 2 * CROP_FRAMES * _FRAME_S, (_CANVAS + 1) / 2 * CROP_FRAMES * _FRAME_S
            )
            axes[row, 1].set_facecolor(image.cmap(image.norm(0.0)))
            _draw_spectrogram(axes[row, 2], view.resized, limits)
            axes[row, 2].set_title("cut and resized")
            axes[row, 0].set_ylabel("frequency (Hz)")
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


def plot_probe(probe: pd.DataFrame, *, references: Mapping[str, float] | None = None) -> Figure:
    """Draw the probe's accuracy against the epochs.

    Parameters
    ----------
    probe : pandas.DataFrame
        As from `serab_lib.pretraining.read_probe`.
    references : mapping of str to float, optional
        Accuracies of other encoders on the same validation part, such as the released one's; fractions of 1.

    Returns
    -------
    matplotlib.figure.Figure
    """
    figure, axis = new_figure(height=3.0)
    task = probe["task"].iloc[0]
    with style():
        axis.plot(probe["epoch"], 100 * probe["validation_accuracy"], color=PALETTE[0], marker="o", label="this run")
        begin = probe[probe["epoch"] == 0]
        lines = {"random weights": float(begin["validation_accuracy"].iloc[0])} if len(begin) else {}
        for i, (name, accuracy) in enumerate({**lines, **(references or {})}.items()):
            colour = PAPER_COLOUR if not i else PALETTE[i]
            axis.axhline(100 * accuracy, color=colour, linestyle=_LINES[1 + i % 3], label=name)
        axis.set(xlabel="epoch", ylabel=f"validation accuracy on {task} (%)")
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


def _mark_cut(axis: Axes, row: tuple[int, int], column: tuple[int, int]) -> None:
    corner, size = (column[0] * _FRAME_S, row[0] - 0.5), (column[1] * _FRAME_S, row[1])
    axis.add_patch(Rectangle(corner, *size, fill=False, edgecolor="white", linewidth=3, clip_on=False))
    axis.add_patch(
        Rectangle(corner, *size, fill=False, edgecolor="black", linewidth=1.2, linestyle="--", clip_on=False)
    )


def _band(frequency_hz: float) -> float:
    """Mel band whose centre a frequency is: 64 bands from 60 to 7,800 Hz, HTK's scale."""
    low, high, mel = (2595 * np.log10(1 + each / 700) for each in (60, 7800, frequency_hz))
    return (mel - low) / (high - low) * 65 - 1
