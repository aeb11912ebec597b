"""BYOL-S/CvT: the convolutional vision transformer, in a form to train and a form to embed with."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_weights

from serab_lib.audio import N_MELS
from serab_lib.core import SerabError
from serab_lib.corpora.task import RELEASED_WINDOW_SAMPLES
from serab_lib.extractors.base import StatisticsExtractor, count_parameters
from serab_lib.extractors.weights import CheckpointError, load_into, read_state_dict

# Channels of the three stages.
SMALL_WIDTHS, LARGE_WIDTHS = (64, 128, 256), (64, 256, 512)
POOLINGS = ("mean", "mean+max")
_KERNELS, _STRIDES, _N_HEADS = (7, 3, 3), (4, 2, 2), (1, 3, 6)
_HEAD_SIZE, _MLP_RATIO, _NORM_EPS = 64, 4, 1e-5


class ChannelNorm(nn.Module):
    """Normalise each position over its channels; epsilon is added to the standard deviation."""

    def __init__(self, n_channels: int) -> None:
        super().__init__()
        self.g = nn.Parameter(torch.ones(1, n_channels, 1, 1))
        self.b = nn.Parameter(torch.zeros(1, n_channels, 1, 1))

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """Normalise maps of shape (n, n_channels, rows, steps)."""
        variance, mean = torch.var_mean(maps, dim=1, correction=0, keepdim=True)
        return (maps - mean) / (variance.sqrt() + _NORM_EPS) * self.g + self.b


class _Projection(nn.Module):
    """A 3 x 3 convolution of each channel, batch norm, and a product across channels."""

    def __init__(self, n_in: int, n_out: int, *, stride: int) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.Conv2d(n_in, n_in, 3, padding=1, stride=stride, groups=n_in, bias=False),
            nn.BatchNorm2d(n_in),
            nn.Conv2d(n_in, n_out, 1, bias=False),
        )

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        return self.net(maps)


class _Attention(nn.Module):
    """Attention of every position to every second position of both axes."""

    def __init__(self, n_channels: int, *, n_heads: int, dropout: float) -> None:
        super().__init__()
        width = n_heads * _HEAD_SIZE
        self.to_q = _Projection(n_channels, width, stride=1)
        self.to_kv = _Projection(n_channels, 2 * width, stride=2)
        self.to_out = nn.Sequential(nn.Conv2d(width, n_channels, 1), nn.Dropout(dropout))

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        queries = self.to_q(maps)
        parts = queries, *self.to_kv(maps).chunk(2, dim=1)
        heads = (part.flatten(2).unflatten(1, (-1, _HEAD_SIZE)).transpose(2, 3) for part in parts)
        mixed = functional.scaled_dot_product_attention(*heads)  # (n, heads, positions, 64)
        return self.to_out(mixed.transpose(2, 3).reshape(queries.shape))


class _FeedForward(nn.Module):
    """Two products across channels with a GELU between them."""

    def __init__(self, n_channels: int, *, dropout: float) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.Conv2d(n_channels, _MLP_RATIO * n_channels, 1),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Conv2d(_MLP_RATIO * n_channels, n_channels, 1),
            nn.Dropout(dropout),
        )

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        return self.net(maps)


class _Residual(nn.Module):
    """Add to the maps what a layer makes of their normalised values."""

    def __init__(self, n_channels: int, layer: nn.Module) -> None:
        super().__init__()
        self.norm, self.fn = ChannelNorm(n_channels), layer

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        return maps + self.fn(self.norm(maps))


class _Transformer(nn.Module):
    """Attention, then the feed-forward layer."""

    def __init__(self, n_channels: int, *, n_heads: int, dropout: float) -> None:
        super().__init__()
        attention = _Attention(n_channels, n_heads=n_heads, dropout=dropout)
        feed_forward = _FeedForward(n_channels, dropout=dropout)
        pair = nn.ModuleList([_Residual(n_channels, attention), _Residual(n_channels, feed_forward)])
        # The released tensor names leave room for several layers in a stage; every stage has one.
        self.layers = nn.ModuleList([pair])

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        attention, feed_forward = self.layers[0]
        return feed_forward(attention(maps))


class CvtEncoder(nn.Module):
    """Three stages of a strided convolution and a transformer layer, for training.

    Written from a description of the released network, with its tensor names. What the last stage leaves, 4 rows of
    frequency by one step in 16 frames, is pooled by its mean, or for each row by itself by mean plus maximum over the
    steps. Of the paper's rows, 256 is the small network and 512 the large one with the mean, 2,048 the large one with
    mean plus maximum.
    """

    def __init__(self, widths: Sequence[int] = SMALL_WIDTHS, *, pooling: str = "mean", dropout: float = 0.0) -> None:
        super().__init__()
        if pooling not in POOLINGS:
            raise SerabError(f"there is no pooling {pooling!r} of a CvT: choose {' or '.join(POOLINGS)}")
        self.pooling = pooling
        # The strides leave 4 rows of the 64 mel bands.
        self.embedding_size = widths[-1] * (N_MELS // 16 if pooling == "mean+max" else 1)
        stages, n_in = [], 1
        for width, n_heads, kernel, stride in zip(widths, _N_HEADS, _KERNELS, _STRIDES, strict=True):
            convolution = nn.Conv2d(n_in, width, kernel, stride=stride, padding=kernel // 2)
            transformer = _Transformer(width, n_heads=n_heads, dropout=dropout)
            stages.append(nn.Sequential(convolution, ChannelNorm(width), transformer))
            n_in = width
        self.layers = nn.Sequential(*stages)

    def forward(self, log_mels: torch.Tensor) -> torch.Tensor:
        """Embed normalised log-mel spectrograms of one length, (n, 1, 64, n_frames), as (n, embedding_size)."""
        maps = self.layers(log_mels)  # (n, channels, 4, steps)
        if self.pooling == "mean":
            return maps.mean(dim=(2, 3))
        steps = maps.permute(0, 3, 2, 1).flatten(2)  # (n, steps, rows x channels)
        return steps.mean(dim=1) + steps.amax(dim=1)


def infer_widths(state: Mapping[str, torch.Tensor]) -> tuple[int, ...] | None:
    """Channels of the three stages, or None where the tensors are not a CvT's."""
    names = [f"layers.{stage}.0.weight" for stage in range(3)]
    if not all(name in state and state[name].ndim == 4 for name in names):
        return None
    return tuple(len(state[name]) for name in names)


class FrozenCvt(nn.Module):
    """The network of `CvtEncoder`, frozen: norms folded into the layers after them, exact on padded batches."""

    def __init__(self, encoder: CvtEncoder) -> None:
        super().__init__()
        self.pooling = encoder.pooling
        self.stages = nn.ModuleList(_FrozenStage(stage) for stage in encoder.layers)
        self.requires_grad_(False)

    def forward(self, log_mels: torch.Tensor, n_frames: Sequence[int]) -> torch.Tensor:
        """Embed log-mel spectrograms, (n, 1, 64, max(n_frames)), that are zero past each one's end."""
        # Time first and channels last: products across channels need no copy, and what lies past an
        # utterance's end is the tail of its block.
        maps = log_mels.permute(0, 3, 2, 1)  # (n, frames, mels, 1)
        lengths = torch.tensor(n_frames, device=maps.device)
        padded = len(set(n_frames)) > 1
        for stage in self.stages:
            maps, lengths = stage(maps, lengths, padded=padded)
        if self.pooling == "mean":
            return maps.mean(dim=2).sum(dim=1) / lengths[:, None]
        steps = maps.flatten(2)  # (n, steps, rows x channels)
        mean = steps.sum(dim=1) / lengths[:, None]
        if padded:
            steps = steps.masked_fill(~_valid(lengths, steps.shape[1])[..., None], -torch.inf)
        return mean + steps.amax(dim=1)


class _FrozenStage(nn.Module):
    """One stage, on maps of shape (n, steps, rows, channels) that are zero past each utterance's end."""

    def __init__(self, stage: nn.Sequential) -> None:
        super().__init__()
        convolution, norm, transformer = stage
        attention, feed_forward = transformer.layers[0]
        self.convolution = _time_first(convolution, convolution.weight, convolution.bias)
        self.norm, self.attention_norm = _FrozenNorm(norm), _FrozenNorm(attention.norm)
        self.depthwise_q, self.to_q = _fold_projection(attention.fn.to_q)
        self.depthwise_kv, self.to_kv = _fold_projection(attention.fn.to_kv)
        self.to_out = _linear(attention.fn.to_out[0])
        self.first, self.second = _linear(feed_forward.fn.net[0]), _linear(feed_forward.fn.net[3])
        # The norm before the feed-forward layer: its scale and shift become the layer's own.
        scale, shift = feed_forward.norm.g.detach().flatten(), feed_forward.norm.b.detach().flatten()
        self.first.bias.data += self.first.weight @ shift
        self.first.weight.data *= scale

    def forward(self, maps: torch.Tensor, lengths: torch.Tensor, *, padded: bool) -> tuple[torch.Tensor, torch.Tensor]:
        maps = self.norm(_convolve(self.convolution, maps))
        lengths = _n_outputs(lengths, self.convolution.stride[0])
        valid = _valid(lengths, maps.shape[1])[..., None, None] if padded else None
        maps = maps + self._attend(maps, lengths, valid)
        maps = maps + self.second(functional.gelu(self.first(_standardise(maps))))
        return (maps if valid is None else maps * valid), lengths

    def _attend(self, maps: torch.Tensor, lengths: torch.Tensor, valid: torch.Tensor | None) -> torch.Tensor:
        normed = self.attention_norm(maps)
        if valid is not None:
            normed = normed * valid  # the norm's shift has moved the padding away from zero
        queries = self.to_q(_convolve(self.depthwise_q, normed)).flatten(1, 2)  # (n, positions, heads x 64)
        pairs = self.to_kv(_convolve(self.depthwise_kv, normed))
        mask = None
        if valid is not None:
            keys_valid = _valid(_n_outputs(lengths, self.depthwise_kv.stride[0]), pairs.shape[1])
            mask = keys_valid.repeat_interleave(pairs.shape[2], dim=1)[:, None, None]
        keys, values = pairs.flatten(1, 2).unflatten(-1, (2, -1, _HEAD_SIZE)).permute(2, 0, 3, 1, 4)
        queries = queries.unflatten(-1, (-1, _HEAD_SIZE)).transpose(1, 2)  # (n, heads, positions, 64)
        mixed = functional.scaled_dot_product_attention(queries, keys, values, attn_mask=mask)
        return self.to_out(mixed.transpose(1, 2).reshape(*maps.shape[:3], -1))


class _FrozenNorm(nn.Module):
    """`ChannelNorm` over the last axis."""

    def __init__(self, norm: ChannelNorm) -> None:
        super().__init__()
        self.register_buffer("scale", norm.g.detach().flatten().clone())
        self.register_buffer("shift", norm.b.detach().flatten().clone())

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        return torch.addcmul(self.shift, _standardise(maps), self.scale)


def _standardise(maps: torch.Tensor) -> torch.Tensor:
    centred = maps - maps.mean(dim=-1, keepdim=True)
    std = torch.linalg.vector_norm(centred, dim=-1, keepdim=True) / maps.shape[-1] ** 0.5
    return centred.div_(std + _NORM_EPS)


def _time_first(convolution: nn.Conv2d, weight: torch.Tensor, bias: torch.Tensor) -> nn.Conv2d:
    """A convolution with these weights and the axes of time and frequency exchanged."""
    swapped = copy.deepcopy(convolution)
    swapped.weight = nn.Parameter(weight.detach().transpose(2, 3).contiguous(memory_format=torch.channels_last))
    swapped.bias = nn.Parameter(bias.detach().clone())
    return swapped


def _fold_projection(projection: _Projection) -> tuple[nn.Conv2d, nn.Linear]:
    """Fold a projection's batch norm into the convolution before it."""
    depthwise, norm, pointwise = projection.net
    weight, bias = fuse_conv_bn_weights(
        depthwise.weight, None, norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias
    )
    return _time_first(depthwise, weight, bias), _linear(pointwise)


def _linear(convolution: nn.Conv2d) -> nn.Linear:
    """The product across channels that a 1 x 1 convolution is."""
    linear = nn.Linear(convolution.in_channels, convolution.out_channels, bias=convolution.bias is not None)
    linear.weight.data = convolution.weight.detach()[:, :, 0, 0].clone()
    if convolution.bias is not None:
        linear.bias.data = convolution.bias.detach().clone()
    return linear


def _convolve(convolution: nn.Conv2d, maps: torch.Tensor) -> torch.Tensor:
    return convolution(maps.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)


def _n_outputs(lengths: torch.Tensor, stride: int) -> torch.Tensor:
    """Positions that an odd kernel, padded by half of it, makes of `lengths`."""
    return (lengths - 1) // stride + 1


def _valid(lengths: torch.Tensor, n_steps: int) -> torch.Tensor:
    """Which steps belong to the utterances, (n, n_steps)."""
    return torch.arange(n_steps, device=lengths.device) < lengths[:, None]


class CvtExtractor(StatisticsExtractor):
    """Pooled output of a CvT's last stage; no checkpoint records how it was pooled, since pooling has no weights."""

    # About four utterances: their products are large enough for a CPU to run at full speed.
    batch_frames: ClassVar[dict[str, int]] = StatisticsExtractor.batch_frames | {"cpu": 1600}

    def __init__(
        self,
        checkpoint: str | Path,
        *,
        pooling: str = "mean",
        embedding_size: int | None = None,
        window_samples: int = RELEASED_WINDOW_SAMPLES,
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
        self.n_parameters = count_parameters(encoder)
        self.network = FrozenCvt(encoder)
