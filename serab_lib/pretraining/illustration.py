"""The augmentations of one crop, step by step: what the book shows of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from serab_lib.core import SerabError
from serab_lib.pretraining.augmentations import N_VIEWS, WINDOW_SAMPLES, draw, mix, resize_crops
from serab_lib.pretraining.clips import CROP_FRAMES, CROP_SAMPLES
from serab_lib.pretraining.config import PretrainConfig


@dataclass(frozen=True, eq=False)
class View:
    """One view on its way.

    Attributes
    ----------
    ratio : float
        Share of the partner's energy.
    mixed, resized : torch.Tensor [shape=(64, 96)]
        After mixup, and after the random resized crop.
    row, column : tuple of int
        The crop on the spectrogram: first band or frame, which may lie before the first one, and their number.
    """

    ratio: float
    mixed: torch.Tensor
    resized: torch.Tensor
    row: tuple[int, int]
    column: tuple[int, int]


@dataclass(frozen=True, eq=False)
class Illustration:
    """A crop, its partner for mixup and its two views, all normalised.

    Attributes
    ----------
    crop, partner : torch.Tensor [shape=(64, 96)]
    views : tuple of View
    """

    crop: torch.Tensor
    partner: torch.Tensor
    views: tuple[View, ...]


def illustrate(
    waveform: torch.Tensor, partner: torch.Tensor, *, config: PretrainConfig | None = None, seed: int = 0
) -> Illustration:
    """Make two views of the middle of a clip.

    Parameters
    ----------
    waveform, partner : torch.Tensor [shape=(n_samples,)]
        At 16 kHz, 0.95 s or longer. The partner is what both views are mixed with.
    config : PretrainConfig, optional
        The paper's settings if None.
    seed : int

    Returns
    -------
    Illustration

    Raises
    ------
    SerabError
        If a clip is shorter than a crop.
    """
    from serab_lib.audio import log_mel

    config = config or PretrainConfig()
    for each in (waveform, partner):
        if len(each) < CROP_SAMPLES:
            raise SerabError(f"a clip of {len(each)} samples is shorter than a crop of {CROP_SAMPLES}: take another")
    starts = [(len(each) - CROP_SAMPLES) // 2 for each in (waveform, partner)]
    crops = [each[start : start + CROP_SAMPLES] for each, start in zip((waveform, partner), starts, strict=True)]
    both = torch.stack([log_mel(each, window_samples=WINDOW_SAMPLES) for each in crops])
    both = (both - both.mean()) / both.std()
    drawn = draw(np.random.default_rng(seed), 1, 1, config)
    margin = (int(config.canvas[1] * CROP_FRAMES) - CROP_FRAMES) // 2
    views = []
    for i in range(N_VIEWS):
        mixed = mix(both[:1], both[1:], torch.from_numpy(drawn.ratios[i]).float())
        rows, columns = torch.from_numpy(drawn.rows[i]), torch.from_numpy(drawn.columns[i])
        resized = resize_crops(mixed, rows, columns, canvas=config.canvas)
        (row,), (column,) = drawn.rows[i].tolist(), drawn.columns[i].tolist()
        views.append(View(float(drawn.ratios[i, 0]), mixed[0], resized[0], tuple(row), (column[0] - margin, column[1])))
    return Illustration(both[0], both[1], tuple(views))
