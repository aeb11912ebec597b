"""The BYOL-A convolutional encoder ("AudioNTT2020"), in a form to train and a form to embed with."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

N_MELS = 64
# Three 2 x 2 poolings: fewer mel frames than this leave no time step at all.
MIN_FRAMES = 8


class AudioNTTEncoder(nn.Module):
    """Three convolution blocks and two linear layers per time step, for training.

    Parameters
    ----------
    embedding_size : int
        Width d of the linear layers and of the embedding: 512, 1,024 or 2,048 in the paper.

    Notes
    -----
    Written from the published description of BYOL-A's encoder. The names of parameters and buffers are
    those of the released checkpoints: `features.{0,1,4,5,8,9}.*` and `fc.{0,3}.*`.
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
        """Embed normalised log-mel spectrograms of one length.

        Parameters
        ----------
        log_mels : torch.Tensor [shape=(n, 1, 64, n_frames)]
            At least 8 frames.

        Returns
        -------
        torch.Tensor [shape=(n, embedding_size)]
            Mean plus maximum over the time steps.
        """
        steps = self.fc(_flatten_frequency(self.features(log_mels)))  # (n, n_steps, d)
        return steps.mean(dim=1) + steps.amax(dim=1)


class FrozenAudioNTT(nn.Module):
    """The same network, frozen: batch norm folded into the convolutions, exact on padded batches.

    Parameters
    ----------
    encoder : AudioNTTEncoder
        In evaluation mode or not; it is not changed.
    """

    def __init__(self, encoder: AudioNTTEncoder) -> None:
        super().__init__()
        layers = encoder.features
        self.convolutions = nn.ModuleList(fuse_conv_bn_eval(layers[i].eval(), layers[i + 1].eval()) for i in (0, 4, 8))
        self.first, self.second = encoder.fc[0], encoder.fc[3]
        # Channels last is what the CPU's and the GPU's convolution kernels are fastest with.
        self.requires_grad_(False).to(memory_format=torch.channels_last)

    def forward(self, log_mels: torch.Tensor, n_frames: Sequence[int]) -> torch.Tensor:
        """Embed padded log-mel spectrograms.

        Parameters
        ----------
        log_mels : torch.Tensor [shape=(n, 1, 64, max(n_frames))]
            Normalised; zero past each utterance's end.
        n_frames : sequence of int
            Frames of each utterance, at least 8.

        Returns
        -------
        torch.Tensor [shape=(n, embedding_size)]
            What each utterance gets alone: after each layer, whatever lies past its end is set back to
            zero, the padding that its own convolution would see.
        """
        maps, lengths = log_mels.contiguous(memory_format=torch.channels_last), list(n_frames)
        for convolution in self.convolutions:
            maps = _pool(convolution(maps)).relu_()
            lengths = [length // 2 for length in lengths]
            for row, length in zip(maps, lengths, strict=True):
                row[..., length:] = 0
        steps = _flatten_frequency(maps)
        steps = self.second(self.first(steps).relu_()).relu_()  # (n, n_steps, d), never negative
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
