"""VGGish: a VGG on log-mel patches of 0.96 s, from the weights that torchvggish converted."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional

from serab_lib.extractors.audioset_mel import (
    HOP_SAMPLES,
    PATCH_FRAMES,
    audioset_log_mel,
    average_over_patches,
    n_samples_of,
)
from serab_lib.extractors.base import Extractor, count_parameters
from serab_lib.extractors.weights import load_into, read_state_dict

_LOG_OFFSET = 0.01
# The release pads whatever is shorter than one second.
_MIN_SAMPLES = 16_000


class VggishNetwork(nn.Module):
    """Six convolutions with four poolings, and three fully connected layers, named as torchvggish's."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        width = 1
        for group in ((64,), (128,), (256, 256), (512, 512)):
            for n_channels in group:
                layers += [nn.Conv2d(width, n_channels, 3, padding=1), nn.ReLU(inplace=True)]
                width = n_channels
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        self.embeddings = nn.Sequential(
            nn.Linear(width * 6 * 4, 4096),
            nn.ReLU(inplace=True),
            nn.Linear(4096, 4096),
            nn.ReLU(inplace=True),
            nn.Linear(4096, 128),
        )
        self.requires_grad_(False).to(memory_format=torch.channels_last)

    def forward(self, patches: torch.Tensor) -> torch.Tensor:
        """Embed log-mel patches (n, 1, 96, 64), time before mel, as (n, 128)."""
        maps = self.features(patches.contiguous(memory_format=torch.channels_last))  # (n, 512, 6, 4)
        # The linear layers were trained on TensorFlow's order: time, mel, channel.
        return self.embeddings(maps.permute(0, 2, 3, 1).flatten(1))


class VggishExtractor(Extractor):
    """Average of VGGish's raw 128-d embeddings over consecutive patches of 0.96 s."""

    embedding_size = 128

    def __init__(self, checkpoint: str | Path) -> None:
        # On the meta device nothing is allocated or drawn at random for what is loaded over at once.
        with torch.device("meta"):
            self.network = VggishNetwork().eval()
        load_into(self.network.to_empty(device="cpu"), read_state_dict(checkpoint), source=checkpoint)
        self.n_parameters = count_parameters(self.network)

    def prepare(self, waveform: torch.Tensor) -> torch.Tensor:
        """Log-mel spectrogram of whole patches, shape (64, 96 n)."""
        shortfall = max(0, _MIN_SAMPLES - len(waveform))
        padded = functional.pad(waveform, (shortfall // 2, shortfall - shortfall // 2))
        n_patches = (len(padded) - n_samples_of(0)) // (PATCH_FRAMES * HOP_SAMPLES)
        return audioset_log_mel(padded[: n_samples_of(n_patches * PATCH_FRAMES)], log_offset=_LOG_OFFSET)

    def encode(self, prepared: Sequence[torch.Tensor]) -> torch.Tensor:
        """Embed a batch of log-mel spectrograms, shape (len(prepared), 128)."""
        return average_over_patches(self.network, prepared, hop_frames=PATCH_FRAMES, device=self.device)
