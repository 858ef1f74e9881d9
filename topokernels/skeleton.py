"""Skeleton of a mask in one pass: D2T of S2D, without the distance map in between."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from topokernels._registration import (
    BackwardMode,
    check_backward_mode,
    check_floating,
    check_image_shape,
    check_mask_dtype,
    check_matches,
    check_steps,
    check_window,
    fold_batch,
    forbid_double_backward,
    register_autograd,
)


def skeleton(
    mask: Tensor, *, iterations: int | None = None, pool_size: int = 3, backward: BackwardMode = "subgradient"
) -> Tensor:
    """Topological skeleton of a mask: ``d2t(s2d(mask), mask)`` in one pass.

    Args:
        mask: S, (..., H, W), bool, uint8 or floating point in [0, 1], as for :func:`topokernels.s2d`.
        iterations: thinning steps of the distance map; None never saturates.
        pool_size: side of the max-pooling window of :func:`topokernels.d2t`.
        backward: of both operators.

    Returns:
        T, (..., H, W) in the mask's dtype, or float32 for bool and uint8 masks; binary where the mask is.

    Raises:
        RuntimeError: wrong rank, dtype or option, or mask values outside [0, 1] (CPU).

    Source: Kundu et al., NeurIPS 2021, eq. 2 and 3.

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


@torch.library.register_fake("topo::skeleton_backward")
def _fake_backward(grad: Tensor, mask: Tensor, *options: Any) -> Tensor:
    check_floating("skeleton_backward", "mask", mask)
    check_floating("skeleton_backward", "grad", grad)
    check_matches("skeleton_backward", "grad", grad, "mask", mask)
    check_backward_mode("skeleton_backward", options[-1])
    return mask.new_empty(mask.shape)


def _setup_context(ctx: Any, inputs: tuple[Any, ...], keyword_only_inputs: dict[str, Any], output: Tensor) -> None:
    ctx.save_for_backward(*inputs)
    ctx.options = tuple(keyword_only_inputs[name] for name in ("iterations", "pool_size", "backward"))


def _backward(ctx: Any, grad: Tensor) -> Tensor | None:
    (mask,) = ctx.saved_tensors
    if not mask.is_floating_point():
        return None
    return torch.ops.topo.skeleton_backward.default(grad, mask, *ctx.options)


register_autograd("skeleton", _backward, setup_context=_setup_context)
forbid_double_backward("skeleton")


@torch.library.register_vmap("topo::skeleton")
def _vmap(info: Any, in_dims: tuple[Any, ...], mask: Tensor, **options: Any) -> tuple[Tensor, int]:
    return torch.ops.topo.skeleton.default(mask.movedim(in_dims[0], 0), **options), 0


@torch.library.register_vmap("topo::skeleton_backward")
def _vmap_backward(
    info: Any, in_dims: tuple[Any, ...], grad: Tensor, mask: Tensor, *options: Any
) -> tuple[Tensor, int]:
    grad, mask = fold_batch(info, in_dims[:2], grad, mask)
    return torch.ops.topo.skeleton_backward.default(grad, mask, *options), 0
