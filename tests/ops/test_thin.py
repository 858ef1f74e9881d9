"""Thinning against scikit-image, and against the publications step by step."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from samples import MASK_DTYPES, blobs, mask_batches, random, soft
from scipy import ndimage

from topokernels import thin

METHODS = ("zhang-suen", "guo-hall")
EIGHT = ndimage.generate_binary_structure(2, 2)

# Neighbourhoods, clockwise from the left top, in which scikit-image 0.26 removes a pixel in the first pass and in the
# second although the publication does not; and in which it keeps one that the publication removes.
LEFT, TOP, RIGHT, BELOW = 7, 1, 3, 5
ALSO = {
    0: ({1, 3}, {0, 1, 3}, {3, 5}, {1, 7}, {1, 2, 7}, {5, 7}, {0, 5, 7}, {1, 6, 7}, {1, 2, 6, 7}),
    1: ({1, 3}, {1, 3, 4}, {3, 5}, {3, 5, 6}, {2, 3, 5, 6}, {1, 7}, {5, 7}, {4, 5, 7}),
}
NOT = {
    0: ({3, 4}, {4, 5}, {3, 4, 5}, {5, 6}, {0, 7}, {6, 7}, {5, 6, 7}),
    1: ({0, 1}, {1, 2}, {2, 3}, {1, 2, 3}, {4, 5}, {0, 7}, {0, 1, 7}),
}


def zhang_suen_removes(around: tuple[int, ...], step: int) -> bool:
    present = {k for k in range(8) if around[k]}
    if present in NOT[step]:
        return False
    if present in ALSO[step]:
        return True
    begins = sum(not around[k] and around[(k + 1) % 8] for k in range(8))
    first, second = (
        ((TOP, RIGHT, BELOW), (RIGHT, BELOW, LEFT)) if step == 0 else ((TOP, RIGHT, LEFT), (TOP, BELOW, LEFT))
    )
    return (
        2 <= len(present) <= 6
        and begins == 1
        and not all(around[k] for k in first)
        and not all(around[k] for k in second)
    )


def guo_hall_removes(around: tuple[int, ...], step: int) -> bool:
    p = [0, *around, *around]  # P1 to P8 as printed, and around again
    runs = sum(not p[2 * k] and (p[2 * k + 1] or p[2 * k + 2]) for k in range(1, 5))
    pairs = min(sum(p[2 * k - 1] or p[2 * k] for k in range(1, 5)), sum(p[2 * k] or p[2 * k + 1] for k in range(1, 5)))
    kept = (p[2] or p[3] or not p[5]) and p[4] if step == 0 else (p[6] or p[7] or not p[1]) and p[8]
    return runs == 1 and 2 <= pairs <= 3 and not kept


def table(method: str, step: int) -> np.ndarray:
    """Whether a pixel is removed, by its eight neighbours."""
    rule = zhang_suen_removes if method == "zhang-suen" else guo_hall_removes
    return np.array([rule(around[::-1], step) for around in itertools.product((0, 1), repeat=8)])


def plain_thin(mask: np.ndarray, method: str) -> np.ndarray:
    """Pixel by pixel, through a table of all neighbourhoods."""
    tables = [table(method, step) for step in (0, 1)]
    weights = np.array([[1, 2, 4], [128, 0, 8], [64, 32, 16]])
    mask = mask.copy()
    while True:
        before = mask.copy()
        for removes in tables:
            # correlate, so that the weights lie as printed
            code = ndimage.correlate(mask.astype(int), weights, mode="constant")
            mask &= ~removes[code]
        if np.array_equal(mask, before):
            return mask


@pytest.mark.parametrize("method", METHODS)
def test_equals_the_publications_on_a_thousand_masks(method: str) -> None:
    for i, masks in enumerate(mask_batches(seed=0, batches=100, per_batch=10, largest=40)):
        batch = torch.from_numpy(masks).to(MASK_DTYPES[i % len(MASK_DTYPES)])
        result = thin(batch, method=method)
        assert result.dtype == batch.dtype
        expected = torch.from_numpy(np.stack([plain_thin(mask, method) for mask in masks]))
        assert torch.equal(result, expected.to(batch.dtype))


@pytest.mark.parametrize("method", METHODS)
def test_equals_scikit_image(method: str, device: torch.device) -> None:
    morphology = pytest.importorskip("skimage.morphology", reason="scikit-image is not installed")
    theirs = morphology.skeletonize if method == "zhang-suen" else morphology.thin
    for masks in mask_batches(seed=1, batches=40, per_batch=5, largest=150):
        result = thin(torch.from_numpy(masks).to(device), method=method).cpu().numpy()
        for mask, ours in zip(masks, result, strict=True):
            assert np.array_equal(ours, theirs(mask))


@pytest.mark.parametrize("method", METHODS)
def test_equals_the_publications_across_words_and_blocks(method: str, device: torch.device) -> None:
    for height, width in ((9, 200), (200, 9), (65, 64), (130, 129)):
        masks = np.stack(
            [np.ones((height, width), bool), *(blobs(k, 1, height, width)[0].bool().numpy() for k in range(5))]
        )
        masks[0, height // 2, width // 2] = False
        result = thin(torch.from_numpy(masks).to(device), method=method).cpu().numpy()
        for mask, ours in zip(masks, result, strict=True):
            assert np.array_equal(ours, plain_thin(mask, method))


@pytest.mark.parametrize("method", METHODS)
def test_skeletons_are_thin_and_as_connected_as_the_mask(method: str, device: torch.device) -> None:
    seen = 0
    for masks in mask_batches(seed=2, batches=60, per_batch=5, largest=60):
        result = thin(torch.from_numpy(masks).to(device), method=method).cpu().numpy()
        assert not (result & ~masks).any()
        for mask, ours in zip(masks, result, strict=True):
            components = ndimage.label(mask, EIGHT)[1]
            assert ndimage.label(ours, EIGHT)[1] == components
            seen += components
    assert seen > 1000


def test_no_gradient_unless_straight_through(device: torch.device) -> None:
    mask = soft(3, 2, 12, 13, low=0.0, high=1.0).to(device).requires_grad_()
    assert not thin(mask).requires_grad
    skeleton = thin(mask, straight_through=True)
    assert torch.equal(skeleton, thin((mask > 0.5).double()))
    grad = random(4, *mask.shape).to(device)
    (back,) = torch.autograd.grad(skeleton, mask, grad)
    assert torch.equal(back, grad * skeleton)
    assert not thin(mask > 0.5, straight_through=True).requires_grad


def test_vmap_and_compile_without_gradient() -> None:
    masks = blobs(5, 6, 20, 21).reshape(2, 3, 20, 21)
    expected = thin(masks, method="guo-hall")
    assert torch.equal(torch.vmap(lambda m: thin(m, method="guo-hall"))(masks), expected)
    torch.compiler.reset()
    compiled = torch.compile(lambda m: thin(m, method="guo-hall"), fullgraph=True, backend="aot_eager")
    assert torch.equal(compiled(masks), expected)
