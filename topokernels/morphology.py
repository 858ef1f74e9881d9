"""Dilation and erosion of masks by discs and squares of any radius."""

from __future__ import annotations

import math
from typing import Any, Literal

import torch
from torch import Tensor

from topokernels._registration import check_image_shape, check_mask_dtype, register_autograd

Shape = Literal["disc", "square"]


def dilate(mask: Tensor, radius: float, *, shape: Shape = "disc") -> Tensor:
    """Dilation of masks: foreground wherever a foreground pixel is within ``radius``.

    Args:
        mask: (..., H, W), bool, uint8 (non-zero is foreground), float16, bfloat16, float32 or
            float64 in [0, 1] (above 0.5 is foreground). Other values raise an error on the CPU. On
            CUDA they are not checked, because a check would synchronise.
        radius: at least 0, in pixels, also a fraction.
        shape: "disc", the pixels whose centres are at most ``radius`` away; or "square", those at
            most ``radius`` rows and columns away, which has a side of ``2 * floor(radius) + 1``.

    Returns:
        (..., H, W) in the mask's dtype, 0 and 1. Equal to
        :func:`scipy.ndimage.binary_dilation` with that structure.

    Raises:
        RuntimeError: wrong rank, dtype or option, or mask values outside [0, 1] (CPU).

    The result has no gradient, and neither have those of the other functions of this module.

    Example:
        >>> import torch
        >>> from topokernels import dilate
        >>> dilate(torch.tensor([[0, 0, 0, 1, 0]], dtype=torch.uint8), 2).tolist()
        [[0, 1, 1, 1, 1]]
    """
    return torch.ops.topo.morphology.default(mask, operation="dilate", radius=float(radius), shape=shape)


def erode(mask: Tensor, radius: float, *, shape: Shape = "disc", black_border: bool = False) -> Tensor:
    """Erosion of masks: foreground where all pixels within ``radius`` are foreground.

    Args:
        mask: (..., H, W), as for :func:`dilate`.
        radius: as for :func:`dilate`.
        shape: "disc" or "square", as for :func:`dilate`.
        black_border: whether pixels outside the image are background, as in
            :func:`scipy.ndimage.binary_erosion` by default; they are ignored otherwise, as in OpenCV.

    Returns:
        (..., H, W) in the mask's dtype, 0 and 1.

    Raises:
        RuntimeError: wrong rank, dtype or option, or mask values outside [0, 1] (CPU).

    Example:
        >>> import torch
        >>> from topokernels import erode
        >>> erode(torch.tensor([[0, 1, 1, 1]], dtype=torch.uint8), 1).tolist()
        [[0, 0, 1, 1]]
    """
    return _run("erode", mask, radius, shape, black_border)


def opening(mask: Tensor, radius: float, *, shape: Shape = "disc", black_border: bool = False) -> Tensor:
    """Opening of masks: an erosion, then a dilation. Removes what is narrower than the disc or square.

    Args:
        mask: (..., H, W), as for :func:`dilate`.
        radius: as for :func:`dilate`.
        shape: "disc" or "square", as for :func:`dilate`.
        black_border: of the erosion, as for :func:`erode`; :func:`scipy.ndimage.binary_opening` has
            it by default.

    Returns:
        (..., H, W) in the mask's dtype, 0 and 1.

    Raises:
        RuntimeError: wrong rank, dtype or option, or mask values outside [0, 1] (CPU).

    Example:
        >>> import torch
        >>> from topokernels import opening
        >>> opening(torch.tensor([[1, 0, 1, 1, 1, 0]], dtype=torch.uint8), 1, black_border=True).tolist()
        [[0, 0, 0, 0, 0, 0]]
    """
    return _run("open", mask, radius, shape, black_border)


def closing(mask: Tensor, radius: float, *, shape: Shape = "disc", black_border: bool = False) -> Tensor:
    """Closing of masks: a dilation, then an erosion. Fills gaps narrower than the disc or square.

    Args:
        mask: (..., H, W), as for :func:`dilate`.
        radius: as for :func:`dilate`.
        shape: "disc" or "square", as for :func:`dilate`.
        black_border: of the erosion, as for :func:`erode`. :func:`scipy.ndimage.binary_closing` has
            it by default and therefore removes foreground within ``radius`` of the border; without it
            a closing never removes foreground.

    Returns:
        (..., H, W) in the mask's dtype, 0 and 1.

    Raises:
        RuntimeError: wrong rank, dtype or option, or mask values outside [0, 1] (CPU).

    Example:
        >>> import torch
        >>> from topokernels import closing
        >>> closing(torch.tensor([[1, 0, 1, 0, 0, 0]], dtype=torch.uint8), 1).tolist()
        [[1, 1, 1, 0, 0, 0]]
    """
    return _run("close", mask, radius, shape, black_border)


def boundary_band(
    mask: Tensor,
    radius: float,
    *,
    side: Literal["both", "inside", "outside"] = "both",
    shape: Shape = "disc",
    black_border: bool = False,
) -> Tensor:
    """The band along the outline of masks: pixels with pixels of the other kind within ``radius``.

    Args:
        mask: (..., H, W), as for :func:`dilate`.
        radius: as for :func:`dilate`.
        side: "inside", foreground that an erosion removes; "outside", background that a dilation
            adds; or "both".
        shape: "disc" or "square", as for :func:`dilate`.
        black_border: whether pixels outside the image are background, so that foreground at its
            border is in the band; they are ignored otherwise.

    Returns:
        (..., H, W) in the mask's dtype, 0 and 1.

    Raises:
        RuntimeError: wrong rank, dtype or option, or mask values outside [0, 1] (CPU).
        ValueError: an unknown side.

    Example:
        >>> import torch
        >>> from topokernels import boundary_band
        >>> boundary_band(torch.tensor([[0, 0, 0, 1, 1, 1]], dtype=torch.uint8), 1).tolist()
        [[0, 0, 1, 1, 0, 0]]
    """
    operations = {"both": "band", "inside": "inner_band", "outside": "outer_band"}
    if side not in operations:
        raise ValueError(f"boundary_band: side must be 'both', 'inside' or 'outside', got '{side}'")
    return _run(operations[side], mask, radius, shape, black_border)


def _run(operation: str, mask: Tensor, radius: float, shape: str, black_border: bool) -> Tensor:
    return torch.ops.topo.morphology.default(
        mask, operation=operation, radius=float(radius), shape=shape, black_border=black_border
    )


OPERATIONS = ("dilate", "erode", "open", "close", "band", "inner_band", "outer_band")


@torch.library.register_fake("topo::morphology")
def _fake(mask: Tensor, *, operation: str, radius: float, shape: str = "disc", black_border: bool = False) -> Tensor:
    # The checks of the compiled kernel, so that code under torch.compile fails with the same message.
    torch._check(
        operation in OPERATIONS,
        lambda: "morphology: operation must be dilate, erode, open, close, band, inner_band or outer_band, "
        f"got '{operation}'",
    )
    torch._check(shape in ("disc", "square"), lambda: f"morphology: shape must be 'disc' or 'square', got '{shape}'")
    check_mask_dtype("morphology", "mask", mask)
    check_image_shape("morphology", "mask", mask)
    torch._check(
        radius >= 0 and math.isfinite(radius),
        lambda: f"morphology: radius must be at least 0 and finite, got {radius:g}",
    )
    return mask.new_empty(mask.shape)


def _setup(*, ctx: Any, output: Tensor, **_: Any) -> None:
    ctx.mark_non_differentiable(output)


def _no_gradient(ctx: Any, grad: Tensor) -> None:
    return None


@torch.library.register_vmap("topo::morphology")
def _vmap(info: Any, in_dims: tuple[Any, ...], mask: Tensor, **options: Any) -> tuple[Tensor, int]:
    # Any leading dimensions are images, so the mapped one needs no loop.
    return torch.ops.topo.morphology.default(mask.movedim(in_dims[0], 0), **options), 0


register_autograd("morphology", _no_gradient, setup_context=_setup)
