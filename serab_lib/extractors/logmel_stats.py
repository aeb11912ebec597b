"""Mean and standard deviation of each mel band: a floor that needs no weights and that the paper lacks."""

from __future__ import annotations

import torch

from serab_lib.audio import log_mel
from serab_lib.extractors.base import Extractor


class LogMelStats(Extractor):
    """Mean and standard deviation over time of the 64 log-mel bands."""

    embedding_size = 128

    def prepare(self, waveform: torch.Tensor) -> torch.Tensor:
        """Statistics of one utterance, shape (128, 1)."""
        std, mean = torch.std_mean(log_mel(waveform), dim=1, correction=0)
        return torch.cat([mean, std])[:, None]
