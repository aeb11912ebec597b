"""From crops to two normalised views of each, for a whole batch at a time on the device.

Log-mel spectrogram, running normalisation, then for each view mixup and a random resized crop, and at last a
normalisation of both views together. What is random is drawn beforehand (`Draws`); the rest are functions of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from serab_lib.audio import _mel_transform
from serab_lib.extractors.audio_ntt import N_MELS
from serab_lib.pretraining.clips import CROP_FRAMES, FULL_SCALE
from serab_lib.pretraining.config import PretrainConfig
from serab_lib.pretraining.distributed import average, gather
from serab_lib.pretraining.memory import MemoryBank, RunningStatistics

N_VIEWS = 2
WINDOW_SAMPLES = 400
_EPS = torch.finfo(torch.float32).eps
# Cubic convolution with the constant that PyTorch's own bicubic interpolation has.
_CUBIC = -0.75


class LogMel:
    """Log-mel spectrograms of crops of one length, as `serab_lib.audio.log_mel` makes them one by one.

    Parameters
    ----------
    device : torch.device
    """

    def __init__(self, device: torch.device) -> None:
        window, bank = _mel_transform(WINDOW_SAMPLES)
        self.window, self.bank = window.to(device), bank.T.contiguous().to(device)

    def __call__(self, crops: torch.Tensor) -> torch.Tensor:
        """Transform crops.

        Parameters
        ----------
        crops : torch.Tensor [shape=(n, 15_200)]
            int16 with full scale 32,767, or float.

        Returns
        -------
        torch.Tensor [shape=(n, 64, 96)]
        """
        waveforms = crops if crops.is_floating_point() else crops.float() / FULL_SCALE
        spectra = torch.stft(
            waveforms, 1024, hop_length=160, win_length=WINDOW_SAMPLES, window=self.window, return_complex=True
        )
        power = spectra.real.square() + spectra.imag.square()  # (n, 513, 96)
        return torch.log(self.bank @ power + _EPS)


@dataclass(frozen=True)
class Draws:
    """The random numbers of one batch, for both views.

    Attributes
    ----------
    ratios : np.ndarray [shape=(2, n)]
        Share of the partner's energy.
    partners : np.ndarray [shape=(2, n)]
        Place in the memory bank.
    rows, columns : np.ndarray [shape=(2, n, 2)]
        First band or frame of the crop on the canvas, and their number.
    """

    ratios: np.ndarray
    partners: np.ndarray
    rows: np.ndarray
    columns: np.ndarray

    def take(self, share: slice) -> Draws:
        """Keep the numbers of a part of the batch."""
        return Draws(*(values[:, share] for values in (self.ratios, self.partners, self.rows, self.columns)))


def draw(generator: np.random.Generator, n: int, n_partners: int, config: PretrainConfig) -> Draws:
    """Draw what is random about the views of n crops.

    Parameters
    ----------
    generator : numpy.random.Generator
    n : int
    n_partners : int
        Spectrograms in the memory bank.
    config : PretrainConfig

    Returns
    -------
    Draws
    """
    uniform = generator.random((6, N_VIEWS, n))
    rows = _draw_interval(uniform[2], uniform[3], N_MELS, config.canvas[0], config.crop_scale)
    columns = _draw_interval(uniform[4], uniform[5], CROP_FRAMES, config.canvas[1], config.crop_scale)
    partners = (uniform[1] * n_partners).astype(np.int64)
    return Draws(config.mixup_ratio * uniform[0], partners, rows, columns)


def _draw_interval(
    size: np.ndarray, start: np.ndarray, n: int, canvas: float, scale: tuple[float, float]
) -> np.ndarray:
    """Turn uniform numbers into a start on the canvas and a size of at least one, no larger than the canvas."""
    n_canvas = int(canvas * n)
    sizes = np.clip((n * (scale[0] + (scale[1] - scale[0]) * size)).astype(np.int64), 1, n_canvas)
    starts = (start * (n_canvas - sizes + 1)).astype(np.int64)
    return np.stack([starts, sizes], axis=-1)


def mix(log_mels: torch.Tensor, partners: torch.Tensor, ratios: torch.Tensor) -> torch.Tensor:
    """Mix spectrograms with others as their sounds would mix: energies add up, not their logarithms.

    Parameters
    ----------
    log_mels, partners : torch.Tensor [shape=(n, 64, 96)]
    ratios : torch.Tensor [shape=(n,)]
        Share of the partner, 0 to 1.

    Returns
    -------
    torch.Tensor [shape=(n, 64, 96)]
    """
    ratios = ratios[:, None, None]
    return torch.logaddexp(log_mels + torch.log1p(-ratios), partners + torch.log(ratios))


def resize_crops(
    log_mels: torch.Tensor, rows: torch.Tensor, columns: torch.Tensor, *, canvas: tuple[float, float] = (1.0, 1.5)
) -> torch.Tensor:
    """Cut a rectangle out of each spectrogram, laid on a larger canvas of zeros, and resize it to the old size.

    Parameters
    ----------
    log_mels : torch.Tensor [shape=(n, 64, 96)]
        Normalised, so that the zeros around them are their mean.
    rows, columns : torch.Tensor [shape=(n, 2)]
        First band or frame on the canvas, and their number.
    canvas : tuple of float
        Its size relative to the spectrogram's, which lies in its middle.

    Returns
    -------
    torch.Tensor [shape=(n, 64, 96)]

    Notes
    -----
    Bicubic, the corners of the cut on the corners of the result. The two axes are independent of each other, so
    that each is one product with a matrix of weights, the whole batch at a time.
    """
    down = _interpolation_weights(rows, log_mels.shape[1], canvas[0])
    across = _interpolation_weights(columns, log_mels.shape[2], canvas[1])
    return down @ log_mels @ across.transpose(1, 2)


def _interpolation_weights(intervals: torch.Tensor, n: int, canvas: float) -> torch.Tensor:
    """Weights (len(intervals), n, n) of each input for each output."""
    device = intervals.device
    margin = (int(canvas * n) - n) // 2
    starts, sizes = intervals[:, :1], intervals[:, 1:]
    positions = torch.arange(n, device=device) * ((sizes - 1) / (n - 1))  # (batch, n), counted from the cut's start
    base = positions.floor()
    offset = positions - base
    weights = torch.zeros(len(intervals), n, n, device=device)
    for tap in (-1, 0, 1, 2):
        inputs = torch.minimum((base + tap).clamp(min=0), sizes - 1) + starts - margin
        # Inputs on the canvas but off the spectrogram are zeros, and match no column.
        hits = inputs[..., None] == torch.arange(n, device=device)
        weights += hits * _cubic_kernel((offset - tap).abs())[..., None]
    return weights


def _cubic_kernel(distance: torch.Tensor) -> torch.Tensor:
    """Weight of an input at a distance of 0 to 2."""
    near = ((_CUBIC + 2) * distance - (_CUBIC + 3)) * distance.square() + 1
    far = _CUBIC * (((distance - 5) * distance + 8) * distance - 4)
    return torch.where(distance <= 1, near, torch.where(distance < 2, far, torch.zeros_like(far)))


def normalise_views(views: torch.Tensor) -> torch.Tensor:
    """Normalise both views of a whole batch with one mean and one standard deviation.

    Parameters
    ----------
    views : torch.Tensor [shape=(2, share, 64, 96)]
        One process's share; the statistics are those of all processes' views.

    Returns
    -------
    torch.Tensor [shape=(2, share, 64, 96)]
    """
    mean = average(views.mean())
    variance = average((views - mean).square().mean())
    return (views - mean) / variance.clamp(min=_EPS**2).sqrt()


class Augmentation:
    """Two views of each crop, with the memory that this takes.

    Parameters
    ----------
    config : PretrainConfig
    device : torch.device
    """

    def __init__(self, config: PretrainConfig, device: torch.device) -> None:
        self.config, self.device = config, device
        self.log_mel = LogMel(device)
        self.statistics = RunningStatistics(device)
        self.memory = MemoryBank(config.memory_size, device)

    @torch.no_grad()
    def __call__(
        self, crops: torch.Tensor, generator: np.random.Generator, *, share: slice = slice(None), measure: bool = True
    ) -> torch.Tensor:
        """Make the views.

        Parameters
        ----------
        crops : torch.Tensor [shape=(share, 15_200)]
            This process's share of a batch.
        generator : numpy.random.Generator
            The same in all processes: each draws for the whole batch and keeps the numbers of its share.
        share : slice
            Which part of the batch this process has.
        measure : bool
            Whether the running statistics take this batch into account: in the first epoch.

        Returns
        -------
        torch.Tensor [shape=(2, share, 1, 64, 96)]

        Notes
        -----
        Partners for mixup are crops of earlier batches, normalised as they were then; the first batch has none
        and is not mixed. In the release each crop finds the ones before it in its own batch, too.
        """
        log_mels = self.log_mel(crops)
        batch = gather(log_mels)
        if measure:
            self.statistics.update(batch)
        log_mels, batch = self.statistics.normalise(log_mels), self.statistics.normalise(batch)
        draws = draw(generator, len(batch), len(self.memory), self.config).take(share)
        views = torch.stack([self._make_view(log_mels, draws, view) for view in range(N_VIEWS)])
        self.memory.add(batch)
        return normalise_views(views)[:, :, None]

    def _make_view(self, log_mels: torch.Tensor, draws: Draws, view: int) -> torch.Tensor:
        if self.config.mixup_ratio and len(self.memory):
            partners = self.memory.spectrograms[self._move(draws.partners[view])]
            log_mels = mix(log_mels, partners, self._move(draws.ratios[view]).float())
        if self.config.resized_crop:
            rows, columns = self._move(draws.rows[view]), self._move(draws.columns[view])
            log_mels = resize_crops(log_mels, rows, columns, canvas=self.config.canvas)
        return log_mels

    def _move(self, values: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(values).to(self.device)

    def state_dict(self) -> dict[str, Any]:
        """What the next batch depends on."""
        return {
            "sums": self.statistics.sums,
            "memory": self.memory.spectrograms,
            "n_seen": self.memory.n_seen,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a state."""
        self.statistics.sums.copy_(state["sums"])
        self.memory.spectrograms.copy_(state["memory"])
        self.memory.n_seen = state["n_seen"]
