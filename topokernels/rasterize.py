"""Rasterisation: nearest face, barycentrics and depth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad

from topokernels._registration import register_autograd
from topokernels.m2s import check_mesh, fold_meshes, image_size


def rasterize(vertices: Tensor, faces: Tensor, size: int | Sequence[int]) -> tuple[Tensor, Tensor, Tensor]:
    """The nearest face at the centre of every pixel, for overlays, shading and part maps.

    A face covers the pixel centres inside it and those within 1e-8 pixels of an edge, so that
    rounding leaves no hole where faces meet. Faces of both windings count; faces whose doubled area
    is at most 1e-8 pixel^2 are ignored. The face with the smallest z wins; among equals, the one
    with the smallest index.

    Args:
        vertices: (B, V, 3), float32 or float64: x right and y down in pixels, pixel centres at
            +0.5, and z, the depth, in any unit.
        faces: (F, 3), or (B, F, 3) for one set per image; int32 or int64, from 0 to V - 1.
        size: (H, W) of the image in pixels, or one number for both.

    Returns:
        face_index: (B, H, W) int64, -1 where there is no face.
        barycentrics: (B, H, W, 3) in the dtype of ``vertices``, the weights of the face's corners
            in their order, affine in the image (weak perspective); 0 where there is no face.
        depth: (B, H, W) in the dtype of ``vertices``, the interpolated z, +inf where there is no
            face.

        None of the three carries a gradient; use :func:`topokernels.m2s` for gradients.

    Raises:
        RuntimeError: wrong rank, shape, device, dtype or size; on the CPU also coordinates that
            are not finite or beyond 2^24 pixels or 2^100 in depth, and indices out of range. On
            CUDA the values are not checked, because a check would synchronise: faces with such
            values are left out.

    Under autocast the operator computes in float32. The result is deterministic.

    Example:
        >>> import torch
        >>> from topokernels import rasterize
        >>> square = torch.tensor([[[0, 0, 1], [2, 0, 1], [2, 2, 3], [0, 2, 3.0]]])
        >>> index, barycentrics, depth = rasterize(square, torch.tensor([[0, 1, 2], [0, 2, 3]]), 2)
        >>> index
        tensor([[[0, 0],
                 [1, 0]]])
        >>> depth
        tensor([[[1.5000, 1.5000],
                 [2.5000, 2.5000]]])
    """
    index, barycentrics, depth = torch.ops.topo.rasterize.default(vertices, faces, image_size(size))
    return index, barycentrics, depth


@torch.library.register_fake("topo::rasterize")
def _fake(vertices: Tensor, faces: Tensor, size: Sequence[int]) -> tuple[Tensor, Tensor, Tensor]:
    check_mesh("rasterize", vertices, faces, size, depth=True)
    shape = (vertices.shape[0], *size)
    return (
        # Indices of faces are int64, as torch requires of tensors that index others.
        vertices.new_empty(shape, dtype=torch.int64),
        vertices.new_empty((*shape, 3)),
        vertices.new_empty(shape),
    )


def _setup_context(*, ctx: Any, output: tuple[Tensor, ...], **_: Any) -> None:
    # Otherwise depth and barycentrics would carry zero gradients without a warning.
    ctx.mark_non_differentiable(*output)


def _backward(ctx: Any, *grads: Tensor) -> tuple[None, None, None]:
    return None, None, None


def _forward_mode(vertices: Tensor, faces: Tensor, size: Sequence[int]) -> tuple[Tensor, Tensor, Tensor]:
    # No output has a derivative, so the tangent is dropped.
    plain = forward_ad.unpack_dual(vertices, level=0).primal
    index, barycentrics, depth = torch.ops.topo.rasterize.default(plain, faces, size)
    return index, barycentrics, depth


register_autograd("rasterize", _backward, setup_context=_setup_context, forward_mode=_forward_mode)
# Half precision cannot represent positions within a pixel.
for _device in ("cpu", "cuda"):
    torch.library.register_autocast("topo::rasterize", _device, torch.float32)


@torch.library.register_vmap("topo::rasterize")
def _vmap(
    info: Any, in_dims: tuple[Any, ...], vertices: Tensor, faces: Tensor, size: Sequence[int]
) -> tuple[tuple[Tensor, ...], tuple[int, ...]]:
    maps = torch.ops.topo.rasterize.default(*fold_meshes(info, in_dims, vertices, faces), size)
    # Back from (N * B, ...) to (N, B, ...).
    return tuple(image.unflatten(0, (info.batch_size, -1)) for image in maps), (0, 0, 0)
