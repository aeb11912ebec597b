"""From crops to two normalised views of each, for a whole batch at a time on the device.

Log-mel spectrogram, running normalisation, then for each view mixup and a random resized crop, and at last a
normalisation of both views together.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from serab_lib.audio import N_MELS, log_mel
from serab_lib.pretraining.clips import CROP_FRAMES, CROP_SAMPLES, FULL_SCALE, Purpose, make_generator
from serab_lib.pretraining.config import PretrainConfig

N_VIEWS = 2
_EPS = torch.finfo(torch.float32).eps
# Cubic convolution with the constant that PyTorch's own bicubic interpolation has.
_CUBIC = -0.75


class Draws(NamedTuple):
    """The random numbers of one view of n crops."""

    ratios: torch.Tensor  # (n,): share of the partner's energy
    partners: torch.Tensor  # (n,): the partner's place in the memory
    rows: torch.Tensor  # (n, 2): first band of the cut on the canvas, and their number
    columns: torch.Tensor  # (n, 2): the same in frames


def draw(
    generator: np.random.Generator, n: int, n_partners: int, config: PretrainConfig, device: torch.device | str = "cpu"
) -> list[Draws]:
    """Draw what is random about the views of n crops, for one view after the other."""
    uniform = torch.from_numpy(generator.random((6, N_VIEWS, n))).to(device)
    rows = _draw_cut(uniform[2], uniform[3], N_MELS, config.canvas[0], config.crop_scale)
    columns = _draw_cut(uniform[4], uniform[5], CROP_FRAMES, config.canvas[1], config.crop_scale)
    ratios, partners = (config.mixup_ratio * uniform[0]).float(), (uniform[1] * n_partners).long()
    return [Draws(*view) for view in zip(ratios, partners, rows, columns, strict=True)]


def _draw_cut(
    size: torch.Tensor, start: torch.Tensor, n: int, canvas: float, scale: tuple[float, float]
) -> torch.Tensor:
    """Turn uniform numbers into a start on the canvas and a size of at least one, no larger than the canvas."""
    n_canvas = int(canvas * n)
    sizes = (n * (scale[0] + (scale[1] - scale[0]) * size)).long().clamp(1, n_canvas)
    return torch.stack([(start * (n_canvas - sizes + 1)).long(), sizes], dim=-1)


def mix(log_mels: torch.Tensor, partners: torch.Tensor, ratios: torch.Tensor) -> torch.Tensor:
    """Mix spectrograms (n, 64, 96) as their sounds would mix: energies add up, the partner's share by the ratio."""
    ratios = ratios[:, None, None]
    return torch.logaddexp(log_mels + torch.log1p(-ratios), partners + torch.log(ratios))


def resize_crops(
    log_mels: torch.Tensor, rows: torch.Tensor, columns: torch.Tensor, canvas: tuple[float, float]
) -> torch.Tensor:
    """Cut a rectangle out of each spectrogram, laid on a larger canvas of zeros, and resize it to the old size."""
    # Bicubic, corners on corners. The axes are independent: each is one product with weights, for the whole batch.
    down = _interpolation_weights(rows, log_mels.shape[1], canvas[0])
    across = _interpolation_weights(columns, log_mels.shape[2], canvas[1])
    return down @ log_mels @ across.transpose(1, 2)


def _interpolation_weights(cuts: torch.Tensor, n: int, canvas: float) -> torch.Tensor:
    """Weights (len(cuts), n, n) of each input for each output."""
    margin = (int(canvas * n) - n) // 2
    starts, sizes = cuts[:, :1], cuts[:, 1:]
    places = torch.arange(n, device=cuts.device)
    positions = places * ((sizes - 1) / (n - 1))  # (batch, n), counted from the cut's start
    base = positions.floor()
    weights = torch.zeros(len(cuts), n, n, device=cuts.device)
    for tap in (-1, 0, 1, 2):
        inputs = torch.minimum((base + tap).clamp(min=0), sizes - 1) + starts - margin
        # Inputs on the canvas but off the spectrogram are zeros, and match no place.
        weights += (inputs[..., None] == places) * _cubic_kernel((positions - base - tap).abs())[..., None]
    return weights


def _cubic_kernel(distance: torch.Tensor) -> torch.Tensor:
    """Weight of an input at a distance of 0 to 2."""
    near = ((_CUBIC + 2) * distance - (_CUBIC + 3)) * distance.square() + 1
    far = _CUBIC * (((distance - 5) * distance + 8) * distance - 4)
    return torch.where(distance <= 1, near, torch.where(distance < 2, far, torch.zeros_like(far)))


def make_view(
    log_mels: torch.Tensor, partners: torch.Tensor | None, drawn: Draws, config: PretrainConfig
) -> tuple[torch.Tensor, torch.Tensor]:
    """One view of spectrograms (n, 64, 96), after mixup and after the cut."""
    mixed = log_mels
    if config.mixup_ratio and partners is not None:
        mixed = mix(log_mels, partners, drawn.ratios)
    return mixed, resize_crops(mixed, drawn.rows, drawn.columns, config.canvas) if config.resized_crop else mixed


class Augmentation(nn.Module):
    """Two views of each crop of a batch; its state are running sums and the latest spectrograms."""

    def __init__(self, config: PretrainConfig, device: torch.device) -> None:
        super().__init__()
        self.config = config
        # Number of the values that were seen, their sum and the sum of their squares.
        self.register_buffer("sums", torch.zeros(3, dtype=torch.float64, device=device))
        self.register_buffer("memory", torch.zeros(config.memory_size, N_MELS, CROP_FRAMES, device=device))

    @torch.no_grad()
    def forward(self, crops: torch.Tensor, step: int, *, measure: bool = True) -> torch.Tensor:
        """Views (2, n, 1, 64, 96) of the crops (n, 15_200) of a step; only the first epoch is measured."""
        log_mels = log_mel(crops.float() / FULL_SCALE)
        if measure:
            exact = log_mels.double()
            self.sums[0] += exact.numel()
            self.sums[1] += exact.sum()
            self.sums[2] += exact.square().sum()
        log_mels = self.normalise(log_mels)
        # Partners are crops of earlier batches, as they were then; in the release also those before it in its own.
        n_seen = step * len(crops)
        n_partners = min(n_seen, len(self.memory))
        generator = make_generator(self.config.seed, Purpose.AUGMENTATION, step)
        views = []
        for drawn in draw(generator, len(crops), n_partners, self.config, crops.device):
            partners = self.memory[drawn.partners] if n_partners else None
            views.append(make_view(log_mels, partners, drawn, self.config)[1])
        latest = log_mels[-len(self.memory) :]
        places = torch.arange(n_seen + len(crops) - len(latest), n_seen + len(crops), device=crops.device)
        self.memory[places % len(self.memory)] = latest
        views = torch.stack(views)[:, :, None]
        centred = views - views.mean()
        return centred / centred.square().mean().clamp(min=_EPS**2).sqrt()

    def normalise(self, log_mels: torch.Tensor) -> torch.Tensor:
        """Subtract the running mean and divide by the running standard deviation."""
        n, total, squares = self.sums
        variance = squares / n - (total / n).square()
        return (log_mels - (total / n).float()) / variance.clamp(min=_EPS**2).sqrt().float()


def illustrate(
    waveform: torch.Tensor, partner: torch.Tensor, *, seed: int = 0
) -> tuple[torch.Tensor, list[tuple[Draws, torch.Tensor, torch.Tensor]]]:
    """Log-mels of the middles of two clips, and for each view of the first its draws, its mixture and its cut."""
    config = PretrainConfig()
    crops = [each[(len(each) - CROP_SAMPLES) // 2 :][:CROP_SAMPLES] for each in (waveform, partner)]
    both = log_mel(torch.stack(crops))
    both = (both - both.mean()) / both.std()
    views = draw(np.random.default_rng(seed), 1, 1, config)
    return both, [(drawn, *make_view(both[:1], both[1:], drawn, config)) for drawn in views]
