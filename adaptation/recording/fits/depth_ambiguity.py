"""Resolve the depth ambiguity of silhouettes over a track.

Under weak perspective a silhouette does not change when the body is reflected in depth: left becomes right and front
becomes back. Each fit therefore has two candidates, the body and its reflection. Three cues choose between them. The
reflection of an upright person seen from above is a person seen from below, but cameras usually look down. People
mostly walk in the direction they face. They move smoothly. Dynamic programming (Viterbi) finds the cheapest path
through the candidates of a track.
"""

from __future__ import annotations

import numpy as np
import roma
import torch
from numpy.typing import NDArray
from torch import Tensor

from adaptation.fitting.tracks.paths import cheapest_path, movement
from adaptation.recording.options import TemporalSettings

Array = NDArray[np.float64]


def choose(
    frames: NDArray[np.int64],
    costs: Array,
    joints: Array,
    facing: Array,
    velocity: Array,
    settings: TemporalSettings | None = None,
) -> NDArray[np.int64]:
    """Find the cheapest sequence of candidates.

    Args:
        frames: (N,) frame numbers, ascending.
        costs: (N, K) cost of each candidate by itself.
        joints: (N, K, J, 3) root-centred joints of each candidate in camera axes, metres.
        facing: (N, K, 2) unit direction that each candidate faces, x right and z forward.
        velocity: (N, 2) velocity of the person in the image, x right and y down, body heights per frame.
        settings: weights of the costs.

    Returns:
        (N,) index of the chosen candidate of each frame.
    """
    settings = settings or TemporalSettings()
    node = costs + _heading_cost(facing, velocity, settings)
    # The cost of motion fades with the distance in frames: after a gap the pose may be any.
    weight = settings.motion * np.maximum(0.0, 1 - (np.diff(frames) - 1) / settings.gap)
    return cheapest_path(node, weight[:, None, None] * movement(joints))


def seen_pitch(orientation: Tensor) -> Tensor:
    """Return the pitch at which a camera sees upright bodies.

    Args:
        orientation: (..., 3) axis-angle global orientations in camera axes.

    Returns:
        (...) radians, positive where the camera looks down and negative where it looks up. A depth reflection flips
        the sign.
    """
    # The second column of a rotation is where it takes y, the body's up direction; camera y points down.
    up = roma.rotvec_to_rotmat(orientation)[..., :, 1]
    # Two arguments, so that a body that lies or stands on its head has an angle as well.
    return torch.atan2(-up[..., 2], -up[..., 1])


def _heading_cost(facing: Array, velocity: Array, settings: TemporalSettings) -> Array:
    """Return the cost (N, K) of facing against the direction of travel on the ground."""
    # In the ground plane, like `facing`: x right and z forward, which is up in the image.
    travel = np.stack([velocity[:, 0], -settings.ground_slope * velocity[:, 1]], axis=1)
    speed = np.linalg.norm(travel, axis=1)
    # A person who stands has no direction; the speed below weighs it with 0.
    direction = travel / np.maximum(speed, 1e-9)[:, None]
    against = (1 - (facing * direction[:, None]).sum(-1)) / 2  # (N, K) in [0, 1]
    return settings.heading * np.minimum(1.0, speed / settings.full_speed)[:, None] * against
