from __future__ import annotations

import pytest
import torch
from samples import blobs, random

from topokernels import chamfer, d2t, reference, s2d, skeleton, target_topology, topology_loss


@pytest.mark.parametrize("iterations", [None, 3])
@pytest.mark.parametrize("pull_weight", [1.0, 3.0])
def test_equals_reference_and_its_autograd(pull_weight: float, iterations: int | None, device: torch.device) -> None:
    pred, target = blobs(0, 4, 13, 14), blobs(1, 4, 13, 14)
    twin, leaf = pred.clone().requires_grad_(), pred.to(device).requires_grad_()
    expected = reference.topology_loss(twin, target, pull_weight=pull_weight, iterations=iterations)
    actual = topology_loss(
        leaf,
        target.to(device),
        pull_weight=pull_weight,
        iterations=iterations,
        reduction="none",
        backward="literal",
    )
    torch.testing.assert_close(actual.cpu(), expected.detach(), rtol=1e-12, atol=1e-12)
    grad = random(2, 4)
    (wanted,) = torch.autograd.grad(expected, twin, grad)
    (given,) = torch.autograd.grad(actual, leaf, grad.to(device))
    scale = wanted.abs().max()
    torch.testing.assert_close(given.cpu() / scale, wanted / scale, rtol=1e-9, atol=1e-9)


def test_is_the_chamfer_of_two_skeletons() -> None:
    pred, target = blobs(3, 3, 20, 22), blobs(4, 3, 20, 22)
    skeletons = [d2t(s2d(mask), mask) for mask in (pred, target)]
    assert torch.equal(topology_loss(pred, target, reduction="none"), chamfer(*skeletons, reduction="none"))


def test_zero_on_itself(device: torch.device) -> None:
    mask = blobs(5, 6, 25, 26).to(device)
    assert (topology_loss(mask, mask, reduction="none") == 0).all()


@pytest.mark.parametrize("iterations", [None, 4])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bool, torch.uint8])
def test_cached_target_changes_nothing(dtype: torch.dtype, iterations: int | None) -> None:
    pred, target = blobs(6, 3, 18, 19).float().requires_grad_(), blobs(7, 3, 18, 19, dtype=dtype)
    cache = target_topology(target, iterations=iterations)
    assert not cache.skeleton.requires_grad
    assert torch.equal(cache.skeleton, skeleton(target, iterations=iterations))
    options = {"iterations": iterations, "reduction": "none"}
    plain, cached = topology_loss(pred, target, **options), topology_loss(pred, cache, **options)
    assert torch.equal(plain, cached)
    grad = random(8, 3, dtype=plain.dtype)
    assert torch.equal(torch.autograd.grad(plain, pred, grad)[0], torch.autograd.grad(cached, pred, grad)[0])


@pytest.mark.parametrize("scale", [1, 255])
def test_byte_masks(scale: int, device: torch.device) -> None:
    pred, target = blobs(9, 3, 16, 17), blobs(10, 3, 16, 17)
    expected = topology_loss(pred, target, reduction="none").float()
    for dtype in (torch.bool, torch.uint8):
        given = ((mask * scale).to(device, dtype) for mask in (pred, target))
        assert torch.equal(topology_loss(*given, reduction="none").cpu(), expected)


def test_reductions() -> None:
    pred, target = (
        blobs(11, 6, 12, 13).reshape(3, 2, 12, 13),
        blobs(12, 6, 12, 13).reshape(3, 2, 12, 13),
    )
    each = topology_loss(pred, target, reduction="none")
    assert each.shape == (3, 2)
    assert torch.equal(topology_loss(pred, target), each.mean())
    assert torch.equal(topology_loss(pred, target, reduction="sum"), each.sum())


def test_pull_weight_scales_one_term() -> None:
    pred, target = blobs(13, 4, 15, 15), blobs(14, 4, 15, 15)
    loss = [topology_loss(pred, target, pull_weight=w, reduction="none") for w in (0.0, 1.0, 2.0)]
    assert (loss[1] > loss[0]).any()
    torch.testing.assert_close(loss[2] - loss[1], loss[1] - loss[0])


def test_gradient_points_towards_the_target(device: torch.device) -> None:
    """A bar next to its target: adding pixels on the side of the target must lower the linearised loss."""
    target = torch.zeros(1, 40, 40, dtype=torch.float64, device=device)
    target[0, 8:32, 22:29] = 1
    pred = target.roll(-8, dims=2).requires_grad_()
    (grad,) = torch.autograd.grad(topology_loss(pred, target), pred)
    assert grad.isfinite().all()
    toward = pred.detach().roll(1, dims=2) - pred.detach()
    away = pred.detach().roll(-1, dims=2) - pred.detach()
    assert (grad * toward).sum() < (grad * away).sum()


def test_finite_on_large_deep_masks() -> None:
    pred = torch.ones(1, 400, 400)
    pred[0, :, :3] = 0
    pred.requires_grad_()
    loss = topology_loss(pred, pred.detach().mT.contiguous())
    (grad,) = torch.autograd.grad(loss, pred)
    assert loss.isfinite()
    assert grad.isfinite().all()


@pytest.mark.parametrize("empty", ["pred", "target", "both"])
def test_empty_masks_give_finite_losses(empty: str) -> None:
    """An empty mask has no nearest pixel, so its distances saturate at the image's size."""
    pred, target = torch.zeros(1, 9, 12), torch.zeros(1, 9, 12)
    if empty != "pred" and empty != "both":
        pred[0, 2:5, 2:6] = 1
    if empty != "target" and empty != "both":
        target[0, 2:5, 2:6] = 1
    pred.requires_grad_()
    loss = topology_loss(pred, target)
    (grad,) = torch.autograd.grad(loss, pred)
    assert loss.isfinite()
    assert grad.isfinite().all()
    assert (loss == 0) == (empty == "both")
