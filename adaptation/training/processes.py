"""Training one network in several processes that torchrun started, with the result of a single process.

Each process takes its share of a batch that depends only on seed and step. Gradients are averaged, and batch norms
take their statistics from the whole batch.
"""

from __future__ import annotations

from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

Network = TypeVar("Network", bound=nn.Module)


def join(device: str) -> None:
    """Join the other processes if torchrun started this one; otherwise do nothing."""
    if dist.is_available() and dist.is_torchelastic_launched() and not dist.is_initialized():
        dist.init_process_group("nccl" if device.startswith("cuda") else "gloo")


def is_first() -> bool:
    """Return whether this process writes files: it is the only one, or rank 0."""
    return not dist.is_initialized() or dist.get_rank() == 0


def world() -> tuple[int, int]:
    """Return the rank of this process and the number of processes."""
    return (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)


def my_share(index: Tensor) -> Tensor:
    """Return this process's share of the indices (N,) of a batch; the number of processes divides N."""
    rank, count = world()
    return index.chunk(count)[rank]


def gather(share: Tensor) -> Tensor:
    """Return the concatenated shares (N, ...) of all processes, in the order of their ranks."""
    if not dist.is_initialized():
        return share
    # NCCL gathers tensors on its GPU only; Gloo takes those of the CPU.
    own = share.to("cuda") if dist.get_backend() == "nccl" else share
    parts = [torch.empty_like(own) for _ in range(dist.get_world_size())]
    dist.all_gather(parts, own.contiguous())
    return torch.cat(parts).to(share.device)


def batch_of(step: int, size: int, count: int, seed: int) -> Tensor:
    """Return the indices (size,) of a step's batch among ``count`` samples.

    Batches run through epochs, each a permutation that depends only on seed and epoch, so that any step can be drawn
    without the steps before it.
    """
    first = step * size
    index = torch.arange(first, first + size)
    parts = []
    # A batch may reach into the next epoch, and a small set repeats within one batch.
    for epoch in range(int(first // count), int((first + size - 1) // count) + 1):
        # A factor above any number of epochs: no epoch of one seed is an epoch of another.
        order = torch.randperm(count, generator=torch.Generator().manual_seed(seed * 1_000_003 + epoch))
        parts.append(order[index[index // count == epoch] % count])
    return torch.cat(parts)


def average_gradients(parameters: list[torch.nn.Parameter]) -> None:
    """Replace gradients by their mean over all processes."""
    _, count = world()
    if count == 1:
        return
    # One flat tensor: a single exchange instead of one per parameter.
    # A parameter that got no gradient in this process may have one in another: all must exchange the same numbers.
    grads = [p.grad if p.grad is not None else torch.zeros_like(p) for p in parameters]
    flat = torch.cat([grad.flatten() for grad in grads])
    dist.all_reduce(flat)
    for parameter, grad in zip(parameters, flat.split([g.numel() for g in grads]), strict=True):
        parameter.grad = grad.view_as(parameter) / count


class _Sum(torch.autograd.Function):
    """The sum over all processes; its gradient is the sum of the gradients of all processes."""

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


def _sum(x: Tensor) -> Tensor:
    total: Tensor = _Sum.apply(x)  # type: ignore[no-untyped-call]  # torch does not annotate Function.apply
    return total


class SharedBatchNorm2d(nn.BatchNorm2d):
    """Batch norm with statistics over the batches of all processes; torch's own version needs CUDA."""

    def forward(self, x: Tensor) -> Tensor:
        """Normalise (B, C, H, W) per channel."""
        # In evaluation, the running statistics are equal in all processes.
        if not self.training or not dist.is_initialized():
            return super().forward(x)
        assert self.running_mean is not None and self.running_var is not None and self.num_batches_tracked is not None
        count = x.numel() // x.shape[1] * dist.get_world_size()
        mean = _sum(x.sum((0, 2, 3))) / count
        centred = x - mean[:, None, None]
        # From centred values: the mean of squares minus the squared mean would cancel.
        variance = _sum(centred.square().sum((0, 2, 3))) / count
        with torch.no_grad():
            momentum = 0.1 if self.momentum is None else self.momentum
            self.running_mean.lerp_(mean, momentum)
            # As torch does, the running variance is the unbiased one.
            self.running_var.lerp_(variance * (count / max(count - 1, 1)), momentum)
            self.num_batches_tracked += 1
        scale = self.weight * (variance + self.eps).rsqrt()
        return centred * scale[:, None, None] + self.bias[:, None, None]


def share_norms(network: Network) -> Network:
    """Turn the batch norms of a network into shared ones, in place, and return the network."""
    for module in network.modules():
        # Changing the class keeps state-dict keys, values and the optimisers' references.
        # The exact class: subclasses may take their statistics differently.
        if type(module) is nn.BatchNorm2d:
            module.__class__ = SharedBatchNorm2d
    return network
