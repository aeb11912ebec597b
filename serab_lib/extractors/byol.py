"""BYOL-A and BYOL-S: one convolutional encoder, any checkpoint with the released tensor names."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from serab_lib.audio import log_mel
from serab_lib.extractors.audio_ntt import MIN_FRAMES, AudioNTTEncoder, FrozenAudioNTT
from serab_lib.extractors.base import StatisticsExtractor, pad_batch
from serab_lib.extractors.weights import CheckpointError, load_into, read_state_dict


class ByolExtractor(StatisticsExtractor):
    """Mean plus maximum over time of the BYOL-A encoder's steps.

    Parameters
    ----------
    checkpoint : str, Path or None
        A state dict with the released names; its width is the embedding size. None for random weights.
    window_samples : int
        Mel window: 400 for checkpoints trained with SERAB's configuration, 1,024 for NTT's.
    embedding_size : int, optional
        Width the checkpoint must have; any if None.
    seed : int
        Of random weights.

    Raises
    ------
    CheckpointError
        If the file is no such checkpoint or has another width.

    Notes
    -----
    An utterance shorter than 8 mel frames (70 ms) is padded with silence after normalisation, since three
    poolings would leave nothing of it; the release fails there.
    """

    def __init__(
        self,
        checkpoint: str | Path | None = None,
        *,
        window_samples: int = 400,
        embedding_size: int | None = None,
        seed: int = 42,
    ) -> None:
        super().__init__(window_samples)
        state = draw_weights(embedding_size or 512, seed) if checkpoint is None else read_state_dict(checkpoint)
        if "fc.3.weight" not in state:
            raise CheckpointError(f"{checkpoint} has no tensor fc.3.weight: it is not a BYOL-A or BYOL-S encoder")
        self.embedding_size = len(state["fc.3.weight"])
        if embedding_size not in (None, self.embedding_size):
            raise CheckpointError(
                f"{checkpoint} makes embeddings of {self.embedding_size} numbers, the model has "
                f"{embedding_size}: use the checkpoint of that width"
            )
        encoder = AudioNTTEncoder(self.embedding_size)
        load_into(encoder, state, source=checkpoint or "the drawn weights")
        self.n_parameters = sum(parameter.numel() for parameter in encoder.parameters())
        self.network = FrozenAudioNTT(encoder.eval())

    def to(self, device: str | torch.device) -> ByolExtractor:
        """Move the network to a device and return the extractor itself."""
        super().to(device)
        self.network.to(self.device)
        return self

    def prepare(self, waveform: torch.Tensor) -> torch.Tensor:
        """Log-mel spectrogram, not yet normalised, shape (64, n_frames)."""
        return log_mel(waveform, window_samples=self.window_samples)

    def encode(self, prepared: Sequence[torch.Tensor]) -> torch.Tensor:
        """Embed a batch of log-mel spectrograms, shape (len(prepared), embedding_size)."""
        spectrograms = [self.normalise(spectrogram) for spectrogram in prepared]
        n_frames = [max(spectrogram.shape[-1], MIN_FRAMES) for spectrogram in spectrograms]
        if min(spectrogram.shape[-1] for spectrogram in spectrograms) < MIN_FRAMES:
            spectrograms = [
                torch.nn.functional.pad(spectrogram, (0, max(0, MIN_FRAMES - spectrogram.shape[-1])))
                for spectrogram in spectrograms
            ]
        padded = pad_batch([spectrogram[None] for spectrogram in spectrograms], self.device)
        return self.network(padded, n_frames).cpu()


def draw_weights(embedding_size: int, seed: int) -> dict[str, torch.Tensor]:
    """Draw the encoder's weights as before the first step of pre-training, whatever else draws numbers."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return AudioNTTEncoder(embedding_size).state_dict()
