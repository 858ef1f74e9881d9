"""Masks with the defects that segmentation and background subtraction cause."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

Mask = npt.NDArray[np.bool_]


def degraded(mask: Mask, rng: np.random.Generator) -> Mask:
    """Return a mask with defects: holes, bites, a missing part, a shadow at the feet, a wider or narrower outline.

    Args:
        mask: (S, S) bool, not empty.
        rng: Source of randomness.

    Returns:
        (S, S) bool, never empty.
    """
    size = len(mask)
    # OpenCV draws into uint8 in place; the given mask stays as it is.
    work = mask.astype(np.uint8)
    ys, xs = np.nonzero(mask)
    unit = size / 112  # sizes below are pixels of a mask 112 wide

    def disc(radius: float, value: int, within: Mask) -> None:
        rows, columns = np.nonzero(within)
        if len(rows) == 0:
            return
        k = int(rng.integers(len(rows)))
        cv2.circle(work, (int(columns[k]), int(rows[k])), max(1, round(radius * unit)), value, -1)

    for _ in range(rng.poisson(2.0)):  # holes and bites
        disc(float(rng.uniform(1, 4)), 0, mask)
    # On the outline only: clutter that does not touch a person is a region of its own.
    outline = mask & (cv2.erode(mask.astype(np.uint8), np.ones((3, 3), np.uint8)) == 0)
    for _ in range(rng.poisson(2.0)):  # clutter at the outline
        disc(float(rng.uniform(1, 4)), 1, outline)
    if rng.random() < 0.3:  # a strip across the body is lost
        row = int(rng.uniform(ys.min(), ys.max()))
        work[row : row + max(1, round(float(rng.uniform(1, 4)) * unit))] = 0
    if rng.random() < 0.3:  # a shadow at the feet
        foot = int(ys.max())
        centre = (int(xs[ys == foot].mean()) + int(rng.uniform(-6, 6) * unit), foot)
        cv2.ellipse(work, centre, (round(14 * unit), round(3 * unit)), 0, 0, 360, 1, -1)
    change = int(rng.integers(-1, 3))  # clothes are wider than bodies more often than not
    repeat = round(abs(change) * unit / 1.5)
    if repeat:
        # The outline changes last, so that holes and clutter grow and shrink with it.
        operation = cv2.MORPH_DILATE if change > 0 else cv2.MORPH_ERODE
        work = np.asarray(cv2.morphologyEx(work, operation, np.ones((3, 3), np.uint8), iterations=repeat), np.uint8)
    # A small person may be eroded away, but an empty mask cannot be fitted.
    return np.asarray(work > 0) if work.any() else mask
