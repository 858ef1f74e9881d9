"""The two gradients of s2d: the exact one (soft masks and literal mode), and the subgradient."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from s2d_cases import OPTIONS, awkward_masks, holed_masks, option_id
from samples import FLOAT_DTYPES, blobs, mask_batches, random, soft
from torch import Tensor

from topokernels import reference, s2d


@pytest.mark.parametrize("mode", ["subgradient", "literal"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"black_border": True},
        {"fill_holes": True, "iterations": 3},
        {"kernel_size": 5, "iterations": 2},
    ],
    ids=str,
)
def test_gradcheck_on_soft_masks(mode: str, options: dict[str, object]) -> None:
    mask = soft(13, 2, 5, 6, low=0.96).requires_grad_()
    assert (s2d(mask, **options) > 1.5).any()  # pixels survive several steps
    assert torch.autograd.gradcheck(lambda m: s2d(m, backward=mode, **options), mask)


@pytest.mark.parametrize("options", [OPTIONS[i] for i in (0, 23, 29, 42)], ids=option_id)
def test_literal_is_adjoint_of_the_forward_derivative(options: dict[str, object]) -> None:
    mask, v, g = holed_masks(), random(14, 6, 15, 18), random(15, 6, 15, 18)
    _, jv = torch.autograd.functional.jvp(lambda m: reference.s2d(m, **options), mask, v)
    leaf = mask.requires_grad_()
    (jtg,) = torch.autograd.grad(s2d(leaf, backward="literal", **options), leaf, g)
    torch.testing.assert_close((jtg * v).sum(), (g * jv).sum(), rtol=1e-9, atol=1e-9)


def subgradient(mask: Tensor, grad: Tensor, **options: object) -> Tensor:
    leaf = mask.detach().clone().requires_grad_()
    return torch.autograd.grad(s2d(leaf, **options), leaf, grad)[0]


def route_oracle(depth: np.ndarray, grad: np.ndarray, saturated: int) -> np.ndarray:
    """The subgradient of one binary image, pixel by pixel, with kernel_size=3 and black_border=False."""
    height, width = depth.shape

    def neighbours(y: int, x: int) -> list[tuple[int, int]]:
        window = itertools.product(range(y - 1, y + 2), range(x - 1, x + 2))
        return [(v, u) for v, u in window if (v, u) != (y, x) and 0 <= v < height and 0 <= u < width]

    flow = np.where((depth == 0) | (depth == saturated), 0, grad)
    result = np.zeros_like(grad)
    for level in range(int(depth.max()), 0, -1):
        for y, x in np.argwhere(depth == level):
            below = [pixel for pixel in neighbours(y, x) if depth[pixel] == level - 1]
            if level == 1:
                result[y, x] = flow[y, x] / 2
            for pixel in below:
                if level == 1:
                    result[pixel] += flow[y, x] / 2 / len(below)
                else:
                    flow[pixel] += flow[y, x] / len(below)
    return result


@pytest.mark.parametrize("density", [1.0, 0.05])
@pytest.mark.parametrize("iterations", [None, 1, 3])
def test_subgradient_equals_route_oracle(iterations: int | None, density: float, device: torch.device) -> None:
    """Dense and sparse gradients take different code paths."""
    rng = np.random.default_rng(16)
    for masks in mask_batches(seed=17, batches=25, per_batch=4, largest=20):
        batch = torch.from_numpy(masks).double()
        grad = torch.from_numpy(rng.standard_normal(masks.shape) * (rng.random(masks.shape) < density))
        actual = subgradient(batch.to(device), grad.to(device), iterations=iterations).cpu()
        saturated = (max(masks.shape[1:]) - 1 if iterations is None else iterations) + 1
        for mask, g, result in zip(batch, grad, actual, strict=True):
            depth = s2d(mask, iterations=iterations).numpy()
            expected = torch.from_numpy(route_oracle(depth, g.numpy(), saturated))
            torch.testing.assert_close(result, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("options", OPTIONS[::3], ids=option_id)
def test_subgradient_never_exceeds_what_comes_in(options: dict[str, object], device: torch.device) -> None:
    for masks in [
        *mask_batches(seed=18, batches=6, per_batch=5, largest=40),
        holed_masks().numpy(),
    ]:
        mask = torch.from_numpy(masks).to(device, torch.float64)
        grad = random(19, *mask.shape).to(device)
        result = subgradient(mask, grad, **options)
        incoming, outgoing = grad.abs().sum((-2, -1)), result.abs().sum((-2, -1))
        assert (outgoing <= incoming * (1 + 1e-12)).all()


def test_subgradient_moves_all_of_it_where_nothing_saturates() -> None:
    mask = blobs(20, 8, 30, 34)
    mask[:, 0, 0] = 0
    grad = random(21, *mask.shape).abs()
    moved = subgradient(mask, grad).sum((-2, -1))
    torch.testing.assert_close(moved, (grad * mask).sum((-2, -1)))


def test_subgradient_reaches_only_the_nearest_background() -> None:
    """A unit gradient at pixel u ends on background pixels at distance D(u), and on the contour next to them."""
    mask = blobs(22, 1, 24, 27)[0]
    depth = s2d(mask)
    y, x = torch.meshgrid(torch.arange(24), torch.arange(27), indexing="ij")
    for cy, cx in torch.argwhere(mask > 0)[::5].tolist():
        grad = torch.zeros_like(mask)
        grad[cy, cx] = 1
        result = subgradient(mask, grad)
        away = torch.maximum((y - cy).abs(), (x - cx).abs())
        reached = (result != 0) & (mask == 0)
        assert reached.any()
        assert (away[reached] == depth[cy, cx]).all()
        assert (depth[result != 0] <= 1).all()
        assert (result >= 0).all()


def test_subgradient_points_the_way_of_finite_differences() -> None:
    """Growing a square on one side increases distances, and the gradient next to that side predicts it."""
    mask = torch.zeros(21, 21, dtype=torch.float64)
    mask[6:15, 6:15] = 1
    grad = subgradient(mask, torch.ones_like(mask))
    grown = mask.clone()
    grown[6:15, 15] = 1
    predicted = (grad * (grown - mask)).sum()
    assert predicted > 0
    assert s2d(grown).sum() > s2d(mask).sum()


@pytest.mark.parametrize("dtype", FLOAT_DTYPES)
def test_subgradient_is_finite_at_any_depth(dtype: torch.dtype, device: torch.device) -> None:
    mask = torch.ones(600, 600, dtype=dtype, device=device)
    mask[599, 0] = 0
    result = subgradient(mask, torch.full_like(mask, 2.0**-10))
    assert result.isfinite().all()
    assert result.abs().double().sum() <= 360_000 * 2.0**-10 * (1 + 1e-2)
    assert (result != 0).any()


def test_subgradient_is_linear() -> None:
    mask = blobs(23, 2, 16, 19)
    a, b = random(24, 2, 16, 19), random(25, 2, 16, 19)
    combined = subgradient(mask, 2 * a - 3 * b)
    torch.testing.assert_close(combined, 2 * subgradient(mask, a) - 3 * subgradient(mask, b))


@pytest.mark.parametrize("options", [OPTIONS[i] for i in (0, 1, 2, 3, 12, 37, 38, 39, 4)], ids=option_id)
def test_sparse_subgradients_add_up_to_the_dense_one(options: dict[str, object], device: torch.device) -> None:
    masks = torch.cat([holed_masks(), blobs(28, 6, 15, 18)]).to(device)
    grad, part = random(29, *masks.shape), random(30, *masks.shape).mul(1e3).long() % 23
    parts = [subgradient(masks, (grad * (part == k)).to(device), **options) for k in range(23)]
    expected = subgradient(masks, grad.to(device), **options)
    torch.testing.assert_close(torch.stack(parts).sum(0), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("mode", ["subgradient", "literal"])
def test_zero_gradient_gives_zero(mode: str, device: torch.device) -> None:
    mask = torch.cat([blobs(31, 3, 20, 25), torch.ones(1, 20, 25)]).to(device).requires_grad_()
    (result,) = torch.autograd.grad(s2d(mask, backward=mode), mask, torch.zeros(4, 20, 25, device=device).double())
    assert (result == 0).all()


@pytest.mark.parametrize("name", awkward_masks())
def test_subgradient_of_awkward_masks_conserves(name: str, device: torch.device) -> None:
    """A unit gradient at the deepest pixel is conserved at any depth, and half of it ends on background."""
    mask = torch.from_numpy(awkward_masks()[name]).to(device, torch.float64)
    distance = s2d(mask)
    grad = torch.zeros_like(mask).view(-1)
    grad[distance.argmax()] = 1
    result = subgradient(mask, grad.view_as(mask))
    moves = bool(mask.any()) and not bool(mask.all())
    assert result.sum().item() == pytest.approx(float(moves))
    assert result[mask == 0].sum().item() == pytest.approx(float(moves) / 2)


@pytest.mark.parametrize("value", [float("inf"), float("nan")])
@pytest.mark.parametrize("density", [1.0, 0.05])
def test_values_that_are_not_finite_end(value: float, density: float, device: torch.device) -> None:
    mask = blobs(32, 3, 30, 34).to(device)
    grad = torch.where(random(33, 3, 30, 34).abs().to(device) < density, value, 0.0).double()
    assert subgradient(mask, grad).shape == mask.shape


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize("mode", ["subgradient", "literal"])
def test_gradients_of_narrow_types_follow_float64(mode: str, dtype: torch.dtype, device: torch.device) -> None:
    mask, grad = blobs(26, 2, 10, 10), random(27, 2, 10, 10, dtype=dtype).double()
    wide = mask.clone().requires_grad_()
    narrow = mask.to(device, dtype).requires_grad_()
    (expected,) = torch.autograd.grad(s2d(wide, backward=mode), wide, grad)
    (actual,) = torch.autograd.grad(s2d(narrow, backward=mode), narrow, grad.to(device, dtype))
    assert actual.dtype == dtype
    scale = expected.abs().max()
    eps = torch.finfo(dtype).eps
    torch.testing.assert_close(actual.cpu().double() / scale, expected / scale, rtol=4 * eps, atol=4 * eps)


def test_byte_masks_have_no_gradient() -> None:
    assert not s2d(torch.ones(3, 3, dtype=torch.bool)).requires_grad
