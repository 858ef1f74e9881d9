"""BlazePose's landmarks as keypoints of the body.

Shoulders, elbows, wrists, hips, knees and ankles have counterparts among SMPL's joints, and the neck is put between the
shoulders, slightly below SMPL's. The landmarks lie near the joints, not on them; BlazePose's hips are closest to the
joints that people point at, above SMPL's. Pelvis, spine, collars, head, hands and feet have no counterpart.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from adaptation.bodies.joint_sets import OPENPOSE, SMPL
from adaptation.detectors.blazepose import LANDMARKS, BlazePose
from adaptation.detectors.regions import Region
from adaptation.support.image_files import Image

Floats = npt.NDArray[np.float32]
_SHOULDERS = [LANDMARKS.index("left_shoulder"), LANDMARKS.index("right_shoulder")]


def to_body_joints(keypoints: Floats, least_confidence: float = 0.3) -> Floats:
    """Map BlazePose's landmarks to SMPL's joints.

    Args:
        keypoints: (N, 33, 3) x, y in pixels, and confidence.
        least_confidence: confidence below which a landmark counts as not found.

    Returns:
        (N, 24, 3) x, y and confidence in the order of SMPL's joints, 0 for joints that were not found.
    """
    joints = np.zeros((len(keypoints), len(SMPL), 3), np.float32)
    for name in OPENPOSE.joints:
        if name != "neck":
            joints[:, SMPL.joints.index(name)] = keypoints[:, LANDMARKS.index(name)]
    shoulders = keypoints[:, _SHOULDERS]
    neck = joints[:, SMPL.joints.index("neck")]
    # As sure as the less sure of both shoulders.
    neck[:, :2], neck[:, 2] = shoulders[..., :2].mean(1), shoulders[..., 2].min(1)
    joints[joints[..., 2] < least_confidence] = 0
    return joints


def keypoints_of_crops(detector: BlazePose, images: npt.NDArray[np.uint8], masks: npt.NDArray[np.uint8]) -> Floats:
    """Detect the joints of the people in crops.

    Args:
        detector: landmark network.
        images: (N, S, S, 3) RGB, one person each.
        masks: (N, S, S), not 0 on the person; the network looks at the mask's surroundings, or at the whole crop
            where the mask is empty.

    Returns:
        (N, 24, 3) x, y in crop pixels and confidence, in the order of SMPL's joints, 0 where nothing was found.
    """
    return np.concatenate(
        [joints_of(detector, np.asarray(i), region_of(m)) for i, m in zip(images, masks, strict=True)]
    )


def joints_of(detector: BlazePose, image: Image, region: Region) -> Floats:
    """Detect the joints of a person in a region of an image (H, W, 3), RGB uint8.

    Returns:
        (1, 24, 3) as `to_body_joints`, in image pixels.
    """
    return to_body_joints(detector.detect([image], [region]).keypoints2d)


def region_of(mask: npt.NDArray[np.uint8]) -> Region:
    """Return the surroundings of what is not 0 in a mask (H, W); without anything, the whole image."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not len(rows):
        height, width = mask.shape
        return Region(width / 2, height / 2, max(height, width))
    left, top = int(columns[0]), int(rows[0])
    return Region.around((left, top, int(columns[-1]) + 1 - left, int(rows[-1]) + 1 - top))
