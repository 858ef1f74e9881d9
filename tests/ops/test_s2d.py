from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from samples import FLOAT_DTYPES, MASK_DTYPES, blobs, mask_batches, random, soft
from scipy.ndimage import distance_transform_cdt
from torch import Tensor

from topokernels import reference, s2d


def scipy_distance(mask: np.ndarray, black_border: bool) -> np.ndarray:
    """(H, W) bool -> chessboard distance; max(H, W) where there is no background."""
    padded = np.pad(mask, int(black_border))
    if padded.all():
        return np.full(mask.shape, max(mask.shape))
    distance = distance_transform_cdt(padded, metric="chessboard")
    return distance[1:-1, 1:-1] if black_border else distance


# ---- forward: binary masks against SciPy, bit for bit ----


def test_equals_scipy_on_ten_thousand_masks() -> None:
    seen = 0
    for i, masks in enumerate(mask_batches(seed=0, batches=500, per_batch=20)):
        batch = torch.from_numpy(masks).to(MASK_DTYPES[i % len(MASK_DTYPES)])
        for black_border in (False, True):
            distance = s2d(batch, black_border=black_border)
            expected = np.stack([scipy_distance(mask, black_border) for mask in masks])
            # float16 and bfloat16 hold these depths, all at most 48, exactly.
            assert torch.equal(distance.double(), torch.from_numpy(expected).double())
        seen += len(masks)
    assert seen == 10_000


def awkward_masks() -> dict[str, np.ndarray]:
    def full(height: int, width: int) -> np.ndarray:
        return np.ones((height, width), dtype=bool)

    def without(mask: np.ndarray, *pixels: tuple[int, int]) -> np.ndarray:
        for y, x in pixels:
            mask[y, x] = False
        return mask

    rng = np.random.default_rng(0)
    return {
        "1x1 full": full(1, 1),
        "1x1 empty": ~full(1, 1),
        "one row": without(full(1, 300), (0, 7)),
        "one column": without(full(300, 1), (299, 0)),
        "one row full": full(1, 9),
        "two rows": without(full(2, 5), (1, 4)),
        "full": full(40, 30),
        "empty": ~full(40, 30),
        "frame": np.pad(~full(20, 31), 1, constant_values=True),
        "all borders touched": np.pad(full(20, 31), 1),
        "deeper than 255": without(full(600, 600), (599, 0)),
        "deep strip": without(full(700, 9), (0, 4)),
        "deep strip, lying": without(full(9, 700), (4, 699)),
        "deep row": without(full(1, 40_00), (0, 0)),
        "254": without(full(254, 254), (0, 0)),
        "255": without(full(255, 255), (0, 0)),
        "255 full": full(255, 255),
        "256": without(full(256, 256), (255, 255)),
        "257 x 3": without(full(257, 3), (256, 2)),
        "255 x 256": without(full(255, 256), (0, 255)),
        "vector tail": rng.random((33, 65)) < 0.9,
        "sparse background": rng.random((300, 280)) < 0.9999,
    }


@pytest.mark.parametrize("black_border", [False, True])
@pytest.mark.parametrize("name", awkward_masks())
def test_equals_scipy_on_awkward_masks(name: str, black_border: bool, device: torch.device) -> None:
    mask = awkward_masks()[name]
    distance = s2d(torch.from_numpy(mask).to(device), black_border=black_border)
    expected = torch.from_numpy(scipy_distance(mask, black_border)).float()
    assert torch.equal(distance.cpu(), expected)


@settings(max_examples=150, deadline=None)
@given(
    size=st.tuples(st.integers(1, 12), st.integers(1, 12)),
    bits=st.integers(0, 2**144 - 1),
    black_border=st.booleans(),
)
def test_equals_scipy_on_found_masks(size: tuple[int, int], bits: int, black_border: bool) -> None:
    pixels = [(bits >> i) & 1 for i in range(size[0] * size[1])]
    mask = np.array(pixels, dtype=bool).reshape(size)
    expected = torch.from_numpy(scipy_distance(mask, black_border)).float()
    assert torch.equal(s2d(torch.from_numpy(mask), black_border=black_border), expected)


@pytest.mark.parametrize("dtype", MASK_DTYPES)
def test_dtypes(dtype: torch.dtype, device: torch.device) -> None:
    masks = blobs(0, 3, 40, 50, dtype=torch.bool)
    distance = s2d(masks.to(device, dtype))
    assert distance.dtype == (dtype if dtype.is_floating_point else torch.float32)
    assert torch.equal(distance.cpu().float(), s2d(masks))


def test_any_nonzero_byte_is_foreground(device: torch.device) -> None:
    mask = blobs(0, 2, 9, 9, dtype=torch.uint8).to(device)
    assert torch.equal(s2d(mask * 255), s2d(mask))
    assert torch.equal(s2d(mask * 2), s2d(mask))


@pytest.mark.parametrize("out_dtype", [torch.uint8, torch.int16, torch.int32, torch.float16, torch.float64])
@pytest.mark.parametrize("dtype", [torch.bool, torch.float16, torch.float64])
def test_out_dtype(dtype: torch.dtype, out_dtype: torch.dtype, device: torch.device) -> None:
    masks = blobs(1, 2, 20, 30).to(device, dtype)
    distance = s2d(masks, out_dtype=out_dtype)
    assert distance.dtype == out_dtype
    assert torch.equal(distance.double(), s2d(masks.double()))


def test_non_contiguous(device: torch.device) -> None:
    base = blobs(2, 4 * 3, 24, 26).reshape(4, 3, 24, 26).to(device)
    views = {
        "transposed": base.mT,
        "sliced": base[::2, :, 1::2, 3:-2],
        "columns": base[..., ::3],
        "expanded": base[:1, :1].expand(2, 3, 24, 26),
        "expanded rows": base[:, :, :1].expand(4, 3, 24, 26),
        "permuted": base.permute(2, 0, 3, 1),
        "flipped": base.flip(-1),
        "channels_last": base.to(memory_format=torch.channels_last),
    }
    for name, view in views.items():
        for mode in ("subgradient", "literal"):
            leaf = view.detach().requires_grad_()
            plain = view.clone(memory_format=torch.contiguous_format).requires_grad_()
            grad = random(3, *view.shape).to(device)
            a, b = s2d(leaf, backward=mode), s2d(plain, backward=mode)
            assert torch.equal(a, b), name
            assert torch.equal(torch.autograd.grad(a, leaf, grad)[0], torch.autograd.grad(b, plain, grad)[0]), name


@pytest.mark.parametrize("leading", [(), (1,), (5,), (2, 3), (2, 1, 3), (1, 2, 2, 2)])
def test_leading_dimensions(leading: tuple[int, ...], device: torch.device) -> None:
    mask = blobs(4, int(np.prod(leading, dtype=int)), 11, 13).reshape(*leading, 11, 13).to(device)
    distance = s2d(mask)
    assert distance.shape == mask.shape
    flat = torch.stack([s2d(image) for image in mask.reshape(-1, 11, 13)])
    assert torch.equal(distance.reshape(-1, 11, 13), flat)


@pytest.mark.parametrize("shape", [(0, 5, 5), (3, 0, 5), (3, 5, 0), (0, 0), (2, 0, 3, 4)])
def test_zero_size(shape: tuple[int, ...], device: torch.device) -> None:
    mask = torch.zeros(shape, device=device, requires_grad=True)
    distance = s2d(mask)
    assert distance.shape == shape
    (grad,) = torch.autograd.grad(distance.sum(), mask)
    assert grad.shape == shape


def test_mixed_batch_of_soft_and_binary_images(device: torch.device) -> None:
    batch = torch.stack([blobs(5, 1, 9, 9)[0], soft(6, 9, 9), torch.ones(9, 9).double()])
    distance = s2d(batch.to(device))
    for image, result in zip(batch, distance, strict=True):
        assert torch.equal(result, s2d(image.to(device)))


def test_outward_map_equals_map_of_the_complement() -> None:
    mask = blobs(7, 3, 17, 12)
    assert torch.equal(s2d(1 - mask), s2d(~mask.bool()).double())


# ---- forward and literal backward against the stacked convolution ----

OPTIONS = [
    {"iterations": iterations, "kernel_size": size, "black_border": border, "fill_holes": holes}
    for iterations, size, border, holes in itertools.product(
        (None, 0, 1, 3, 40), (3, 5, 7), (False, True), (False, True)
    )
]


def option_id(options: dict[str, object]) -> str:
    return "-".join(f"{name[0]}{value}" for name, value in options.items())


def holed_masks() -> Tensor:
    """(6, 15, 18): blobs, and isolated holes inside, at edges and in corners."""
    masks = blobs(8, 6, 15, 18)
    masks[0] = 1
    masks[0, 7, 9] = masks[0, 0, 3] = masks[0, 14, 17] = masks[0, 5, 0] = 0
    masks[1] = 1
    masks[1, 4, 4] = masks[1, 4, 6] = masks[1, 9, 9] = masks[1, 10, 10] = 0
    masks[2] = 1
    return masks


def soft_masks() -> Tensor:
    """(4, 15, 18): near 1, any value in [0, 1], zeros among soft values, and a soft blob."""
    values = soft(9, 4, 15, 18)
    values[1] = soft(10, 15, 18, low=0.0, high=1.0)
    values[2, 3:5, 6:9] = 0
    values[3] *= blobs(11, 1, 15, 18)[0]
    return values


@pytest.mark.parametrize("options", OPTIONS, ids=option_id)
@pytest.mark.parametrize("masks", [holed_masks(), soft_masks()], ids=["binary", "soft"])
def test_equals_stacked_convolution(masks: Tensor, options: dict[str, object], device: torch.device) -> None:
    mask = masks.to(device).requires_grad_()
    twin = masks.clone().requires_grad_()
    distance, expected = s2d(mask, backward="literal", **options), reference.s2d(twin, **options)
    torch.testing.assert_close(distance.cpu(), expected, rtol=1e-12, atol=1e-12)
    grad = random(12, *masks.shape)
    (actual,) = torch.autograd.grad(distance, mask, grad.to(device))
    (literal,) = torch.autograd.grad(expected, twin, grad)
    # Terms of the recursion cancel: what counts is the error against the largest.
    scale = literal.abs().amax(dim=(-2, -1), keepdim=True).clamp(min=1)
    torch.testing.assert_close(actual.cpu() / scale, literal / scale, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("shape", [(1, 1), (1, 6), (6, 1), (2, 2), (3, 9)])
def test_equals_stacked_convolution_on_small_images(shape: tuple[int, int]) -> None:
    """All patterns of the first six pixels, the others foreground."""
    masks = torch.ones(64, *shape, dtype=torch.float64)
    varied = min(6, shape[0] * shape[1])
    masks.flatten(1)[:, :varied] = (torch.arange(64)[:, None] >> torch.arange(varied) & 1).double()
    for options in OPTIONS:
        if options["fill_holes"] and 1 in shape:
            continue  # not the recursion: see the next test
        assert torch.equal(s2d(masks, **options), reference.s2d(masks, **options)), options


def test_holes_of_thin_images_are_closed_without_the_checkerboard_of_the_recursion() -> None:
    row = torch.tensor([[1.0, 1, 1, 0, 1, 1]])
    assert s2d(row, fill_holes=True).tolist() == [[3, 2, 1, 1, 1, 2]]
    assert s2d(row.mT, fill_holes=True).mT.tolist() == [[3, 2, 1, 1, 1, 2]]
    assert reference.s2d(row, fill_holes=True).tolist() != [[3, 2, 1, 1, 1, 2]]


def test_isolated_hole_is_closed_only_with_fill_holes() -> None:
    mask = torch.ones(1, 7, 9)
    mask[0, 3, 4] = 0
    assert s2d(mask)[0, 3, 4] == 0
    assert s2d(mask, fill_holes=True)[0, 3, 4] == 1
    mask[0, 3, 5] = 0
    assert s2d(mask, fill_holes=True)[0, 3, 4] == 0


# ---- gradients ----


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
    assert (s2d(mask, **options) > 1.5).any()  # several steps are alive
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
    """The shortest-path rule of one binary image, pixel by pixel, kernel 3, ignored border."""
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
    """Dense and sparse gradients go by ways of their own."""
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
    """A unit at one pixel ends on background at distance D(u), and on the contour beside it."""
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
    """Growing a square at its side lengthens distances: the gradient beside that side says so."""
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
    """A unit at the deepest pixel arrives whole, half of it on background, whatever the depth."""
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
