"""Figures of pre-training: what the augmentations do, and whether a run learns anything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import Rectangle

from serab_lib.book.plots import PALETTE, PAPER_COLOUR, explain, new_figure
from serab_lib.pretraining.augmentations import Draws
from serab_lib.pretraining.clips import CROP_FRAMES
from serab_lib.pretraining.config import PretrainConfig

_FRAME_S, _CANVAS = 0.01, PretrainConfig.canvas[1]
_TICKS_HZ = (250, 500, 1000, 2000, 4000)
_LINES = ("-", "--", "-.", ":")


def plot_augmentations(crops: torch.Tensor, views: Sequence[tuple[Draws, torch.Tensor, torch.Tensor]]) -> Figure:
    """Draw a crop and its partner, both mixtures on their canvas of zeros with what is cut out, and the two views."""
    figure, axes = new_figure(2, 3, height=4.2, sharey=True, width_ratios=(1, _CANVAS, 1))
    shown = [crops[0], *(mixed[0] for _, mixed, _ in views)]
    limits = (min(float(each.min()) for each in shown), max(float(each.max()) for each in shown))
    edge_s = (_CANVAS - 1) / 2 * CROP_FRAMES * _FRAME_S
    for i, (drawn, mixed, resized) in enumerate(views):
        left, middle, right = axes[i]
        share = 100 * float(drawn.ratios[0])
        _draw_spectrogram(left, crops[i], ("crop", "partner")[i], limits)
        image = _draw_spectrogram(middle, mixed[0], f"view {i + 1}: {share:.0f} % of the partner", limits)
        _draw_spectrogram(right, resized[0], "cut and resized", limits)
        (top, height), (start, width) = drawn.rows[0].tolist(), drawn.columns[0].tolist()
        cut = ((start * _FRAME_S - edge_s, top - 0.5), width * _FRAME_S, height)
        for colour, thickness, line in (("white", 3, "-"), ("black", 1.2, "--")):
            style = {"ec": colour, "linewidth": thickness, "linestyle": line}
            middle.add_patch(Rectangle(*cut, fill=False, clip_on=False, **style))
        middle.set(xlim=(-edge_s, CROP_FRAMES * _FRAME_S + edge_s), facecolor=image.cmap(image.norm(0.0)))
        left.set_ylabel("frequency (Hz)")
    for axis in axes[1]:
        axis.set_xlabel("time (s)")
    figure.colorbar(image, ax=axes, label="log-mel energy, normalised", shrink=0.8)
    return figure


def _draw_spectrogram(axis: Axes, spectrogram: torch.Tensor, title: str, limits: tuple[float, float]) -> AxesImage:
    n_bands, n_frames = spectrogram.shape
    extent = (0, n_frames * _FRAME_S, -0.5, n_bands - 0.5)
    style = {"origin": "lower", "aspect": "auto", "cmap": "magma", "vmin": limits[0], "vmax": limits[1]}
    image = axis.imshow(np.asarray(spectrogram), extent=extent, **style)
    # Of 64 bands from 60 to 7,800 Hz on HTK's mel scale, those whose centres the frequencies are.
    low, high, *mels = 2595 * np.log10(1 + np.array([60, 7800, *_TICKS_HZ]) / 700)
    axis.set_yticks((mels - low) / (high - low) * 65 - 1, [f"{frequency:,}" for frequency in _TICKS_HZ])
    axis.set_title(title, fontsize=10)
    axis.grid(visible=False)
    return image


def plot_training(logs: Mapping[str, pd.DataFrame]) -> Figure:
    """Draw the loss of runs, and whether their representations collapse; logs as from `serab pretrain`, by name."""
    figure, (left, middle, right) = new_figure(1, 3, height=3.0)
    for i, (name, log) in enumerate(logs.items()):
        colour, line = PALETTE[i % len(PALETTE)], _LINES[i % len(_LINES)]
        epochs = log.groupby("epoch").agg({"step": "mean", "loss": "mean"})
        mark = "o" if len(epochs) < 30 else ""
        left.plot(log["step"], log["loss"], color=colour, alpha=0.3, linewidth=0.8)
        left.plot(epochs["step"], epochs["loss"], color=colour, linestyle=line, marker=mark, markersize=3, label=name)
        middle.plot(log["step"], log["embedding_std"], color=colour)
        middle.plot(log["step"], log["projection_std"], color=colour, linestyle=":")
        right.plot(log["step"], log["agreement"], color=colour, linestyle=line)
    for axis, title, label, limits in (
        (left, "loss, both directions", "loss (0 to 8)", (0, None)),
        (middle, "spread (0: collapsed)", "standard deviation", (0, 1.05)),
        (right, "target and online network", "mean cosine", (None, 1.02)),
    ):
        axis.set_title(title, fontsize=10)
        axis.set(xlabel="step", ylabel=label, ylim=limits)
    left.legend(fontsize="small", frameon=False)
    kinds = [explain("embeddings", "0.3", line="-"), explain("projections", "0.3", line=":")]
    middle.legend(handles=kinds, fontsize="small", loc="lower right", frameon=False)
    return figure


def plot_probe(probe: pd.DataFrame) -> Figure:
    """Draw a run's validation accuracy on its probe against the epochs, epoch 0 being its random weights."""
    figure, axis = new_figure(height=3.0)
    axis.plot(probe["epoch"], 100 * probe["validation_accuracy"], color=PALETTE[0], marker="o", label="this run")
    for accuracy in probe.loc[probe["epoch"] == 0, "validation_accuracy"]:
        axis.axhline(100 * accuracy, color=PAPER_COLOUR, linestyle="--", label="random weights")
    axis.set(xlabel="epoch", ylabel=f"validation accuracy on {probe['task'].iloc[0]} (%)")
    axis.margins(y=0.15)
    axis.xaxis.get_major_locator().set_params(integer=True)
    axis.legend(frameon=False)
    return figure


def plot_gain(results: pd.DataFrame, *, level: float) -> Figure:
    """Draw test accuracies of pre-trained and of random encoders with their intervals, and another's level, percent."""
    single = results[results["seed"].astype(str) != "all"]
    names = single["model"] + "\nseed " + single["seed"].astype(str)
    runs = list(names.drop_duplicates())
    figure, axis = new_figure(height=3.2)
    for condition, label, colour, marker, shift in (
        ("random", "random weights", PAPER_COLOUR, "s", -0.08),
        ("pretrained", "pre-trained", PALETTE[0], "o", 0.08),
    ):
        own = 100 * single.loc[single["condition"] == condition, ["accuracy", "low", "high"]].astype(float)
        places = [runs.index(name) + shift for name in names[own.index]]
        spans = [own["accuracy"] - own["low"], own["high"] - own["accuracy"]]
        axis.errorbar(places, own["accuracy"], spans, fmt=marker, color=colour, capsize=2, label=label)
    axis.axhline(level, color="0.2", linewidth=1.5, linestyle="--", label="log-mel statistics")
    axis.set_xticks(range(len(runs)), runs)
    axis.set(xlim=(-0.5, len(runs) - 0.5), ylabel="test accuracy (%)", xlabel="encoder and run")
    axis.grid(axis="x", visible=False)
    axis.legend(frameon=False)
    return figure
