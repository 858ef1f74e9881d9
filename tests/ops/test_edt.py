from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from functions import threads
from hypothesis import given, settings
from hypothesis import strategies as st
from s2d_cases import awkward_masks
from samples import MASK_DTYPES, blobs, mask_batches, random, soft
from scipy.ndimage import distance_transform_edt
from torch import Tensor

from topokernels import edt, reference_edt

Sampling = tuple[float, float] | None


def scipy_distance(mask: np.ndarray, black_border: bool, sampling: Sampling = None) -> np.ndarray:
    """Distance of a bool mask (H, W); the diagonal if there is no background."""
    spacing = sampling or (1.0, 1.0)
    padded = np.pad(mask, int(black_border))
    if padded.all():
        return np.full(mask.shape, np.hypot(spacing[0] * mask.shape[0], spacing[1] * mask.shape[1]))
    distance = distance_transform_edt(padded, sampling=spacing)
    return distance[1:-1, 1:-1] if black_border else distance


def scipy_signed(mask: np.ndarray, black_border: bool, sampling: Sampling = None) -> np.ndarray:
    """Positive inside, negative outside. The outside of the image is never foreground."""
    return np.where(mask, scipy_distance(mask, black_border, sampling), -scipy_distance(~mask, False, sampling))


def lengths_to(indices: Tensor, sampling: Sampling = None) -> Tensor:
    """Distances (..., H, W) to the pixels that flat indices name."""
    height, width = indices.shape[-2:]
    spacing = sampling or (1.0, 1.0)
    dy = torch.arange(height)[:, None] - indices.div(width, rounding_mode="floor")
    dx = torch.arange(width) - indices % width
    return torch.hypot(spacing[0] * dy.double(), spacing[1] * dx.double())


# ---- distances against SciPy ----


def test_equals_scipy_on_thousands_of_masks() -> None:
    seen = 0
    for i, masks in enumerate(mask_batches(seed=0, batches=100, per_batch=20)):
        batch = torch.from_numpy(masks).to(MASK_DTYPES[i % len(MASK_DTYPES)])
        for black_border in (False, True):
            distance = edt(batch, black_border=black_border)
            expected = torch.from_numpy(np.stack([scipy_distance(mask, black_border) for mask in masks]))
            assert torch.equal(distance, expected.to(distance.dtype))
        signed = np.stack([scipy_signed(mask, black_border=True) for mask in masks])
        distance = edt(batch, signed=True, black_border=True)
        assert torch.equal(distance, torch.from_numpy(signed).to(distance.dtype))
        seen += len(masks)
    assert seen == 2000


@pytest.mark.parametrize("black_border", [False, True])
@pytest.mark.parametrize("name", awkward_masks())
def test_equals_scipy_on_awkward_masks(name: str, black_border: bool, device: torch.device) -> None:
    mask = awkward_masks()[name]
    image = torch.from_numpy(mask).to(device)
    expected = torch.from_numpy(scipy_signed(mask, black_border))
    assert torch.equal(edt(image, signed=True, black_border=black_border).cpu(), expected.float())
    squares = edt(image, squared=True, black_border=black_border).cpu()
    assert torch.equal(squares, expected.clamp(min=0).square().round().float())


@pytest.mark.parametrize("sampling", [(2.0, 2.0), (0.5, 3.0), (1.7, 0.1), (1e-6, 1e6)])
@pytest.mark.parametrize("black_border", [False, True])
def test_sampling_equals_scipy(sampling: tuple[float, float], black_border: bool, device: torch.device) -> None:
    for masks in mask_batches(seed=1, batches=8, per_batch=5):
        expected = torch.from_numpy(np.stack([scipy_signed(mask, black_border, sampling) for mask in masks]))
        distance = edt(
            torch.from_numpy(masks).double().to(device), signed=True, black_border=black_border, sampling=sampling
        )
        torch.testing.assert_close(distance.cpu(), expected, rtol=1e-13, atol=0)


@settings(max_examples=100, deadline=None)
@given(
    size=st.tuples(st.integers(1, 12), st.integers(1, 12)),
    bits=st.integers(0, 2**144 - 1),
    black_border=st.booleans(),
)
def test_equals_scipy_on_found_masks(size: tuple[int, int], bits: int, black_border: bool) -> None:
    pixels = [(bits >> i) & 1 for i in range(size[0] * size[1])]
    mask = np.array(pixels, dtype=bool).reshape(size)
    expected = torch.from_numpy(scipy_signed(mask, black_border)).float()
    assert torch.equal(edt(torch.from_numpy(mask), signed=True, black_border=black_border), expected)


def rough(height: int, width: int) -> np.ndarray:
    """Rows of every depth, from noise to an empty half, so that both methods of the CPU take turns."""
    rng = np.random.default_rng(height)
    mask = rng.random((height, width)) < np.linspace(0.6, 1.0, height)[:, None] ** 0.1
    mask[height // 2 :, : width // 3] = True
    mask[height // 3 : height // 2, width // 2 :] = True
    return mask


@pytest.mark.parametrize("size", [(300, 257), (257, 300), (40, 1100), (700, 90)])
def test_equals_scipy_at_every_depth(size: tuple[int, int], device: torch.device) -> None:
    mask = rough(*size)
    expected = torch.from_numpy(scipy_signed(mask, False)).float()
    assert torch.equal(edt(torch.from_numpy(mask).to(device), signed=True).cpu(), expected)


def test_far_beyond_the_integers_of_float32(device: torch.device) -> None:
    """Squares above 2^24, still correctly rounded; and the largest image on each axis."""
    mask = np.ones((5, 32768), dtype=bool)
    mask[4, 0] = False
    for lying in (mask, mask.T):
        expected = torch.from_numpy(distance_transform_edt(lying)).float()
        assert torch.equal(edt(torch.from_numpy(lying).to(device)).cpu(), expected)


# ---- what the values mean ----


def test_no_background_is_the_diagonal_and_has_no_gradient(device: torch.device) -> None:
    full = torch.ones(2, 3, 4, device=device, requires_grad=True)
    distance = edt(full)
    assert (distance == 5).all()
    assert (edt(full, squared=True, sampling=(2.0, 1.0)) == 36 + 16).all()
    assert (edt(1 - full, signed=True) == -5).all()
    (grad,) = torch.autograd.grad(distance.sum(), full)
    assert (grad == 0).all()
    _, indices = edt(full, return_indices=True)
    assert (indices == -1).all()


def test_black_border_lies_one_spacing_outside(device: torch.device) -> None:
    full = torch.ones(1, 3, 9, device=device)
    assert edt(full, black_border=True).tolist() == [[[1] * 9, [1] + [2] * 7 + [1], [1] * 9]]
    distance, indices = edt(full, black_border=True, sampling=(3.0, 1.0), return_indices=True)
    assert distance[0, 1].tolist() == [1, 2, 3, 4, 5, 4, 3, 2, 1]
    assert (indices == -1).all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_soft_masks_are_foreground_above_one_half(dtype: torch.dtype, device: torch.device) -> None:
    masks = soft(2, 3, 12, 14, low=0.0, high=1.0).to(device, dtype)
    masks[0, 3, 4] = 0.5
    assert torch.equal(edt(masks), edt((masks > 0.5).to(dtype)))
    assert edt(masks)[0, 3, 4] == 0
    wide = torch.float64 if dtype == torch.float64 else torch.float32
    assert edt(masks).dtype == wide


def test_any_nonzero_byte_is_foreground(device: torch.device) -> None:
    mask = blobs(0, 2, 9, 9, dtype=torch.uint8).to(device)
    assert torch.equal(edt(mask * 255, signed=True), edt(mask.bool(), signed=True))


def test_outward_map_equals_map_of_the_complement() -> None:
    mask = blobs(7, 3, 17, 12)
    assert torch.equal(edt(1 - mask).float(), edt(~mask.bool()))
    assert torch.equal(edt(mask, signed=True), edt(mask) - edt(1 - mask))


# ---- indices ----


@pytest.mark.parametrize("sampling", [None, (3.0, 3.0), (0.5, 1.7)])
def test_indices_name_a_nearest_pixel(sampling: Sampling, device: torch.device) -> None:
    for masks in mask_batches(seed=2, batches=40, per_batch=5):
        mask = torch.from_numpy(masks).to(device)
        distance, indices = edt(mask.double(), signed=True, sampling=sampling, return_indices=True)
        named = mask.flatten(1).gather(1, indices.clamp(min=0).flatten(1)).reshape(mask.shape)
        known = indices >= 0
        assert (named != mask)[known].all()
        torch.testing.assert_close(lengths_to(indices.cpu(), sampling)[known.cpu()], distance.abs()[known].cpu())
        assert torch.equal(known.flatten(1).all(1), (mask.flatten(1).any(1) & ~mask.flatten(1).all(1)))


def test_background_pixels_are_their_own_nearest(device: torch.device) -> None:
    mask = blobs(3, 2, 6, 7, dtype=torch.bool).to(device)
    _, indices = edt(mask, return_indices=True)
    own = torch.arange(42, device=device).reshape(6, 7).expand(2, 6, 7)
    assert torch.equal(indices[~mask], own[~mask])


def test_the_leftmost_and_then_the_topmost_of_equals(device: torch.device) -> None:
    mask = torch.ones(3, 3, dtype=torch.bool, device=device)
    mask[0, 1] = mask[2, 1] = mask[1, 2] = mask[1, 0] = False
    _, indices = edt(mask, return_indices=True)
    assert indices[1, 1] == 3
    mask[1, 0] = True
    assert edt(mask, return_indices=True)[1][1, 1] == 1
    # A pixel outside of the image takes part.
    row = torch.tensor([[True, False]], device=device)
    assert edt(row, black_border=True, return_indices=True)[1].tolist() == [[-1, 1]]


# ---- the twin ----

OPTIONS = [
    {"signed": signed, "squared": squared, "sampling": sampling, "black_border": border}
    for signed, squared, sampling, border in itertools.product(
        (False, True), (False, True), (None, (2.0, 2.0), (1.0, 1.7)), (False, True)
    )
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_equals_plain_torch_with_its_gradient(options: dict[str, object], device: torch.device) -> None:
    for masks in mask_batches(seed=3, batches=6, per_batch=3, largest=18):
        values = torch.from_numpy(masks).double()
        leaf, twin = values.to(device).requires_grad_(), values.clone().requires_grad_()
        distance, expected = edt(leaf, **options), reference_edt.edt(twin, **options)
        torch.testing.assert_close(distance.cpu(), expected, rtol=1e-13, atol=0)
        grad = random(4, *values.shape)
        (actual,), (wanted,) = (
            torch.autograd.grad(distance, leaf, grad.to(device)),
            torch.autograd.grad(expected, twin, grad),
        )
        torch.testing.assert_close(actual.cpu(), wanted, rtol=1e-12, atol=1e-12)
        plain = {name: value for name, value in options.items() if name != "squared"}
        _, indices = edt(values.to(device), **plain, return_indices=True)
        assert torch.equal(indices.cpu(), reference_edt.edt_indices(values, **plain))


# ---- gradient ----


def test_gradient_of_one_pixel_goes_to_the_two_ends_of_its_line(device: torch.device) -> None:
    mask = torch.ones(1, 9, 9, device=device)
    mask[0, 1, 1] = 0
    for (y, x), last in {(1, 6): (1, 2), (7, 1): (2, 1), (5, 5): (2, 2), (5, 3): (2, 1), (5, 4): (2, 2)}.items():
        leaf = mask.clone().requires_grad_()
        (grad,) = torch.autograd.grad(edt(leaf)[0, y, x], leaf)
        expected = torch.zeros_like(mask)
        expected[0, 1, 1] = expected[(0, *last)] = 0.5
        assert torch.equal(grad, expected), (y, x)


def test_gradient_moves_the_outline_of_a_disc_outward(device: torch.device) -> None:
    y, x = torch.meshgrid(torch.arange(41.0), torch.arange(41.0), indexing="ij")
    mask = ((y - 20).square() + (x - 20).square() < 225).float().to(device)
    leaf = mask.clone().requires_grad_()
    (grad,) = torch.autograd.grad(edt(leaf, signed=True).sum(), leaf)
    assert (grad >= 0).all()
    # Every pixel that carries gradient touches the outline.
    assert (edt(mask, signed=True).abs()[grad != 0] < 1.5).all()
    torch.testing.assert_close(grad.sum(), torch.tensor(41.0 * 41, device=device))


@pytest.mark.parametrize("black_border", [False, True])
def test_sums_of_gradients(black_border: bool, device: torch.device) -> None:
    """All of the gradient arrives, except what belongs to pixels outside, and its absolute sum never grows."""
    for masks in mask_batches(seed=5, batches=20, per_batch=4):
        leaf = torch.from_numpy(masks).double().to(device).requires_grad_()
        grad = random(6, *leaf.shape).to(device)
        distance, indices = edt(leaf, black_border=black_border, return_indices=True)
        (back,) = torch.autograd.grad(distance, leaf, grad)
        assert back.abs().sum() <= grad.abs().sum() * (1 + 1e-12)
        share = torch.where(indices >= 0, 1.0, 0.5 if black_border else 0.0) * (leaf > 0)
        torch.testing.assert_close(back.sum((1, 2)), (grad * share).sum((1, 2)))


@pytest.mark.parametrize("size", [(300, 257), (40, 1100)])
def test_gradient_at_every_depth(size: tuple[int, int], device: torch.device) -> None:
    """Half of each gradient arrives at the pixels that the indices name."""
    leaf = torch.from_numpy(rough(*size)).double().to(device).requires_grad_()
    grad = random(7, *size).to(device)
    distance, indices = edt(leaf, return_indices=True)
    (back,) = torch.autograd.grad(distance, leaf, grad)
    named = torch.zeros_like(grad).flatten().index_add(0, indices.flatten(), (grad * leaf.detach()).flatten() / 2)
    background = leaf.detach() == 0
    torch.testing.assert_close(back[background], named.reshape(size)[background])


def test_gradient_of_many_pixels_with_one_target(device: torch.device) -> None:
    """A sum of a million equal terms in float32, which must not lose its small ones."""
    mask = torch.ones(1024, 1024, device=device)
    mask[0, 0] = 0
    leaf = mask.requires_grad_()
    (grad,) = torch.autograd.grad(edt(leaf).sum(), leaf)
    torch.testing.assert_close(grad[0, 0].item(), (1024 * 1024 - 1) / 2, rtol=1e-6, atol=0)


def test_threads_share_one_large_image() -> None:
    mask = torch.from_numpy(rough(700, 600)).float()
    results = []
    for count in (1, 2, 5):
        with threads(count):
            leaf = mask.clone().requires_grad_()
            distance, indices = edt(leaf, signed=True, return_indices=True)
            results.append((distance.detach(), indices, torch.autograd.grad(distance.sum(), leaf)[0]))
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(other, results[0], strict=True))


def test_indices_under_vmap_and_without_gradient() -> None:
    masks = blobs(8, 6, 9, 10).reshape(2, 3, 9, 10).requires_grad_()
    distance, indices = torch.vmap(lambda m: edt(m, return_indices=True))(masks)
    plain = edt(masks, return_indices=True)
    assert torch.equal(distance, plain[0]) and torch.equal(indices, plain[1])
    assert not plain[1].requires_grad
