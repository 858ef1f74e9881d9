"""D2T: distance map to topological skeleton."""

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
    check_window,
    fold_batch,
    forbid_double_backward,
    register_autograd,
)


def d2t(distance: Tensor, mask: Tensor, *, pool_size: int = 3, backward: BackwardMode = "subgradient") -> Tensor:
    """Topological skeleton, the ridges of a distance map: ``T = relu(D - maxpool(D) + 1) * S``.

    The result is binary if the distance map is that of a binary mask with ``kernel_size=3``. It is
    neither thin (even widths give ridges two pixels wide) nor connected.

    Args:
        distance: D, (..., H, W), floating point, as returned by :func:`topokernels.s2d`. bfloat16
            rounds distances above 256, float16 above 2048. Rounded distances would have wrong
            ridges: they are an error on the CPU, and their skeleton is NaN on CUDA.
        mask: S, same shape, bool, uint8 or floating point in [0, 1].
        pool_size: side of the max-pooling window, odd and at least 3; pixels outside the image are
            ignored.
        backward: "subgradient" (relu'(0) = 1 next to a ridge; tied maxima share the gradient) or
            "literal" (the result of autograd on the formula).

    Returns:
        (..., H, W) in the dtype of ``distance``.

    Raises:
        RuntimeError: wrong rank, shape, device, dtype or option, or distances that half precision
            rounds (CPU).

    Source: Rakesh et al., NeurIPS 2021, eq. 3. The subgradient is our own; csrc/d2t.h defines it.

    Example:
        >>> import torch
        >>> from topokernels import d2t, s2d
        >>> mask = torch.tensor([[0, 1, 1, 1, 0]], dtype=torch.bool)
        >>> d2t(s2d(mask), mask)
        tensor([[0., 0., 1., 0., 0.]])
    """
    return torch.ops.topo.d2t.default(distance, mask, pool_size=pool_size, backward=backward)


@torch.library.register_fake("topo::d2t")
def _fake(distance: Tensor, mask: Tensor, *, pool_size: int = 3, backward: str = "subgradient") -> Tensor:
    check_floating("d2t", "distance", distance)
    check_mask_dtype("d2t", "mask", mask)
    check_matches("d2t", "mask", mask, "distance", distance)
    check_backward_mode("d2t", backward)
    check_image_shape("d2t", "distance", distance)
    check_window("d2t", "pool_size", pool_size)
    return distance.new_empty(distance.shape)


@torch.library.register_fake("topo::d2t_backward")
def _fake_backward(
    grad: Tensor, distance: Tensor, mask: Tensor, skeleton: Tensor, *options: Any
) -> tuple[Tensor, Tensor]:
    check_floating("d2t_backward", "distance", distance)
    check_floating("d2t_backward", "grad", grad)
    for name, tensor in (("grad", grad), ("mask", mask), ("skeleton", skeleton)):
        check_matches("d2t_backward", name, tensor, "distance", distance)
    check_backward_mode("d2t_backward", options[-1])
    return distance.new_empty(distance.shape), distance.new_empty(distance.shape)


def _setup_context(ctx: Any, inputs: tuple[Any, ...], keyword_only_inputs: dict[str, Any], output: Tensor) -> None:
    # The output is saved because its non-zero pixels are the ridges, from which the gradient starts.
    ctx.save_for_backward(*inputs, output)
    ctx.options = (keyword_only_inputs["pool_size"], keyword_only_inputs["backward"])


def _backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor | None]:
    distance, mask, skeleton = ctx.saved_tensors
    grad_distance, grad_mask = torch.ops.topo.d2t_backward.default(grad, distance, mask, skeleton, *ctx.options)
    # The kernel returns both gradients in the dtype of the distances; autograd expects each in its input's.
    return grad_distance, grad_mask.to(mask.dtype) if mask.is_floating_point() else None


register_autograd("d2t", _backward, setup_context=_setup_context)
forbid_double_backward("d2t")


@torch.library.register_vmap("topo::d2t")
def _vmap(info: Any, in_dims: tuple[Any, ...], distance: Tensor, mask: Tensor, **options: Any) -> tuple[Tensor, int]:
    return torch.ops.topo.d2t.default(*fold_batch(info, in_dims, distance, mask), **options), 0


@torch.library.register_vmap("topo::d2t_backward")
def _vmap_backward(info: Any, in_dims: tuple[Any, ...], *args: Any) -> tuple[Any, Any]:
    # The first four arguments are tensors, the others options, which are not mapped.
    tensors = fold_batch(info, in_dims[:4], *args[:4])
    return torch.ops.topo.d2t_backward.default(*tensors, *args[4:]), (0, 0)
