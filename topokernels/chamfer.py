"""Masked distance-map chamfer between two masks."""

from __future__ import annotations

from typing import Any, Literal, overload

import torch
from torch import Tensor

from topokernels._reduction import Reduction, reduce, weighted_loss
from topokernels._registration import (
    BackwardMode,
    check_floating,
    check_image_shape,
    check_mask_dtype,
    check_matches,
    fold_batch,
    register_autograd,
)
from topokernels.mask_chamfer import mask_chamfer
from topokernels.s2d import complement, s2d


@overload
def chamfer(
    pred: Tensor,
    target: Tensor,
    *,
    pred_distance: Tensor | None = ...,
    target_distance: Tensor | None = ...,
    pull_weight: float = ...,
    reduction: Reduction = ...,
    iterations: int | None = ...,
    backward: BackwardMode = ...,
    return_terms: Literal[False] = ...,
) -> Tensor: ...
@overload
def chamfer(
    pred: Tensor,
    target: Tensor,
    *,
    pred_distance: Tensor | None = ...,
    target_distance: Tensor | None = ...,
    pull_weight: float = ...,
    reduction: Reduction = ...,
    iterations: int | None = ...,
    backward: BackwardMode = ...,
    return_terms: Literal[True],
) -> tuple[Tensor, Tensor, Tensor]: ...
def chamfer(
    pred: Tensor,
    target: Tensor,
    *,
    pred_distance: Tensor | None = None,
    target_distance: Tensor | None = None,
    pull_weight: float = 1.0,
    reduction: Reduction = "mean",
    iterations: int | None = None,
    backward: BackwardMode = "subgradient",
    return_terms: bool = False,
) -> Tensor | tuple[Tensor, Tensor, Tensor]:
    """Chamfer distance of two masks, computed on their outward distance maps.

    Per image: ``pull_weight * sum(D_out(pred) * target) + sum(D_out(target) * pred)``, with
    ``D_out(S) = s2d(1 - S)``, the chessboard distance to the nearest pixel of S. The first term
    pulls ``pred`` towards the target pixels that it misses; the second pushes the pixels of
    ``pred`` onto the target.

    Args:
        pred: (..., H, W) bool, uint8 or floating point in [0, 1].
        target: same shape.
        pred_distance: D_out(pred), (..., H, W), if it is known already.
        target_distance: D_out(target), (..., H, W), if it is known already, as it is for the fixed
            target of an optimisation.
        pull_weight: weight of the first term.
        reduction: "mean" or "sum" over all images, or "none" for one value per image, (...).
        iterations: l, the thinning steps of the distance maps; distances saturate at l + 1.
        backward: how gradients pass through the distance maps, see :func:`topokernels.s2d`.
        return_terms: whether to return the two unweighted terms, pull and push, as well.

    Returns:
        The sum of distances over mask pixels, in pixels: a scalar, or (...) with
        ``reduction="none"``. With ``return_terms`` a tuple (loss, pull, push), all reduced in the
        same way. float32; float64 for float64 masks or, with ``pred_distance``, for float64
        distances.

    Raises:
        RuntimeError: wrong ranks, shapes, devices or dtypes.
        ValueError: unknown reduction.

    Source: Rakesh et al., NeurIPS 2021, eq. 5.

    Example:
        >>> import torch
        >>> from topokernels import chamfer
        >>> a, b = torch.zeros(2, 1, 8, 8)
        >>> a[0, 4, 1] = 1
        >>> b[0, 4, 4] = 1
        >>> chamfer(a, b)
        tensor(6.)
    """
    if target_distance is None:
        # The outward map: the distance to the nearest pixel of the mask is the inward distance of its complement.
        target_distance = s2d(complement(target), iterations=iterations, backward=backward)
    if pred_distance is None:
        # The usual case, fused: the map of pred is never written to memory.
        pull, push = mask_chamfer(pred, target, target_distance, iterations=iterations, backward=backward)
    else:
        # The operator takes both maps in one dtype; the other map may have been computed from a mask of another one.
        dtype = torch.promote_types(pred_distance.dtype, target_distance.dtype)
        pull, push = torch.ops.topo.chamfer.default(pred, target, pred_distance.to(dtype), target_distance.to(dtype))
    loss = weighted_loss(pull, push, pull_weight, reduction)
    return (loss, reduce(pull, reduction), reduce(push, reduction)) if return_terms else loss


@torch.library.register_fake("topo::chamfer")
def _fake(pred: Tensor, target: Tensor, pred_distance: Tensor, target_distance: Tensor) -> tuple[Tensor, Tensor]:
    check_image_shape("chamfer", "pred", pred)
    check_mask_dtype("chamfer", "pred", pred)
    check_mask_dtype("chamfer", "target", target)
    check_floating("chamfer", "pred_distance", pred_distance)
    check_floating("chamfer", "target_distance", target_distance)
    check_matches("chamfer", "target", target, "pred", pred)
    check_matches("chamfer", "pred_distance", pred_distance, "pred", pred)
    check_matches("chamfer", "target_distance", target_distance, "pred", pred)
    torch._check(
        target_distance.dtype == pred_distance.dtype,
        lambda: (
            f"chamfer: target_distance must have the dtype of pred_distance {pred_distance.dtype}, "
            f"got {target_distance.dtype}"
        ),
    )
    # float32 even for half precision, in which a sum over an image would overflow.
    dtype = torch.float64 if pred_distance.dtype == torch.float64 else torch.float32
    leading = pred.shape[:-2]
    return pred.new_empty(leading, dtype=dtype), pred.new_empty(leading, dtype=dtype)


def _setup_context(ctx: Any, inputs: tuple[Tensor, ...], keyword_only_inputs: dict[str, Any], output: Any) -> None:
    # All four maps: each gradient is a product of one of them.
    ctx.save_for_backward(*inputs)


def _backward(ctx: Any, grad_pull: Tensor, grad_push: Tensor) -> tuple[Tensor | None, ...]:
    # The operator is bilinear: plain torch needs one pass as well, and its result can be differentiated again.
    pred, target, pred_distance, target_distance = ctx.saved_tensors
    # One value per image, (...), broadcast over H and W.
    pull, push = grad_pull[..., None, None], grad_push[..., None, None]
    # In the order of the inputs: the gradient of each map is the map that multiplies it in its sum.
    factors = (push, target_distance), (pull, pred_distance), (pull, target), (push, pred)
    inputs, needs = ctx.saved_tensors, ctx.needs_input_grad[:4]
    return tuple(
        _product(grad, factor).to(value.dtype) if needed and value.is_floating_point() else None
        for (grad, factor), value, needed in zip(factors, inputs, needs, strict=True)
    )


def _forward_mode(
    pred: Tensor, target: Tensor, pred_distance: Tensor, target_distance: Tensor
) -> tuple[Tensor, Tensor]:
    # As in the kernel, half precision is summed in float32.
    dtype = torch.promote_types(pred_distance.dtype, torch.float32)
    pull, push = _product(pred_distance.to(dtype), target), _product(target_distance.to(dtype), pred)
    return pull.sum((-2, -1)), push.sum((-2, -1))


def _product(grad: Tensor, factor: Tensor) -> Tensor:
    # In bool and uint8 masks any non-zero value is foreground.
    return grad * (factor if factor.is_floating_point() else factor != 0)


register_autograd("chamfer", _backward, setup_context=_setup_context, forward_mode=_forward_mode)


@torch.library.register_vmap("topo::chamfer")
def _vmap(info: Any, in_dims: tuple[Any, ...], *maps: Tensor) -> tuple[Any, Any]:
    # Sums are per image, so the mapped dimension is one more leading dimension of the result.
    return torch.ops.topo.chamfer.default(*fold_batch(info, in_dims, *maps)), (0, 0)
