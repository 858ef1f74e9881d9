"""Small regions far from a person, such as the end of a shadow, that make a good mask look cut off or in fragments."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from adaptation.recording.detections import PackedMask, Sighting, TrackSettings, touches

_SPECK = 0.05  # greatest area of a speck as a fraction of the mask's; a hand and a foot have 1 to 2 %


def without_specks(sighting: Sighting, size: tuple[int, int], settings: TrackSettings) -> Sighting:
    """Leave out the specks of a mask of background subtraction if they are what speaks against it.

    Args:
        sighting: One person in one frame.
        size: Width and height of the frames, pixels.
        settings: Definition of a usable mask.

    Returns:
        The sighting without regions that are small, farther from the largest one than a usable mask's fragments, and
        either at the frame's edge or too large to be ignored; the same sighting if there are none.
    """
    mask = sighting.packed.unpack()
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    if count <= 2:  # the background and one region
        return sighting
    (x, y, _, height), areas = sighting.bbox, stats[:, cv2.CC_STAT_AREA]
    main = int(np.argmax(areas[1:])) + 1
    away = cv2.distanceTransform((labels != main).astype(np.uint8), cv2.DIST_L2, 3)
    specks = []
    for label in range(1, count):
        left, top, w, h = (int(value) for value in stats[label, :4])
        cut = touches((x + left, y + top, w, h), size, settings.border)
        # Smaller ones inside the frame are ignored when a mask is judged.
        counts = cut or areas[label] >= 0.02 * sighting.area
        small = areas[label] <= _SPECK * sighting.area
        if counts and small and away[labels == label].min() > settings.max_fragment_gap * height:
            specks.append(label)
    if not specks:
        return sighting
    kept = mask & ~np.isin(labels, specks)
    left, top, w, h = cv2.boundingRect(kept.astype(np.uint8))
    box = (x + left, y + top, w, h)
    return replace(sighting, bbox=box, packed=PackedMask.of(kept[top : top + h, left : left + w]))
