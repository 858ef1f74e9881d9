"""Measures of outlines against their definitions in SciPy, and against MONAI where it is installed."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from samples import MASK_DTYPES, blob_mask, mask_batches, noise_mask
from scipy import ndimage
from torch import Tensor

from topokernels import assd, boundary_iou, hausdorff, hd95, nsd

Sampling = tuple[float, float] | None
TOLERANCE = 2.0
MEASURES: dict[str, Callable[..., Tensor]] = {
    "hausdorff": hausdorff,
    "hd95": hd95,
    "median": lambda pred, target, **options: hausdorff(pred, target, percentile=50, **options),
    "assd": assd,
    "nsd": lambda pred, target, **options: nsd(pred, target, TOLERANCE, **options),
}


def outline(mask: np.ndarray) -> np.ndarray:
    return mask & ~ndimage.binary_erosion(mask)


def surface_distances(pred: np.ndarray, target: np.ndarray, sampling: Sampling) -> tuple[np.ndarray, np.ndarray]:
    """From each pixel of one outline to the nearest pixel of the other."""
    first, second = outline(pred), outline(target)
    to_second = ndimage.distance_transform_edt(~second, sampling=sampling or (1, 1))
    to_first = ndimage.distance_transform_edt(~first, sampling=sampling or (1, 1))
    return to_second[first], to_first[second]


def plain(name: str, pred: np.ndarray, target: np.ndarray, sampling: Sampling = None) -> float:
    if not pred.any() or not target.any():
        same = not pred.any() and not target.any()
        return float(same) if name == "nsd" else (0.0 if same else math.inf)
    there, back = surface_distances(pred, target, sampling)
    if name == "assd":
        return float(np.concatenate([there, back]).mean())
    if name == "nsd":
        return float((np.concatenate([there, back]) <= TOLERANCE).mean())
    percentile = {"hausdorff": 100, "hd95": 95, "median": 50}[name]
    return float(max(np.percentile(there, percentile), np.percentile(back, percentile)))


@pytest.mark.parametrize("sampling", [None, (1.5, 0.7)])
@pytest.mark.parametrize("name", MEASURES)
def test_equals_the_definition_on_hundreds_of_masks(name: str, sampling: Sampling, device: torch.device) -> None:
    for i, masks in enumerate(mask_batches(seed=0, batches=60, per_batch=8, largest=50)):
        batch = torch.from_numpy(masks).to(device, MASK_DTYPES[i % len(MASK_DTYPES)])
        result = MEASURES[name](batch[:4], batch[4:], sampling=sampling)
        expected = [plain(name, *pair, sampling) for pair in zip(masks[:4], masks[4:], strict=True)]
        assert result.dtype == torch.float32
        torch.testing.assert_close(result.cpu(), torch.tensor(expected), rtol=1e-6, atol=1e-6)


def plain_boundary(mask: np.ndarray, width: int) -> np.ndarray:
    """A frame of zeros, then `width` erosions by 3 x 3 pixels that ignore what is outside of it."""
    padded = np.pad(mask, 1)
    eroded = ndimage.binary_erosion(padded, np.ones((3, 3)), iterations=width, border_value=1)
    return mask & ~eroded[1:-1, 1:-1]


def test_boundary_iou_equals_its_reference_code(device: torch.device) -> None:
    for masks in mask_batches(seed=1, batches=60, per_batch=8, largest=90):
        width = max(1, round(0.02 * math.hypot(*masks.shape[1:])))
        bands = np.stack([plain_boundary(mask, width) for mask in masks])
        overlap, union = (bands[:4] & bands[4:]).sum((1, 2)), (bands[:4] | bands[4:]).sum((1, 2))
        expected = torch.from_numpy(np.where(union > 0, overlap / np.maximum(union, 1), 1.0)).float()
        batch = torch.from_numpy(masks).to(device)
        assert torch.equal(boundary_iou(batch[:4], batch[4:]).cpu(), expected)
        assert torch.equal(boundary_iou(batch[:4], batch[4:], width=width).cpu(), expected)


def test_equals_monai() -> None:
    metrics = pytest.importorskip("monai.metrics", reason="MONAI is not installed")
    rng = np.random.default_rng(2)
    theirs = {
        "hausdorff": metrics.compute_hausdorff_distance,
        "hd95": lambda p, t, **o: metrics.compute_hausdorff_distance(p, t, percentile=95, **o),
        "assd": lambda p, t, **o: metrics.compute_average_surface_distance(p, t, symmetric=True, **o),
        "nsd": lambda p, t, **o: metrics.compute_surface_dice(p, t, [TOLERANCE], **o),
    }
    for i in range(60):
        size = rng.integers(2, 60, 2)
        pair = [torch.from_numpy((blob_mask if i % 3 else noise_mask)(rng, *size))[None, None] for _ in range(2)]
        if all(mask.any() for mask in pair):
            for name, function in theirs.items():
                expected = function(pair[0].float(), pair[1].float(), include_background=True, spacing=(1.5, 0.7))
                result = MEASURES[name](*pair, sampling=(1.5, 0.7))
                torch.testing.assert_close(result.double(), expected.double(), rtol=1e-5, atol=1e-5)


def test_shapes_and_empty_masks(device: torch.device) -> None:
    full, empty = torch.ones(2, 3, 5, 6, device=device), torch.zeros(2, 3, 5, 6, device=device)
    for function in (hausdorff, hd95, assd):
        assert function(full, full).shape == (2, 3) and (function(full, full) == 0).all()
        assert (function(empty, empty) == 0).all() and (function(full, empty) == torch.inf).all()
    assert (nsd(empty, empty, 1) == 1).all() and (nsd(full, empty, 1) == 0).all()
    assert (boundary_iou(empty, empty) == 1).all() and (boundary_iou(full, empty) == 0).all()


def test_vmap_compile_and_no_gradient() -> None:
    masks = torch.from_numpy(np.stack([blob_mask(np.random.default_rng(k), 20, 30) for k in range(6)])).float()
    pred, target = masks[:3].clone().requires_grad_(), masks[3:]
    for function in (*MEASURES.values(), boundary_iou):
        expected = function(pred, target)
        assert not expected.requires_grad
        assert torch.equal(torch.vmap(function)(pred, target), expected)
        torch.compiler.reset()
        assert torch.equal(torch.compile(function, fullgraph=True, backend="aot_eager")(pred, target), expected)


def test_wrong_input() -> None:
    mask = torch.ones(2, 5, 6)
    text = r"must have one shape \(\.\.\., H, W\) with pixels, got \(2, 5, 6\) and \(5, 6\)"
    for function in (*MEASURES.values(), boundary_iou):
        with pytest.raises(RuntimeError, match=text):
            function(mask, mask[0])
    with pytest.raises(RuntimeError, match="hausdorff: percentile must be between 0 and 100, got 101"):
        hausdorff(mask, mask, percentile=101)
    with pytest.raises(RuntimeError, match="nsd: tolerance must be at least 0, got -1"):
        nsd(mask, mask, -1)
