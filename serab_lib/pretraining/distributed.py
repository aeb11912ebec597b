"""What several processes share of a batch, so that together they compute what one would alone."""

from __future__ import annotations

import torch
from torch import distributed, nn


def count_ranks() -> int:
    """Number of processes that train together; 1 for a process alone."""
    return distributed.get_world_size() if distributed.is_available() and distributed.is_initialized() else 1


def is_leader() -> bool:
    """Whether this process is the one that writes and prints."""
    return count_ranks() == 1 or distributed.get_rank() == 0


def gather(share: torch.Tensor) -> torch.Tensor:
    """Join the shares of a batch from all processes, in the order of their ranks; without gradients."""
    if count_ranks() == 1:
        return share
    shares = [torch.empty_like(share) for _ in range(count_ranks())]
    distributed.all_gather(shares, share.contiguous())
    return torch.cat(shares)


def average(values: torch.Tensor) -> torch.Tensor:
    """Average a tensor over all processes; gradients go back to all of them."""
    return values if count_ranks() == 1 else _Sum.apply(values) / count_ranks()


class _Sum(torch.autograd.Function):
    """Sum over processes. Each one's gradient counts for every process's value."""

    @staticmethod
    def forward(ctx: object, values: torch.Tensor) -> torch.Tensor:
        total = values.clone()
        distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: object, gradient: torch.Tensor) -> torch.Tensor:
        total = gradient.clone()
        distributed.all_reduce(total)
        return total


class SynchronisedBatchNorm(nn.modules.batchnorm._BatchNorm):
    """Batch norm with the statistics of the whole batch over equal shares, on any device.

    Notes
    -----
    PyTorch's own `SyncBatchNorm` works on GPUs only, where this could not be tested against one process.
    """

    def _check_input_dim(self, maps: torch.Tensor) -> None:
        """Take maps of any number of axes, channels second."""

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """Normalise maps of shape (n, n_channels, ...)."""
        if not self.training or count_ranks() == 1:
            return super().forward(maps)
        axes = [axis for axis in range(maps.ndim) if axis != 1]
        shape = [-1 if axis == 1 else 1 for axis in range(maps.ndim)]
        with torch.autocast(maps.device.type, enabled=False):
            values = maps.float()
            mean = average(values.mean(axes))
            centred = values - mean.view(shape)
            variance = average(centred.square().mean(axes))
            result = centred * torch.rsqrt(variance + self.eps).view(shape)
            result = result * self.weight.view(shape) + self.bias.view(shape)
        n_values = maps.numel() // maps.shape[1] * count_ranks()
        with torch.no_grad():
            self.num_batches_tracked += 1
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * n_values / (n_values - 1), self.momentum)
        return result.to(maps.dtype)


def synchronise_batch_norms(network: nn.Module) -> None:
    """Put a `SynchronisedBatchNorm` with the same weights in the place of every batch norm."""
    for name, child in network.named_children():
        if isinstance(child, nn.modules.batchnorm._BatchNorm):
            synchronised = SynchronisedBatchNorm(child.num_features, eps=child.eps, momentum=child.momentum)
            synchronised.load_state_dict(child.state_dict())
            for own, other in zip(synchronised.parameters(), child.parameters(), strict=True):
                own.requires_grad_(other.requires_grad)
            setattr(network, name, synchronised)
        else:
            synchronise_batch_norms(child)
