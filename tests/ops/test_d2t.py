from __future__ import annotations

import numpy as np
import pytest
import torch
from samples import FLOAT_DTYPES, MASK_DTYPES, blobs, mask_batches, random, soft
from torch import Tensor

from topokernels import d2t, reference, s2d

MODES = ("subgradient", "literal")


def grads(distance: Tensor, mask: Tensor, grad: Tensor, **options: object) -> tuple[Tensor, Tensor]:
    leaves = distance.detach().clone().requires_grad_(), mask.detach().clone().requires_grad_()
    return torch.autograd.grad(d2t(*leaves, **options), leaves, grad)


@pytest.mark.parametrize("pool_size", [3, 5, 9])
@pytest.mark.parametrize("kind", ["binary", "soft mask", "generic"])
def test_equals_reference_and_its_autograd(kind: str, pool_size: int, device: torch.device) -> None:
    mask = blobs(0, 5, 16, 21) if kind != "soft mask" else soft(0, 5, 16, 21, low=0.0)
    distance = random(1, 5, 16, 21) * 3 if kind == "generic" else s2d(mask)
    leaves = distance.clone().requires_grad_(), mask.clone().requires_grad_()
    expected = reference.d2t(*leaves, pool_size=pool_size)
    actual = d2t(distance.to(device), mask.to(device), pool_size=pool_size)
    torch.testing.assert_close(actual.cpu(), expected.detach(), rtol=1e-14, atol=1e-14)

    grad = random(2, 5, 16, 21)
    wanted = torch.autograd.grad(expected, leaves, grad)
    options = {"pool_size": pool_size, "backward": "literal"}
    given = grads(distance.to(device), mask.to(device), grad.to(device), **options)
    for a, b in zip(given, wanted, strict=True):
        torch.testing.assert_close(a.cpu(), b, rtol=1e-12, atol=1e-12)


def test_literal_gives_ties_to_the_first_in_raster_order() -> None:
    distance = torch.full((4, 5), 2.0, dtype=torch.float64)
    mask = torch.ones_like(distance)
    leaves = distance.clone().requires_grad_(), mask.clone().requires_grad_()
    wanted = torch.autograd.grad(reference.d2t(*leaves).sum(), leaves)
    for a, b in zip(grads(distance, mask, torch.ones_like(mask), backward="literal"), wanted, strict=True):
        assert torch.equal(a, b)


def kink_oracle(distance: np.ndarray, mask: np.ndarray, grad: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The 3 x 3 subgradient of one binary image, pixel by pixel."""
    height, width = distance.shape

    def window(y: int, x: int) -> tuple[slice, slice]:
        return slice(max(y - 1, 0), y + 2), slice(max(x - 1, 0), x + 2)

    pixels = [(y, x) for y in range(height) for x in range(width)]
    peak = np.array([distance[window(*p)].max() for p in pixels]).reshape(distance.shape)
    ridge = (distance == peak) * mask
    next_to_ridge = np.array([ridge[window(*p)].max() for p in pixels]).reshape(distance.shape)
    h = grad * mask * next_to_ridge
    result = h.copy()
    for p in pixels:
        ties = distance[window(*p)] == peak[p]
        result[window(*p)] -= ties * h[p] / ties.sum()
    return result, grad * ridge


def test_subgradient_equals_kink_oracle(device: torch.device) -> None:
    rng = np.random.default_rng(3)
    for masks in mask_batches(seed=4, batches=25, per_batch=4, largest=20):
        mask = torch.from_numpy(masks).double()
        distance, grad = s2d(mask), torch.from_numpy(rng.standard_normal(masks.shape))
        actual = grads(distance.to(device), mask.to(device), grad.to(device))
        for i in range(len(masks)):
            expected = kink_oracle(distance[i].numpy(), mask[i].numpy(), grad[i].numpy())
            for a, b in zip(actual, expected, strict=True):
                torch.testing.assert_close(a[i].cpu(), torch.from_numpy(b), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("pool_size", [3, 5])
def test_gradcheck_where_nothing_ties(mode: str, pool_size: int) -> None:
    distance = random(5, 2, 5, 6).mul(0.6).requires_grad_()
    mask = soft(6, 2, 5, 6, low=0.1).requires_grad_()
    assert torch.autograd.gradcheck(lambda d, m: d2t(d, m, pool_size=pool_size, backward=mode), (distance, mask))


@pytest.mark.parametrize("mode", MODES)
def test_backward_is_adjoint(mode: str) -> None:
    """<J v, g> = <v, J^T g>, with J from one backward per output pixel."""
    mask = blobs(7, 1, 6, 7)[0]
    distance = s2d(mask)
    basis = torch.eye(42, dtype=torch.float64).reshape(42, 6, 7)
    rows = torch.stack([grads(distance, mask, unit, backward=mode)[0] for unit in basis])
    v, g = random(8, 6, 7), random(9, 6, 7)
    jv = (rows * v).sum((-2, -1)).reshape(6, 7)
    jtg, _ = grads(distance, mask, g, backward=mode)
    torch.testing.assert_close((jv * g).sum(), (v * jtg).sum())


def test_subgradient_conserves_what_it_takes() -> None:
    """The maxima lose what the pixels below them gain, so the total is 0."""
    mask = blobs(10, 4, 20, 22)
    grad_distance, _ = grads(s2d(mask), mask, random(11, 4, 20, 22))
    torch.testing.assert_close(grad_distance.sum((-2, -1)), torch.zeros(4).double(), rtol=0, atol=1e-10)


@pytest.mark.parametrize("kind", ["binary", "generic"])
def test_sparse_gradients_add_up_to_the_dense_one(kind: str, device: torch.device) -> None:
    mask = blobs(18, 3, 19, 37)
    distance = s2d(mask) if kind == "binary" else random(19, 3, 19, 37)
    grad = random(20, 3, 19, 37)
    part = torch.arange(19 * 37).reshape(19, 37) % 31
    maps = distance.to(device), mask.to(device)
    parts = [grads(*maps, (grad * (part == k)).to(device)) for k in range(31)]
    for given, wanted in zip(zip(*parts, strict=True), grads(*maps, grad.to(device)), strict=True):
        torch.testing.assert_close(torch.stack(given).sum(0), wanted, rtol=1e-12, atol=1e-12)


def test_subgradient_gives_background_nothing() -> None:
    mask = blobs(12, 4, 20, 22)
    _, grad_mask = grads(s2d(mask), mask, torch.ones_like(mask))
    assert (grad_mask[mask == 0] == 0).all()
    _, literal = grads(s2d(mask), mask, torch.ones_like(mask), backward="literal")
    assert (literal[mask == 0] != 0).any()


@pytest.mark.parametrize("mask_dtype", MASK_DTYPES)
@pytest.mark.parametrize("dtype", FLOAT_DTYPES)
def test_dtypes(dtype: torch.dtype, mask_dtype: torch.dtype, device: torch.device) -> None:
    mask = blobs(13, 3, 18, 25).to(device)
    distance = s2d(mask)
    leaf = distance.to(dtype).requires_grad_()
    given = mask.to(mask_dtype).requires_grad_(mask_dtype.is_floating_point)
    skeleton = d2t(leaf, given)
    assert skeleton.dtype == dtype
    assert torch.equal(skeleton.double(), d2t(distance, mask))
    (skeleton * skeleton.detach()).sum().backward()
    assert leaf.grad is not None
    assert leaf.grad.dtype == dtype
    if mask_dtype.is_floating_point:
        assert given.grad is not None
        assert given.grad.dtype == mask_dtype
        assert torch.equal(given.grad.double(), d2t(distance, mask))


def test_byte_mask_of_255_counts_as_one() -> None:
    mask = blobs(14, 2, 12, 12, dtype=torch.uint8)
    distance = s2d(mask)
    assert torch.equal(d2t(distance, mask * 255), d2t(distance, mask))


def test_skeleton_is_a_subset_of_the_mask_and_binary() -> None:
    for masks in mask_batches(seed=15, batches=20, per_batch=5):
        mask = torch.from_numpy(masks)
        skeleton = d2t(s2d(mask), mask)
        assert ((skeleton == 0) | (skeleton == 1)).all()
        assert (skeleton[~mask] == 0).all()
        assert ((skeleton.sum((-2, -1)) > 0) == mask.any(-1).any(-1)).all()


@pytest.mark.parametrize("shape", [(0, 5, 5), (2, 0, 5), (2, 5, 0), (1, 1), (1, 7), (2, 1, 3, 2, 6)])
def test_shapes(shape: tuple[int, ...], device: torch.device) -> None:
    mask = torch.ones(shape, device=device)
    distance = torch.rand(shape).to(device)
    expected = reference.d2t(distance, mask) if mask.numel() else torch.zeros(shape, device=device)
    torch.testing.assert_close(d2t(distance, mask), expected)
    for gradient in grads(distance, mask, torch.ones_like(mask)):
        assert gradient.shape == shape


def test_non_contiguous(device: torch.device) -> None:
    mask = blobs(16, 3, 20, 24).to(device)
    distance, grad = s2d(mask), random(17, 3, 20, 24).to(device)
    plain = [a.mT.contiguous() for a in (distance, mask, grad)]
    views = [a.mT for a in (distance, mask, grad)]
    assert torch.equal(d2t(views[0], views[1]), d2t(plain[0], plain[1]))
    for mode in MODES:
        for a, b in zip(grads(*views, backward=mode), grads(*plain, backward=mode), strict=True):
            assert torch.equal(a, b)
