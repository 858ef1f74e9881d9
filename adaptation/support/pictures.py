"""Flat pictures, without torch: colours, outlines, masks, distance maps and skeletons."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]
Color = tuple[int, int, int]

BEFORE: Color = (247, 187, 58)
AFTER: Color = (92, 156, 245)
# No skin colours, so that a drawn body is not mistaken for a photograph of a person.
PALETTE: tuple[Color, ...] = (
    AFTER,
    (98, 206, 140),
    (190, 140, 246),
    (245, 196, 66),
    (70, 202, 214),
    (240, 104, 168),
    (172, 208, 76),
    (128, 132, 240),
)
BACKDROP: Color = (23, 27, 35)


def enlarge(image: Image, size: int) -> Image:
    """Resample an image (S, S, 3) uint8 to (size, size, 3) by cubic interpolation."""
    enlarged = cv2.resize(image, (size, size), interpolation=cv2.INTER_CUBIC)
    return np.asarray(enlarged, np.uint8)


def draw_outline(image: Image, mask: npt.NDArray[np.generic], *, color: Color = (255, 255, 255)) -> Image:
    """Draw the outline of a mask over an image of the same part of the scene.

    Args:
        image: (H, W, 3) uint8 RGB; its size may differ from the mask's.
        mask: (h, w), foreground above 0.5.
        color: RGB colour of the outline.

    Returns:
        A new image, (H, W, 3) uint8 RGB.
    """
    height, width = image.shape[:2]
    # Interpolated and thresholded again, so that the outline of an enlarged mask has no steps.
    smooth = cv2.resize(mask.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR)
    contours, _ = cv2.findContours((smooth > 0.5).astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    drawn: Image = np.array(image)
    cv2.drawContours(drawn, contours, -1, color, 1, cv2.LINE_AA)
    return drawn


def picture_mask(mask: npt.NDArray[np.generic]) -> Image:
    """Draw a mask (H, W) as a picture (H, W, 3) uint8 RGB, light on dark."""
    return _two_tone(mask.astype(np.float32) > 0.5, (236, 239, 244))


def picture_distance(distance: Floats) -> Image:
    """Draw a distance map (H, W) as a picture (H, W, 3) uint8 RGB: violet at the outline, yellow inside."""
    peak = max(float(distance.max()), 1.0)
    # The darkest quarter of the colour map is skipped: it would not stand out from the backdrop.
    levels = np.rint(64 + 191 * distance / peak).astype(np.uint8)
    colored = cv2.cvtColor(cv2.applyColorMap(levels, cv2.COLORMAP_INFERNO), cv2.COLOR_BGR2RGB)
    backdrop = np.array(BACKDROP, np.uint8)
    return np.asarray(np.where(distance[..., None] > 0, colored, backdrop), np.uint8)


def picture_skeleton(skeleton: npt.NDArray[np.generic], mask: npt.NDArray[np.generic]) -> Image:
    """Draw a skeleton (H, W) inside its mask (H, W) as a picture (H, W, 3) uint8 RGB."""
    picture = _two_tone(mask.astype(np.float32) > 0.5, (66, 76, 96))
    picture[skeleton.astype(np.float32) > 0.5] = (255, 214, 102)
    return picture


def _two_tone(mask: npt.NDArray[np.bool_], color: Color) -> Image:
    picture = np.empty((*mask.shape, 3), np.uint8)
    picture[:] = BACKDROP
    picture[mask] = color
    return picture
