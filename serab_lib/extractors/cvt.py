"""BYOL-S/CvT: the convolutional vision transformer, any checkpoint with the released tensor names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import torch

from serab_lib.audio import log_mel
from serab_lib.extractors.base import StatisticsExtractor, pad_batch
from serab_lib.extractors.cvt_frozen import FrozenCvt
from serab_lib.extractors.cvt_network import CvtEncoder
from serab_lib.extractors.weights import CheckpointError, load_into, read_state_dict


class CvtExtractor(StatisticsExtractor):
    """Pooled output of a CvT's last stage.

    Parameters
    ----------
    checkpoint : str or Path
        A state dict with the released names; the widths of the stages are read from it.
    pooling : {"mean", "mean+max"}
        See `CvtEncoder`. No checkpoint records it, since pooling has no weights.
    embedding_size : int, optional
        Size the embedding must have; any if None.
    window_samples : int
        Mel window.

    Raises
    ------
    CheckpointError
        If the file is no such checkpoint or makes embeddings of another size.
    SerabError
        If there is no such pooling.

    Notes
    -----
    The network takes spectrograms from one frame on, and the shortest that `log_mel` makes has four, so
    nothing is padded beyond what `log_mel` itself pads: 513 samples (32 ms).
    """

    # About four utterances: their products are large enough for a CPU to run at full speed.
    batch_frames: ClassVar[dict[str, int]] = StatisticsExtractor.batch_frames | {"cpu": 1600}

    def __init__(
        self,
        checkpoint: str | Path,
        *,
        pooling: str = "mean",
        embedding_size: int | None = None,
        window_samples: int = 400,
    ) -> None:
        super().__init__(window_samples)
        state = read_state_dict(checkpoint)
        widths = infer_widths(state)
        if widths is None:
            raise CheckpointError(
                f"{checkpoint} has no tensors layers.0.0.weight to layers.2.0.weight: it is not a BYOL-S/CvT encoder"
            )
        encoder = CvtEncoder(widths, pooling=pooling)
        self.embedding_size = encoder.embedding_size
        if embedding_size not in (None, self.embedding_size):
            raise CheckpointError(
                f"{checkpoint} makes embeddings of {self.embedding_size} numbers (stages "
                f"{'/'.join(map(str, widths))}, pooling {pooling}), the model has {embedding_size}: "
                "use the checkpoint of that model"
            )
        load_into(encoder, state, source=checkpoint)
        self.n_parameters = sum(parameter.numel() for parameter in encoder.parameters())
        self.network = FrozenCvt(encoder)

    def to(self, device: str | torch.device) -> CvtExtractor:
        """Move the network to a device and return the extractor itself."""
        super().to(device)
        self.network.to(self.device)
        return self

    def prepare(self, waveform: torch.Tensor) -> torch.Tensor:
        """Log-mel spectrogram, not yet normalised, shape (64, n_frames)."""
        return log_mel(waveform, window_samples=self.window_samples)

    def encode(self, prepared: Sequence[torch.Tensor]) -> torch.Tensor:
        """Embed a batch of log-mel spectrograms, shape (len(prepared), embedding_size)."""
        spectrograms = [self.normalise(spectrogram)[None] for spectrogram in prepared]
        n_frames = [spectrogram.shape[-1] for spectrogram in spectrograms]
        return self.network(pad_batch(spectrograms, self.device), n_frames).cpu()


def infer_widths(state: Mapping[str, torch.Tensor]) -> tuple[int, ...] | None:
    """Channels of the three stages, or None where the tensors are not a CvT's."""
    names = [f"layers.{stage}.0.weight" for stage in range(3)]
    if not all(name in state and state[name].ndim == 4 for name in names):
        return None
    return tuple(len(state[name]) for name in names)
