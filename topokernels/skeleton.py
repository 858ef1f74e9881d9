"""Skeleton of a mask in one pass: D2T of S2D, without storing the distance map in between."""

from __future__ import annotations

import torch
from torch import Tensor

from topokernels._mask_operator import register_mask_operator
from topokernels._registration import (
    BackwardMode,
    check_backward_mode,
    check_image_shape,
    check_mask_dtype,
    check_steps,
    check_window,
)


def skeleton(
    mask: Tensor, *, iterations: int | None = None, pool_size: int = 3, backward: BackwardMode = "subgradient"
) -> Tensor:
    """Topological skeleton of a mask: ``d2t(s2d(mask), mask)`` in one pass.

    Args:
        mask: S, (..., H, W), bool, uint8 or floating point in [0, 1], as for :func:`topokernels.s2d`.
        iterations: thinning steps of the distance map; with None it never saturates.
        pool_size: side of the max-pooling window of :func:`topokernels.d2t`.
        backward: the backward mode of both steps, see :func:`topokernels.s2d` and :func:`topokernels.d2t`.

    Returns:
        T, (..., H, W) in the mask's dtype, or float32 for bool and uint8 masks; binary if the mask is binary.

    Raises:
        RuntimeError: wrong rank, dtype or option, or mask values outside [0, 1] (CPU).

    Source: Rakesh et al., NeurIPS 2021, eq. 2 and 3.

    Example:
        >>> import torch
        >>> from topokernels import skeleton
        >>> skeleton(torch.tensor([[0, 1, 1, 1, 0]], dtype=torch.bool))
        tensor([[0., 0., 1., 0., 0.]])
    """
    return torch.ops.topo.skeleton.default(mask, iterations=iterations, pool_size=pool_size, backward=backward)


@torch.library.register_fake("topo::skeleton")
def _fake(mask: Tensor, *, iterations: int | None = None, pool_size: int = 3, backward: str = "subgradient") -> Tensor:
    check_mask_dtype("skeleton", "mask", mask)
    check_backward_mode("skeleton", backward)
    check_image_shape("skeleton", "mask", mask)
    check_steps("skeleton", iterations)
    check_window("skeleton", "pool_size", pool_size)
    return mask.new_empty(mask.shape, dtype=mask.dtype if mask.is_floating_point() else torch.float32)


register_mask_operator("skeleton", ("iterations", "pool_size", "backward"))
