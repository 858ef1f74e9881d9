"""A crop set as a recording: each crop is a frame of its own."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from adaptation.bodies.body import Body
from adaptation.data.samples import MASK_KINDS, MaskKind, Samples
from adaptation.fitting.smplify.camera import FEWEST
from adaptation.losses.keypoints import keypoints_of
from adaptation.recording.crops import Crop
from adaptation.recording.detections import MaskQuality
from adaptation.recording.footage.video import ListedFrames
from adaptation.recording.smplify.people import SeenPeople
from adaptation.recording.tracking import Track
from adaptation.support.image_files import Image


class CropFrames(ListedFrames):
    """The images of a crop set, in their order."""

    def __init__(self, path: Path, samples: Samples) -> None:
        """Store the set and the folder it comes from."""
        super().__init__(path, (samples.size, samples.size))
        self._samples = samples

    @property
    def count(self) -> int:
        """Number of crops."""
        return len(self._samples)

    def frame(self, number: int) -> Image:
        """Return the image of a crop, RGB uint8 (S, S, 3)."""
        if not 0 <= number < self.count:
            raise self._no_such_frame(number)
        return np.array(self._samples.images[number])


def people_of_set(samples: Samples, body: Body, kind: MaskKind, folder: Path) -> SeenPeople:
    """Return the people of a crop set, one track per sequence. Frames count the crops, and boxes cover their images.

    Args:
        samples: N crops with keypoints.
        body: body model that will be fitted.
        kind: kind of the masks, if the set has masks.
        folder: folder of the set, for errors.

    Raises:
        UserError: the set has no keypoints, or no crop has enough of them.
    """
    keypoints = keypoints_of(samples, body).numpy()
    masked = samples.masks is not None
    size = samples.size
    seen = SeenPeople(masked=masked)
    counts = np.count_nonzero(keypoints[..., 2], axis=1)
    whole = (0.0, 0.0, float(size), float(size))
    quality = MaskQuality(False, 1.0, 1, False, True, "")
    for track, sequence in enumerate(np.unique(samples.sequences), start=1):
        crops, places = [], []
        for index in np.flatnonzero(samples.sequences == sequence).tolist():
            if samples.masks is None:
                mask = np.zeros((size, size), np.float32)
            else:
                mask = np.array(samples.masks[index, MASK_KINDS.index(kind)], np.float32)
            if counts[index] < FEWEST or (masked and not mask.any()):
                why = f"{counts[index]} keypoints, fewer than {FEWEST}" if counts[index] < FEWEST else "an empty mask"
                seen.notes.append(f"crop {index}: not fitted, {why}")
                continue
            crops.append(Crop(track, index, whole, np.array(samples.images[index]), mask, quality))
            places.append(keypoints[index])
        seen.add(Track(track, ()), crops, places)
    return seen.checked(folder)
