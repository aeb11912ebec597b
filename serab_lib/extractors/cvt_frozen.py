"""The convolutional vision transformer (CvT), in the form to embed with."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_weights

from serab_lib.extractors.cvt_network import HEAD_SIZE, NORM_EPS, ChannelNorm, CvtEncoder, DepthwiseProjection


class FrozenCvt(nn.Module):
    """The network of `CvtEncoder`, frozen: norms folded into the layers after them, exact on padded batches.

    Parameters
    ----------
    encoder : CvtEncoder
        In training or evaluation mode; it is not changed.
    """

    def __init__(self, encoder: CvtEncoder) -> None:
        super().__init__()
        self.pooling = encoder.pooling
        self.stages = nn.ModuleList(_FrozenStage(stage) for stage in encoder.layers)
        self.requires_grad_(False)

    def forward(self, log_mels: torch.Tensor, n_frames: Sequence[int]) -> torch.Tensor:
        """Embed padded log-mel spectrograms.

        Parameters
        ----------
        log_mels : torch.Tensor [shape=(n, 1, 64, max(n_frames))]
            Normalised; zero past each utterance's end.
        n_frames : sequence of int
            Frames of each utterance, at least 1.

        Returns
        -------
        torch.Tensor [shape=(n, embedding_size)]
            What each utterance gets alone: convolutions see zeros past its end, attention sees none of what
            lies there, and neither does the pooling.
        """
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
        """Transform the maps; return them with the steps of each utterance."""
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
        keys, values = pairs.flatten(1, 2).unflatten(-1, (2, -1, HEAD_SIZE)).permute(2, 0, 3, 1, 4)
        queries = queries.unflatten(-1, (-1, HEAD_SIZE)).transpose(1, 2)  # (n, heads, positions, 64)
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
    return centred.div_(std + NORM_EPS)


def _time_first(convolution: nn.Conv2d, weight: torch.Tensor, bias: torch.Tensor) -> nn.Conv2d:
    """A convolution with these weights and the axes of time and frequency exchanged."""
    swapped = nn.Conv2d(
        convolution.in_channels,
        convolution.out_channels,
        convolution.kernel_size,
        stride=convolution.stride,
        padding=convolution.padding,
        groups=convolution.groups,
    )
    swapped.weight.data = weight.detach().transpose(2, 3).contiguous(memory_format=torch.channels_last)
    swapped.bias.data = bias.detach().clone()
    return swapped


def _fold_projection(projection: DepthwiseProjection) -> tuple[nn.Conv2d, nn.Linear]:
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
