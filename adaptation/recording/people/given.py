"""Which regions of given masks are one person.

Whoever gives masks knows what they show, so nothing is judged and nothing is cut here without evidence: a mask that is
told apart from others by its file, its layer or its label is one person, and so is a connected region of a plain
foreground.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from adaptation.recording.footage.foreground import GivenMasks, Seen
from adaptation.recording.regions import Boxes, Region, bounds, find_regions, join, split_people
from adaptation.support.image_files import Mask

# A fragment is this much smaller than the region that it belongs to, and at most as far away, as a fraction of the
# height of both together. Segmenters lose wrists and ankles; people who pass each other are about equally large.
_SMALLER, _NEAR = 0.3, 0.06


def given_regions(given: GivenMasks, expected: Boxes, min_area: int, min_height: int) -> list[Region]:
    """Return the people in the masks of one frame.

    Args:
        given: Masks of the frame.
        expected: (N, 4) boxes of people who were tracked up to here, frame pixels. A region of a plain foreground is
            cut only between two of them.
        min_area: Smallest region of a plain foreground that is considered, square pixels.
        min_height: Least height of a part that is cut off, pixels.

    Returns:
        One region per person.
    """
    if given.instances:
        return [region for mask in given.people for region in _whole(mask)]
    return [
        part
        for mask in given.people
        for region in gather_fragments(find_regions(mask, min_area))
        for part in split_people(region, expected, min_height, known=True)
    ]


def regions_in(seen: Seen, expected: Boxes, min_area: int, min_height: int) -> list[Region]:
    """Return the people in a frame, from given masks if it has any and otherwise from its foreground.

    Arguments as for `given_regions`.
    """
    if seen.given is not None:
        return given_regions(seen.given, expected, min_area, min_height)
    return [part for region in find_regions(seen.mask, min_area) for part in split_people(region, expected, min_height)]


def _whole(mask: Mask) -> list[Region]:
    """Return a mask as one region, however many pieces it has; nothing if it is empty."""
    x, y, w, h = cv2.boundingRect(mask.astype(np.uint8))
    return [Region((x, y, w, h), mask[y : y + h, x : x + w])] if w else []


def gather_fragments(regions: Sequence[Region]) -> list[Region]:
    """Join small regions with the large region beside them whose fragments they are."""
    # From the largest, so that a hand finds its body before it could be one for a finger.
    people: list[Region] = []
    for region in sorted(regions, key=lambda region: -int(region.mask.sum())):
        near = [index for index, person in enumerate(people) if _is_fragment(region, person)]
        if near:
            people[near[0]] = join([people[near[0]], region])
        else:
            people.append(region)
    return people


def _is_fragment(region: Region, person: Region) -> bool:
    """Return whether a region is small beside another one and next to it."""
    if region.mask.sum() > _SMALLER * person.mask.sum():
        return False
    left, top, width, height = bounds([region, person])
    reach = _NEAR * height
    # Boxes first: most regions are far away, and distances of pixels are slow.
    gaps = [max(region.box[axis], person.box[axis]) - min(_end(region, axis), _end(person, axis)) for axis in (0, 1)]
    if max(gaps) > reach:
        return False
    free = np.ones((height, width), np.uint8)
    x, y, w, h = person.box
    free[y - top : y - top + h, x - left : x - left + w][person.mask] = 0
    away = cv2.distanceTransform(free, cv2.DIST_L2, 3)
    x, y, w, h = region.box
    return bool(away[y - top : y - top + h, x - left : x - left + w][region.mask].min() <= reach)


def _end(region: Region, axis: int) -> int:
    return region.box[axis] + region.box[axis + 2]
