"""S2D: silhouette to distance map."""

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
    depth and computed in one pass. A mask with a value other than 0 and 1 is soft and follows the
    recursion as printed. The outward map is ``s2d(1 - mask)``, or ``s2d(~mask)`` for a bool mask.

    Args:
        mask: (..., H, W), bool, uint8 (non-zero is foreground), float16, bfloat16, float32 or
            float64 in [0, 1]. Other values raise an error on the CPU. On CUDA they are not
            checked, because a check would synchronise, unless the environment sets ``TOPO_DEBUG=1``.
        iterations: l, the number of thinning steps; D saturates at l + 1. The default, None, is
            max(H, W) - 1, which is enough for any image. In an image without background,
            D = l + 1 everywhere.
        kernel_size: n, odd. D = min(ceil(d / r), l + 1) with r = (n - 1) / 2 and d the chessboard
            distance.
        black_border: whether the outside of the image counts as background (zero padding) or is
            ignored.
        fill_holes: whether to use eq. 2 as printed, with N without its centre and m = n^2 - 2; a
            background pixel whose neighbours are all foreground then gets 1.
        backward: "subgradient" (bounded; points to the nearest contour) or "literal" (the result of
            autograd on the stacked convolution; grows as 8^depth). A soft mask gets its exact
            gradient in both modes.
        out_dtype: dtype of the result, which must hold distances up to l + 1 exactly: bfloat16 up
            to 256, float16 up to 2048. uint8, int16 and int32 results carry no gradient.

    Returns:
        (..., H, W) in pixels, in the mask's dtype; in float32 for bool and uint8 masks, and for
        masks in half precision that does not hold l + 1 exactly.

    Raises:
        RuntimeError: wrong rank, dtype or option, or mask values outside [0, 1] (on the CPU; on
            CUDA with ``TOPO_DEBUG=1``).

    Source: Rakesh et al., "Aligning Silhouette Topology for Self-Adaptive 3D Human Pose Recovery",
    NeurIPS 2021, eq. 2. The subgradient is our own; csrc/s2d.h defines it.

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
    """The mask whose ``s2d`` is the outward map: ``1 - mask``, or ``mask == 0`` for bool and uint8 masks."""
    # Not 1 - mask for all: torch has no subtraction of bool, and in uint8 any non-zero value is foreground.
    return 1 - mask if mask.is_floating_point() else mask == 0


# The largest n for which a dtype holds all whole numbers from 0 to n. No depth exceeds 65535.
_LARGEST_WHOLE = {torch.uint8: 255, torch.bfloat16: 256, torch.float16: 2048, torch.int16: 32767}
_LARGEST_WHOLE |= dict.fromkeys((torch.int32, torch.float32, torch.float64), 1 << 24)


def result_dtype(mask: Tensor, iterations: int | None, out_dtype: torch.dtype | None) -> torch.dtype:
    """The dtype of ``s2d``: the mask's if it holds every depth up to l + 1 exactly, and float32 otherwise."""
    # The compiled kernels store depths in 16 bits, which limits the iterations.
    steps = max(*mask.shape[-2:], 1) - 1 if iterations is None else min(iterations, 65534)
    deepest = steps + 1
    if out_dtype is None:
        exact = mask.is_floating_point() and deepest <= _LARGEST_WHOLE[mask.dtype]
        return mask.dtype if exact else torch.float32
    torch._check(
        # 0 for dtypes that no kernel writes.
        deepest <= _LARGEST_WHOLE.get(out_dtype, 0),
        lambda: (
            "s2d: out_dtype must be floating point, uint8, int16 or int32, and hold all distances up to "
            f"{deepest} exactly, as torch.float32 does, got {out_dtype}"
        ),
    )
    return out_dtype


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
    # The checks of the compiled kernel, so that code under torch.compile fails with the same message.
    check_mask_dtype("s2d", "mask", mask)
    check_backward_mode("s2d", backward)
    check_image_shape("s2d", "mask", mask)
    check_window("s2d", "kernel_size", kernel_size)
    check_steps("s2d", iterations)
    return mask.new_empty(mask.shape, dtype=result_dtype(mask, iterations, out_dtype))


register_mask_operator("s2d", ("iterations", "kernel_size", "black_border", "fill_holes", "backward"))
