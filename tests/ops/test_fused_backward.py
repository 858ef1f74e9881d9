"""The gradients of skeleton and mask_chamfer compared with those of the operators that they fuse."""

from __future__ import annotations

import pytest
import torch
from samples import FLOAT_DTYPES, MASK_DTYPES, blobs, random, soft
from torch import Tensor

from topokernels import d2t, reference, s2d

MODES = ("subgradient", "literal")


def batches() -> dict[str, Tensor]:
    """Batches (N, 14, 17): binary, soft, and both together with a full and an empty image."""
    binary, softs = blobs(0, 5, 14, 17), soft(1, 3, 14, 17)
    softs[1] = soft(2, 14, 17, low=0.0, high=1.0)
    softs[2] *= binary[0]
    flat = torch.stack([torch.ones(14, 17), torch.zeros(14, 17)]).double()
    return {"binary": binary, "soft": softs, "mixed": torch.cat([binary[:2], softs, flat, binary[2:]])}


def composed_skeleton(mask: Tensor, iterations: int | None, pool_size: int, mode: str) -> Tensor:
    distance = s2d(mask, iterations=iterations, backward=mode)
    return d2t(distance, mask, pool_size=pool_size, backward=mode)


def skeleton_grad(mask: Tensor, grad: Tensor, iterations: int | None, pool_size: int, mode: str) -> Tensor:
    leaf = mask.detach().clone().requires_grad_()
    return torch.autograd.grad(composed_skeleton(leaf, iterations, pool_size, mode), leaf, grad)[0]


def chamfer_grad(
    pull: Tensor,
    push: Tensor,
    pred: Tensor,
    target: Tensor,
    out: Tensor,
    iterations: int | None,
    skeletons: bool,
    mode: str,
) -> Tensor:
    leaf = pred.detach().clone().requires_grad_()
    x = composed_skeleton(leaf, iterations, 3, mode) if skeletons else leaf
    terms = (s2d(1 - x, iterations=iterations, backward=mode) * target).sum((-2, -1)), (out * x).sum((-2, -1))
    return torch.autograd.grad((pull * terms[0] + push * terms[1]).sum(), leaf)[0]


def close(actual: Tensor, expected: Tensor, tolerance: float = 1e-10) -> None:
    """Compares relative to the largest value of each image, because terms of the literal gradient cancel."""
    scale = expected.abs().amax(dim=(-2, -1), keepdim=True).clamp(min=1)
    torch.testing.assert_close(actual.cpu() / scale, expected / scale, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("iterations", [None, 0, 2])
@pytest.mark.parametrize("pool_size", [3, 5])
@pytest.mark.parametrize("kind", batches())
def test_skeleton_equals_composition(
    kind: str, pool_size: int, iterations: int | None, mode: str, device: torch.device
) -> None:
    mask = batches()[kind]
    grad = random(3, *mask.shape)
    options = iterations, pool_size, mode
    actual = torch.ops.topo.skeleton_backward(grad.to(device), mask.to(device), *options)
    close(actual, skeleton_grad(mask, grad, *options))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("iterations", [None, 0, 2])
@pytest.mark.parametrize("skeletons", [False, True])
@pytest.mark.parametrize("kind", batches())
def test_mask_chamfer_equals_composition(
    kind: str, skeletons: bool, iterations: int | None, mode: str, device: torch.device
) -> None:
    pred = batches()[kind]
    count = len(pred)
    target = blobs(4, count, 14, 17)
    maps = random(5, count), random(6, count), pred, target, s2d(1 - target)
    options = iterations, skeletons, mode
    actual = torch.ops.topo.mask_chamfer_backward(*(m.to(device) for m in maps), *options)
    close(actual, chamfer_grad(*maps, *options))


@pytest.mark.parametrize("skeletons", [False, True])
def test_literal_equals_autograd_of_the_reference(skeletons: bool, device: torch.device) -> None:
    pred, target = batches()["mixed"].requires_grad_(), blobs(7, 10, 14, 17)
    pull, push, out = random(8, 10), random(9, 10), s2d(1 - target)
    x = reference.d2t(reference.s2d(pred), pred) if skeletons else pred
    terms = (reference.s2d(1 - x) * target).sum((-2, -1)), (out * x).sum((-2, -1))
    (expected,) = torch.autograd.grad((pull * terms[0] + push * terms[1]).sum(), pred)
    maps = (pull, push, pred.detach(), target, out)
    actual = torch.ops.topo.mask_chamfer_backward(*(m.to(device) for m in maps), None, skeletons, "literal")
    close(actual, expected, 1e-9)


@pytest.mark.parametrize("dtype", FLOAT_DTYPES)
@pytest.mark.parametrize("target_dtype", MASK_DTYPES)
def test_dtypes(dtype: torch.dtype, target_dtype: torch.dtype, device: torch.device) -> None:
    """Half precision is computed in float32, so the result is rounded only once."""
    pred, target = blobs(10, 3, 20, 22), blobs(11, 3, 20, 22)
    pull, push, out = random(12, 3).float(), random(13, 3).float(), s2d(1 - target)
    expected = chamfer_grad(pull.double(), push.double(), pred, target, out, None, True, "subgradient")
    maps = pred.to(dtype), target.to(target_dtype), out.half()
    actual = torch.ops.topo.mask_chamfer_backward(
        pull.to(device), push.to(device), *(m.to(device) for m in maps), None, True, "subgradient"
    )
    assert actual.dtype == dtype
    close(actual.double(), expected, max(1e-6, 2 * torch.finfo(dtype).eps))
    actual = torch.ops.topo.skeleton_backward(out.to(device, dtype), pred.to(device, dtype), None, 3, "subgradient")
    assert actual.dtype == dtype
    close(actual.double(), skeleton_grad(pred, out, None, 3, "subgradient"), max(1e-5, 2 * torch.finfo(dtype).eps))


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (2, 2), (1, 400), (300, 280)])
@pytest.mark.parametrize("background", [0, 1])
def test_awkward_shapes(shape: tuple[int, int], background: int, device: torch.device) -> None:
    """Full masks, and masks with one background pixel in a corner, deeper than 255 if they are large."""
    pred = torch.ones(1, *shape, dtype=torch.float64)
    pred[0, -1, 0] = 1 - background
    target = blobs(14, 1, *shape)
    maps = torch.ones(1).double(), torch.ones(1).double(), pred, target, random(15, 1, *shape).abs()
    for skeletons in (False, True):
        options = None, skeletons, "subgradient"
        actual = torch.ops.topo.mask_chamfer_backward(*(m.to(device) for m in maps), *options)
        close(actual, chamfer_grad(*maps, *options))
    actual = torch.ops.topo.skeleton_backward(maps[4].to(device), pred.to(device), None, 3, "subgradient")
    close(actual, skeleton_grad(pred, maps[4], None, 3, "subgradient"))


def test_zero_gradients_give_zero(device: torch.device) -> None:
    pred, zero = batches()["mixed"].to(device), torch.zeros(10, device=device).double()
    target = blobs(16, 10, 14, 17).to(device)
    for mode in MODES:
        for skeletons in (False, True):
            maps = zero, zero, pred, target, target
            assert (torch.ops.topo.mask_chamfer_backward(*maps, None, skeletons, mode) == 0).all()
        assert (torch.ops.topo.skeleton_backward(torch.zeros_like(pred), pred, None, 3, mode) == 0).all()


@pytest.mark.parametrize("shape", [(0, 5, 5), (3, 0, 5), (2, 5, 0), (4, 5)])
def test_shapes(shape: tuple[int, ...], device: torch.device) -> None:
    pred, sums = torch.ones(shape, device=device), torch.ones(shape[:-2], device=device)
    result = torch.ops.topo.mask_chamfer_backward(sums, sums, pred, pred, pred, None, True, "subgradient")
    assert result.shape == shape
    assert torch.ops.topo.skeleton_backward(pred, pred, None, 3, "subgradient").shape == shape


def test_errors_name_operator_and_argument() -> None:
    mask, sums = torch.ones(2, 4, 5), torch.ones(2)
    with pytest.raises(RuntimeError, match="skeleton_backward: grad must have the shape of mask"):
        torch.ops.topo.skeleton_backward(mask[0], mask, None, 3, "subgradient")
    with pytest.raises(RuntimeError, match="mask_chamfer_backward: grad_push must have the leading shape of pred"):
        torch.ops.topo.mask_chamfer_backward(sums, sums[:1], mask, mask, mask, None, False, "subgradient")
    with pytest.raises(RuntimeError, match=r"mask_chamfer_backward: pred must hold finite values in \[0, 1\]; image 1"):
        bad = torch.stack([mask[0], 2 * mask[0]])
        torch.ops.topo.mask_chamfer_backward(sums, sums, bad, mask, mask, None, False, "subgradient")
