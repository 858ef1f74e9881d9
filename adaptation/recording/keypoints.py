"""Crops of a recording with the keypoints that a detector finds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from adaptation.bodies.joint_sets import SMPL
from adaptation.data.samples import Samples
from adaptation.detectors.blazepose import BlazePose
from adaptation.detectors.joints import joints_of
from adaptation.detectors.regions import Region
from adaptation.recording.crop_sets import samples_of_crops
from adaptation.recording.crops import Crop
from adaptation.recording.footage.video import Frames

Floats = npt.NDArray[np.float32]


def samples_with_keypoints(
    frames: Frames,
    crops: Sequence[Crop],
    detector: BlazePose,
    margin: float,
    progress: Callable[[int], None] = lambda done: None,
) -> Samples:
    """Detect the joints of tracked people, and return their crops as a crop set.

    The detector looks at the frame, which shows more of the person than a small crop.

    Args:
        frames: the recording.
        crops: crops of it.
        detector: landmark network.
        margin: space on each side of the person that the crops were cut with.
        progress: called with the number of crops done since the last call.

    Raises:
        UserError: there are no crops.
    """
    samples = samples_of_crops(crops)
    keypoints = np.zeros((len(crops), len(SMPL), 3), np.float32)
    # By frame: reading a video once in ascending order avoids decoding it again.
    for index in sorted(range(len(crops)), key=lambda index: crops[index].frame):
        crop = crops[index]
        x, y, side, _ = crop.box
        inner = side / (1 + 2 * margin)  # longer side of the person's box, which lies in the middle
        region = Region.around((x + (side - inner) / 2, y + (side - inner) / 2, inner, inner))
        (joints,) = joints_of(detector, frames.frame(crop.frame), region)
        found = joints[:, 2] > 0
        joints[found, :2] = (joints[found, :2] - np.array([x, y], np.float32)) * samples.size / side
        keypoints[index] = joints
        progress(1)
    return replace(samples, keypoints=keypoints, joint_set=SMPL.name)
