"""Poses from formulas: their meaning, limits and randomness."""

from __future__ import annotations

import math

import pytest
import roma
import torch
from torch import Tensor

from adaptation.bodies.body import JOINT_NAMES, Body, mirror_pose
from adaptation.bodies.poses import (
    KINDS,
    LIMITS,
    Kind,
    arms_up,
    facing,
    perturb,
    reaching,
    sample_poses,
    sitting,
    standing,
    walking,
    within_limits,
)
from adaptation.bodies.smpl_file import SHAPE_DIRECTIONS

J = {name: i for i, name in enumerate(JOINT_NAMES)}


@pytest.fixture(scope="module")
def body() -> Body:
    return Body.free()


def joints_of(body: Body, pose: Tensor) -> dict[str, Tensor]:
    """Return joints (N, 3) by name, in the body's own axes: y up, z to the front."""
    pose = pose.reshape(-1, len(JOINT_NAMES), 3)
    out = body(pose, torch.zeros(len(pose), SHAPE_DIRECTIONS)).joints
    return {name: out[:, i] for i, name in enumerate(JOINT_NAMES)}


def test_walk_cycle(body: Body) -> None:
    phase = torch.arange(40) / 40
    pose = walking(phase)
    assert pose.shape == (40, 24, 3)
    assert (pose[:, 0] == 0).all()
    j = joints_of(body, pose)
    for side, other in (("left", "right"), ("right", "left")):
        thigh, shin = j[f"{side}_knee"] - j[f"{side}_hip"], j[f"{side}_ankle"] - j[f"{side}_knee"]
        # Angles from straight down towards the front: a shin never points further forward than its
        # thigh.
        assert (torch.atan2(shin[:, 2], -shin[:, 1]) < torch.atan2(thigh[:, 2], -thigh[:, 1])).all()
        # Each arm swings with the leg of the other side.
        hand, foot, far = (
            j[f"{side}_wrist"][:, 2],
            j[f"{side}_ankle"][:, 2],
            j[f"{other}_ankle"][:, 2],
        )
        assert torch.corrcoef(torch.stack([hand, foot]))[0, 1] < -0.7
        assert torch.corrcoef(torch.stack([hand, far]))[0, 1] > 0.7
        upper, fore = (
            j[f"{side}_elbow"] - j[f"{side}_shoulder"],
            j[f"{side}_wrist"] - j[f"{side}_elbow"],
        )
        assert (torch.atan2(fore[:, 2], -fore[:, 1]) > torch.atan2(upper[:, 2], -upper[:, 1])).all()
        assert (upper[:, 1] < -0.8 * upper.norm(dim=1)).all()
    # At phase 0 the left heel strikes in front; half a cycle later the body is the mirror image.
    assert j["left_ankle"][0, 2] - j["right_ankle"][0, 2] > 0.5
    torch.testing.assert_close(walking(phase + 0.5), mirror_pose(pose), rtol=0, atol=1e-4)
    torch.testing.assert_close(walking(phase + 1.0), pose, rtol=0, atol=1e-4)


def test_one_foot_is_lifted_in_each_half_of_the_walk(body: Body) -> None:
    phase = torch.arange(40) / 40
    j = joints_of(body, walking(phase))
    lift = j["left_ankle"][:, 1] - j["right_ankle"][:, 1]
    assert 0.6 <= phase[lift.argmax()] <= 0.9
    assert 0.1 <= phase[lift.argmin()] <= 0.4
    assert lift.max() > 0.1


def test_stride_sets_the_step(body: Body) -> None:
    j = joints_of(body, walking(0.0, stride=torch.tensor([10.0, 20.0, 30.0])))
    step = j["left_ankle"][:, 2] - j["right_ankle"][:, 2]
    assert (step.diff() > 0.1).all()


def test_standing_arms_hang(body: Body) -> None:
    assert standing().shape == (24, 3)
    j = joints_of(body, standing())
    for side, sign in (("left", 1), ("right", -1)):
        upper = (j[f"{side}_elbow"] - j[f"{side}_shoulder"])[0]
        down = math.degrees(math.atan2(-upper[1], sign * upper[0]))
        assert down == pytest.approx(72, abs=1)
        assert j[f"{side}_wrist"][0, 2] > j[f"{side}_elbow"][0, 2]


def test_sitting(body: Body) -> None:
    j = joints_of(body, sitting())
    thigh, shin = (j["left_knee"] - j["left_hip"])[0], (j["left_ankle"] - j["left_knee"])[0]
    assert thigh[2] > 0.9 * thigh.norm()
    assert shin[1] < -0.9 * shin.norm()
    assert j["left_knee"][0, 0] - j["right_knee"][0, 0] > j["left_hip"][0, 0] - j["right_hip"][0, 0]


def test_reaching_and_arms_up(body: Body) -> None:
    j = joints_of(body, reaching(left=90, right=0, elbow=0, lean=0))
    arm = (j["left_wrist"] - j["left_shoulder"])[0]
    assert arm[2] > 0.9 * arm.norm()
    assert j["right_wrist"][0, 1] < j["pelvis"][0, 1] + 0.05
    j = joints_of(body, arms_up())
    assert (j["left_wrist"][0, 1] > j["head"][0, 1]).all()
    assert (j["right_wrist"][0, 1] > j["head"][0, 1]).all()


@pytest.mark.parametrize("kind", KINDS)
def test_samples(kind: Kind, body: Body) -> None:
    poses = sample_poses(200, torch.Generator().manual_seed(0), [kind])
    assert poses.shape == (200, 24, 3)
    assert (poses[:, 0] == 0).all()
    low, high = LIMITS
    assert (poses >= low).all()
    assert (poses <= high).all()
    assert poses.std(dim=0)[[J["left_hip"], J["left_shoulder"], J["right_elbow"]]].min() > 0.02
    assert poses.std(dim=0).max() < 2
    again = sample_poses(200, torch.Generator().manual_seed(0), [kind])
    assert torch.equal(poses, again)
    # Heads stay above hips, and no arm or leg leaves its joint.
    j = joints_of(body, poses)
    assert (j["head"][:, 1] > j["pelvis"][:, 1]).all()


def test_samples_mix_kinds_and_sizes() -> None:
    generator = torch.Generator().manual_seed(0)
    poses = sample_poses(400, generator)
    sits = poses[:, [J["left_hip"], J["right_hip"]], 0].amax(dim=1) < math.radians(-45)
    assert 0.1 < sits.float().mean() < 0.3
    assert sample_poses(0, generator).shape == (0, 24, 3)
    assert sample_poses(1, generator).shape == (1, 24, 3)


def test_limits_are_mirrored_and_keep_the_root() -> None:
    low, high = LIMITS
    wild = 9 * torch.randn(5, 24, 3)
    clamped = within_limits(wild)
    assert torch.equal(clamped[:, 0], wild[:, 0])
    assert clamped[:, J["left_knee"], 0].min() >= 0
    assert clamped[:, J["right_knee"], 0].min() >= 0
    assert clamped[:, J["left_elbow"], 1].max() <= 0
    assert clamped[:, J["right_elbow"], 1].min() >= 0
    assert (low <= high).all()


@pytest.mark.parametrize(("low", "high"), [(10, 20), (20, 40), (40, 70)])
def test_perturb_turns_limb_joints_by_what_was_asked(low: float, high: float) -> None:
    generator = torch.Generator().manual_seed(0)
    pose = sample_poses(100, generator)
    pose[:, 0] = facing(0.3)
    wrong = perturb(pose, (low, high), generator)
    turn = roma.rotmat_geodesic_distance(roma.rotvec_to_rotmat(pose), roma.rotvec_to_rotmat(wrong)).rad2deg()
    limbs = [f"{s}_{p}" for s in ("left", "right") for p in ("hip", "knee", "shoulder", "elbow")]
    moved = [J[n] for n in ("spine1", *limbs)]
    kept = [i for i in range(len(JOINT_NAMES)) if i not in moved]
    assert turn[:, moved].min() > low - 0.1
    assert turn[:, moved].max() < high + 0.1
    assert turn[:, moved].mean() == pytest.approx((low + high) / 2, abs=1)
    assert torch.equal(wrong[:, kept], pose[:, kept])


def seen(angles: dict[str, float], direction: tuple[float, float, float]) -> Tensor:
    """Return where a direction of the body points in camera axes."""
    return roma.rotvec_to_rotmat(facing(**{"yaw": 0.0, **angles})) @ torch.tensor(direction)


@pytest.mark.parametrize(
    ("angles", "direction", "expected"),
    [
        # Facing the camera: the front points at it (-z), up is -y, the body's left is the image's
        # right.
        ({}, (0, 0, 1), (0, 0, -1)),
        ({}, (0, 1, 0), (0, -1, 0)),
        ({}, (1, 0, 0), (1, 0, 0)),
        ({"yaw": math.pi / 2}, (0, 0, 1), (1, 0, 0)),
        ({"yaw": math.pi / 2}, (0, 1, 0), (0, -1, 0)),
        ({"yaw": math.pi}, (0, 0, 1), (0, 0, 1)),
        # Seen from above the head is nearest.
        ({"pitch": math.pi / 2}, (0, 1, 0), (0, 0, -1)),
        ({"yaw": 1.0, "pitch": math.pi / 2}, (0, 1, 0), (0, 0, -1)),
        # Rolled a quarter turn clockwise the head points to the right.
        ({"roll": math.pi / 2}, (0, 1, 0), (1, 0, 0)),
    ],
)
def test_facing(
    angles: dict[str, float],
    direction: tuple[float, float, float],
    expected: tuple[float, float, float],
) -> None:
    wanted = torch.tensor([float(e) for e in expected])
    torch.testing.assert_close(seen(angles, tuple(float(d) for d in direction)), wanted, rtol=0, atol=1e-6)


def test_facing_is_smooth_and_starts_at_half_a_turn() -> None:
    torch.testing.assert_close(facing(0.0), torch.tensor([math.pi, 0.0, 0.0]))
    yaw = torch.linspace(-3.1, 3.1, 400)
    for pitch in (-0.3, 0.0, 0.3):
        vectors = facing(yaw, pitch)
        assert vectors.shape == (400, 3)
        assert vectors.diff(dim=0).norm(dim=1).max() < 0.06
