"""VGGish, from the weights that torchvggish converted, and the log-mel patches that it and YAMNet look at."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional

from serab_lib.audio import N_MELS, SAMPLE_RATE_HZ
from serab_lib.extractors.base import Extractor, count_parameters
from serab_lib.extractors.weights import load_into, read_state_dict

_LOG_OFFSET = 0.01
# The release pads whatever is shorter than one second.
_MIN_SAMPLES = 16_000


# One patch: 96 frames of 10 ms.
PATCH_FRAMES = 96
_WINDOW_SAMPLES = 400
HOP_SAMPLES = 160
_FFT_SAMPLES = 512
# Patches that go through a network at a time: enough to keep a device busy, few enough to bound the memory
# that an hour of audio takes.
_MAX_PATCHES = {"cpu": 32, "gpu": 2048}


def n_samples_of(n_frames: int) -> int:
    """Samples that a number of whole spectrogram frames covers: 15,600 for the 96 of one patch."""
    return _WINDOW_SAMPLES + (n_frames - 1) * HOP_SAMPLES


@functools.lru_cache(maxsize=1)
def mel_bank() -> torch.Tensor:
    """Mel bands by bins of the FFT, (64, 257): straight lines in mel, as TensorFlow's; torchaudio's are so in hertz."""
    lowest, highest = _hertz_to_mel(torch.tensor([125.0, 7500.0], dtype=torch.float64)).tolist()
    corners = torch.linspace(lowest, highest, N_MELS + 2, dtype=torch.float64)[:, None]
    bins = _hertz_to_mel(torch.linspace(0, SAMPLE_RATE_HZ / 2, _FFT_SAMPLES // 2 + 1, dtype=torch.float64))
    lower, centre, upper = corners[:-2], corners[1:-1], corners[2:]
    rising, falling = (bins - lower) / (centre - lower), (upper - bins) / (upper - centre)
    return torch.minimum(rising, falling).clamp_min(0).float()


def _hertz_to_mel(frequency: torch.Tensor) -> torch.Tensor:
    return 1127 * torch.log1p(frequency / 700)


def audioset_log_mel(waveform: torch.Tensor, *, log_offset: float) -> torch.Tensor:
    """Log-mel spectrogram of Google's AudioSet networks, (64, 1 + (n_samples - 400) // 160).

    As in `features.py` of tensorflow/models' YAMNet: windows of 25 ms every 10 ms from the first sample on, none beyond
    the last; magnitudes (not power) of an FFT of 512; 64 HTK mel bands from 125 to 7,500 Hz without normalisation.
    """
    frames = waveform.unfold(0, _WINDOW_SAMPLES, HOP_SAMPLES) * torch.hann_window(_WINDOW_SAMPLES)  # (n_frames, 400)
    magnitudes = torch.fft.rfft(frames, n=_FFT_SAMPLES).abs()  # (n_frames, 257)
    return torch.log(mel_bank() @ magnitudes.T + log_offset)


def average_over_patches(
    network: nn.Module, log_mels: Sequence[torch.Tensor], *, hop_frames: int, device: torch.device
) -> torch.Tensor:
    """Embed every patch of some spectrograms, each (64, 96 or more), and average within each: (len(log_mels), d)."""
    cut = [log_mel.unfold(1, PATCH_FRAMES, hop_frames).permute(1, 2, 0) for log_mel in log_mels]
    patches = torch.cat(cut)[:, None]  # (n_patches, 1, 96, 64)
    parts = [network(part.to(device)) for part in patches.split(_MAX_PATCHES["cpu" if device.type == "cpu" else "gpu"])]
    utterances = torch.cat(parts).split([len(each) for each in cut])
    return torch.stack([embeddings.mean(dim=0) for embeddings in utterances]).cpu()


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
