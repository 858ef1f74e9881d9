"""The gradient and the vmap rules of an operator that maps one mask to one image, as s2d and skeleton do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from topokernels._registration import (
    check_backward_mode,
    check_floating,
    check_matches,
    fold_batch,
    forbid_double_backward,
    register_autograd,
)


def check_backward_option(op: str, mask: Tensor, options: dict[str, Any]) -> None:
    """The check of the options of an operator whose one checked option is ``backward``."""
    check_backward_mode(op, options["backward"])


def register_mask_operator(
    op: str,
    options: tuple[str, ...],
    check_options: Callable[[str, Tensor, dict[str, Any]], None] = check_backward_option,
) -> None:
    """Registers everything but the fake kernel of the forward pass.

    Args:
        op: the name in the ``topo`` namespace, of an operator ``op(mask, *, ...)`` whose gradient is
            ``op_backward(grad, mask, *options)``.
        options: names of the keyword arguments that the backward operator takes, in its order.
        check_options: called with the name of the backward operator, the mask and the options by name;
            raises the errors of the compiled kernel.
    """
    forward = getattr(torch.ops.topo, op).default
    backward = getattr(torch.ops.topo, f"{op}_backward").default

    def fake_backward(grad: Tensor, mask: Tensor, *values: Any) -> Tensor:
        # The checks of the compiled kernel, so that code under torch.compile fails with the same message.
        check_floating(f"{op}_backward", "mask", mask)
        check_floating(f"{op}_backward", "grad", grad)
        check_matches(f"{op}_backward", "grad", grad, "mask", mask)
        check_options(f"{op}_backward", mask, dict(zip(options, values, strict=True)))
        return mask.new_empty(mask.shape)

    def setup_context(ctx: Any, inputs: tuple[Any, ...], keyword_only_inputs: dict[str, Any], output: Tensor) -> None:
        # Only the mask: the backward recomputes the distance map, which is cheaper than keeping it.
        ctx.save_for_backward(*inputs)
        # These come by name and in any order; the backward operator takes them by position.
        ctx.options = tuple(keyword_only_inputs[name] for name in options)

    # bool and uint8 masks have no gradient.
    def gradient(ctx: Any, grad: Tensor) -> Tensor | None:
        (mask,) = ctx.saved_tensors
        return backward(grad, mask, *ctx.options) if mask.is_floating_point() else None

    def vmap(info: Any, in_dims: tuple[Any, ...], mask: Tensor, **values: Any) -> tuple[Tensor, int]:
        # Any leading dimensions are images, so the mapped one needs no loop.
        return forward(mask.movedim(in_dims[0], 0), **values), 0

    def vmap_backward(
        info: Any, in_dims: tuple[Any, ...], grad: Tensor, mask: Tensor, *values: Any
    ) -> tuple[Tensor, int]:
        grad, mask = fold_batch(info, in_dims[:2], grad, mask)
        return backward(grad, mask, *values), 0

    torch.library.register_fake(f"topo::{op}_backward", fake_backward)
    register_autograd(op, gradient, setup_context=setup_context)
    # The gradient is piecewise constant in the mask, so a second derivative would be zeros that look like a result.
    forbid_double_backward(op)
    torch.library.register_vmap(f"topo::{op}", vmap)
    torch.library.register_vmap(f"topo::{op}_backward", vmap_backward)
