"""The 12 limb joints that results are compared in, and what is computed from them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from adaptation.bodies.joint_sets import SMPL
from adaptation.detectors.blazepose import LANDMARKS

Floats = npt.NDArray[np.float64]

JOINTS = tuple(
    f"{side}_{joint}" for joint in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle") for side in ("left", "right")
)
"""Names of the joints; left and right alternate."""

OF_SMPL = [SMPL.joints.index(name) for name in JOINTS]
OF_BLAZEPOSE = [LANDMARKS.index(name) for name in JOINTS]
EXCHANGED = [index ^ 1 for index in range(len(JOINTS))]
"""Indices that exchange left and right."""

SHOULDERS, HIPS = slice(0, 2), slice(6, 8)
BONES = tuple((index, index + 2) for index in (0, 1, 2, 3, 6, 7, 8, 9))
"""Upper arms, forearms, thighs and shins, as pairs of joints."""


def facing(joints: Floats, *, by_hips: bool = False) -> Floats:
    """Return where the trunks of bodies (..., 12, 3) face, (..., 3), of any length.

    Axes must be right-handed, such as x right, y down, z forward. Shoulders and hips decide together, since either
    alone turns by much while somebody walks; or the hips alone.
    """
    up = joints[..., SHOULDERS, :].mean(-2) - joints[..., HIPS, :].mean(-2)
    left, right = (joints[..., side + 6, :] + (0 if by_hips else joints[..., side, :]) for side in (0, 1))
    return np.asarray(np.cross(left - right, up))
