"""YAMNet: MobileNet v1 on log-mel patches of 0.96 s, from Google's own weight files."""

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
    pad_end,
)
from serab_lib.extractors.base import Extractor
from serab_lib.extractors.weights import load_into
from serab_lib.extractors.yamnet_weights import read_yamnet

EMBEDDING_SIZE = 1024
_LOG_OFFSET = 0.001
_HOP_FRAMES = 48
# Stride of the depthwise convolution and width of the pointwise one, of each of the 13 separable layers.
_SEPARABLE_LAYERS = (
    (1, 64),
    (2, 128),
    (1, 128),
    (2, 256),
    (1, 256),
    (2, 512),
    *[(1, 512)] * 5,
    (2, 1024),
    (1, 1024),
)


class YamnetNetwork(nn.Module):
    """YAMNet's 27 convolutions and the average pool behind them; batch norm is folded into the convolutions.

    Notes
    -----
    Its classifier of 521 sounds (534,025 more parameters) is left out: nothing here uses it. Google counts
    3.7 million with it. The paper prints 4.2 million, which is what MobileNet v1 has with the 1,000 classes of
    ImageNet.
    """

    def __init__(self) -> None:
        super().__init__()
        width = 32
        layers = [nn.Conv2d(1, width, 3, stride=2)]
        for stride, n_channels in _SEPARABLE_LAYERS:
            padding = 1 if stride == 1 else 0
            layers.append(nn.Conv2d(width, width, 3, stride=stride, padding=padding, groups=width))
            layers.append(nn.Conv2d(width, n_channels, 1))
            width = n_channels
        self.convolutions = nn.ModuleList(layers)
        # Channels last is what the CPU's and the GPU's convolution kernels are fastest with.
        self.requires_grad_(False).to(memory_format=torch.channels_last)

    def forward(self, patches: torch.Tensor) -> torch.Tensor:
        """Embed log-mel patches (n, 1, 96, 64), time before mel, as (n, 1024)."""
        maps = patches.contiguous(memory_format=torch.channels_last)
        for convolution in self.convolutions:
            if convolution.stride == (2, 2):
                # TensorFlow's "same" padding of an even size puts the odd row and column behind.
                maps = functional.pad(maps, (0, 1, 0, 1))
            maps = convolution(maps).relu_()
        return maps.mean(dim=(2, 3))


class YamnetExtractor(Extractor):
    """Average of YAMNet's 1,024-d embeddings over patches of 0.96 s, one every 0.48 s.

    Parameters
    ----------
    checkpoint : str or Path
        Google's `yamnet.h5`, or a TFLite file of the same network.

    Raises
    ------
    CheckpointError
        If the file is no such network, is cut off, or is HDF5 and h5py is not installed.

    Notes
    -----
    The release takes `google/yamnet/1` from TensorFlow Hub and averages its second output. As there, silence
    is put behind an utterance until whole patches cover all of it; anything up to 0.975 s makes one patch.
    A TFLite file holds most weights in 8 bits: they are taken at the values they stand for, and nothing else
    is rounded, where TFLite's interpreter also rounds activations, the Fourier transform and the mel bands.
    """

    embedding_size = EMBEDDING_SIZE

    def __init__(self, checkpoint: str | Path) -> None:
        super().__init__()
        self.network = YamnetNetwork().eval()
        load_into(self.network, read_yamnet(checkpoint), source=checkpoint)
        self.n_parameters = sum(parameter.numel() for parameter in self.network.parameters())

    def to(self, device: str | torch.device) -> YamnetExtractor:
        """Move the network to a device and return the extractor itself."""
        super().to(device)
        self.network.to(self.device)
        return self

    def prepare(self, waveform: torch.Tensor) -> torch.Tensor:
        """Log-mel spectrogram of whole patches, shape (64, 96 + 48 n)."""
        patch_samples, hop_samples = n_samples_of(PATCH_FRAMES), _HOP_FRAMES * HOP_SAMPLES
        n_hops = max(0, -(-(len(waveform) - patch_samples) // hop_samples))
        padded = pad_end(waveform, patch_samples + n_hops * hop_samples)
        return audioset_log_mel(padded, log_offset=_LOG_OFFSET)

    def encode(self, prepared: Sequence[torch.Tensor]) -> torch.Tensor:
        """Embed a batch of log-mel spectrograms, shape (len(prepared), 1024)."""
        return average_over_patches(self.network, prepared, hop_frames=_HOP_FRAMES, device=self.device)
