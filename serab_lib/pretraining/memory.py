"""What the augmentations remember from batch to batch: statistics, and the latest spectrograms."""

from __future__ import annotations

import torch

from serab_lib.extractors.audio_ntt import N_MELS
from serab_lib.pretraining.clips import CROP_FRAMES

_EPS = torch.finfo(torch.float32).eps


class RunningStatistics:
    """Mean and standard deviation of all values seen so far.

    Parameters
    ----------
    device : torch.device
    """

    def __init__(self, device: torch.device) -> None:
        # Number of values, their sum and the sum of their squares.
        self.sums = torch.zeros(3, dtype=torch.float64, device=device)

    def update(self, values: torch.Tensor) -> None:
        """Take more values into account."""
        exact = values.double()
        self.sums[0] += values.numel()
        self.sums[1] += exact.sum()
        self.sums[2] += exact.square().sum()

    @property
    def mean(self) -> torch.Tensor:
        """Mean of what was seen."""
        return (self.sums[1] / self.sums[0]).float()

    @property
    def std(self) -> torch.Tensor:
        """Standard deviation of what was seen, at least float32's epsilon."""
        variance = self.sums[2] / self.sums[0] - (self.sums[1] / self.sums[0]).square()
        return variance.clamp(min=_EPS**2).sqrt().float()

    def normalise(self, values: torch.Tensor) -> torch.Tensor:
        """Subtract the mean and divide by the standard deviation."""
        return (values - self.mean) / self.std


class MemoryBank:
    """The latest spectrograms, which mixup takes its partners from.

    Parameters
    ----------
    size : int
    device : torch.device
    """

    def __init__(self, size: int, device: torch.device) -> None:
        self.spectrograms = torch.zeros(size, N_MELS, CROP_FRAMES, device=device)
        self.n_seen = 0

    def __len__(self) -> int:
        """Number of spectrograms that are there."""
        return min(self.n_seen, len(self.spectrograms))

    def add(self, spectrograms: torch.Tensor) -> None:
        """Keep spectrograms of shape (n, 64, 96) in the place of the oldest."""
        n_kept = min(len(spectrograms), len(self.spectrograms))
        first = self.n_seen + len(spectrograms) - n_kept
        places = torch.arange(first, first + n_kept, device=self.spectrograms.device) % len(self.spectrograms)
        self.spectrograms[places] = spectrograms[len(spectrograms) - n_kept :]
        self.n_seen += len(spectrograms)
