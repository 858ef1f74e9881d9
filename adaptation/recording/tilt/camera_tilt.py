"""Pitch and roll of a camera, as the direction of gravity in the camera's axes.

Camera axes are x right, y down and z forward, along the optical axis. With pitch p and roll r, gravity points to

    down = (-sin r cos p, cos r cos p, sin p)

A camera that is level has down = (0, 1, 0). Pitch is positive where the camera looks down, and roll is positive where
upright people lean clockwise in the image. Both are the angles of `adaptation.bodies.poses.facing`: a body that stands
upright in the world has the orientation ``facing(yaw, pitch, roll)``. Where the camera looks on the compass (its
azimuth) is free, so the body's yaw is relative to the camera.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Source = Literal["given", "calibration", "vertical structures", "people", "structures and people", "unknown"]
SOURCES: tuple[Source, ...] = get_args(Source)


@dataclass(frozen=True)
class CameraTilt:
    """Pitch and roll of a camera along its optical axis, and how far they can be trusted.

    Attributes:
        down: unit vector of gravity in camera axes (x right, y down, z forward).
        pitch_deviation: standard deviation of the pitch, radians; 0 if it is given, infinite if it is unknown.
        roll_deviation: standard deviation of the roll, radians, likewise.
        source: where the tilt comes from; "unknown" has a level camera and infinite deviations.
        focal: focal length in frame pixels, given or assumed; None if there is none.
        centre: principal point in frame pixels, where pixel centres lie at +0.5.
    """

    down: tuple[float, float, float] = (0.0, 1.0, 0.0)
    pitch_deviation: float = math.inf
    roll_deviation: float = math.inf
    source: Source = "unknown"
    focal: float | None = None
    centre: tuple[float, float] = (0.0, 0.0)

    @property
    def pitch(self) -> float:
        """Angle by which the camera looks down, radians, from -pi / 2 to pi / 2."""
        return float(pitch_of(np.array(self.down)))

    @property
    def roll(self) -> float:
        """Clockwise lean of upright people at the frame's centre, radians, from -pi to pi."""
        return float(roll_of(np.array(self.down)))

    @property
    def deviation(self) -> float:
        """The larger one of the two standard deviations, radians."""
        return max(self.pitch_deviation, self.roll_deviation)

    @property
    def known(self) -> bool:
        """Whether pitch and roll are given or could be estimated."""
        return self.source != "unknown"

    def at(self, points: npt.ArrayLike) -> Floats:
        """Return gravity in the axes of the rays through points of the frame.

        A crop under weak perspective is seen along the ray through its centre, not along the optical axis: a person
        low in the frame is seen more steeply. The axes of a ray are the camera's axes after the smallest rotation that
        takes the optical axis to the ray.

        Args:
            points: (N, 2) or (2,) frame pixels, such as the centres of crops.

        Returns:
            (N, 3) or (3,) unit vectors; `pitch_of` and `roll_of` give their angles. Without a focal length the rays
            are unknown, and all points have the gravity of the optical axis.
        """
        offset = np.asarray(points, np.float64) - self.centre
        down = np.broadcast_to(np.array(self.down), (*offset.shape[:-1], 3))
        if self.focal is None:
            return np.array(down)
        ray = np.concatenate([offset / self.focal, np.ones((*offset.shape[:-1], 1))], axis=-1)
        ray /= np.linalg.norm(ray, axis=-1, keepdims=True)
        # Rodrigues' rotation from z to the ray, transposed: gravity turns against the camera.
        axis = np.stack([ray[..., 1], -ray[..., 0], np.zeros_like(ray[..., 0])], axis=-1)
        once = np.cross(axis, down)
        turned: Floats = down + once + np.cross(axis, once) / (1 + ray[..., 2:])
        return turned


def down_of(pitch: float, roll: float) -> tuple[float, float, float]:
    """Return the unit vector of gravity in camera axes, from pitch and roll in radians."""
    return (-math.sin(roll) * math.cos(pitch), math.cos(roll) * math.cos(pitch), math.sin(pitch))


def pitch_of(down: Floats) -> Floats:
    """Return the pitch (...), radians, of unit vectors of gravity (..., 3)."""
    return np.asarray(np.arctan2(down[..., 2], np.hypot(down[..., 0], down[..., 1])))


def roll_of(down: Floats) -> Floats:
    """Return the roll (...), radians, of unit vectors of gravity (..., 3); 0 for a camera that looks straight down."""
    return np.asarray(np.arctan2(-down[..., 0] + 0.0, down[..., 1]))
