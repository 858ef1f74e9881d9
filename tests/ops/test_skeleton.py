from __future__ import annotations

import pytest
import torch
from samples import FLOAT_DTYPES, MASK_DTYPES, blobs, mask_batches, soft

from topokernels import d2t, reference, s2d, skeleton


@pytest.mark.parametrize("pool_size", [3, 5])
@pytest.mark.parametrize("iterations", [None, 0, 2])
def test_equals_d2t_of_s2d(iterations: int | None, pool_size: int, device: torch.device) -> None:
    for masks in mask_batches(seed=1, batches=12, per_batch=5, largest=70):
        mask = torch.from_numpy(masks).to(device).float()
        expected = d2t(s2d(mask, iterations=iterations), mask, pool_size=pool_size)
        assert torch.equal(skeleton(mask, iterations=iterations, pool_size=pool_size), expected)


@pytest.mark.parametrize("iterations", [None, 3])
def test_equals_reference_on_soft_masks(iterations: int | None, device: torch.device) -> None:
    mask = torch.cat([soft(2, 3, 14, 17), blobs(3, 3, 14, 17)])  # soft and binary images in one batch
    expected = reference.d2t(reference.s2d(mask, iterations=iterations), mask)
    assert (expected[:3] % 1 != 0).any()
    torch.testing.assert_close(skeleton(mask.to(device), iterations=iterations).cpu(), expected)


@pytest.mark.parametrize("dtype", MASK_DTYPES)
def test_dtypes(dtype: torch.dtype, device: torch.device) -> None:
    mask = blobs(4, 3, 20, 23)
    result = skeleton(mask.to(device, dtype))
    assert result.dtype == (dtype if dtype.is_floating_point else torch.float32)
    assert torch.equal(result.cpu().double(), skeleton(mask))


@pytest.mark.parametrize("dtype", FLOAT_DTYPES)
def test_deep_masks_are_exact_in_every_dtype(dtype: torch.dtype, device: torch.device) -> None:
    """Levels above 256, which bfloat16 cannot distinguish; the ridge is in the middle rows."""
    mask = torch.zeros(603, 1100, dtype=dtype, device=device)
    mask[1:602] = 1
    expected = torch.zeros_like(mask)
    expected[301] = 1
    assert torch.equal(skeleton(mask), expected)


def test_bytes_above_one_are_foreground(device: torch.device) -> None:
    mask = blobs(5, 2, 15, 16).to(device)
    assert torch.equal(skeleton((mask * 255).byte()), skeleton(mask.bool()))


@pytest.mark.parametrize("shape", [(0, 4, 4), (2, 0, 4), (2, 4, 0), (1, 1), (1, 9), (9, 1), (2, 3, 7, 5)])
@pytest.mark.parametrize("value", [0.0, 1.0])
def test_flat_masks_of_any_shape(shape: tuple[int, ...], value: float, device: torch.device) -> None:
    """In an image without background all distances are equal, so all of it is ridge."""
    mask = torch.full(shape, value, device=device)
    assert torch.equal(skeleton(mask), mask)


def test_non_contiguous() -> None:
    mask = blobs(6, 3, 10, 16)
    assert torch.equal(skeleton(mask.mT), skeleton(mask.mT.contiguous()))


@pytest.mark.parametrize("value", [float("nan"), 1.5, -0.1])
def test_values_out_of_range(value: float) -> None:
    mask = torch.zeros(3, 5, 6)
    mask[1, 4, 5] = value
    with pytest.raises(RuntimeError, match=r"skeleton: mask must hold finite values in \[0, 1\]; image 1 of the batch"):
        skeleton(mask)


def test_errors() -> None:
    mask = torch.ones(2, 5, 6)
    with pytest.raises(RuntimeError, match=r"skeleton: mask must have shape \(\.\.\., H, W\), got \(5,\)"):
        skeleton(mask[0, :, 0])
    with pytest.raises(RuntimeError, match="skeleton: mask must be bool, uint8 or floating point"):
        skeleton(mask.int())
    with pytest.raises(RuntimeError, match="skeleton: pool_size must be odd and at least 3, got 2"):
        skeleton(mask, pool_size=2)
    with pytest.raises(RuntimeError, match="skeleton: iterations must be at least 0 or None, got -1"):
        skeleton(mask, iterations=-1)
    with pytest.raises(RuntimeError, match="skeleton: backward must be 'literal' or 'subgradient', got 'none'"):
        skeleton(mask, backward="none")
