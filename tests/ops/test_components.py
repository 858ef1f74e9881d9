"""Connected components, their measures, and the operators that select some of them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from functions import threads
from s2d_cases import awkward_masks
from samples import MASK_DTYPES, blobs, mask_batches, random, soft
from scipy import ndimage
from torch import Tensor

from topokernels import component_stats, connected_components, fill_holes, largest, remove_small

STRUCTURE = {4: ndimage.generate_binary_structure(2, 1), 8: ndimage.generate_binary_structure(2, 2)}


def scipy_labels(masks: np.ndarray, connectivity: int) -> Tensor:
    return torch.from_numpy(np.stack([ndimage.label(mask, STRUCTURE[connectivity])[0] for mask in masks]))


def noise(height: int, width: int, share: float) -> np.ndarray:
    return np.random.default_rng(height).random((height, width)) < share


# ---- labels ----


def test_labels_equal_scipy_on_thousands_of_masks() -> None:
    seen = 0
    for i, masks in enumerate(mask_batches(seed=0, batches=100, per_batch=10, largest=80)):
        batch = torch.from_numpy(masks).to(MASK_DTYPES[i % len(MASK_DTYPES)])
        for connectivity in (4, 8):
            expected = scipy_labels(masks, connectivity)
            labels, areas = connected_components(batch, connectivity=connectivity, return_areas=True)
            assert labels.dtype == areas.dtype == torch.int32
            assert torch.equal(labels, expected)
            assert torch.equal(connected_components(batch, connectivity=connectivity), expected)
            same = expected.flatten(1)[:, :, None] == expected.flatten(1)[:, None] if masks[0].size < 500 else None
            if same is not None:
                counted = same.sum(2).reshape(expected.shape) * (expected > 0)
                assert torch.equal(areas, counted.int())
        seen += len(masks)
    assert seen == 1000


@pytest.mark.parametrize("connectivity", [4, 8])
@pytest.mark.parametrize("name", awkward_masks())
def test_labels_equal_scipy_on_awkward_masks(name: str, connectivity: int, device: torch.device) -> None:
    mask = awkward_masks()[name]
    for image in (mask, ~mask):
        labels = connected_components(torch.from_numpy(image).to(device), connectivity=connectivity)
        assert torch.equal(labels.cpu(), scipy_labels(image[None], connectivity)[0].int())


@pytest.mark.parametrize("share", [0.1, 0.4, 0.5, 0.6, 0.8, 0.95])
@pytest.mark.parametrize("size", [(200, 257), (64, 128), (3, 32768), (2000, 5)])
def test_labels_equal_scipy_on_noise(size: tuple[int, int], share: float, device: torch.device) -> None:
    """Long chains of unions, and rows whose words are full of runs."""
    mask = noise(*size, share)
    for connectivity in (4, 8):
        labels = connected_components(torch.from_numpy(mask).to(device), connectivity=connectivity)
        assert torch.equal(labels.cpu(), scipy_labels(mask[None], connectivity)[0].int())


def test_spirals_and_combs(device: torch.device) -> None:
    """Components that are united from the bottom up, or from the right."""
    comb = np.zeros((65, 131), bool)
    comb[:, ::2] = True
    comb[-1] = True
    spiral = np.zeros((99, 99), bool)
    for k in range(0, 48, 4):
        spiral[k, k : 99 - k] = spiral[k : 99 - k, 98 - k] = spiral[98 - k, k : 99 - k] = True
        spiral[k + 4 : 99 - k, k] = spiral[k + 4, k : k + 5] = True
    for mask in (comb, comb[::-1], comb[:, ::-1], comb.T, spiral, ~spiral, spiral[::-1]):
        for connectivity in (4, 8):
            labels = connected_components(torch.from_numpy(mask.copy()).to(device), connectivity=connectivity)
            assert torch.equal(labels.cpu(), scipy_labels(mask[None], connectivity)[0].int())


def test_equals_opencv() -> None:
    """OpenCV numbers components in another order, so the first pixels of components are compared."""
    cv2 = pytest.importorskip("cv2")
    for masks in mask_batches(seed=1, batches=30, per_batch=5, largest=70):
        for connectivity in (4, 8):
            labels = connected_components(torch.from_numpy(masks), connectivity=connectivity)
            stats = component_stats(labels)
            for i, mask in enumerate(masks):
                count, theirs, table, centres = cv2.connectedComponentsWithStats(
                    mask.astype(np.uint8), connectivity=connectivity
                )
                ours, n = labels[i].numpy(), int(stats.number[i])
                assert n == count - 1
                order = np.array([theirs[ours == k][0] for k in range(1, n + 1)], int)
                assert np.array_equal(np.append(0, order)[ours], theirs)
                left, top, width, height, area = table[order].T.reshape(5, n)
                box = np.stack([left, top, left + width, top + height], 1)
                assert np.array_equal(stats.area[i, :n].numpy(), area)
                assert np.array_equal(stats.box[i, :n].numpy(), box)
                np.testing.assert_allclose(stats.centroid[i, :n].numpy(), centres[order].reshape(n, 2), rtol=1e-12)


def test_labels_and_counts_as_sam2_returns_them(device: torch.device) -> None:
    masks = blobs(0, 5, 30, 40).bool()[:, None].to(device)
    labels, counts = connected_components(masks, return_areas=True)
    assert labels.shape == counts.shape == (5, 1, 30, 40)
    for mask, label, count in zip(masks.cpu(), labels.cpu(), counts.cpu(), strict=True):
        expected, found = ndimage.label(mask[0].numpy(), STRUCTURE[8])
        sizes = np.bincount(expected.ravel(), minlength=found + 1) * (np.arange(found + 1) > 0)
        assert np.array_equal(label[0].numpy(), expected)
        assert np.array_equal(count[0].numpy(), sizes[expected])


def test_threads_share_one_large_image() -> None:
    mask = torch.from_numpy(noise(1100, 700, 0.6)).float()
    results = []
    for count in (1, 2, 5):
        with threads(count):
            results.append((*connected_components(mask, return_areas=True), fill_holes(mask), largest(mask)))
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(other, results[0], strict=True))


def test_soft_masks_are_foreground_above_one_half(device: torch.device) -> None:
    masks = soft(2, 3, 12, 14, low=0.0, high=1.0).to(device)
    masks[0, 3, 4] = 0.5
    assert torch.equal(connected_components(masks), connected_components(masks > 0.5))


def test_labels_have_no_gradient() -> None:
    mask = blobs(3, 2, 6, 7).requires_grad_()
    labels, areas = connected_components(mask, return_areas=True)
    assert not labels.requires_grad and not areas.requires_grad
    assert torch.equal(torch.vmap(connected_components)(mask), labels)
    both = torch.vmap(lambda m: connected_components(m, return_areas=True), in_dims=1)(mask[None])
    assert torch.equal(both[1], areas[:, None])


# ---- measures ----


def test_stats_of_a_batch(device: torch.device) -> None:
    masks = torch.zeros(2, 2, 4, 6, dtype=torch.bool, device=device)
    masks[0, 1, 1:3, 2:5] = masks[1, 1, 0, 0] = masks[1, 1, 3, 4:] = True
    stats = component_stats(connected_components(masks))
    assert stats.number.tolist() == [[0, 1], [0, 2]]
    assert stats.area.tolist() == [[[0, 0], [6, 0]], [[0, 0], [1, 2]]]
    assert stats.box[:, 1].tolist() == [[[2, 1, 5, 3], [0, 0, 0, 0]], [[0, 0, 1, 1], [4, 3, 6, 4]]]
    assert stats.centroid[0, 1, 0].tolist() == [3, 1.5] and stats.centroid[0, 1, 1].isnan().all()


def test_stats_with_a_given_room(device: torch.device) -> None:
    labels = connected_components(torch.from_numpy(noise(30, 31, 0.2)).to(device))
    whole, part, wide = (component_stats(labels, most=most) for most in (None, 3, 200))
    assert whole.number == part.number == wide.number == len(whole.area) > 3
    assert torch.equal(part.area, whole.area[:3]) and torch.equal(part.box, whole.box[:3])
    assert torch.equal(wide.area[: len(whole.area)], whole.area) and (wide.area[len(whole.area) :] == 0).all()
    batch = torch.stack([labels, labels * 0])
    mapped = torch.vmap(lambda image: component_stats(image, most=9))(batch)
    assert torch.equal(mapped.box, component_stats(batch, most=9).box)
    torch.compiler.reset()
    compiled = torch.compile(lambda image: component_stats(image, most=9), fullgraph=True, backend="aot_eager")
    assert torch.equal(compiled(batch).area, component_stats(batch, most=9).area)


@pytest.mark.parametrize("shape", [(0, 5, 6), (2, 0, 6), (2, 5, 0), (0, 0), (1, 1)])
def test_stats_of_nothing(shape: tuple[int, ...]) -> None:
    stats = component_stats(torch.zeros(shape, dtype=torch.int32))
    assert stats.number.shape == shape[:-2] and (stats.number == 0).all()
    assert stats.box.shape == (*shape[:-2], 0, 4) and stats.centroid.shape == (*shape[:-2], 0, 2)


# ---- selections ----


def plain_selection(mask: np.ndarray, keep: np.ndarray, connectivity: int) -> np.ndarray:
    """The mask without the components whose sizes `keep` refuses."""
    labels, found = ndimage.label(mask, STRUCTURE[connectivity])
    sizes = np.bincount(labels.ravel(), minlength=found + 1)
    return mask & keep(sizes)[labels]


def test_selections_equal_scipy_on_a_thousand_masks() -> None:
    for i, masks in enumerate(mask_batches(seed=4, batches=100, per_batch=10, largest=60)):
        batch = torch.from_numpy(masks).to(MASK_DTYPES[i % len(MASK_DTYPES)])
        for connectivity, other in ((4, 8), (8, 4)):
            area = 1 + i % 12
            filled = fill_holes(batch, connectivity=connectivity).bool().numpy()
            partly = fill_holes(batch, area=area, connectivity=connectivity).bool().numpy()
            large = remove_small(batch, area, connectivity=connectivity).bool().numpy()
            first = largest(batch, connectivity=connectivity).bool().numpy()
            for k, mask in enumerate(masks):
                full = ndimage.binary_fill_holes(mask, STRUCTURE[other])
                assert np.array_equal(filled[k], full)
                holes = full & ~mask
                kept_holes = plain_selection(holes, lambda sizes, a=area: sizes >= a, other)
                assert np.array_equal(partly[k], full & ~kept_holes)
                assert np.array_equal(large[k], plain_selection(mask, lambda s, a=area: s >= a, connectivity))
                best = plain_selection(
                    mask, lambda s: np.arange(len(s)) == (s[1:].argmax() + 1 if len(s) > 1 else -1), connectivity
                )
                assert np.array_equal(first[k], best)


def test_holes_are_filled_before_components_are_removed(device: torch.device) -> None:
    ring = torch.ones(3, 3, dtype=torch.bool, device=device)
    ring[1, 1] = False
    assert not remove_small(ring, 9).any()
    assert remove_small(ring, 9, hole_area=2).all()
    assert not remove_small(ring, 9, hole_area=1).any()


def test_filled_bytes_have_the_value_on_their_left(device: torch.device) -> None:
    mask = torch.full((4, 5), 255, dtype=torch.uint8, device=device)
    mask[1, 1:4] = mask[2, 1] = 0
    mask[1, 0] = 7
    filled = fill_holes(mask)
    assert filled[1].tolist() == [7, 7, 7, 7, 255] and filled[2].tolist() == [255, 7, 255, 255, 255]


def test_the_first_of_equally_large_components_stays(device: torch.device) -> None:
    mask = torch.tensor([[0, 1, 0, 1], [0, 1, 0, 1]], dtype=torch.uint8, device=device)
    assert largest(mask).tolist() == [[0, 1, 0, 0], [0, 1, 0, 0]]


@pytest.mark.parametrize("name", ["fill_holes", "remove_small", "largest"])
def test_other_pixels_keep_value_and_gradient(name: str, device: torch.device) -> None:
    function = {"fill_holes": fill_holes, "remove_small": lambda m: remove_small(m, 30), "largest": largest}[name]
    mask = soft(5, 4, 40, 41, low=0.0, high=1.0).to(device).requires_grad_()
    result, chosen = function(mask), function((mask > 0.5).double())
    changed = chosen != (mask > 0.5)
    assert changed.any()
    assert torch.equal(result, torch.where(changed, chosen, mask))
    grad = random(6, *mask.shape).to(device)
    (back,) = torch.autograd.grad(result, mask, grad)
    assert torch.equal(back, torch.where(changed, 0.0, grad))
    assert torch.equal(result > 0.5, chosen > 0.5)


def test_sam2_fills_small_background_also_at_the_border() -> None:
    """docs/operators.md gives this as the rule of SAM 2."""
    mask = torch.from_numpy(noise(60, 61, 0.7))
    background, counts = connected_components(~mask, return_areas=True)
    expected = mask | ((background > 0) & (counts <= 8))
    assert torch.equal(~remove_small(~mask, 9), expected)
