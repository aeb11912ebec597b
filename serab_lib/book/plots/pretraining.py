"""Figure of pre-training: what the augmentations do."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import Rectangle

from serab_lib.book.plots import new_figure
from serab_lib.pretraining.augmentations import Draws
from serab_lib.pretraining.clips import CROP_FRAMES
from serab_lib.pretraining.config import PretrainConfig

_FRAME_S, _CANVAS = 0.01, PretrainConfig.canvas[1]
_TICKS_HZ = (250, 500, 1000, 2000, 4000)


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
