"""2D keypoints of people in crops, as a detector finds them: read, mapped to the body's joints, and compared.

What a detector calls a joint lies near SMPL's joint, not on it. Shoulders, elbows, wrists, knees and ankles agree
within a few centimetres. OpenPose's neck is the middle between the shoulders, a little below SMPL's, and its hips lie
above and outside of SMPL's. Its middle of the hips, face and feet have no joint among SMPL's 24, and are not used.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from adaptation.bodies.body import JOINT_NAMES, Body
from adaptation.bodies.camera import project
from adaptation.data.samples import Domain
from adaptation.losses.supervision import truth_of
from adaptation.regressors.hmr import Prediction
from adaptation.support.errors import UserError

Floats = npt.NDArray[np.float32]

# Where OpenPose's layouts have the joints that SMPL has too, by the number of keypoints of a layout.
_LIMBS = ("right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow", "left_wrist")
_LEGS = ("right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle")
_LAYOUTS: dict[int, dict[str, int]] = {
    25: {"neck": 1, **dict(zip(_LIMBS, range(2, 8), strict=True)), **dict(zip(_LEGS, range(9, 15), strict=True))},
    18: {"neck": 1, **dict(zip(_LIMBS, range(2, 8), strict=True)), **dict(zip(_LEGS, range(8, 14), strict=True))},
}
KEYPOINT_JOINTS: tuple[int, ...] = tuple(JOINT_NAMES.index(name) for name in _LAYOUTS[25])
"""The 13 of SMPL's joints that OpenPose finds."""


def read_openpose(folder: Path) -> Floats:
    """Keypoints of a folder of JSON files as OpenPose writes them, one per image, in the order of their names.

    Args:
        folder: of files with ``people[].pose_keypoints_2d``, x, y, confidence of the layout BODY_25 or COCO-18. Of
            several people the one found most surely counts; where nobody was found, all confidences are 0.

    Returns:
        (N, 25 or 18, 3): x and y in pixels whose centres lie at +0.5, which OpenPose has at whole numbers, and
        confidence. All are 0 where a joint was not found.

    Raises:
        UserError: no such folder, no file in it, nobody in any of them, or a file that is not of this layout.
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
    """Keypoints (J, 3) of the person found most surely in an image, or None where nobody was."""
    try:
        people = json.loads(path.read_bytes())["people"]
        found = [np.array(person["pose_keypoints_2d"], np.float32) for person in people]
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise UserError(f"{path} is not readable JSON: {error}") from None
    except (KeyError, TypeError, ValueError, OverflowError):
        raise UserError(f"{path} is not in OpenPose's layout: wanted people[].pose_keypoints_2d, numbers") from None
    for numbers in found:
        if numbers.shape not in {(3 * count,) for count in _LAYOUTS}:
            raise UserError(
                f"{path}: pose_keypoints_2d must have 75 numbers (BODY_25) or 54 (COCO-18), got shape {numbers.shape}"
            )
        if not np.isfinite(numbers).all() or (numbers[2::3] < 0).any():
            raise UserError(f"{path}: coordinates and confidences must be finite, and confidences not negative")
    if not found:
        return None
    person = max((numbers.reshape(-1, 3) for numbers in found), key=lambda keypoints: float(keypoints[:, 2].sum()))
    person[:, :2] += 0.5
    return np.where(person[:, 2:] > 0, person, 0).astype(np.float32)


def to_body_joints(keypoints: Floats, least_confidence: float = 0.3) -> Floats:
    """OpenPose's keypoints at SMPL's joints.

    Args:
        keypoints: (N, 25 or 18, 3) x, y, confidence.
        least_confidence: what is less sure counts as not found.

    Returns:
        (N, 24, 3), 0 for joints that were not found.
    """
    joints = np.zeros((len(keypoints), len(JOINT_NAMES), 3), np.float32)
    for name, place in _LAYOUTS[keypoints.shape[1]].items():
        joints[:, JOINT_NAMES.index(name)] = keypoints[:, place]
    joints[joints[..., 2] < least_confidence] = 0
    return joints


def simulated_keypoints(
    domain: Domain, noise_pixels: float, missing: float, generator: torch.Generator, body: Body | None = None
) -> Floats:
    """Keypoints made from a set's labels: a stand-in for a detector, where none is at hand.

    The body's own joints, at the 13 places that OpenPose finds, are moved by Gaussian noise and dropped at random. It
    is kinder than a real detector, whose errors grow with the shift of the domain, swap left and right, and come
    together: results with it are better than a detector's would be.

    Args:
        domain: with labels.
        noise_pixels: standard deviation in x and in y.
        missing: share of the joints that are not found.
        generator: of noise and gaps.
        body: the labels are of; the free body where None.

    Returns:
        (N, 24, 3) x and y in crop pixels, and confidence 0 or 1.

    Raises:
        UserError: the set has no labels.
    """
    truth = truth_of(domain)
    joints = (body or Body.free()).joints(truth.rotations, truth.betas)
    places = project(joints, truth.camera, domain.size)
    places = places + noise_pixels * torch.randn(places.shape, generator=generator)
    found = torch.rand(places.shape[:2], generator=generator) >= missing
    known = torch.zeros(len(JOINT_NAMES), dtype=torch.bool)
    known[list(KEYPOINT_JOINTS)] = True
    keypoints = torch.cat([places, torch.ones_like(places[..., :1])], dim=2) * (found & known)[..., None]
    return keypoints.numpy().astype(np.float32)


def keypoints_of(domain: Domain) -> Tensor:
    """The keypoints of a set, (N, 24, 3).

    Raises:
        UserError: it has none, or none that is sure of anything.
    """
    if domain.keypoints is None or not (domain.keypoints[..., 2] > 0).any():
        raise UserError("the target has no 2D keypoints, which this loss needs; `topo-adapt keypoints` adds them")
    return torch.from_numpy(domain.keypoints)


def keypoint_loss(prediction: Prediction, keypoints: Tensor, body: Body, size: int) -> Tensor:
    """SPIN's: squared distances of projected joints in a crop of [-1, 1]^2, weighted by confidence.

    Args:
        prediction: of B crops.
        keypoints: (B, 24, 3) x, y in crop pixels, and confidence.
        body: that is predicted.
        size: side of the crops in pixels.

    Returns:
        (B,), means over the 24 joints and two coordinates; what was not found counts as 0.
    """
    joints = project(body.joints(prediction.rotations, prediction.betas), prediction.camera, size)
    away = (joints - keypoints[..., :2]) * (2 / size)
    return (keypoints[..., 2:] * away.square()).mean((1, 2))
