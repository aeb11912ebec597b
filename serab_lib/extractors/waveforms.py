"""What the extractors share that take waveforms as they are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch

from serab_lib.extractors.base import Extractor, length_sorted_batches

_SAMPLES_PER_STEP = 160


class WaveformExtractor(Extractor):
    """An extractor whose `prepare` returns waveforms, shape (n_samples,).

    Batches are counted in steps of 160 samples, about the frames of a log-mel spectrogram, so that
    `batch_frames` means the same in all families.
    """

    batch_frames: ClassVar[dict[str, int]] = {"cpu": 1500, "cuda": 20_000}

    def embed(self, waveforms: Sequence[torch.Tensor]) -> torch.Tensor:
        """Make the embeddings of waveforms of any lengths, shape (len(waveforms), embedding_size)."""
        prepared = [self.prepare(waveform) for waveform in waveforms]
        steps = [len(waveform) // _SAMPLES_PER_STEP for waveform in prepared]
        embeddings = torch.empty(len(prepared), self.embedding_size)
        with torch.inference_mode():
            for batch in length_sorted_batches(steps, self.batch_frames[self.device.type]):
                embeddings[batch] = self.encode([prepared[i] for i in batch])
        return embeddings
