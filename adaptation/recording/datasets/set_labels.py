"""Labels of data sets that need body models: joints regressed from meshes, and cameras."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from adaptation.bodies.body import Body
from adaptation.bodies.camera import fit_camera_to_keypoints, frame_to_crop
from adaptation.bodies.joint_sets import H36M, OPENPOSE, SMPL, SPIN
from adaptation.data.sets.people import FEMALE, MALE, NEUTRAL, Floats, Integers, People, with_confidence
from adaptation.support.errors import UserError

UNKNOWN_SMPL = "smpl"
"""Name of the body model of labels whose SMPL file was not given, or that belong to several."""
_BATCH = 64


@dataclass(frozen=True)
class Models:
    """Body models of a data set's shape coefficients, and a regressor of Human3.6M's 17 joints from their vertices."""

    neutral: Body | None = None
    male: Body | None = None
    female: Body | None = None
    regressor: Tensor | None = None

    def of(self, gender: str) -> Body | None:
        """Return the model of a gender."""
        return {NEUTRAL: self.neutral, MALE: self.male, FEMALE: self.female}[gender]

    def name(self, people: People) -> str:
        """Return the name of the one body model that all labels belong to, or `UNKNOWN_SMPL`."""
        genders = set(people.gender or (NEUTRAL,))
        model = self.of(next(iter(genders))) if len(genders) == 1 else None
        return UNKNOWN_SMPL if model is None else model.name


def with_regressed_joints(people: People, models: Models) -> People:
    """Return people whose 3D joints are those that the regressor finds in their posed meshes, in SPIN's order.

    Raises:
        UserError: the set has no poses, or a body model is not given.
    """
    if models.regressor is None:
        return people
    if people.pose is None:
        raise UserError("--regressor is for sets with poses of SMPL, which this one lacks; leave it out")
    joints = np.zeros((len(people), len(SPIN), 4), np.float32)
    for part, model in _by_model(people, models):
        if model is None:
            assert people.gender is not None
            options = {NEUTRAL: "--body", MALE: "--male", FEMALE: "--female"}
            raise UserError(
                f"--regressor needs the {people.gender[part[0]]} body model: {options[people.gender[part[0]]]}"
            )
        vertices = model(*_labels(people, part)).vertices
        joints[part] = H36M.placed_in(SPIN, with_confidence((models.regressor @ vertices).numpy()))
    return replace(people, joints3d=joints, joints3d_set=SPIN)


def cameras_of(people: People, models: Models, box: Floats, size: int) -> tuple[Floats, np.ndarray] | None:
    """Return the weak-perspective cameras of crops, fitted to keypoints.

    Args:
        people: N people with poses and keypoints.
        models: body models; people without one have no camera.
        box: (N, 4) boxes of the crops.
        size: side of the crops in pixels.

    Returns:
        (N, 3) cameras and which are known, (N,) bool; None if nobody has a camera.
    """
    if people.pose is None or people.keypoints is None:
        return None
    cameras, known = np.zeros((len(people), 3), np.float32), np.zeros(len(people), bool)
    # Annotated limbs and neck are close to SMPL's joints; its other joints have no keypoints.
    close = torch.from_numpy(people.joint_set.placed_in(OPENPOSE, people.keypoints))
    places = list(OPENPOSE.indices_in(SMPL))
    for part, model in _by_model(people, models):
        if model is None:
            continue
        keypoints = close[part].clone()
        keypoints[..., :2] = frame_to_crop(keypoints[..., :2], torch.from_numpy(box[part]), size)
        camera, determined = fit_camera_to_keypoints(model.joints(*_labels(people, part))[:, places], keypoints, size)
        cameras[part], known[part] = camera.parameters.numpy(), determined.numpy()
    return (cameras, known) if known.any() else None


def _by_model(people: People, models: Models) -> Iterator[tuple[Integers, Body | None]]:
    """Yield the people with a pose, a batch at a time, with their body model."""
    genders = np.array(people.gender or (NEUTRAL,) * len(people))
    posed = np.ones(len(people), bool) if people.has_pose is None else people.has_pose
    for gender in (NEUTRAL, MALE, FEMALE):
        chosen = np.flatnonzero(posed & (genders == gender))
        for first in range(0, len(chosen), _BATCH):
            yield chosen[first : first + _BATCH], models.of(gender)


def _labels(people: People, part: Integers) -> tuple[Tensor, Tensor]:
    assert people.pose is not None and people.betas is not None
    return torch.from_numpy(people.pose[part]), torch.from_numpy(people.betas[part])
