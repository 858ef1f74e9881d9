"""Read 2D keypoints written by OpenPose, and map them to the body's joints.

The joints of a detector lie near SMPL's joints, not on them. Shoulders, elbows, wrists, knees and ankles agree within a
few centimetres. OpenPose's neck is the midpoint of the shoulders, slightly below SMPL's neck, and its hips lie above
and outside of SMPL's hips. Its mid-hip, face and foot keypoints have no counterpart among SMPL's 24 joints and are not
used.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import numpy.typing as npt

from adaptation.bodies.joint_sets import OPENPOSE_LAYOUTS, SMPL
from adaptation.support.errors import UserError

Floats = npt.NDArray[np.float32]


def read_openpose(folder: Path) -> Floats:
    """Read a folder of OpenPose JSON files, one per image, in the order of their names.

    If a file holds several people, the one with the largest sum of confidences is used. If it holds none, all
    confidences of the image are 0.

    Args:
        folder: folder of JSON files with ``people[].pose_keypoints_2d``: x, y and confidence of each keypoint, in the
            layout BODY_25 or COCO-18.

    Returns:
        (N, 25 or 18, 3): x and y in pixels, and confidence. Pixel centres lie at +0.5, whereas OpenPose's lie at
        integers. All three are 0 for a keypoint that was not found.

    Raises:
        UserError: the folder has no JSON file, no file contains a person, or a file is unreadable or has another
            layout.
    """
    paths = sorted(folder.glob("*.json"))
    if not paths:
        raise UserError(f"{folder}: there are no JSON files of keypoints in this folder")
    people = [_read_person(path) for path in paths]
    # An image without people does not show its layout; the others do.
    counts = {len(person) for person in people if person is not None}
    if not counts:
        raise UserError(f"{folder}: none of the {len(paths)} JSON files contains a person")
    if len(counts) > 1:
        raise UserError(f"{folder}: the files mix layouts of {' and '.join(map(str, sorted(counts)))} keypoints")
    keypoints = np.zeros((len(paths), counts.pop(), 3), np.float32)
    for number, person in enumerate(people):
        if person is not None:
            keypoints[number] = person
    return keypoints


def _read_person(path: Path) -> Floats | None:
    """Return the keypoints (25 or 18, 3) of the most confident person in a file, or None if it has no person."""
    try:
        people = json.loads(path.read_bytes())["people"]
        found = [np.array(person["pose_keypoints_2d"], np.float32) for person in people]
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise UserError(f"{path} is not readable JSON: {error}") from None
    except (KeyError, TypeError, ValueError, OverflowError):
        raise UserError(f"{path} is not in OpenPose's layout: expected numbers in people[].pose_keypoints_2d") from None
    for numbers in found:
        if numbers.shape not in {(3 * count,) for count in OPENPOSE_LAYOUTS}:
            raise UserError(
                f"{path}: pose_keypoints_2d must have 75 numbers (BODY_25) or 54 (COCO-18), got shape {numbers.shape}"
            )
        if not np.isfinite(numbers).all() or (numbers[2::3] < 0).any():
            raise UserError(f"{path}: coordinates and confidences must be finite, and confidences not negative")
    if not found:
        return None
    person = max((numbers.reshape(-1, 3) for numbers in found), key=lambda keypoints: float(keypoints[:, 2].sum()))
    person[:, :2] += 0.5  # from pixel centres at integers
    # OpenPose writes 0, 0, 0 for what it did not find; the shift above must not turn that into a position.
    return np.where(person[:, 2:] > 0, person, 0).astype(np.float32)


def to_body_joints(keypoints: Floats, least_confidence: float = 0.3) -> Floats:
    """Map OpenPose keypoints to SMPL's joints.

    Args:
        keypoints: (N, 25 or 18, 3) x, y in pixels, and confidence.
        least_confidence: confidence below which a keypoint counts as not found.

    Returns:
        (N, J, 3) x, y and confidence in the order of SMPL's joints, 0 for joints that were not found.
    """
    joints = np.zeros((len(keypoints), len(SMPL), 3), np.float32)
    for name, place in OPENPOSE_LAYOUTS[keypoints.shape[1]].items():
        # By name, because OpenPose orders joints differently from SMPL.
        joints[:, SMPL.joints.index(name)] = keypoints[:, place]
    joints[joints[..., 2] < least_confidence] = 0
    return joints
