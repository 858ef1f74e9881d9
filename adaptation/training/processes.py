"""Several processes that train one network, as torchrun starts them: the result is that of one process.

Every process takes its share of a batch that depends on seed and step alone, gradients are averaged, and
batch norms take their statistics from the whole batch.
"""

from __future__ import annotations

from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

Network = TypeVar("Network", bound=nn.Module)


def join(device: str) -> None:
    """Join the other processes where torchrun started this one; alone, do nothing."""
    if dist.is_available() and dist.is_torchelastic_launched() and not dist.is_initialized():
        dist.init_process_group("nccl" if device.startswith("cuda") else "gloo")


def is_first() -> bool:
    """Whether this process writes files: the only one, or rank 0."""
    return not dist.is_initialized() or dist.get_rank() == 0


def world() -> tuple[int, int]:
    """Rank and number of processes."""
    return (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)


def my_share(index: Tensor) -> Tensor:
    """The part of a global batch's indices (N,) that this process takes; N is divided by the number of processes."""
    rank, count = world()
    return index.chunk(count)[rank]


def gather(share: Tensor) -> Tensor:
    """The shares (N, ...) of all processes after each other."""
    if not dist.is_initialized():
        return share
    parts = [torch.empty_like(share) for _ in range(dist.get_world_size())]
    dist.all_gather(parts, share.contiguous())
    return torch.cat(parts)


def batch_of(step: int, size: int, count: int, seed: int) -> Tensor:
    """Indices (size,) into ``count`` samples for a step: epochs in an order that depends on seed and epoch alone."""
    first = step * size
    index = torch.arange(first, first + size)
    parts = []
    for epoch in range(int(first // count), int((first + size - 1) // count) + 1):
        order = torch.randperm(count, generator=torch.Generator().manual_seed(seed * 1_000_003 + epoch))
        parts.append(order[index[index // count == epoch] % count])
    return torch.cat(parts)


def average_gradients(parameters: list[torch.nn.Parameter]) -> None:
    """Make gradients the mean over all processes."""
    _, count = world()
    if count == 1:
        return
    grads = [p.grad if p.grad is not None else torch.zeros_like(p) for p in parameters]
    flat = torch.cat([grad.flatten() for grad in grads])
    dist.all_reduce(flat)
    for parameter, grad in zip(parameters, flat.split([g.numel() for g in grads]), strict=True):
        parameter.grad = grad.view_as(parameter) / count


class _Sum(torch.autograd.Function):
    """The sum over all processes; its gradient is the sum of theirs."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        total = x.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        total = grad.clone()
        dist.all_reduce(total)
        return total


class SharedBatchNorm2d(nn.BatchNorm2d):
    """Batch norm whose statistics are those of the batches of all processes; torch's own needs CUDA."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to the same."""
        if not self.training or not dist.is_initialized():
            return super().forward(x)
        assert self.running_mean is not None and self.running_var is not None and self.num_batches_tracked is not None
        count = x.numel() // x.shape[1] * dist.get_world_size()
        mean = _Sum.apply(x.sum((0, 2, 3))) / count
        centred = x - mean[:, None, None]
        variance = _Sum.apply(centred.square().sum((0, 2, 3))) / count
        with torch.no_grad():
            momentum = 0.1 if self.momentum is None else self.momentum
            self.running_mean.lerp_(mean, momentum)
            self.running_var.lerp_(variance * (count / max(count - 1, 1)), momentum)
            self.num_batches_tracked += 1
        scale = self.weight * (variance + self.eps).rsqrt()
        return centred * scale[:, None, None] + self.bias[:, None, None]


def share_norms(network: Network) -> Network:
    """Turn the batch norms of a network, in place, into shared ones; keys and values stay."""
    for module in network.modules():
        if type(module) is nn.BatchNorm2d:
            module.__class__ = SharedBatchNorm2d
    return network
