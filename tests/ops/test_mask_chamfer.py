from __future__ import annotations

import itertools

import pytest
import torch
from samples import FLOAT_DTYPES, MASK_DTYPES, blobs, mask_batches, random, soft
from torch import Tensor

from topokernels import mask_chamfer, reference, s2d, skeleton


def expected_terms(pred: Tensor, target: Tensor, distance: Tensor, *, skeletons: bool, **options: object) -> object:
    x = skeleton(pred, **options) if skeletons else pred
    return reference.chamfer(x, target, s2d(1 - x, **options), distance)


@pytest.mark.parametrize("skeletons", [False, True])
@pytest.mark.parametrize("iterations", [None, 0, 3])
def test_equals_its_parts(iterations: int | None, skeletons: bool, device: torch.device) -> None:
    """All values are whole numbers, so the comparison is exact."""
    for masks in mask_batches(seed=1, batches=10, per_batch=6, largest=60):
        pred = torch.from_numpy(masks).to(device).float()
        target = pred.flip(0)
        distance = s2d(1 - target)
        expected = expected_terms(pred, target, distance, skeletons=skeletons, iterations=iterations)
        actual = mask_chamfer(pred, target, distance, skeletons=skeletons, iterations=iterations)
        for a, b in zip(actual, expected, strict=True):
            assert torch.equal(a, b)


@pytest.mark.parametrize("skeletons", [False, True])
def test_soft_and_binary_images_in_one_batch(skeletons: bool, device: torch.device) -> None:
    pred = torch.cat([soft(2, 3, 12, 15), blobs(3, 2, 12, 15), 1 - soft(4, 2, 12, 15)])
    target, distance = soft(5, 7, 12, 15, low=0), random(6, 7, 12, 15)
    expected = expected_terms(pred, target, distance, skeletons=skeletons)
    actual = mask_chamfer(*(m.to(device) for m in (pred, target, distance)), skeletons=skeletons)
    for a, b in zip(actual, expected, strict=True):
        torch.testing.assert_close(a.cpu(), b)


@pytest.mark.parametrize("dtype", MASK_DTYPES)
def test_dtypes_of_all_three(dtype: torch.dtype, device: torch.device) -> None:
    pred, target = blobs(7, 3, 21, 18), blobs(8, 3, 21, 18)
    distance = s2d(1 - target)
    expected = expected_terms(pred, target, distance, skeletons=True)
    for target_dtype, distance_dtype in itertools.product(MASK_DTYPES, FLOAT_DTYPES):
        given = pred.to(device, dtype), target.to(device, target_dtype), distance.to(device, distance_dtype)
        actual = mask_chamfer(*given, skeletons=True)
        for a, b in zip(actual, expected, strict=True):
            assert a.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
            assert torch.equal(a.cpu().double(), b)


def test_bytes_above_one_are_foreground(device: torch.device) -> None:
    pred, target = blobs(9, 2, 15, 16).to(device), blobs(10, 2, 15, 16).to(device)
    distance = s2d(1 - target)
    expected = mask_chamfer(pred.float(), target, distance)
    actual = mask_chamfer((pred * 255).byte(), (target * 255).byte(), distance)
    for a, b in zip(actual, expected, strict=True):
        assert torch.equal(a, b)


def test_sums_of_large_images_are_exact() -> None:
    """The sums exceed 2^24, where float32 cannot count any more, and the maps are deeper than 255."""
    pred = torch.zeros(1, 500, 700)
    pred[0, 0, 0] = 1
    target = torch.ones_like(pred)
    pull, push = mask_chamfer(pred, target, torch.full_like(pred, 0.5))
    y, x = torch.meshgrid(torch.arange(500), torch.arange(700), indexing="ij")
    assert pull.item() == torch.maximum(y, x).sum().float().item()
    assert push.item() == 0.5


@pytest.mark.parametrize("shape", [(0, 4, 4), (2, 0, 4), (3, 4), (2, 2, 1, 1)])
def test_shapes(shape: tuple[int, ...], device: torch.device) -> None:
    pred = torch.zeros(shape, device=device)
    for term in mask_chamfer(pred, pred + 1, pred, skeletons=True):
        assert term.shape == shape[:-2]
        if shape[-2] == 0:
            assert (term == 0).all()


def test_non_contiguous() -> None:
    maps = [blobs(seed, 3, 10, 16) for seed in (11, 12, 13)]
    expected = mask_chamfer(*(m.mT.contiguous() for m in maps), skeletons=True)
    for a, b in zip(mask_chamfer(*(m.mT for m in maps), skeletons=True), expected, strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("value", [float("nan"), 1.5, -0.1])
def test_values_out_of_range(value: float) -> None:
    pred = torch.zeros(3, 5, 6)
    pred[1, 4, 5] = value
    text = r"mask_chamfer: pred must hold finite values in \[0, 1\]; image 1 of the batch"
    with pytest.raises(RuntimeError, match=text):
        mask_chamfer(pred, pred, torch.zeros_like(pred))


def test_errors() -> None:
    mask = torch.ones(2, 5, 6)
    with pytest.raises(RuntimeError, match=r"mask_chamfer: pred must have shape \(\.\.\., H, W\), got \(5,\)"):
        mask_chamfer(*[mask[0, :, 0]] * 3)
    with pytest.raises(
        RuntimeError, match=r"mask_chamfer: target must have the shape of pred \(2, 5, 6\), got \(5, 6\)"
    ):
        mask_chamfer(mask, mask[0], mask)
    with pytest.raises(RuntimeError, match="mask_chamfer: target_distance must be floating point"):
        mask_chamfer(mask, mask, mask.int())
    with pytest.raises(RuntimeError, match="mask_chamfer: iterations must be at least 0 or None, got -1"):
        mask_chamfer(mask, mask, mask, iterations=-1)
