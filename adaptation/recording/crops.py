"""Square crops of tracked people, the input of regressors and fitters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from adaptation.bodies.views import View
from adaptation.recording.detections import Detection, MaskQuality
from adaptation.support.image_files import Image
from adaptation.support.resampling import resample


@dataclass(frozen=True, eq=False)
class Crop:
    """A person in one frame, cropped and resampled.

    Attributes:
        track: Number of the track.
        frame: Frame number from 0.
        box: Square x, y, w, h in frame pixels, w == h; may extend beyond the frame. Crop point (u,
            v) is the frame's point (x + u * w / size, y + v * h / size).
        image: RGB uint8 (size, size, 3), black outside the frame.
        mask: float32 (size, size), 1 on the person and 0 elsewhere, also on other people.
        quality: Judgement of the detection's mask.
        frame_size: Width and height of the frame, pixels; None if it is unknown.
        intrinsics: Camera matrix (3, 3) of the frame, pixels; None if it is unknown.
    """

    track: int
    frame: int
    box: tuple[float, float, float, float]
    image: Image
    mask: npt.NDArray[np.float32]
    quality: MaskQuality
    frame_size: tuple[int, int] | None = None
    intrinsics: npt.NDArray[np.float32] | None = None


def make_crop(
    frame_image: Image,
    detection: Detection,
    track: int,
    *,
    size: int = 112,
    margin: float = 0.2,
    aspect: float | None = None,
) -> Crop:
    """Crop a detection from its frame.

    Args:
        frame_image: RGB uint8 (H, W, 3), the whole frame.
        detection: Person to crop.
        track: Number of the person's track, stored in the crop.
        size: Width and height of the crop, pixels.
        margin: Space on each side as a fraction of the longer side of the bounding box; the crop's
            side in the frame is (1 + 2 * margin) times that longer side.
        aspect: Width per height to which the bounding box is widened or heightened first; None leaves it.

    Returns:
        The crop, centred on the bounding box.
    """
    x, y, w, h = detection.bbox
    # The longer side, so that a crop is square without changing the person's proportions.
    longer = max(w, h) if aspect is None else max(w, h, w / aspect, h * aspect)
    side = (1 + 2 * margin) * longer
    # Not rounded to whole pixels, so that the crop stays centred on the person.
    left, top = x + w / 2 - side / 2, y + h / 2 - side / 2
    # In the whole frame, because the crop may extend beyond the box of the mask.
    mask = np.zeros(frame_image.shape[:2], np.uint8)
    mask[y : y + h, x : x + w] = detection.mask
    # Resampled as coverage and thresholded, so that the outline lies where half of a pixel is covered.
    coverage = resample(mask * np.float32(1), left, top, side, size)
    return Crop(
        track=track,
        frame=detection.frame,
        box=(left, top, side, side),
        # float32 avoids rounding before the samples of a pixel are averaged.
        image=np.rint(resample(frame_image.astype(np.float32), left, top, side, size)).astype(np.uint8),
        mask=(coverage >= 0.5).astype(np.float32),
        quality=detection.quality,
        frame_size=(frame_image.shape[1], frame_image.shape[0]),
    )


def view_of(crops: Sequence[Crop], device: str | torch.device = "cpu") -> View:
    """Return where N crops lie in their frames; unknown intrinsics are `adaptation.bodies.views.guessed_intrinsics`."""
    if any(crop.frame_size is None for crop in crops):
        return View.whole(len(crops), len(crops[0].mask), device)
    box, sizes = (
        torch.tensor(part, dtype=torch.float32) for part in ([c.box for c in crops], [c.frame_size for c in crops])
    )
    known = [crop.intrinsics for crop in crops if crop.intrinsics is not None]
    intrinsics = torch.from_numpy(np.stack(known)) if len(known) == len(crops) else None
    return View.of(box, sizes, intrinsics).to(device)
