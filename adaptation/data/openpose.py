"""Reading OpenPose's 2D keypoints, and mapping them to SMPL's joints.

A detector's joint lies near SMPL's joint of the same name, not on it. Shoulders, elbows, wrists, knees and ankles agree
within a few centimetres. OpenPose's neck is the midpoint between the shoulders, a little below SMPL's, and its hips lie
above and outside SMPL's. Its mid-hip, face and foot keypoints have no counterpart among SMPL's joints and are not used.
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
    """Read the keypoints in a folder of OpenPose's JSON files, one per image, in the order of their names.

    Args:
        folder: folder of files with ``people[].pose_keypoints_2d``: x, y and confidence in the layout BODY_25 or
            COCO-18. Of several people, the one with the highest total confidence is used; without people, all
            confidences are 0.

    Returns:
        (N, 25 or 18, 3) x and y in pixels with pixel centres at +0.5 (OpenPose has them at whole numbers), and
        confidence. All three are 0 where a joint was not found.

    Raises:
        UserError: the folder or its files are missing, no file has a person, or a file has another layout.
    """
    paths = sorted(folder.glob("*.json"))
    if not paths:
        raise UserError(f"{folder}: there are no JSON files of keypoints here")
    people = [_read_person(path) for path in paths]
    counts = {len(person) for person in people if person is not None}
    if not counts:
        raise UserError(f"{folder}: nobody was found in any of {len(paths)} files")
    if len(counts) > 1:
        raise UserError(f"{folder}: the files mix layouts of {' and '.join(map(str, sorted(counts)))} keypoints")
    keypoints = np.zeros((len(paths), counts.pop(), 3), np.float32)
    for number, person in enumerate(people):
        if person is not None:
            keypoints[number] = person
    return keypoints


def _read_person(path: Path) -> Floats | None:
    """Keypoints (25 or 18, 3) of the person with the highest total confidence in a file; None without a person."""
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
    person[:, :2] += 0.5  # OpenPose has pixel centres at whole numbers
    return np.where(person[:, 2:] > 0, person, 0).astype(np.float32)


def to_body_joints(keypoints: Floats, least_confidence: float = 0.3) -> Floats:
    """Map OpenPose's keypoints to SMPL's joints.

    Args:
        keypoints: (N, 25 or 18, 3) x and y in pixels, and confidence.
        least_confidence: keypoints with a lower confidence count as not found.

    Returns:
        (N, J, 3) x, y and confidence in the order of SMPL's joints; 0 for joints that were not found.
    """
    joints = np.zeros((len(keypoints), len(SMPL), 3), np.float32)
    for name, place in OPENPOSE_LAYOUTS[keypoints.shape[1]].items():
        joints[:, SMPL.joints.index(name)] = keypoints[:, place]
    joints[joints[..., 2] < least_confidence] = 0
    return joints
