"""Evidence that a learnt background contains the person: the edges of a mask are those of the background.

The outline of a person is an edge of the frame. Somebody who was there for most of a recording is part of the learnt
background, and what is left of them as foreground is bounded in part by their outline in the background, where the
frame has no edge.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from adaptation.recording.footage.light import Floats
from adaptation.support.image_files import Image, Mask

_REACH = 4  # pixels around a mask that the gradients need
# An edge of the background counts if it is this many times as strong as the frame's, and by this much stronger (grey
# levels per pixel): people in front of slats and branches also have edges of the background along their outlines.
_FACTOR, _MARGIN = 3.0, 10.0
_CROSS = np.ones((3, 3), np.uint8)


def background_outline(frame: Image, background: Floats, mask: Mask, corner: tuple[int, int]) -> float:
    """Return the fraction of a mask's outline that is an edge of the background and not of the frame.

    Args:
        frame: (H, W, 3) RGB uint8.
        background: (H, W, 3), in the light of the frame.
        mask: (h, w) bool, part of the frame.
        corner: x, y of the mask's first pixel in the frame.

    Returns:
        0 to 1; on real footage mostly 0, up to 0.1 in front of strong patterns, and 0.1 to 0.5 where the background
        contains the person.
    """
    (x, y), (h, w) = corner, mask.shape
    left, top = max(x - _REACH, 0), max(y - _REACH, 0)
    around = np.s_[top : y + h + _REACH, left : x + w + _REACH]
    padded = np.zeros(frame[around].shape[:2], np.uint8)
    padded[y - top : y - top + h, x - left : x - left + w] = mask
    # The direction across the outline. A pattern may cross an outline at any angle; the edge of a body follows it.
    soft = cv2.GaussianBlur(padded.astype(np.float32), (5, 5), 0)
    across = [cv2.Sobel(soft, cv2.CV_32F, 1, 0), cv2.Sobel(soft, cv2.CV_32F, 0, 1)]
    length = np.maximum(np.sqrt(across[0] ** 2 + across[1] ** 2), 1e-6)
    across = [part / length for part in across]
    outline = (cv2.dilate(padded, _CROSS) - cv2.erode(padded, _CROSS, borderValue=0)) > 0
    seen, learnt = (_contrast(image[around], across)[outline] for image in (frame, background))
    return float(np.mean(learnt > _FACTOR * seen + _MARGIN))


def _contrast(image: Image | Floats, across: Sequence[npt.NDArray[Any]]) -> npt.NDArray[np.float32]:
    """Return the strongest edge (h, w) within a pixel, in grey levels per pixel along the given directions."""
    pixels = image.astype(np.float32)
    slope = cv2.Sobel(pixels, cv2.CV_32F, 1, 0) * across[0][..., None]
    slope += cv2.Sobel(pixels, cv2.CV_32F, 0, 1) * across[1][..., None]
    # Masks are off by a pixel here and there. Sobel's weights add up to 8.
    return np.asarray(cv2.dilate(np.sqrt(np.square(slope).sum(2)) / 8, _CROSS), np.float32)
