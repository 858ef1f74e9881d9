from __future__ import annotations

import pytest
import torch
from samples import FLOAT_DTYPES, blobs, random, soft
from torch import Tensor

from topokernels import chamfer, reference, s2d


def expected_terms(pred: Tensor, target: Tensor, **options: object) -> tuple[Tensor, Tensor]:
    pred_distance = reference.s2d(1 - pred, **options)
    target_distance = reference.s2d(1 - target, **options)
    return reference.chamfer(pred, target, pred_distance, target_distance)


def brute_force(pred: Tensor, target: Tensor) -> tuple[float, float]:
    """For both masks, the sum over their pixels of the chessboard distance to the nearest pixel of the other mask."""

    def one_way(source: Tensor, goal: Tensor) -> float:
        a, b = torch.nonzero(source), torch.nonzero(goal)
        nearest = (a[:, None] - b[None]).abs().amax(-1).amin(-1)
        return float(nearest.sum())

    return one_way(target, pred), one_way(pred, target)


def test_equals_brute_force(device: torch.device) -> None:
    pred, target = blobs(0, 6, 20, 24), blobs(1, 6, 20, 24)
    pred[:, 3, 4] = target[:, 5, 6] = 1  # no mask is empty
    _, pull, push = chamfer(pred.to(device), target.to(device), return_terms=True, reduction="none")
    for i in range(6):
        assert (pull[i].item(), push[i].item()) == brute_force(pred[i], target[i])


@pytest.mark.parametrize("iterations", [None, 2])
@pytest.mark.parametrize("kind", ["binary", "soft"])
def test_equals_reference(kind: str, iterations: int | None, device: torch.device) -> None:
    make = blobs if kind == "binary" else lambda *a: 1 - soft(*a)
    pred, target = make(2, 4, 14, 15), make(3, 4, 14, 15)
    pull, push = expected_terms(pred, target, iterations=iterations)
    loss, *terms = chamfer(
        pred.to(device),
        target.to(device),
        iterations=iterations,
        return_terms=True,
        reduction="none",
    )
    torch.testing.assert_close(terms[0].cpu(), pull)
    torch.testing.assert_close(terms[1].cpu(), push)
    torch.testing.assert_close(loss.cpu(), pull + push)


def test_literal_gradient_equals_autograd_of_reference(device: torch.device) -> None:
    masks = blobs(4, 4, 12, 13), blobs(5, 4, 12, 13)
    twins = [mask.clone().requires_grad_() for mask in masks]
    leaves = [mask.to(device).requires_grad_() for mask in masks]
    pull, push = expected_terms(*twins)
    expected = torch.autograd.grad((2 * pull + push).sum(), twins)
    loss = chamfer(*leaves, pull_weight=2.0, reduction="sum", backward="literal")
    actual = torch.autograd.grad(loss, leaves)
    for a, b in zip(actual, expected, strict=True):
        torch.testing.assert_close(a.cpu() / b.abs().max(), b / b.abs().max())


@pytest.mark.parametrize("mode", ["subgradient", "literal"])
def test_gradcheck_on_soft_masks(mode: str) -> None:
    pred = (1 - soft(6, 2, 4, 5)).requires_grad_()
    target = (1 - soft(7, 2, 4, 5)).requires_grad_()
    assert torch.autograd.gradcheck(lambda p, t: chamfer(p, t, pull_weight=0.7, backward=mode), (pred, target))


def test_operator_has_first_and_second_derivatives() -> None:
    maps = [random(8 + i, 2, 3, 4).requires_grad_() for i in range(4)]
    assert torch.autograd.gradcheck(torch.ops.topo.chamfer, maps)
    assert torch.autograd.gradgradcheck(torch.ops.topo.chamfer, maps)


def test_reductions_and_terms() -> None:
    pred, target = (
        blobs(9, 6, 10, 11).reshape(2, 3, 10, 11),
        blobs(10, 6, 10, 11).reshape(2, 3, 10, 11),
    )
    each, pull, push = chamfer(pred, target, reduction="none", return_terms=True, pull_weight=3.0)
    assert each.shape == pull.shape == push.shape == (2, 3)
    torch.testing.assert_close(each, 3 * pull + push)
    assert torch.equal(chamfer(pred, target, pull_weight=3.0), each.mean())
    assert torch.equal(chamfer(pred, target, pull_weight=3.0, reduction="sum"), each.sum())
    for name in ("mean", "sum"):
        terms = chamfer(pred, target, reduction=name, return_terms=True, pull_weight=3.0)
        for a, b in zip(terms, (each, pull, push), strict=True):
            assert torch.equal(a, getattr(b, name)())


def test_cached_target_distance_changes_nothing() -> None:
    pred, target = blobs(11, 3, 15, 16).requires_grad_(), blobs(12, 3, 15, 16)
    plain = chamfer(pred, target, reduction="none")
    cached = chamfer(pred, target, target_distance=s2d(1 - target), reduction="none")
    assert torch.equal(plain, cached)
    grad = random(13, 3)
    assert torch.equal(torch.autograd.grad(plain, pred, grad)[0], torch.autograd.grad(cached, pred, grad)[0])


def test_symmetric_and_zero_on_itself() -> None:
    a, b = blobs(14, 5, 18, 20), blobs(15, 5, 18, 20)
    assert (chamfer(a, a, reduction="none") == 0).all()
    _, pull, push = chamfer(a, b, return_terms=True, reduction="none")
    _, swapped_pull, swapped_push = chamfer(b, a, return_terms=True, reduction="none")
    assert torch.equal(pull, swapped_push)
    assert torch.equal(push, swapped_pull)


@pytest.mark.parametrize("scale", [1, 255])
def test_byte_masks(scale: int, device: torch.device) -> None:
    pred, target = blobs(16, 3, 14, 12), blobs(17, 3, 14, 12)
    expected = chamfer(pred, target, reduction="none").float()
    for dtype in (torch.bool, torch.uint8):
        given = ((mask * scale).to(device, dtype) for mask in (pred, target))
        assert torch.equal(chamfer(*given, reduction="none").cpu(), expected)
    mixed = chamfer(pred.float().to(device), (target * scale).byte().to(device), reduction="none")
    assert torch.equal(mixed.cpu(), expected)


def test_byte_target_leaves_the_gradient_of_pred_alone() -> None:
    pred, target = blobs(18, 2, 10, 10).float(), blobs(19, 2, 10, 10).float()
    gradients = []
    for given in (target, target.bool(), (target * 255).byte()):
        leaf = pred.clone().requires_grad_()
        gradients.append(torch.autograd.grad(chamfer(leaf, given), leaf)[0])
    assert torch.equal(gradients[0], gradients[1])
    assert torch.equal(gradients[0], gradients[2])


@pytest.mark.parametrize("dtype", FLOAT_DTYPES)
def test_narrow_types_sum_in_full(dtype: torch.dtype, device: torch.device) -> None:
    """The sum exceeds the range of float16 and the resolution of bfloat16."""
    pred = torch.zeros(1, 100, 120, dtype=dtype, device=device)
    pred[0, 0, 0] = 1
    target = torch.ones_like(pred).requires_grad_()
    loss = chamfer(pred, target)
    distance = torch.arange(120).clamp(min=0).expand(100, 120).clone()
    distance = torch.maximum(distance, torch.arange(100)[:, None])
    assert loss.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    assert loss.item() == distance.sum().item()
    (grad,) = torch.autograd.grad(loss, target)
    assert grad.dtype == dtype
    assert grad.isfinite().all()


@pytest.mark.parametrize("shape", [(0, 4, 4), (2, 0, 4), (3, 4), (2, 2, 1, 1)])
def test_shapes(shape: tuple[int, ...], device: torch.device) -> None:
    pred = torch.zeros(shape, device=device, requires_grad=True)
    each = chamfer(pred, torch.ones(shape, device=device), reduction="none")
    assert each.shape == shape[:-2]
    each.sum().backward()
    assert pred.grad is not None
    assert pred.grad.shape == shape
    if 0 in shape:
        assert (each == 0).all()


def test_non_contiguous() -> None:
    pred, target = blobs(20, 3, 10, 16), blobs(21, 3, 10, 16)
    plain = chamfer(pred.mT.contiguous(), target.mT.contiguous(), reduction="none")
    assert torch.equal(chamfer(pred.mT, target.mT, reduction="none"), plain)


def test_one_step_down_the_gradient_moves_the_mask_nearer() -> None:
    """The default gradient prefers adding pixels of the target to adding pixels away from it."""
    target = torch.zeros(1, 20, 20, dtype=torch.float64)
    target[0, 8:13, 12:17] = 1
    pred = target.roll(-6, dims=2).requires_grad_()
    (grad,) = torch.autograd.grad(chamfer(pred, target), pred)
    toward = pred.detach().roll(1, dims=2) - pred.detach()
    away = pred.detach().roll(-1, dims=2) - pred.detach()
    assert (grad * toward).sum() < 0 < (grad * away).sum()
