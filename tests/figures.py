"""Masks of drawn people for the tests of this folder."""

from __future__ import annotations

import cv2
import numpy as np

WIDTH, HEIGHT = 320, 200


def figure(x: float, y: float, height: int = 80, stride: float = 0.0) -> np.ndarray:
    """Return a person's mask: head, trunk and two legs; (x, y) is the top of the head."""
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    unit = height / 80

    def at(dx: float, dy: float) -> tuple[int, int]:
        return round(x + unit * dx), round(y + unit * dy)

    cv2.circle(mask, at(0, 7), round(6 * unit), 1, cv2.FILLED)
    cv2.line(mask, at(0, 20), at(0, 40), 1, round(15 * unit))
    for side in (-1, 1):
        cv2.line(mask, at(3 * side, 40), at((4 + 8 * stride) * side, 76), 1, max(3, round(6 * unit)))
    return mask > 0


def tight(mask: np.ndarray) -> np.ndarray:
    """Cut a mask to its bounding box."""
    rows, columns = np.nonzero(mask)
    return mask[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
