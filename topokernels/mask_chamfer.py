"""topo::mask_chamfer: from a mask to the two terms of the chamfer distance, without storing the maps in between.

:func:`topokernels.chamfer` and :func:`topokernels.topology_loss` call it.
"""

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
    fold_batch,
    forbid_double_backward,
    register_autograd,
)
from topokernels.s2d import complement, s2d
from topokernels.skeleton import skeleton


def mask_chamfer(
    pred: Tensor,
    target: Tensor,
    target_distance: Tensor,
    *,
    iterations: int | None = None,
    skeletons: bool = False,
    backward: BackwardMode = "subgradient",
) -> tuple[Tensor, Tensor]:
    """Pull ``sum(D_out(X) * target)`` and push ``sum(target_distance * X)`` per image, X = pred or its skeleton.

    Args:
        pred: (..., H, W) bool, uint8 or floating point in [0, 1].
        target: same shape: a mask or, with ``skeletons``, a skeleton.
        target_distance: D_out(target), same shape, floating point.
        iterations: thinning steps of the maps of ``pred``; with None they never saturate.
        skeletons: whether X is ``skeleton(pred)``, as in L_T, or ``pred`` itself.
        backward: see :func:`topokernels.s2d`.

    Returns:
        Pull and push, each (...), in float32, or in float64 if ``pred`` is float64.

    Raises:
        RuntimeError: wrong ranks, shapes, devices or dtypes, or values of ``pred`` outside [0, 1] (CPU).

    Source: Rakesh et al., NeurIPS 2021, eq. 5.

    Example:
        >>> import torch
        >>> from topokernels import mask_chamfer, s2d
        >>> pred, target = torch.zeros(2, 1, 8, 8)
        >>> pred[0, 4, 1] = 1
        >>> target[0, 4, 4] = 1
        >>> mask_chamfer(pred, target, s2d(1 - target))
        (tensor(3.), tensor(3.))
    """
    return torch.ops.topo.mask_chamfer.default(
        pred, target, target_distance, iterations=iterations, skeletons=skeletons, backward=backward
    )


@torch.library.register_fake("topo::mask_chamfer")
def _fake(
    pred: Tensor,
    target: Tensor,
    target_distance: Tensor,
    *,
    iterations: int | None = None,
    skeletons: bool = False,
    backward: str = "subgradient",
) -> tuple[Tensor, Tensor]:
    _check("mask_chamfer", pred, target, target_distance)
    check_mask_dtype("mask_chamfer", "pred", pred)
    check_steps("mask_chamfer", iterations)
    check_backward_mode("mask_chamfer", backward)
    # float32 even for half precision, in which a sum over an image would overflow.
    dtype = torch.float64 if pred.dtype == torch.float64 else torch.float32
    leading = pred.shape[:-2]
    return pred.new_empty(leading, dtype=dtype), pred.new_empty(leading, dtype=dtype)


@torch.library.register_fake("topo::mask_chamfer_backward")
def _fake_backward(
    grad_pull: Tensor, grad_push: Tensor, pred: Tensor, target: Tensor, target_distance: Tensor, *options: Any
) -> Tensor:
    _check("mask_chamfer_backward", pred, target, target_distance)
    check_floating("mask_chamfer_backward", "pred", pred)
    for name, grad in (("grad_pull", grad_pull), ("grad_push", grad_push)):
        check_floating("mask_chamfer_backward", name, grad)
        torch._check(
            grad.shape == pred.shape[:-2],
            lambda name=name, grad=grad: (
                f"mask_chamfer_backward: {name} must have the leading shape of pred {tuple(pred.shape[:-2])}, "
                f"got {tuple(grad.shape)}"
            ),
        )
    check_backward_mode("mask_chamfer_backward", options[-1])
    return pred.new_empty(pred.shape)


def _check(op: str, pred: Tensor, target: Tensor, target_distance: Tensor) -> None:
    check_image_shape(op, "pred", pred)
    check_mask_dtype(op, "target", target)
    check_floating(op, "target_distance", target_distance)
    check_matches(op, "target", target, "pred", pred)
    check_matches(op, "target_distance", target_distance, "pred", pred)


def _setup_context(ctx: Any, inputs: tuple[Any, ...], keyword_only_inputs: dict[str, Any], output: Any) -> None:
    # No map of pred is kept: the backward recomputes its skeleton and its distances.
    ctx.save_for_backward(*inputs)
    ctx.options = tuple(keyword_only_inputs[name] for name in ("iterations", "skeletons", "backward"))


def _backward(ctx: Any, grad_pull: Tensor, grad_push: Tensor) -> tuple[Tensor | None, ...]:
    pred, target, target_distance = ctx.saved_tensors
    iterations, skeletons, _ = ctx.options
    grads: list[Tensor | None] = [None, None, None]
    # bool and uint8 masks have no gradient.
    if ctx.needs_input_grad[0] and pred.is_floating_point():
        grads[0] = torch.ops.topo.mask_chamfer_backward.default(
            grad_pull, grad_push, pred, target, target_distance, *ctx.options
        )
    # The sums are linear in target and target_distance. These gradients are rarely needed, so torch computes them.
    if any(ctx.needs_input_grad[1:3]):
        x = skeleton(pred, iterations=iterations) if skeletons else pred
        if ctx.needs_input_grad[1] and target.is_floating_point():
            # The pull is sum(D_out(X) * target), so the gradient of the target is D_out(X).
            out = s2d(complement(x), iterations=iterations)
            grads[1] = (grad_pull[..., None, None] * out).to(target.dtype)
        if ctx.needs_input_grad[2]:
            # The push is sum(target_distance * X), in which any non-zero value of a uint8 mask counts as 1.
            x = x if x.is_floating_point() else x != 0
            grads[2] = (grad_push[..., None, None] * x).to(target_distance.dtype)
    return tuple(grads)


register_autograd("mask_chamfer", _backward, setup_context=_setup_context)
forbid_double_backward("mask_chamfer")


@torch.library.register_vmap("topo::mask_chamfer")
def _vmap(info: Any, in_dims: tuple[Any, ...], *maps: Tensor, **options: Any) -> tuple[Any, Any]:
    return torch.ops.topo.mask_chamfer.default(*fold_batch(info, in_dims, *maps), **options), (0, 0)


@torch.library.register_vmap("topo::mask_chamfer_backward")
def _vmap_backward(info: Any, in_dims: tuple[Any, ...], *args: Any) -> tuple[Tensor, int]:
    # The first five arguments are tensors, the others options, which are not mapped.
    tensors = fold_batch(info, in_dims[:5], *args[:5])
    return torch.ops.topo.mask_chamfer_backward.default(*tensors, *args[5:]), 0
