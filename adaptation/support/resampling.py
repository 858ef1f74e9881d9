"""Cut a square out of an image and bring it to another size."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt


def resample(
    image: npt.NDArray[np.float32],
    left: float,
    top: float,
    side: float,
    size: int,
    border: int = cv2.BORDER_CONSTANT,
) -> npt.NDArray[np.float32]:
    """Resample a square of an image to size x size pixels.

    Enlarging is bilinear between pixel centres. For shrinking by a factor of up to n, n x n such
    samples are averaged per pixel.

    Args:
        image: (H, W) or (H, W, C).
        left: Left edge of the square in image pixels; the square may extend beyond the image.
        top: Top edge of the square in image pixels.
        side: Side of the square in image pixels.
        size: Side of the result, pixels.
        border: OpenCV border mode for points outside the image; by default they are 0.

    Returns:
        (size, size) or (size, size, C) float32.
    """
    # Without supersampling, thin structures between the sample points would be lost or alias.
    fine = size * max(1, int(np.ceil(side / size)))
    step = side / fine
    # Pixel centres lie at +0.5 in our coordinates, but at whole numbers in OpenCV's.
    to_source = np.array([[step, 0, left + step / 2 - 0.5], [0, step, top + step / 2 - 0.5]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    sampled = cv2.warpAffine(image, to_source, (fine, fine), flags=flags, borderMode=border, borderValue=0)
    if fine > size:
        # `fine` is a whole multiple of the size, so INTER_AREA averages equal blocks.
        sampled = cv2.resize(sampled, (size, size), interpolation=cv2.INTER_AREA)
    return np.asarray(sampled, np.float32)
