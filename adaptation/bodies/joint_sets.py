"""Named sets of joints and keypoints, in the order in which arrays hold them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

# In OpenPose's order, so that its layouts below are ranges of indices.
_ARMS = ("right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow", "left_wrist")
_LEGS = ("right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle")


@dataclass(frozen=True)
class JointSet:
    """Joints in a fixed order.

    Attributes:
        name: name of the set in files.
        joints: one name per joint; "left_" and "right_" mark the sides.
    """

    name: str
    joints: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.joints)

    @property
    def flip(self) -> tuple[int, ...]:
        """Index of each joint's counterpart on the other side of the body; joints in the middle map to themselves."""
        other = {"left_": "right_", "right_": "left_"}
        partner = {side + rest: swapped + rest for side, swapped in other.items() for rest in self._unsided()}
        # By name: a joint without a counterpart, such as the neck, maps to itself.
        return tuple(self.joints.index(partner.get(name, name)) for name in self.joints)

    def indices_in(self, larger: JointSet) -> tuple[int, ...]:
        """Return the index of each of these joints in another set.

        Raises:
            ValueError: the other set lacks one of them.
        """
        return tuple(larger.joints.index(name) for name in self.joints)

    def placed_in(self, larger: JointSet, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return an array of these joints in the order of another set.

        Args:
            larger: the other set; joints that it lacks are left out.
            array: (N, P, C), one row per joint of this set; the last column is a confidence.

        Returns:
            (N, Q, C), 0 for joints that this set lacks.
        """
        result = np.zeros((len(array), len(larger), array.shape[2]), array.dtype)
        for place, name in enumerate(self.joints):
            if name in larger.joints:
                result[:, larger.joints.index(name)] = array[:, place]
        return result

    def _unsided(self) -> set[str]:
        return {name.partition("_")[2] for name in self.joints if name.startswith(("left_", "right_"))}


SMPL = JointSet(
    "smpl",
    (
        "pelvis", "left_hip", "right_hip", "spine1", "left_knee", "right_knee", "spine2", "left_ankle",
        "right_ankle", "spine3", "left_foot", "right_foot", "neck", "left_collar", "right_collar",
        "head", "left_shoulder", "right_shoulder", "left_elbow", "right_elbow", "left_wrist",
        "right_wrist", "left_hand", "right_hand",
    ),
)  # fmt: skip
"""SMPL's 24 joints."""

LSP = JointSet(
    "lsp",
    (
        "right_ankle", "right_knee", "right_hip", "left_hip", "left_knee", "left_ankle", "right_wrist",
        "right_elbow", "right_shoulder", "left_shoulder", "left_elbow", "left_wrist", "neck", "head",
    ),
)  # fmt: skip
"""The 14 joints of the Leeds Sports Pose data set, except that "head" is SMPL's head joint, not the top of the head."""

LSP_JOINTS: tuple[int, ...] = LSP.indices_in(SMPL)
"""Indices of the 14 joints among SMPL's 24, in LSP's order."""

OPENPOSE = JointSet("openpose", ("neck", *_ARMS, *_LEGS))
"""The 13 keypoints of OpenPose that are close to SMPL's joints."""

OPENPOSE_JOINTS: tuple[int, ...] = OPENPOSE.indices_in(SMPL)
"""Indices of those 13 keypoints among SMPL's 24 joints."""

OPENPOSE_LAYOUTS: dict[int, dict[str, int]] = {
    # BODY_25 has a mid-hip keypoint (index 8) between arms and legs, which COCO-18 lacks.
    25: dict(zip(OPENPOSE.joints, (1, *range(2, 8), *range(9, 15)), strict=True)),
    18: dict(zip(OPENPOSE.joints, (1, *range(2, 8), *range(8, 14)), strict=True)),
}
"""Index of each of the 13 keypoints in OpenPose's arrays, by the number of keypoints of the layout."""

SPIN = JointSet(
    "spin",
    (
        "right_ankle", "right_knee", "right_hip", "left_hip", "left_knee", "left_ankle", "right_wrist",
        "right_elbow", "right_shoulder", "left_shoulder", "left_elbow", "left_wrist", "neck", "head_top",
        "pelvis", "thorax", "spine", "jaw", "head", "nose", "left_eye", "right_eye", "left_ear", "right_ear",
    ),
)  # fmt: skip
"""The 24 joints of SPIN's data files, a superset of those that data sets annotate (SPIN, constants.py).

"head_top" is LSP's and MPII's top of the head; "pelvis", "spine", "jaw" and "head" are Human3.6M's, whose "head" is
the top of the head, too.
"""

H36M = JointSet(
    "h36m",
    (
        "pelvis", "left_hip", "left_knee", "left_ankle", "right_hip", "right_knee", "right_ankle", "spine",
        "neck", "jaw", "head", "left_shoulder", "left_elbow", "left_wrist", "right_shoulder", "right_elbow",
        "right_wrist",
    ),
)  # fmt: skip
"""Human3.6M's 17 joints, in the order of the rows of SPIN's ``J_regressor_h36m.npy``."""

JOINT_SETS: dict[str, JointSet] = {each.name: each for each in (SMPL, LSP, OPENPOSE, SPIN, H36M)}
"""All joint sets, by the name that files refer to them by."""
