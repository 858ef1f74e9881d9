"""S2D: silhouette to distance map."""

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


def s2d(
    mask: Tensor,
    *,
    iterations: int | None = None,
    kernel_size: int = 3,
    black_border: bool = False,
    fill_holes: bool = False,
    backward: BackwardMode = "subgradient",
    out_dtype: torch.dtype | None = None,
) -> Tensor:
    """Distance map of a mask by iterated thinning: ``D = sum_i S_i, S_{i+1} = relu(N * S_i - m)``.

    On a binary mask this is the chessboard distance to the nearest background pixel, exact at any
    depth, in one pass. A mask with any value other than 0 and 1 follows the recursion as printed.
    The outward map is ``s2d(1 - mask)``; bool masks: ``s2d(~mask)``.

    Args:
        mask: (..., H, W), bool, uint8 (non-zero is foreground), float16, bfloat16, float32 or
            float64 in [0, 1]. On the CPU other values are an error; on CUDA nothing looks, since
            that would synchronise: check with ``mask.isfinite().all()``.
        iterations: l, the number of thinning steps; D saturates at l + 1. None means
            max(H, W) - 1, enough for any image. Where an image has no background at all,
            D = l + 1 everywhere.
        kernel_size: n, odd. D = min(ceil(d / r), l + 1) with r = (n - 1) / 2 and d the chessboard
            distance.
        black_border: whether the outside of the image counts as background (zero padding) or is
            ignored.
        fill_holes: eq. 2 as printed, N without its centre and m = n^2 - 2: a background pixel whose
            neighbours are all foreground gets 1.
        backward: "subgradient" (bounded, towards the nearest contour) or "literal" (what autograd
            gives on the stacked convolution; grows as 8^depth). Soft masks always have their exact
            gradient.
        out_dtype: dtype of the result; uint8, int16 and int32 carry no gradient.

    Returns:
        (..., H, W) in pixels, in the mask's dtype, or float32 for bool and uint8 masks.

    Raises:
        RuntimeError: wrong rank, dtype or option, or mask values outside [0, 1] (CPU).

    Source: Kundu et al., "Aligning Silhouette Topology for Self-Adaptive 3D Human Pose Recovery",
    NeurIPS 2021, eq. 2. The subgradient is this project's (csrc/s2d.h).

    Example:
        >>> import torch
        >>> from topokernels import s2d
        >>> s2d(torch.tensor([[0, 1, 1, 1]], dtype=torch.bool))
        tensor([[0., 1., 2., 3.]])
    """
    return torch.ops.topo.s2d.default(
        mask,
        iterations=iterations,
        kernel_size=kernel_size,
        black_border=black_border,
        fill_holes=fill_holes,
        backward=backward,
        out_dtype=out_dtype,
    )


def complement(mask: Tensor) -> Tensor:
    """What ``s2d`` takes to give the outward map: ``1 - mask``; of bool and uint8 masks, where they are zero."""
    return 1 - mask if mask.is_floating_point() else mask == 0


_LARGEST = {torch.uint8: 255, torch.int16: 32767, torch.int32: 65535}  # no depth exceeds 65535


@torch.library.register_fake("topo::s2d")
def _fake(
    mask: Tensor,
    *,
    iterations: int | None = None,
    kernel_size: int = 3,
    black_border: bool = False,
    fill_holes: bool = False,
    backward: str = "subgradient",
    out_dtype: torch.dtype | None = None,
) -> Tensor:
    check_mask_dtype("s2d", "mask", mask)
    check_backward_mode("s2d", backward)
    check_image_shape("s2d", "mask", mask)
    check_window("s2d", "kernel_size", kernel_size)
    check_steps("s2d", iterations)
    dtype = out_dtype or (mask.dtype if mask.is_floating_point() else torch.float32)
    if not dtype.is_floating_point:
        steps = max(*mask.shape[-2:], 1) - 1 if iterations is None else min(iterations, 65534)
        deepest = steps + 1
        torch._check(
            deepest <= _LARGEST.get(dtype, 0),
            lambda: (
                f"s2d: out_dtype must be floating point, or uint8, int16 or int32 that hold {deepest}, got {dtype}"
            ),
        )
    return mask.new_empty(mask.shape, dtype=dtype)


@torch.library.register_fake("topo::s2d_backward")
def _fake_backward(grad: Tensor, mask: Tensor, *options: Any) -> Tensor:
    check_floating("s2d_backward", "mask", mask)
    check_floating("s2d_backward", "grad", grad)
    check_matches("s2d_backward", "grad", grad, "mask", mask)
    check_backward_mode("s2d_backward", options[-1])
    return mask.new_empty(mask.shape)


def _setup_context(ctx: Any, inputs: tuple[Any, ...], keyword_only_inputs: dict[str, Any], output: Tensor) -> None:
    (mask,) = inputs
    ctx.save_for_backward(mask)
    options = keyword_only_inputs
    ctx.options = tuple(
        options[name] for name in ("iterations", "kernel_size", "black_border", "fill_holes", "backward")
    )


def _backward(ctx: Any, grad: Tensor) -> Tensor | None:
    (mask,) = ctx.saved_tensors
    if not mask.is_floating_point():
        return None
    return torch.ops.topo.s2d_backward.default(grad, mask, *ctx.options)


register_autograd("s2d", _backward, setup_context=_setup_context)
forbid_double_backward("s2d")


@torch.library.register_vmap("topo::s2d")
def _vmap(info: Any, in_dims: tuple[Any, ...], mask: Tensor, **options: Any) -> tuple[Tensor, int]:
    return torch.ops.topo.s2d.default(mask.movedim(in_dims[0], 0), **options), 0


@torch.library.register_vmap("topo::s2d_backward")
def _vmap_backward(
    info: Any, in_dims: tuple[Any, ...], grad: Tensor, mask: Tensor, *options: Any
) -> tuple[Tensor, int]:
    grad, mask = fold_batch(info, in_dims[:2], grad, mask)
    return torch.ops.topo.s2d_backward.default(grad, mask, *options), 0
