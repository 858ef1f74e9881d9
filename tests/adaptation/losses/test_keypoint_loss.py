from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from adaptation.bodies.body import Body
from adaptation.bodies.camera import WeakPerspective, project
from adaptation.bodies.joint_sets import OPENPOSE, OPENPOSE_JOINTS, SPIN
from adaptation.data.samples import Samples
from adaptation.losses.keypoints import keypoint_loss, keypoints_of
from adaptation.support.errors import UserError
from adaptation.synthetic.keypoints import simulated_keypoints


def test_the_loss_is_spins_formula(source: Samples, body: Body) -> None:
    bodies = source.bodies(body)
    keypoints = torch.from_numpy(simulated_keypoints(source, body, 3.0, 0.2, torch.Generator().manual_seed(1)))
    keypoints[..., 2] *= torch.rand(24, 24, generator=torch.Generator().manual_seed(2))
    joints = project(body.joints(bodies.rotations, bodies.betas), bodies.camera, 48)
    expected = torch.zeros(24)
    for b in range(24):
        for j in range(24):
            for axis in range(2):
                away = (2 * joints[b, j, axis] / 48 - 1) - (2 * keypoints[b, j, axis] / 48 - 1)
                expected[b] += keypoints[b, j, 2] * away**2 / 48
    torch.testing.assert_close(keypoint_loss(bodies, keypoints, body, 48), expected, rtol=1e-4, atol=1e-7)


def test_unknown_joints_do_not_pull(source: Samples, body: Body) -> None:
    bodies = source.bodies(body)
    camera = bodies.camera.parameters.clone()
    camera[:, 1] += 0.2
    camera.requires_grad_()
    predicted = replace(bodies, camera=WeakPerspective(camera))
    keypoints = torch.from_numpy(simulated_keypoints(source, body, 0.0, 0.0, torch.Generator()))
    keypoint_loss(predicted, keypoints, body, 48).sum().backward()
    assert camera.grad is not None and (camera.grad[:, 1] > 0).all()  # less shift lowers the loss
    camera.grad = None
    keypoint_loss(predicted, torch.zeros_like(keypoints), body, 48).sum().backward()
    assert not camera.grad.any()


def test_keypoints_of_a_smaller_set_go_to_the_joints_of_their_names(source: Samples, body: Body) -> None:
    found = np.random.default_rng(0).random((24, 13, 3)).astype(np.float32)
    placed = keypoints_of(replace(source, keypoints=found, joint_set=OPENPOSE.name), body)
    assert placed.shape == (24, 24, 3)
    for name, joint in zip(OPENPOSE.joints, OPENPOSE_JOINTS, strict=True):
        assert body.joint_set.joints[joint] == name
        assert np.array_equal(placed[:, joint], found[:, OPENPOSE.joints.index(name)])
    others = [joint for joint in range(24) if joint not in OPENPOSE_JOINTS]
    assert not placed[:, others].any()


def test_sets_without_keypoints_are_refused(source: Samples, body: Body, tmp_path: Path) -> None:
    for keypoints in (None, np.zeros((24, 24, 3), np.float32)):
        with pytest.raises(UserError, match="no 2D keypoints"):
            keypoints_of(replace(source, keypoints=keypoints), body)
    source.save(tmp_path / "set", {"name": "x"})
    with pytest.raises(UserError, match="no 2D keypoints"):
        keypoints_of(Samples.load(tmp_path / "set"), body)


def test_annotated_heads_are_not_the_bodys(source: Samples, body: Body) -> None:
    found = np.random.default_rng(0).random((24, 24, 3)).astype(np.float32)
    placed = keypoints_of(replace(source, keypoints=found, joint_set=SPIN.name), body)
    assert (placed[0, :, 2] > 0).sum() == len(OPENPOSE)
    assert not placed[:, body.joint_set.joints.index("head")].any()
    knee = SPIN.joints.index("left_knee"), body.joint_set.joints.index("left_knee")
    np.testing.assert_array_equal(placed[:, knee[1]], found[:, knee[0]])
