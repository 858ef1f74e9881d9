"""Operators from masks to masks that fill holes, remove small components, or keep the largest one."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from topokernels._registration import check_connectivity, check_image_shape, check_mask_dtype, register_autograd
from topokernels.components import Connectivity


def fill_holes(mask: Tensor, *, area: int | None = None, connectivity: Connectivity = 8) -> Tensor:
    """Fills the holes of masks: background that the foreground separates from the border of the image.

    Args:
        mask: (..., H, W), as for :func:`topokernels.connected_components`.
        area: holes of this many pixels or more stay. None fills all of them.
        connectivity: of the foreground, 8 or 4. The background has the other one. With 8, a hole
            ends where four foreground pixels surround a background pixel edge to edge, as in
            :func:`scipy.ndimage.binary_fill_holes` by default.

    Returns:
        (..., H, W) in the mask's dtype. Pixels of filled holes are 1; in uint8 masks they have the
        value to the left of the hole's first pixel in raster order. All other pixels keep their
        value, also in soft masks.

    Raises:
        RuntimeError: wrong rank, dtype or option, or mask values outside [0, 1] (CPU).

    Pixels that keep their value pass their gradient, filled ones pass none.

    Example:
        >>> import torch
        >>> from topokernels import fill_holes
        >>> fill_holes(torch.tensor([[1, 1, 1], [1, 0, 1], [1, 1, 1]], dtype=torch.uint8)).tolist()
        [[1, 1, 1], [1, 1, 1], [1, 1, 1]]
    """
    return torch.ops.topo.fill_holes.default(mask, area=area, connectivity=connectivity)


def remove_small(mask: Tensor, area: int, *, hole_area: int = 0, connectivity: Connectivity = 8) -> Tensor:
    """Removes the components of masks that have fewer than ``area`` pixels.

    Args:
        mask: (..., H, W), as for :func:`topokernels.connected_components`.
        area: components of this many pixels or more stay.
        hole_area: first fill the holes of fewer than this many pixels, as :func:`fill_holes` does.
        connectivity: of the foreground, 8 or 4.

    Returns:
        (..., H, W) in the mask's dtype. Pixels of removed components are 0; all others keep their
        value, also in soft masks.

    Raises:
        RuntimeError: wrong rank, dtype or option, or mask values outside [0, 1] (CPU).

    Pixels that keep their value pass their gradient, removed ones pass none.

    Example:
        >>> import torch
        >>> from topokernels import remove_small
        >>> remove_small(torch.tensor([[1, 0, 1, 1]], dtype=torch.uint8), 2).tolist()
        [[0, 0, 1, 1]]
    """
    if hole_area:
        mask = fill_holes(mask, area=hole_area, connectivity=connectivity)
    return torch.ops.topo.remove_small.default(mask, area=area, connectivity=connectivity)


def largest(mask: Tensor, *, connectivity: Connectivity = 8) -> Tensor:
    """The largest component of each mask; of equally large ones the first in raster order.

    Args:
        mask: (..., H, W), as for :func:`topokernels.connected_components`.
        connectivity: 8 or 4.

    Returns:
        (..., H, W) in the mask's dtype. Pixels of other components are 0; all others keep their
        value, also in soft masks.

    Raises:
        RuntimeError: wrong rank, dtype or option, or mask values outside [0, 1] (CPU).

    Pixels that keep their value pass their gradient, removed ones pass none.

    Example:
        >>> import torch
        >>> from topokernels import largest
        >>> largest(torch.tensor([[1, 0, 1, 1]], dtype=torch.uint8)).tolist()
        [[0, 0, 1, 1]]
    """
    return torch.ops.topo.largest.default(mask, connectivity=connectivity)


def _check(op: str, mask: Tensor, area: int | None, connectivity: int) -> None:
    # The checks of the compiled kernels, so that code under torch.compile fails with the same message.
    check_mask_dtype(op, "mask", mask)
    check_image_shape(op, "mask", mask)
    check_connectivity(op, connectivity)
    torch._check(area is None or area >= 0, lambda: f"{op}: area must be at least 0, got {area}")


@torch.library.register_fake("topo::fill_holes")
def _fake_fill(mask: Tensor, *, area: int | None = None, connectivity: int = 8) -> Tensor:
    _check("fill_holes", mask, area, connectivity)
    return mask.new_empty(mask.shape)


@torch.library.register_fake("topo::remove_small")
def _fake_remove(mask: Tensor, *, area: int, connectivity: int = 8) -> Tensor:
    _check("remove_small", mask, area, connectivity)
    return mask.new_empty(mask.shape)


@torch.library.register_fake("topo::largest")
def _fake_largest(mask: Tensor, *, connectivity: int = 8) -> Tensor:
    _check("largest", mask, None, connectivity)
    return mask.new_empty(mask.shape)


def _setup(*, ctx: Any, inputs: tuple[Any, ...], output: Tensor, **_: Any) -> None:
    ctx.save_for_backward(*inputs, output)


def _gradient(ctx: Any, grad: Tensor) -> Tensor | None:
    mask, output = ctx.saved_tensors
    # A pixel that is removed or filled crosses 0.5, so its value has changed.
    return torch.where(output == mask, grad, 0) if mask.is_floating_point() else None


def _register(op: str) -> None:
    forward = getattr(torch.ops.topo, op).default

    def vmap(info: Any, in_dims: tuple[Any, ...], mask: Tensor, **options: Any) -> tuple[Tensor, int]:
        # Any leading dimensions are images, so the mapped one needs no loop.
        return forward(mask.movedim(in_dims[0], 0), **options), 0

    register_autograd(op, _gradient, setup_context=_setup)
    torch.library.register_vmap(f"topo::{op}", vmap)


for _name in ("fill_holes", "remove_small", "largest"):
    _register(_name)
