"""Conventions of a camera's tilt: they are those of bodies, and of the rays of crops."""

from __future__ import annotations

import math

import numpy as np
import pytest
import roma
import torch

from adaptation.bodies.poses import facing
from adaptation.recording.fits.depth_ambiguity import seen_pitch
from adaptation.recording.tilt.camera_tilt import CameraTilt, down_of, pitch_of, roll_of

ANGLES = [(0.0, 0.0), (0.3, 0.0), (-0.2, 0.4), (0.4, -0.5), (1.2, 3.0)]


def tilted(pitch: float, roll: float, focal: float | None = 800.0) -> CameraTilt:
    return CameraTilt(down_of(pitch, roll), 0.0, 0.0, "given", focal, (320.0, 240.0))


@pytest.mark.parametrize(("pitch", "roll"), ANGLES)
def test_angles_are_those_of_gravity(pitch: float, roll: float) -> None:
    tilt = tilted(pitch, roll)
    assert np.linalg.norm(tilt.down) == pytest.approx(1)
    assert (tilt.pitch, tilt.roll) == (pytest.approx(pitch), pytest.approx(roll))


@pytest.mark.parametrize(("pitch", "roll"), ANGLES)
@pytest.mark.parametrize("yaw", [0.0, 1.0, -2.5])
def test_upright_bodies_have_the_orientation_of_facing(yaw: float, pitch: float, roll: float) -> None:
    angles = (torch.tensor(angle, dtype=torch.float64) for angle in (yaw, pitch, roll))
    rotation = roma.rotvec_to_rotmat(facing(*angles))
    # The body's y points up.
    np.testing.assert_allclose(-rotation[:, 1].numpy(), tilted(pitch, roll).down, atol=1e-9)


def test_pitch_without_roll_is_the_pitch_at_which_bodies_are_seen() -> None:
    assert seen_pitch(facing(0.7, 0.35)).item() == pytest.approx(tilted(0.35, 0).pitch, abs=1e-6)


def test_people_lean_clockwise_in_a_camera_with_positive_roll() -> None:
    # Gravity turns from the image's lower edge towards its left, so heads move to the right.
    assert tilted(0, 0.2).down[0] < 0


@pytest.mark.parametrize(("pitch", "roll"), ANGLES)
def test_rays_see_gravity_as_a_camera_turned_to_them(pitch: float, roll: float) -> None:
    tilt = tilted(pitch, roll)
    points = np.array([[320.0, 240.0], [50, 400], [600, 30]])
    rays = np.c_[(points - [320, 240]) / 800, np.ones(3)]
    rays /= np.linalg.norm(rays, axis=1, keepdims=True)
    seen = tilt.at(points)
    for ray, down in zip(rays, seen, strict=True):
        axis = np.cross([0.0, 0, 1], ray)
        angle = math.acos(ray[2])
        vector = torch.from_numpy(axis / max(np.linalg.norm(axis), 1e-12) * angle)
        turn = roma.rotvec_to_rotmat(vector).numpy()
        np.testing.assert_allclose(turn.T @ np.array(tilt.down), down, atol=1e-9)
        # Whatever the axes, the angle between gravity and the viewing direction is physical.
        assert down[2] == pytest.approx(float(ray @ np.array(tilt.down)))
    np.testing.assert_allclose(tilt.at(points[1]), seen[1])


def test_people_low_in_the_frame_are_seen_more_steeply() -> None:
    tilt = tilted(0.3, 0)
    assert pitch_of(tilt.at((320, 240 + 800 * math.tan(0.2)))) == pytest.approx(0.5)
    # Right of the centre, the verticals of a camera that looks down lean outwards.
    assert roll_of(tilt.at((600, 240))) > 0


def test_without_a_focal_length_all_points_are_seen_alike() -> None:
    tilt = tilted(0.3, 0.1, focal=None)
    np.testing.assert_allclose(tilt.at([[0, 0], [600, 400]]), [tilt.down] * 2)


def test_an_unknown_tilt_has_no_weight() -> None:
    tilt = CameraTilt()
    assert not tilt.known and 1 / tilt.deviation**2 == 0
    assert (tilt.pitch, tilt.roll) == (0, 0)
