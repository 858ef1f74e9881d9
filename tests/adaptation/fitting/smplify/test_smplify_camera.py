"""The first guess of camera and direction."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from adaptation.bodies.body import Body
from adaptation.bodies.camera import Camera, Perspective, WeakPerspective
from adaptation.bodies.joint_sets import OPENPOSE_JOINTS
from adaptation.bodies.poses import facing, standing
from adaptation.fitting.smplify.camera import first_orientation, shoulder_distance, torso_camera
from adaptation.fitting.smplify.terms import TORSO

SIZE = 112


def stand(body: Body, *yaws: float) -> Tensor:
    """Joints (B, J, 3) of upright bodies."""
    pose = standing()[None].repeat(len(yaws), 1, 1)
    pose[:, 0] = facing(torch.tensor(yaws))
    return body.joints(pose, body.mean_shape(len(yaws)))


def seen(joints: Tensor, camera: Camera) -> Tensor:
    places = camera.project(joints, SIZE)
    confidence = torch.zeros(*places.shape[:2], 1)
    confidence[:, list(OPENPOSE_JOINTS)] = 1
    return torch.cat([places, confidence], 2)


# A torso that leans a little is shorter in the image, by 0.3 % here.
@pytest.mark.parametrize("yaw", [0.0, 0.7, math.pi])
def test_a_known_camera_is_recovered(free_body: Body, yaw: float) -> None:
    joints = stand(free_body, yaw, yaw)
    camera = WeakPerspective(torch.tensor([[0.8, 0.1, -0.2], [0.5, -0.3, 0.4]]))
    guess = torso_camera(joints, seen(joints, camera), SIZE)
    torch.testing.assert_close(guess.weak().parameters, camera.parameters, atol=4e-3, rtol=0)


def test_a_known_distance_is_recovered(free_body: Body) -> None:
    joints = stand(free_body, 0.0)
    focal = torch.tensor([[6.0, 6.0]])
    camera = Perspective(focal, torch.zeros(1, 2), torch.tensor([[0.2, -0.1, 6.0]]))
    guess = torso_camera(joints, seen(joints, camera), SIZE, focal[:, 0])
    assert isinstance(guess, Perspective)
    # The torso is not exactly at the distance of the body's origin.
    torch.testing.assert_close(guess.translation, camera.translation, rtol=0.03, atol=0.03)


def test_one_side_of_the_torso_is_enough(free_body: Body) -> None:
    joints = stand(free_body, 0.0)
    camera = WeakPerspective(torch.tensor([[0.8, 0.1, -0.2]]))
    keypoints = seen(joints, camera)
    keypoints[:, TORSO[2]] = 0
    torch.testing.assert_close(
        torso_camera(joints, keypoints, SIZE).weak().parameters, camera.parameters, atol=4e-3, rtol=0
    )
    # Without any side, all keypoints decide.
    keypoints[:, TORSO[1]] = 0
    torch.testing.assert_close(
        torso_camera(joints, keypoints, SIZE).weak().parameters, camera.parameters, atol=4e-3, rtol=0
    )


def test_front_and_back(free_body: Body) -> None:
    yaws = (0.0, 0.8, -0.8, math.pi, 2.4, -2.4)
    keypoints = seen(stand(free_body, *yaws), WeakPerspective(torch.tensor([[0.8, 0.0, 0.0]]).repeat(6, 1)))
    orientation = first_orientation(stand(free_body, 0.0).repeat(6, 1, 1), keypoints)
    expected = torch.stack([facing(0.0)] * 3 + [facing(math.pi)] * 3)
    torch.testing.assert_close(orientation, expected)


def test_shoulders_of_a_profile_are_close(free_body: Body) -> None:
    keypoints = seen(stand(free_body, 0.0, math.pi / 2), WeakPerspective(torch.tensor([[0.9, 0.0, 0.0]] * 2)))
    front, side = shoulder_distance(keypoints) * 224 / SIZE
    assert front > 25 > side
    # Unknown shoulders may be anywhere, so both directions are tried.
    keypoints[0, TORSO[0], 2] = 0
    assert shoulder_distance(keypoints)[0] == 0
