"""First derivatives compared with finite differences and forward mode, and how second derivatives are handled."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from functions import FUNCTIONS, STRAIGHT_THROUGH
from samples import Sample, all_samples, blobs, random, soft
from torch import Tensor

from topokernels import chamfer, d2t, edt, reference, s2d, skeleton, topology_loss

# Operators whose backward is a kernel that is linear in these leading arguments.
GRADS = {
    "s2d_backward": 1,
    "edt_backward": 1,
    "d2t_backward": 1,
    "skeleton_backward": 1,
    "mask_chamfer_backward": 2,
    "m2s_backward": 1,
    "m2s_silhouette_backward": 1,
}
BACKWARDS = [sample for sample in all_samples() if sample.op in GRADS]


@pytest.mark.parametrize("name", [name for name in FUNCTIONS if name not in STRAIGHT_THROUGH])
def test_gradcheck_on_soft_masks(name: str) -> None:
    """Away from the kinks of the formulas both modes are the derivative."""
    mask = soft(40, 2, 4, 5, low=0.7).requires_grad_()
    assert torch.autograd.gradcheck(FUNCTIONS[name], mask)


# Functions in literal mode, and the same in plain torch, which has a forward derivative.
TWINS: dict[str, tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]] = {
    "s2d": (lambda m: s2d(m, backward="literal"), reference.s2d),
    "d2t": (lambda m: d2t(3 * m, m, backward="literal"), lambda m: reference.d2t(3 * m, m)),
    "skeleton": (lambda m: skeleton(m, backward="literal"), lambda m: reference.d2t(reference.s2d(m), m)),
    "chamfer": (
        lambda m: chamfer(m, m.roll(2, -1), reduction="none", backward="literal"),
        lambda m: sum(
            reference.chamfer(m, m.roll(2, -1), reference.s2d(1 - m), reference.s2d(1 - m.roll(2, -1))), torch.zeros(())
        ),
    ),
    "topology_loss": (
        lambda m: topology_loss(m, m.roll(2, -1), reduction="none", backward="literal"),
        lambda m: reference.topology_loss(m, m.roll(2, -1)),
    ),
}


@pytest.mark.parametrize("name", TWINS)
def test_literal_is_adjoint_of_the_forward_derivative(name: str) -> None:
    """<J v, g> = <v, J^T g> on binary masks, where finite differences have no meaning."""
    ours, twin = TWINS[name]
    mask, direction = blobs(41, 3, 10, 11), random(42, 3, 10, 11)
    value, moved = torch.autograd.functional.jvp(twin, mask, direction)
    leaf, grad = mask.clone().requires_grad_(), random(43, *value.shape)
    out = ours(leaf)
    torch.testing.assert_close(out, value)
    (back,) = torch.autograd.grad(out, leaf, grad)
    torch.testing.assert_close((back * direction).sum(), (grad * moved).sum(), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("sample", BACKWARDS, ids=str)
def test_backward_kernels_are_linear_in_the_gradient(sample: Sample, device: torch.device) -> None:
    count, arguments = GRADS[sample.op], sample.arguments(device)
    op = getattr(torch.ops.topo, sample.op).default
    # Powers of two and few digits, so that half precision represents the inputs exactly.
    first, second = (
        [(random(seed + i, *a.shape) * 8).round().to(a) / 8 for i, a in enumerate(arguments[:count])]
        for seed in (44, 46)
    )

    def call(grads: list[Tensor]) -> tuple[Tensor, ...]:
        result = op(*grads, *arguments[count:])
        return result if isinstance(result, tuple) else (result,)

    combined = call([2 * a - 0.5 * b for a, b in zip(first, second, strict=True)])
    for whole, a, b in zip(combined, call(first), call(second), strict=True):
        eps = torch.finfo(whole.dtype).eps
        scale = torch.cat([a, b]).abs().max().double() + 1
        torch.testing.assert_close(whole.double() / scale, (2 * a.double() - 0.5 * b) / scale, rtol=0, atol=16 * eps)


# Functions of (mask, weight) whose gradient with respect to the mask comes from a kernel.
NOT_TWICE: dict[str, Callable[[Tensor, str], Tensor]] = {
    "s2d": lambda m, mode: s2d(m, backward=mode),
    "edt": lambda m, mode: edt(m, signed=mode == "literal"),
    "d2t": lambda m, mode: d2t(3 * m, m, backward=mode),
    "skeleton": lambda m, mode: skeleton(m, backward=mode),
    "mask_chamfer": lambda m, mode: chamfer(m, torch.ones_like(m), reduction="none", backward=mode),
}


@pytest.mark.parametrize("mode", ["subgradient", "literal"])
@pytest.mark.parametrize("name", NOT_TWICE)
def test_double_backward_is_a_clear_error(name: str, mode: str) -> None:
    mask = soft(48, 1, 6, 7).requires_grad_()
    out = NOT_TWICE[name](mask, mode)
    weight = random(49, *out.shape).requires_grad_()
    (grad,) = torch.autograd.grad((out * weight).sum(), mask, create_graph=True)
    assert grad.requires_grad
    with pytest.raises(RuntimeError, match=f"{name}: double backward is not defined"):
        torch.autograd.grad((grad**2).sum(), mask, retain_graph=True)
    with pytest.raises(RuntimeError, match=f"{name}: double backward is not defined"):
        torch.autograd.grad((grad**2).sum(), weight)


@pytest.mark.parametrize("mode", ["subgradient", "literal"])
@pytest.mark.parametrize("name", NOT_TWICE)
def test_forward_mode_is_a_clear_error(name: str, mode: str) -> None:
    """Includes torch.func.hessian, which takes forward derivatives of gradients."""
    mask = soft(52, 1, 5, 6)
    with pytest.raises(RuntimeError, match=r"forward-mode derivatives .* are not defined"):
        torch.func.jvp(lambda mask: NOT_TWICE[name](mask, mode), (mask,), (mask,))
    with pytest.raises(RuntimeError, match=r"forward-mode derivatives .* are not defined"):
        torch.func.hessian(lambda mask: NOT_TWICE[name](mask, mode).pow(2).sum())(mask)


def test_forward_mode_of_the_chamfer_operator() -> None:
    maps = tuple(random(53 + i, 2, 4, 5) for i in range(4))
    (pull, push), tangents = torch.func.jvp(torch.ops.topo.chamfer, maps, maps)
    torch.testing.assert_close(tangents, (2 * pull, 2 * push))  # the derivative of a bilinear form
    hessian = torch.func.hessian(lambda *maps: sum(torch.ops.topo.chamfer(*maps)).sum(), (0, 3))(*maps)
    torch.testing.assert_close(hessian[0][1].flatten(3).flatten(0, 2), torch.eye(40, dtype=torch.float64))


def test_double_backward_of_the_chamfer_operator() -> None:
    maps = [random(50 + i, 2, 4, 5).requires_grad_() for i in range(4)]
    assert torch.autograd.gradgradcheck(torch.ops.topo.chamfer, maps)


def test_chamfer_can_be_differentiated_twice_in_the_distances() -> None:
    """With a given distance map of pred, the loss is a bilinear form."""
    pred, target, distance = soft(54, 1, 5, 6), soft(55, 1, 5, 6), random(56, 1, 5, 6)
    leaves = [tensor.requires_grad_() for tensor in (pred, distance)]
    (grad,) = torch.autograd.grad(
        chamfer(leaves[0], target, pred_distance=leaves[1], target_distance=leaves[1]), leaves[1], create_graph=True
    )
    (second,) = torch.autograd.grad((grad**2).sum(), leaves[0])
    torch.testing.assert_close(second, 2 * (target + pred).detach())
