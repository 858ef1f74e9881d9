"""People who walk through the hall: their direction, their feet, and their place in the picture."""

from __future__ import annotations

import numpy as np
import pytest
import roma
import torch

from adaptation.bodies.body import JOINT_NAMES, Body
from adaptation.synthetic.hall_walkers import WALKERS, Walk, Walker, simulate_walk

FEET = [JOINT_NAMES.index("left_foot"), JOINT_NAMES.index("right_foot")]


def walk_of(walker: Walker, body: Body, pitch: float = 12.0) -> Walk:
    return simulate_walk(walker, body, frames=24, rate=15.0, pitch=pitch, size=(48, 64))


@pytest.mark.parametrize("walker", WALKERS)
def test_bodies_face_the_way_they_walk_and_feet_do_not_slide(walker: Walker, free_body: Body) -> None:
    walk = walk_of(walker, free_body)
    # Undo the camera: positions over the ground along image x, in metres.
    joints = walk.joints[..., 0] + walk.projection[:, None, 1] / walk.projection[:, None, 0]
    moved = np.diff(joints, axis=0)
    pelvis = moved[:, 0]
    front = roma.rotvec_to_rotmat(torch.from_numpy(walk.pose[:, 0]))[:, 0, 2].numpy()
    assert (np.sign(pelvis) == np.sign(front[0])).all() and (np.sign(front) == np.sign(front[0])).all()
    assert 0.03 < np.abs(pelvis).mean() < 0.15
    foot = np.abs(moved[:, FEET]).min(1)
    assert foot.mean() < 0.2 * np.abs(pelvis).mean()


@pytest.mark.parametrize("walker", WALKERS)
def test_pixels_are_the_projected_body(walker: Walker, free_body: Body) -> None:
    walk = walk_of(walker, free_body)
    posed = free_body(torch.from_numpy(walk.pose), torch.from_numpy(walk.betas).expand(24, -1))
    vertices = posed.vertices[..., :2].numpy()
    scale, shift = walk.projection[:, None, :1], walk.projection[:, None, 1:]
    np.testing.assert_allclose(walk.pixels[..., :2].numpy(), vertices * scale + shift, atol=1e-4)
    np.testing.assert_allclose(walk.joints, posed.joints.numpy(), atol=1e-5)


def test_feet_take_turns_on_the_ground(free_body: Body) -> None:
    walk = walk_of(WALKERS[0], free_body, pitch=0.0)
    # Feet joints lie a few centimetres above the soles.
    assert (walk.lift.min(1) < 0.1).all() and (walk.lift > -0.01).all()
    assert (np.diff(np.sign(walk.lift[:, 0] - walk.lift[:, 1])) != 0).sum() >= 2
    # Seen from the side, the ground under both feet is one horizontal line.
    assert np.ptp(walk.feet[..., 1]) < 0.1 * np.ptp(walk.pixels[..., 1].numpy())
