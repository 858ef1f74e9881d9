"""Regions of masks: found, cut apart, stacked and joined."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from figures import HEIGHT, WIDTH, figure
from hypothesis import given
from hypothesis import strategies as st

from adaptation.recording.regions import (
    Region,
    bounds,
    find_regions,
    intersections,
    iou,
    join,
    split_people,
    stack_regions,
)

NO_ONE = np.zeros((0, 4))


def region_of(mask: np.ndarray) -> Region:
    (region,) = find_regions(mask, 1)
    return region


def placed(region: Region) -> np.ndarray:
    """Return the region as a mask of the whole frame."""
    mask = np.zeros((HEIGHT, WIDTH), bool)
    x, y, w, h = region.box
    mask[y : y + h, x : x + w] = region.mask
    return mask


def hand_in_hand(distance: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return two people and the pixels of their hands between them."""
    hands = np.zeros((HEIGHT, WIDTH), np.uint8)
    cv2.line(hands, (104, 95), (96 + distance, 95), 1, 4)
    return figure(100, 60, stride=0.3), figure(100 + distance, 60, stride=0.3), hands > 0


def test_regions_are_tight_and_large_enough() -> None:
    mask = np.zeros((20, 30), bool)
    mask[2:5, 3:9] = True
    mask[5:7, 9:11] = True  # touches by a corner
    mask[15, 20:22] = True
    (region,) = find_regions(mask, 3)
    assert region.box == (3, 2, 8, 5) and region.mask.sum() == 22
    assert [found.box for found in find_regions(mask, 2)] == [(3, 2, 8, 5), (20, 15, 2, 1)]
    assert find_regions(np.zeros((4, 4), bool), 1) == []


def test_people_who_hold_hands_are_cut_apart_without_losing_a_pixel() -> None:
    one, two, hands = hand_in_hand(40)
    region = region_of(one | two | hands)
    parts = split_people(region, NO_ONE, 40)
    assert len(parts) == 2
    for part in parts:
        assert part.mask.shape == part.box[:1:-1]
        assert part.mask.any(0)[[0, -1]].all() and part.mask.any(1)[[0, -1]].all()
    together = sum(placed(part).astype(int) for part in parts)
    assert (together == placed(region)).all()
    left, right = sorted(parts, key=lambda part: part.box[0])
    assert (placed(left) & one).sum() > 0.98 * one.sum() and (placed(right) & two).sum() > 0.98 * two.sum()


def test_people_who_touch_along_their_sides_are_cut_at_the_valley() -> None:
    one, two = figure(100, 60, stride=0.3), figure(126, 60, stride=0.3)
    bar = np.zeros((HEIGHT, WIDTH), bool)
    bar[84:100, 106:120] = True  # too thick to erode
    region = region_of(one | two | bar)
    assert len(split_people(region, NO_ONE, 40)) == 2


@pytest.mark.parametrize(
    "mask",
    [figure(100, 60, stride=0.6), figure(100, 60, height=30) | figure(106, 60, height=30)],
    ids=["one person", "too small"],
)
def test_other_regions_are_kept_as_they_are(mask: np.ndarray) -> None:
    region = region_of(mask)
    (kept,) = split_people(region, NO_ONE, 40)
    assert kept is region


def test_unequal_parts_are_cut_only_where_people_are_expected() -> None:
    adult, child = figure(100, 60, stride=0.3), figure(128, 86, height=54, stride=0.3)
    hands = np.zeros((HEIGHT, WIDTH), np.uint8)
    cv2.line(hands, (104, 100), (126, 108), 1, 2)
    region = region_of(adult | child | (hands > 0))
    assert len(split_people(region, NO_ONE, 40)) == 1
    expected = np.array([region_of(adult).box, region_of(child).box], float)
    assert len(split_people(region, expected, 40)) == 2


def test_head_trunk_and_legs_are_stacked_and_neighbours_are_not() -> None:
    person = figure(100, 60)
    person[72:75] = person[98:103] = False
    other = figure(160, 60)
    groups = stack_regions(find_regions(person | other, 1))
    assert sorted(len(group) for group in groups) == [1, 3]
    pieces = max(groups, key=len)
    assert (placed(join(pieces)) == person).all()
    assert bounds(pieces) == join(pieces).box
    assert stack_regions([]) == []


boxes = st.lists(st.tuples(*[st.integers(0, 30)] * 2, *[st.integers(1, 20)] * 2), max_size=5)


@given(boxes, boxes)
def test_overlaps_are_those_of_pixels(a: list[tuple[int, ...]], b: list[tuple[int, ...]]) -> None:
    def mask(box: tuple[int, ...]) -> np.ndarray:
        pixels = np.zeros((50, 50), bool)
        pixels[box[1] : box[1] + box[3], box[0] : box[0] + box[2]] = True
        return pixels

    first, second = (np.array(part, float).reshape(-1, 4) for part in (a, b))
    common, ratio = intersections(first, second), iou(first, second)
    assert common.shape == ratio.shape == (len(a), len(b))
    for i, one in enumerate(a):
        for j, other in enumerate(b):
            assert common[i, j] == (mask(one) & mask(other)).sum()
            assert ratio[i, j] == pytest.approx((mask(one) & mask(other)).sum() / (mask(one) | mask(other)).sum())
