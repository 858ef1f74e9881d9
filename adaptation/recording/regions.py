"""Connected regions of a foreground mask: finding them, cutting people apart, grouping pieces of one person.

Boxes are x, y, width, height in frame pixels, y down. Arrays of boxes are (N, 4) float64.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from adaptation.support.image_files import Mask

Box = tuple[int, int, int, int]  # x, y, width, height in whole pixels
Boxes = npt.NDArray[np.float64]


class Region(NamedTuple):
    """A part of a mask.

    Attributes:
        box: Box of the part in frame pixels.
        mask: (h, w) bool, the part inside the box.
    """

    box: Box
    mask: Mask


def find_regions(mask: Mask, min_area: int) -> list[Region]:
    """Return the 8-connected regions of a mask (H, W) that have at least `min_area` pixels."""
    # 8-connected, because thin arms and legs are diagonal lines of pixels.
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    regions = []
    for label in range(1, count):  # 0 is the background
        x, y, w, h, area = (int(value) for value in stats[label])
        if area >= min_area:
            regions.append(Region((x, y, w, h), labels[y : y + h, x : x + w] == label))
    return regions


def split_people(region: Region, people: Boxes, min_height: int, *, known: bool = False) -> list[Region]:
    """Cut a region into people who touch only by a hand, a bag or a foot.

    The region is eroded step by step, up to necks of 8 % of its height, until it falls into parts
    that are people: each part fits another person expected there, or the parts stand side by side
    and are about equally tall. Every pixel is then assigned to the part that is nearest along the
    mask.

    Args:
        region: Region to cut.
        people: (N, 4) boxes of the people expected in this frame, frame pixels.
        min_height: Least height of a part, pixels.
        known: Whether only regions that cover two of the expected people are cut, into these people.

    Returns:
        One region per person, or the region itself if it cannot be cut.
    """
    height = region.box[3]
    covered = intersections(people, np.array([region.box], float))[:, 0] > 0.4 * people[:, 2] * people[:, 3]
    # Erosion is slow, so only regions that can hold two people are tried.
    if height < min_height or (covered.sum() < 2 and (known or region.box[2] < 0.5 * height)):
        return [region]
    # Pixels outside the array count as set in OpenCV's erosion; the padding makes them background.
    padded = np.pad(region.mask.astype(np.uint8), 1)
    # The smallest radius that works is used: a larger one would also cut thin limbs.
    for radius in range(1, round(0.04 * height) + 1):
        parts = _erode_apart(region, padded, radius)
        boxes = [part.box for part in parts]
        if (
            len(parts) > 1
            and min(box[3] for box in boxes) >= min_height
            and (_match_people(boxes, people) or (not known and _side_by_side(boxes, height)))
        ):
            return parts
    if known:
        return [region]
    # People whose trunks touch have no neck to erode; what separates them is a column with few pixels.
    return _cut_at_valley(region, people, min_height)


def _erode_apart(region: Region, padded: npt.NDArray[np.uint8], radius: int) -> list[Region]:
    """Return the large parts that an erosion leaves, grown back, or nothing if there are fewer than two.

    `padded` is the region's mask with one pixel of background on each side.
    """
    # Round, so that necks of all directions are cut at the same width.
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    count, labels, stats, _ = cv2.connectedComponentsWithStats(cv2.erode(padded, kernel), connectivity=8)
    areas = stats[:, cv2.CC_STAT_AREA]
    # Smaller parts are hands and feet, which grow back into the person they touch.
    large = [label for label in range(1, count) if areas[label] > 0.2 * areas[1:].sum()]
    if len(large) < 2:
        return []
    # Grown along the mask and not across gaps, so that a hand stays with its arm.
    owner = _grow(np.where(np.isin(labels, large), labels, 0), padded > 0)
    # -1 undoes the padding.
    return [_tight(owner == label, region.box[0] - 1, region.box[1] - 1) for label in large]


def _grow(labels: npt.NDArray[np.int32], mask: Mask) -> npt.NDArray[np.float32]:
    """Grow labels (0 for none) through the connected mask; each pixel takes the nearest label."""
    grown = labels.astype(np.float32)  # OpenCV does not dilate int32
    while True:
        # Only unowned pixels change, so the larger label of a dilation never overwrites the smaller one.
        free = mask & (grown == 0)
        wider = cv2.dilate(grown, np.ones((3, 3), np.uint8))
        if not (wider[free] > 0).any():
            return grown
        grown[free] = wider[free]


def _cut_at_valley(region: Region, people: Boxes, min_height: int) -> list[Region]:
    """Cut two people who stand side by side at the column with the fewest pixels.

    The column may hold 45 % of the height if the parts fit two expected people, and otherwise 30 %.
    """
    (x, y, w, h), mask = region
    # Pixels per column, not their extent: the space below an arm counts as empty.
    columns = mask.sum(0)
    # Not near the sides, where an arm or a foot is thin as well.
    middle = slice(round(0.25 * w), round(0.75 * w) + 1)
    column = middle.start + int(np.argmin(columns[middle]))
    parts = [_tight(mask[:, :column], x, y), _tight(mask[:, column:], x + column, y)]
    boxes = [part.box for part in parts]
    depth = 0.45 if _match_people(boxes, people) else 0.3
    # Both sides must be nearly as tall as the whole, since a cut through an arm leaves a short rest.
    fits = columns[column] <= depth * h and min(box[3] for box in boxes) >= min_height and _side_by_side(boxes, h)
    return parts if fits else [region]


def _tight(mask: Mask, left: int, top: int) -> Region:
    """Return the region of the set pixels of a mask whose first pixel is the frame's (left, top)."""
    x, y, w, h = cv2.boundingRect(mask.astype(np.uint8))
    return Region((left + x, top + y, w, h), mask[y : y + h, x : x + w])


def _match_people(parts: Sequence[Box], people: Boxes) -> bool:
    """Return whether each part of a region fits another one of the expected people."""
    if not len(people):
        return False
    # (N, parts). Each part must have a person of its own, so the best matches must differ.
    overlap = iou(people, np.array(parts, float))
    return bool((overlap.max(0) > 0.4).all() and len(set(overlap.argmax(0))) == len(parts))


def _side_by_side(parts: Sequence[Box], height: int) -> bool:
    """Return whether the parts of a region stand side by side and are nearly as tall as the region."""
    boxes = np.array(sorted(parts), float)  # from left to right
    # Negative where there is a gap between neighbours.
    shared = boxes[:-1, 0] + boxes[:-1, 2] - boxes[1:, 0]
    narrower = np.minimum(boxes[:-1, 2], boxes[1:, 2])
    return bool((boxes[:, 3] >= 0.7 * height).all() and (shared <= 0.4 * narrower).all())


def stack_regions(regions: Sequence[Region]) -> list[list[Region]]:
    """Group regions with a small gap above one another: head, trunk and legs of one person."""
    # From the top, so that a group grows downwards from its head.
    groups = [[region] for region in sorted(regions, key=lambda region: region.box[1])]
    merged = True
    # A merge changes a group's box, which can bring it near another one, so the search starts again.
    while merged:
        merged = False
        for first in range(len(groups)):
            for second in range(first + 1, len(groups)):
                if are_stacked(bounds(groups[first]), bounds(groups[second])):
                    groups[first] += groups.pop(second)
                    merged = True
                    break
            if merged:
                break
    return groups


def are_stacked(upper: Box, lower: Box) -> bool:
    """Return whether two boxes are a small gap apart, one above the other, and upright together."""
    if lower[1] < upper[1]:
        upper, lower = lower, upper
    shared = min(upper[0] + upper[2], lower[0] + lower[2]) - max(upper[0], lower[0])
    gap = lower[1] - (upper[1] + upper[3])
    height = max(upper[1] + upper[3], lower[1] + lower[3]) - upper[1]
    width = max(upper[0] + upper[2], lower[0] + lower[2]) - min(upper[0], lower[0])
    # Half of the narrower box lies below the other; the whole is upright, or two people would be joined.
    return shared >= 0.5 * min(upper[2], lower[2]) and gap <= 0.15 * height and width <= 0.7 * height


def bounds(regions: Sequence[Region]) -> Box:
    """Return the smallest box that holds all regions."""
    left, top = min(box[0] for box, _ in regions), min(box[1] for box, _ in regions)
    right = max(box[0] + box[2] for box, _ in regions)
    bottom = max(box[1] + box[3] for box, _ in regions)
    return left, top, right - left, bottom - top


def join(regions: Sequence[Region]) -> Region:
    """Put regions together into one."""
    left, top, width, height = bounds(regions)
    mask = np.zeros((height, width), bool)
    for (x, y, w, h), part in regions:
        # Boxes may overlap, so pixels are added and never cleared.
        mask[y - top : y - top + h, x - left : x - left + w] |= part
    return Region((left, top, width, height), mask)


def intersections(a: Boxes, b: Boxes) -> npt.NDArray[np.float64]:
    """Compute the common area of every box of (A, 4) with every box of (B, 4), (A, B) square pixels."""
    # By broadcasting (A, 1, 2) with (1, B, 2): loops over pairs would dominate the tracker.
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, :2] + a[:, None, 2:], b[None, :, :2] + b[None, :, 2:])
    # Clamped per axis: two negative extents would multiply to a positive area.
    return np.asarray(np.maximum(high - low, 0).prod(2))


def iou(a: Boxes, b: Boxes) -> npt.NDArray[np.float64]:
    """Compute the intersection over union of every box of (A, 4) with every box of (B, 4), (A, B) in [0, 1]."""
    common = intersections(a, b)
    union = (a[:, 2] * a[:, 3])[:, None] + (b[:, 2] * b[:, 3])[None, :] - common
    return np.asarray(common / np.maximum(union, 1))  # empty boxes have no union
