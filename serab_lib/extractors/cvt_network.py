"""The convolutional vision transformer (CvT), in the form to train; `cvt_frozen` embeds with it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional

from serab_lib.core import SerabError

N_MELS = 64
# Rows of the frequency axis that the three strides leave of the mel bands.
N_ROWS = N_MELS // 16
SMALL_WIDTHS, LARGE_WIDTHS = (64, 128, 256), (64, 256, 512)
POOLINGS = ("mean", "mean+max")

HEAD_SIZE = 64
NORM_EPS = 1e-5

_KERNELS, _STRIDES, _N_HEADS = (7, 3, 3), (4, 2, 2), (1, 3, 6)
_MLP_RATIO = 4


class ChannelNorm(nn.Module):
    """Normalise each position over its channels; epsilon is added to the standard deviation.

    Parameters
    ----------
    n_channels : int
    """

    def __init__(self, n_channels: int) -> None:
        super().__init__()
        self.g = nn.Parameter(torch.ones(1, n_channels, 1, 1))
        self.b = nn.Parameter(torch.zeros(1, n_channels, 1, 1))

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """Normalise maps of shape (n, n_channels, rows, steps)."""
        variance, mean = torch.var_mean(maps, dim=1, correction=0, keepdim=True)
        return (maps - mean) / (variance.sqrt() + NORM_EPS) * self.g + self.b


class DepthwiseProjection(nn.Module):
    """A 3 x 3 convolution of each channel, batch norm, and a product across channels."""

    def __init__(self, n_in: int, n_out: int, *, stride: int) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.Conv2d(n_in, n_in, 3, padding=1, stride=stride, groups=n_in, bias=False),
            nn.BatchNorm2d(n_in),
            nn.Conv2d(n_in, n_out, 1, bias=False),
        )

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """Project maps of shape (n, n_in, rows, steps)."""
        return self.net(maps)


class Attention(nn.Module):
    """Attention of every position to every second position of both axes."""

    def __init__(self, n_channels: int, *, n_heads: int, dropout: float = 0.0) -> None:
        super().__init__()
        width = n_heads * HEAD_SIZE
        self.to_q = DepthwiseProjection(n_channels, width, stride=1)
        self.to_kv = DepthwiseProjection(n_channels, 2 * width, stride=2)
        self.to_out = nn.Sequential(nn.Conv2d(width, n_channels, 1), nn.Dropout(dropout))

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """Attend within each of the maps, shape (n, n_channels, rows, steps)."""
        queries = self.to_q(maps)
        keys, values = self.to_kv(maps).chunk(2, dim=1)
        mixed = functional.scaled_dot_product_attention(_split_heads(queries), _split_heads(keys), _split_heads(values))
        return self.to_out(mixed.transpose(2, 3).reshape(queries.shape))


class FeedForward(nn.Module):
    """Two products across channels with a GELU between them."""

    def __init__(self, n_channels: int, *, dropout: float = 0.0) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.Conv2d(n_channels, _MLP_RATIO * n_channels, 1),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Conv2d(_MLP_RATIO * n_channels, n_channels, 1),
            nn.Dropout(dropout),
        )

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """Transform each position of maps of shape (n, n_channels, rows, steps)."""
        return self.net(maps)


class Residual(nn.Module):
    """Add to the maps what a layer makes of their normalised values."""

    def __init__(self, n_channels: int, layer: nn.Module) -> None:
        super().__init__()
        self.norm = ChannelNorm(n_channels)
        self.fn = layer

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """Transform maps of shape (n, n_channels, rows, steps)."""
        return maps + self.fn(self.norm(maps))


class TransformerLayer(nn.Module):
    """Attention, then the feed-forward layer."""

    def __init__(self, n_channels: int, *, n_heads: int, dropout: float = 0.0) -> None:
        super().__init__()
        attention = Attention(n_channels, n_heads=n_heads, dropout=dropout)
        feed_forward = FeedForward(n_channels, dropout=dropout)
        pair = nn.ModuleList([Residual(n_channels, attention), Residual(n_channels, feed_forward)])
        # The released tensor names leave room for several layers in a stage; every stage has one.
        self.layers = nn.ModuleList([pair])

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """Transform maps of shape (n, n_channels, rows, steps)."""
        attention, feed_forward = self.layers[0]
        return feed_forward(attention(maps))


class CvtEncoder(nn.Module):
    """Three stages of a strided convolution and a transformer layer, for training.

    Parameters
    ----------
    widths : sequence of int
        Channels of the three stages: `SMALL_WIDTHS` or `LARGE_WIDTHS` in the paper.
    pooling : {"mean", "mean+max"}
        Of what the last stage leaves, 4 rows of frequency by one step in 16 frames: its mean, or for each
        row by itself the mean plus the maximum over the steps.
    dropout : float
        Share of values dropped after each projection in training.

    Raises
    ------
    SerabError
        If there is no such pooling.

    Notes
    -----
    Written from a description of the released network. The names of parameters and buffers are those of the
    released checkpoints: `layers.<stage>.0` is the convolution, `.1` its norm, `.2.layers.0.0` attention and
    `.2.layers.0.1` the feed-forward layer. Of the paper's rows, 256 is the small network and 512 the large one
    with the mean, 2,048 the large one with mean plus maximum.
    """

    def __init__(self, widths: Sequence[int] = SMALL_WIDTHS, *, pooling: str = "mean", dropout: float = 0.0) -> None:
        super().__init__()
        if pooling not in POOLINGS:
            raise SerabError(f"there is no pooling {pooling!r} of a CvT: choose {' or '.join(POOLINGS)}")
        self.pooling = pooling
        self.embedding_size = widths[-1] * (1 if pooling == "mean" else N_ROWS)
        stages, n_in = [], 1
        for width, n_heads, kernel, stride in zip(widths, _N_HEADS, _KERNELS, _STRIDES, strict=True):
            convolution = nn.Conv2d(n_in, width, kernel, stride=stride, padding=kernel // 2)
            transformer = TransformerLayer(width, n_heads=n_heads, dropout=dropout)
            stages.append(nn.Sequential(convolution, ChannelNorm(width), transformer))
            n_in = width
        self.layers = nn.Sequential(*stages)

    def forward(self, log_mels: torch.Tensor) -> torch.Tensor:
        """Embed normalised log-mel spectrograms of one length.

        Parameters
        ----------
        log_mels : torch.Tensor [shape=(n, 1, 64, n_frames)]
            At least 1 frame.

        Returns
        -------
        torch.Tensor [shape=(n, embedding_size)]
        """
        maps = self.layers(log_mels)  # (n, channels, 4, steps)
        if self.pooling == "mean":
            return maps.mean(dim=(2, 3))
        steps = maps.permute(0, 3, 2, 1).flatten(2)  # (n, steps, rows x channels)
        return steps.mean(dim=1) + steps.amax(dim=1)


def _split_heads(maps: torch.Tensor) -> torch.Tensor:
    """(n, heads x 64, rows, steps) to (n, heads, rows x steps, 64)."""
    return maps.flatten(2).unflatten(1, (-1, HEAD_SIZE)).transpose(2, 3)
