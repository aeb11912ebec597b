"""BYOL-A and BYOL-S: one convolutional encoder, in a form to train and a form to embed with."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from serab_lib.audio import N_MELS
from serab_lib.corpora.task import RELEASED_WINDOW_SAMPLES
from serab_lib.extractors.base import StatisticsExtractor, count_parameters
from serab_lib.extractors.weights import CheckpointError, load_into, read_state_dict


class AudioNTTEncoder(nn.Module):
    """Three convolution blocks and two linear layers per time step ("AudioNTT2020"), for training.

    Written from the published description of BYOL-A's encoder, with the tensor names of the released checkpoints.
    """

    def __init__(self, embedding_size: int = 512) -> None:
        super().__init__()
        blocks: list[nn.Module] = []
        for n_channels in (1, 64, 64):
            blocks += [nn.Conv2d(n_channels, 64, 3, padding=1), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(2)]
        self.features = nn.Sequential(*blocks)
        self.fc = nn.Sequential(
            nn.Linear(64 * N_MELS // 8, embedding_size),
            nn.ReLU(),
            nn.Dropout(0.3),
            nn.Linear(embedding_size, embedding_size),
            nn.ReLU(),
        )

    def forward(self, log_mels: torch.Tensor) -> torch.Tensor:
        """Embed normalised log-mel spectrograms of one length, (n, 1, 64, n_frames), as (n, d)."""
        steps = self.fc(_flatten_frequency(self.features(log_mels)))  # (n, n_steps, d)
        return steps.mean(dim=1) + steps.amax(dim=1)


class FrozenAudioNTT(nn.Module):
    """The same network, frozen: batch norm folded into the convolutions, exact on padded batches."""

    def __init__(self, encoder: AudioNTTEncoder) -> None:
        super().__init__()
        layers = encoder.features
        self.convolutions = nn.ModuleList(fuse_conv_bn_eval(layers[i].eval(), layers[i + 1].eval()) for i in (0, 4, 8))
        self.first, self.second = encoder.fc[0], encoder.fc[3]
        # Channels last is what the CPU's and the GPU's convolution kernels are fastest with.
        self.requires_grad_(False).to(memory_format=torch.channels_last)

    def forward(self, log_mels: torch.Tensor, n_frames: Sequence[int]) -> torch.Tensor:
        """Embed log-mel spectrograms, (n, 1, 64, max(n_frames)), that are zero past each one's end."""
        maps, lengths = log_mels.contiguous(memory_format=torch.channels_last), list(n_frames)
        for convolution in self.convolutions:
            maps = _pool(convolution(maps)).relu_()
            lengths = [length // 2 for length in lengths]
            # What lies past an utterance's end is the padding that its own convolution would see.
            for row, length in zip(maps, lengths, strict=True):
                row[..., length:] = 0
        steps = self.second(self.first(_flatten_frequency(maps)).relu_()).relu_()  # (n, n_steps, d), never negative
        for row, length in zip(steps, lengths, strict=True):
            row[length:] = 0
        counts = torch.tensor(lengths, device=steps.device, dtype=steps.dtype)[:, None]
        return steps.sum(dim=1) / counts + steps.amax(dim=1)


def _pool(maps: torch.Tensor) -> torch.Tensor:
    """2 x 2 max pooling, an odd last row or column left out; vectorised along the channels."""
    n_rows, n_columns = maps.shape[2] // 2 * 2, maps.shape[3] // 2 * 2
    rows = torch.maximum(maps[:, :, 0:n_rows:2], maps[:, :, 1:n_rows:2])
    return torch.maximum(rows[..., 0:n_columns:2], rows[..., 1:n_columns:2])


def _flatten_frequency(maps: torch.Tensor) -> torch.Tensor:
    """(n, channels, mels, time) to (n, time, mels x channels), mel first."""
    return maps.permute(0, 3, 2, 1).flatten(2)


class ByolExtractor(StatisticsExtractor):
    """Mean plus maximum over time of the BYOL-A encoder's steps; of weights drawn by `seed` without a checkpoint."""

    # Three 2 x 2 poolings: fewer leave no time step at all.
    min_frames: ClassVar[int] = 8

    def __init__(
        self,
        checkpoint: str | Path | None = None,
        *,
        window_samples: int = RELEASED_WINDOW_SAMPLES,
        embedding_size: int | None = None,
        seed: int = 42,
    ) -> None:
        super().__init__(window_samples)
        state = draw_weights(embedding_size or 512, seed) if checkpoint is None else read_state_dict(checkpoint)
        if "fc.3.weight" not in state:
            shown = ", ".join([*state][:3])
            raise CheckpointError(
                f"{checkpoint} has no tensor fc.3.weight but {shown}, ...: it is not a BYOL-A or BYOL-S encoder"
            )
        self.embedding_size = len(state["fc.3.weight"])
        if embedding_size not in (None, self.embedding_size):
            raise CheckpointError(
                f"{checkpoint} makes embeddings of {self.embedding_size} numbers, the model has "
                f"{embedding_size}: use the checkpoint of that width"
            )
        encoder = AudioNTTEncoder(self.embedding_size)
        load_into(encoder, state, source=checkpoint or "the drawn weights")
        self.n_parameters = count_parameters(encoder)
        self.network = FrozenAudioNTT(encoder.eval())


def draw_weights(embedding_size: int, seed: int) -> dict[str, torch.Tensor]:
    """Draw the encoder's weights as before the first step of pre-training, whatever else draws numbers."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return AudioNTTEncoder(embedding_size).state_dict()
