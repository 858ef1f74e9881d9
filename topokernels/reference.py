"""The operators as stacked convolutions and plain torch: oracles for tests, baselines for benchmarks.

Each function is differentiable by autograd alone, which is what ``backward="literal"`` of the
operator of the same name reproduces.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def s2d(
    mask: Tensor,
    *,
    iterations: int | None = None,
    kernel_size: int = 3,
    black_border: bool = False,
    fill_holes: bool = False,
) -> Tensor:
    """Iterated thinning with a convolution (Kundu et al., NeurIPS 2021, eq. 2). ``mask`` (..., H, W)."""
    height, width = mask.shape[-2:]
    steps = max(height, width) - 1 if iterations is None else iterations
    kernel = mask.new_ones(1, 1, kernel_size, kernel_size)
    if fill_holes:
        kernel[..., kernel_size // 2, kernel_size // 2] = 0
    pad = [kernel_size // 2] * 4
    state = mask.reshape(-1, 1, height, width)
    distance = state
    for _ in range(max(steps, 0)):
        padded = F.pad(state, pad, value=0.0 if black_border else 1.0)
        state = F.relu(F.conv2d(padded, kernel) - (kernel.sum() - 1))
        distance = distance + state
    return distance.reshape(mask.shape)


def d2t(distance: Tensor, mask: Tensor, *, pool_size: int = 3) -> Tensor:
    """Ridges of a distance map by max-pooling (eq. 3). Both arguments (..., H, W)."""
    planes = distance.reshape(-1, 1, *distance.shape[-2:])
    peak = F.max_pool2d(planes, pool_size, stride=1, padding=pool_size // 2)
    return F.relu(distance - peak.reshape(distance.shape) + 1) * mask


def chamfer(
    pred: Tensor, target: Tensor, pred_distance: Tensor, target_distance: Tensor
) -> tuple[Tensor, Tensor]:
    """The two masked sums of eq. 5 per image, pull and push, each (...)."""
    pull = (pred_distance * target).sum((-2, -1))
    push = (target_distance * pred).sum((-2, -1))
    return pull, push


def topology_loss(
    pred_mask: Tensor, target_mask: Tensor, *, pull_weight: float = 1.0, **s2d_options: object
) -> Tensor:
    """L_T per image (...): the chamfer of the two skeletons."""
    pred = d2t(s2d(pred_mask, **s2d_options), pred_mask)  # type: ignore[arg-type]
    target = d2t(s2d(target_mask, **s2d_options), target_mask)  # type: ignore[arg-type]
    pull, push = chamfer(pred, target, s2d(1 - pred, **s2d_options), s2d(1 - target, **s2d_options))  # type: ignore[arg-type]
    return pull_weight * pull + push
