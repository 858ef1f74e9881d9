"""Square crops of tracked people: what a regressor or a fitter sees."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from adaptation.recording.detections import Detection, MaskQuality
from adaptation.recording.image_files import Image


@dataclass(frozen=True, eq=False)
class Crop:
    """A person in one frame, cut out and resampled.

    Attributes:
        track: Number of the track.
        frame: Frame number from 0.
        box: Square x, y, w, h in frame pixels, w == h; may stick out of the frame. Crop pixel (u,
            v) is the frame's (x + u * w / size, y + v * h / size).
        image: RGB uint8 (size, size, 3), black outside the frame.
        mask: float32 (size, size), 1 on the person and 0 elsewhere, other people included.
        quality: The detection's.
    """

    track: int
    frame: int
    box: tuple[float, float, float, float]
    image: Image
    mask: npt.NDArray[np.float32]
    quality: MaskQuality


def make_crop(frame_image: Image, detection: Detection, track: int, *, size: int = 112, margin: float = 0.2) -> Crop:
    """Cut a detection out of its frame.

    Args:
        frame_image: RGB uint8 (H, W, 3), the whole frame.
        detection: Who, and where.
        track: The track's number, kept for reference.
        size: Width and height of the crop in pixels.
        margin: Space on each side as a fraction of the longer side of the bounding box; the crop's
            side in the frame is (1 + 2 * margin) times that longer side.

    Returns:
        The crop, centred on the bounding box.
    """
    x, y, w, h = detection.bbox
    side = (1 + 2 * margin) * max(w, h)
    left, top = x + w / 2 - side / 2, y + h / 2 - side / 2
    mask = np.zeros(frame_image.shape[:2], np.uint8)
    mask[y : y + h, x : x + w] = detection.mask
    coverage = resample(mask * np.float32(1), left, top, side, size)
    return Crop(
        track=track,
        frame=detection.frame,
        box=(left, top, side, side),
        image=np.rint(resample(frame_image.astype(np.float32), left, top, side, size)).astype(np.uint8),
        mask=(coverage >= 0.5).astype(np.float32),
        quality=detection.quality,
    )


def resample(
    image: npt.NDArray[np.float32],
    left: float,
    top: float,
    side: float,
    size: int,
    border: int = cv2.BORDER_CONSTANT,
) -> npt.NDArray[np.float32]:
    """Resample a square of an image to (size, size); what lies outside the image is 0, or OpenCV's ``border``.

    Bilinear between pixel centres when enlarging; when shrinking by n, n x n such samples are
    averaged.
    """
    fine = size * max(1, int(np.ceil(side / size)))
    step = side / fine
    # Pixel centres lie at +0.5 in our coordinates and at whole numbers in OpenCV's.
    to_source = np.array([[step, 0, left + step / 2 - 0.5], [0, step, top + step / 2 - 0.5]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    sampled = cv2.warpAffine(image, to_source, (fine, fine), flags=flags, borderMode=border, borderValue=0)
    if fine > size:
        sampled = cv2.resize(sampled, (size, size), interpolation=cv2.INTER_AREA)
    return np.asarray(sampled, np.float32)
