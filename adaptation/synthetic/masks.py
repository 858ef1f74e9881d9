"""Masks made worse in the ways that segmentation and background subtraction fail."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

Mask = npt.NDArray[np.bool_]


def degraded(mask: Mask, rng: np.random.Generator) -> Mask:
    """A mask with holes, bites, a missing part, a shadow at the feet, and an outline too wide or too narrow.

    Args:
        mask: (S, S), not empty.
        rng: source of randomness.

    Returns:
        (S, S), never empty.
    """
    size = len(mask)
    work = mask.astype(np.uint8)
    ys, xs = np.nonzero(mask)
    unit = size / 112  # sizes below are pixels at 112

    def disc(radius: float, value: int, within: Mask) -> None:
        rows, columns = np.nonzero(within)
        if len(rows) == 0:
            return
        k = int(rng.integers(len(rows)))
        cv2.circle(work, (int(columns[k]), int(rows[k])), max(1, round(radius * unit)), value, -1)

    for _ in range(rng.poisson(2.0)):  # holes and bites
        disc(float(rng.uniform(1, 4)), 0, mask)
    outline = mask & (cv2.erode(mask.astype(np.uint8), np.ones((3, 3), np.uint8)) == 0)
    for _ in range(rng.poisson(2.0)):  # clutter at the outline
        disc(float(rng.uniform(1, 4)), 1, outline)
    if rng.random() < 0.3:  # a fragment is lost across the body
        row = int(rng.uniform(ys.min(), ys.max()))
        work[row : row + max(1, round(float(rng.uniform(1, 4)) * unit))] = 0
    if rng.random() < 0.3:  # a shadow beside the feet
        foot = int(ys.max())
        centre = (int(xs[ys == foot].mean()) + int(rng.uniform(-6, 6) * unit), foot)
        cv2.ellipse(work, centre, (round(14 * unit), round(3 * unit)), 0, 0, 360, 1, -1)
    change = int(rng.integers(-1, 3))  # clothes are wider than bodies more often than not
    repeat = round(abs(change) * unit / 1.5)
    if repeat:
        kernel = np.ones((3, 3), np.uint8)
        work = cv2.dilate(work, kernel, iterations=repeat) if change > 0 else cv2.erode(work, kernel, iterations=repeat)
    return np.asarray(work > 0) if work.any() else mask
