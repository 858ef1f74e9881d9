"""Connected components of masks, and the components' areas, boxes and centroids."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple, overload

import torch
from torch import Tensor

from topokernels._registration import check_connectivity, check_image_shape, check_mask_dtype, register_autograd

Connectivity = Literal[4, 8]


@overload
def connected_components(
    mask: Tensor, *, connectivity: Connectivity = ..., return_areas: Literal[False] = ...
) -> Tensor: ...
@overload
def connected_components(
    mask: Tensor, *, connectivity: Connectivity = ..., return_areas: Literal[True]
) -> tuple[Tensor, Tensor]: ...
def connected_components(
    mask: Tensor, *, connectivity: Connectivity = 8, return_areas: bool = False
) -> Tensor | tuple[Tensor, Tensor]:
    """Labels of the connected components of masks.

    Args:
        mask: (..., H, W), bool, uint8 (non-zero is foreground), float16, bfloat16, float32 or
            float64 in [0, 1] (above 0.5 is foreground). Other values raise an error on the CPU. On
            CUDA they are not checked, because a check would synchronise.
        connectivity: 8, pixels that share an edge or a corner are adjacent; or 4, an edge.
        return_areas: whether to return the areas as well.

    Returns:
        labels: (..., H, W) int32, 0 on background. The components of each image are 1, 2, ... in the
            raster order of their first pixels, the numbers of :func:`scipy.ndimage.label`.
        areas: with ``return_areas``, (..., H, W) int32, the number of pixels of each pixel's
            component, 0 on background. The pair is what ``get_connected_components`` of SAM 2
            returns for masks (N, 1, H, W).

    Raises:
        RuntimeError: wrong rank, dtype or option, or mask values outside [0, 1] (CPU).

    The labels have no gradient.

    Example:
        >>> import torch
        >>> from topokernels import connected_components
        >>> connected_components(torch.tensor([[1, 0, 1], [0, 0, 1]], dtype=torch.bool))
        tensor([[1, 0, 2],
                [0, 0, 2]], dtype=torch.int32)
    """
    if return_areas:
        labels, areas = torch.ops.topo.components_with_areas.default(mask, connectivity=connectivity)
        return labels, areas
    return torch.ops.topo.connected_components.default(mask, connectivity=connectivity)


class ComponentStats(NamedTuple):
    """What :func:`component_stats` returns: entry i of the dimension N belongs to the component i + 1."""

    number: Tensor  # (...), int64, components of each image
    area: Tensor  # (..., N), int64, in pixels; 0 beyond the number
    box: Tensor  # (..., N, 4), int64, x0, y0, x1, y1, the last two excluded; zeros beyond the number
    centroid: Tensor  # (..., N, 2), float64, mean x and y of the pixels, whose centres are whole numbers; NaN beyond


def component_stats(labels: Tensor, *, most: int | None = None) -> ComponentStats:
    """Number, areas, boxes and centroids of labelled components, in plain torch.

    Args:
        labels: (..., H, W), integers: 0 on background, and 1, 2, ... in each image, as
            :func:`connected_components` returns them.
        most: N, for how many components of each image there is room. Components with larger labels
            are left out, but counted. None is the largest number in any image, which synchronises on
            CUDA and has no fixed shape for ``torch.compile`` and ``vmap``.

    Returns:
        :class:`ComponentStats`; the numbers have the leading shape of ``labels``.

    Raises:
        RuntimeError: labels that are not integers, or fewer than two dimensions.

    Example:
        >>> import torch
        >>> from topokernels import component_stats
        >>> stats = component_stats(torch.tensor([[1, 0, 2], [0, 0, 2]]))
        >>> stats.number, stats.area, stats.box
        (tensor(2), tensor([1, 2]), tensor([[0, 0, 1, 1],
                [2, 0, 3, 2]]))
    """
    if labels.is_floating_point() or labels.dtype == torch.bool:
        raise RuntimeError(f"component_stats: labels must be integers, got {labels.dtype}")
    if labels.dim() < 2:
        raise RuntimeError(f"component_stats: labels must have shape (..., H, W), got {tuple(labels.shape)}")
    leading, (height, width) = labels.shape[:-2], labels.shape[-2:]
    flat = labels.reshape(leading.numel(), height * width).long()
    images, pixels = flat.shape
    number = flat.amax(1) if pixels else flat.new_zeros(images)
    room = most if most is not None else (int(number.amax()) if images else 0)
    # Column 0 takes the background, and components beyond the room.
    slot = torch.where(flat <= room, flat, 0)
    y = torch.arange(height, device=labels.device)[:, None].expand(height, width).reshape(1, -1).expand_as(flat)
    x = torch.arange(width, device=labels.device).repeat(height)[None].expand_as(flat)

    def gathered(values: Tensor, start: int, reduce: str) -> Tensor:
        # Whole numbers, so that the order of the sums does not show.
        result = values.new_full((images, room + 1), start)
        return result.scatter_reduce(1, slot, values, reduce)[:, 1:]

    area = gathered(torch.ones_like(flat), 0, "sum")
    corners = (
        gathered(x, width, "amin"), gathered(y, height, "amin"),
        gathered(x + 1, 0, "amax"), gathered(y + 1, 0, "amax"),
    )  # fmt: skip
    present = area > 0
    box = torch.where(present[..., None], torch.stack(corners, -1), 0)
    sums = torch.stack((gathered(x, 0, "sum"), gathered(y, 0, "sum")), -1)
    centroid = sums.double() / torch.where(present, area.double(), torch.nan)[..., None]
    return ComponentStats(
        number.reshape(leading),
        area.reshape(*leading, room),
        box.reshape(*leading, room, 4),
        centroid.reshape(*leading, room, 2),
    )


@torch.library.register_fake("topo::connected_components")
def _fake(mask: Tensor, *, connectivity: int = 8) -> Tensor:
    _check("connected_components", mask, connectivity)
    return mask.new_empty(mask.shape, dtype=torch.int32)


@torch.library.register_fake("topo::components_with_areas")
def _fake_areas(mask: Tensor, *, connectivity: int = 8) -> tuple[Tensor, Tensor]:
    _check("components_with_areas", mask, connectivity)
    return mask.new_empty(mask.shape, dtype=torch.int32), mask.new_empty(mask.shape, dtype=torch.int32)


def _check(op: str, mask: Tensor, connectivity: int) -> None:
    # The checks of the compiled kernels, so that code under torch.compile fails with the same message.
    check_mask_dtype(op, "mask", mask)
    check_image_shape(op, "mask", mask)
    check_connectivity(op, connectivity)


def _setup(*, ctx: Any, output: Any, **_: Any) -> None:
    ctx.mark_non_differentiable(*(output if isinstance(output, tuple) else (output,)))


def _no_gradient(ctx: Any, *grads: Tensor) -> None:
    return None


register_autograd("connected_components", _no_gradient, setup_context=_setup)
register_autograd("components_with_areas", _no_gradient, setup_context=_setup)


@torch.library.register_vmap("topo::connected_components")
def _vmap(info: Any, in_dims: tuple[Any, ...], mask: Tensor, **options: Any) -> tuple[Tensor, int]:
    # Any leading dimensions are images, so the mapped one needs no loop.
    return torch.ops.topo.connected_components.default(mask.movedim(in_dims[0], 0), **options), 0


@torch.library.register_vmap("topo::components_with_areas")
def _vmap_areas(info: Any, in_dims: tuple[Any, ...], mask: Tensor, **options: Any) -> tuple[Any, Any]:
    return torch.ops.topo.components_with_areas.default(mask.movedim(in_dims[0], 0), **options), (0, 0)
