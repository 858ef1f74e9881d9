from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from s2d_cases import OPTIONS, awkward_masks, holed_masks, option_id, soft_masks
from samples import MASK_DTYPES, blobs, mask_batches, random, soft
from scipy.ndimage import distance_transform_cdt
from torch import Tensor

from topokernels import reference, s2d


def scipy_distance(mask: np.ndarray, black_border: bool) -> np.ndarray:
    """Chessboard distance of a bool mask (H, W); max(H, W) if there is no background."""
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
    # Terms of the recursion cancel, so the error is measured relative to the largest value.
    scale = literal.abs().amax(dim=(-2, -1), keepdim=True).clamp(min=1)
    torch.testing.assert_close(actual.cpu() / scale, literal / scale, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("shape", [(1, 1), (1, 6), (6, 1), (2, 2), (3, 9)])
def test_equals_stacked_convolution_on_small_images(shape: tuple[int, int]) -> None:
    """All patterns of the first six pixels; the other pixels are foreground."""
    masks = torch.ones(64, *shape, dtype=torch.float64)
    varied = min(6, shape[0] * shape[1])
    masks.flatten(1)[:, :varied] = (torch.arange(64)[:, None] >> torch.arange(varied) & 1).double()
    for options in OPTIONS:
        if options["fill_holes"] and 1 in shape:
            continue  # differs from the recursion, see the next test
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
