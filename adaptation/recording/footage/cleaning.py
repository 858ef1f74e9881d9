"""Cleaning of raw foreground masks."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from adaptation.support.image_files import Mask


def hysteresis(weak: Mask, strong: Mask) -> Mask:
    """Return the 8-connected regions of `weak` (H, W) that contain a pixel of `strong`."""
    _, labels = cv2.connectedComponents(weak.astype(np.uint8), connectivity=8)
    # A table of labels, indexed once, instead of one comparison per region.
    keep = np.zeros(int(labels.max()) + 1, bool)
    keep[labels[strong & weak]] = True
    keep[0] = False
    return np.asarray(keep[labels])


def clean_mask(mask: Mask, *, min_area: int = 20, max_hole: float = 0.015) -> Mask:
    """Clean a raw foreground mask without widening it.

    Protruding structures thinner than about 3 px (barrier tape, leaves, noise) are removed by an
    opening; the remaining regions then grow back inside the raw mask. Cracks of one pixel are
    closed. Holes are filled if they are small for their region, so the gap between two legs stays.

    Args:
        mask: Raw foreground (H, W).
        min_area: Area of the smallest region kept, in pixels.
        max_hole: Area of the largest hole filled, as a fraction of the area of the region around it.

    Returns:
        (H, W) bool.
    """
    raw = mask.astype(np.uint8)
    cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
    # Closed before it is opened, or the opening would widen cracks into gaps.
    closed = cv2.morphologyEx(raw, cv2.MORPH_CLOSE, cross)
    # The tall element removes thin horizontal structures; upright legs and arms pass. Its even length shifts the rest
    # down by a pixel, which the growth below compensates.
    opened = cv2.morphologyEx(closed, cv2.MORPH_OPEN, cross)
    opened = cv2.morphologyEx(opened, cv2.MORPH_OPEN, np.ones((4, 1), np.uint8))
    # Growing inside the closed mask restores the outline that the openings have rounded.
    cleaned: npt.NDArray[Any] = cv2.min(cv2.dilate(opened, np.ones((5, 5), np.uint8)), closed)
    contours, hierarchy = cv2.findContours(cleaned, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    filled = np.zeros(mask.shape, np.uint8)
    # OpenCV's answer to a mask without contours.
    if hierarchy is None:
        return np.asarray(filled > 0)
    for outline, (_, _, _, parent) in zip(contours, hierarchy[0], strict=True):
        if parent >= 0:  # the outline of a hole
            continue
        # Inside the bounding box only: a frame-sized array per region would dominate the time.
        x, y, w, h = cv2.boundingRect(outline)
        region = np.zeros((h, w), np.uint8)
        cv2.drawContours(region, [outline], -1, 1, cv2.FILLED, offset=(-x, -y))
        # A filled outline includes its holes; the cleaned mask takes them out again.
        own = region & cleaned[y : y + h, x : x + w]
        area = int(own.sum())
        if area < min_area:
            continue
        holes = region & ~own & 1
        # 4-connected, because the regions are 8-connected: a diagonal line of pixels separates two holes.
        count, labels, stats, _ = cv2.connectedComponentsWithStats(holes, connectivity=4)
        for hole in range(1, count):
            if stats[hole, cv2.CC_STAT_AREA] <= max_hole * area:
                own[labels == hole] = 1
        # Boxes of regions overlap, so pixels are added and never cleared.
        filled[y : y + h, x : x + w] |= own
    return np.asarray(filled > 0)
