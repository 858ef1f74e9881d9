"""Choosing one body per frame of a track: the sequence often resolves what a single silhouette leaves open.

Under weak perspective, a silhouette does not change when the body is reflected in depth: left becomes right and front
becomes back. Each fit therefore represents two bodies. Three cues decide between them: the reflection of an upright
person seen from above is seen from below, but cameras look down; people mostly walk in the direction they face; and
they move smoothly. Dynamic programming (Viterbi) finds the cheapest path through the candidates of a track.
"""

from __future__ import annotations

import numpy as np
import roma
import torch
from numpy.typing import NDArray
from torch import Tensor

from adaptation.bodies.body import mirror_pose
from adaptation.recording.options import TemporalSettings

Array = NDArray[np.float64]


def reflect_in_depth(pose: Tensor) -> Tensor:
    """Return the pose whose body is the depth reflection of a pose's body, for left-right symmetric bodies.

    A reflection of z is a reflection of x, which exchanges left and right, followed by half a turn about y.

    Args:
        pose: (B, J, 3) axis-angle, radians.

    Returns:
        (B, J, 3) axis-angle; both poses have the same silhouette under weak perspective.
    """
    mirrored = mirror_pose(pose)
    half_turn = roma.rotvec_to_rotmat(mirrored.new_tensor([0.0, torch.pi, 0.0]))
    orientation = roma.rotmat_to_rotvec(half_turn @ roma.rotvec_to_rotmat(mirrored[:, 0]))
    return torch.cat([orientation[:, None], mirrored[:, 1:]], dim=1)


def choose(
    frames: NDArray[np.int64],
    costs: Array,
    joints: Array,
    facing: Array,
    velocity: Array,
    settings: TemporalSettings | None = None,
) -> NDArray[np.int64]:
    """Find the cheapest sequence of C candidates per frame.

    Args:
        frames: (N,) frame numbers, ascending.
        costs: (N, C) cost of each candidate by itself.
        joints: (N, C, J, 3) root-centred joints in camera axes, metres.
        facing: (N, C, 2) unit directions that the bodies face, x right and z forward.
        velocity: (N, 2) velocity of the person in the image, x right and y down, body heights per frame.
        settings: costs of a sequence.

    Returns:
        (N,) index of the candidate of each frame.
    """
    settings = settings or TemporalSettings()
    count, options = costs.shape
    node = costs + _heading_cost(facing, velocity, settings)
    best = node[0]  # cost of the cheapest path to each candidate so far
    came_from = np.zeros((count, options), dtype=np.int64)
    for i in range(1, count):
        # Motion counts less the more frames are missing in between.
        weight = settings.motion * max(0.0, 1 - (frames[i] - frames[i - 1] - 1) / settings.gap)
        moved = np.linalg.norm(joints[i - 1][:, None] - joints[i][None], axis=-1).mean(-1)  # (C, C)
        through = best[:, None] + weight * moved
        came_from[i] = through.argmin(0)
        best = through.min(0) + node[i]
    # Follow the cheapest path back from its end.
    chosen = np.empty(count, dtype=np.int64)
    chosen[-1] = best.argmin()
    for i in range(count - 1, 0, -1):
        chosen[i - 1] = came_from[i, chosen[i]]
    return chosen


def seen_pitch(orientation: Tensor) -> Tensor:
    """Return the pitch (...) in radians at which upright bodies with global orientations (..., 3) are seen.

    It is positive if the camera looks down and negative if it looks up; a depth reflection changes the sign.
    """
    up = roma.rotvec_to_rotmat(orientation)[..., :, 1]
    return torch.atan2(-up[..., 2], -up[..., 1])


def _heading_cost(facing: Array, velocity: Array, settings: TemporalSettings) -> Array:
    # Direction of travel on the ground, x right and z forward, from the motion in the image.
    travel = np.stack([velocity[:, 0], -settings.ground_slope * velocity[:, 1]], axis=1)
    # A standing person may face any direction, so the cost grows with the speed.
    speed = np.linalg.norm(travel, axis=1)
    direction = travel / np.maximum(speed, 1e-9)[:, None]
    against = (1 - (facing * direction[:, None]).sum(-1)) / 2  # (N, C) in [0, 1]
    return settings.heading * np.minimum(1.0, speed / settings.full_speed)[:, None] * against
