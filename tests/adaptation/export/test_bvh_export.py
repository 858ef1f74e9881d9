from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import roma
import torch

from adaptation.data.motion.bvh import read_bvh
from adaptation.export.bvh import bvh
from adaptation.export.clip import Clip, World

MILLIMETRE = 1e-3


def test_the_projects_reader_finds_the_joints(world: World, tmp_path: Path) -> None:
    for clip in world.clips:
        path = tmp_path / f"{clip.number}.bvh"
        path.write_text(bvh(clip, world.body, world.rate))
        motion = read_bvh(path)
        even = clip.uniform()
        _, joints = even.posed(world.body, range(len(even)))
        order = [motion.names.index(name) for name in world.body.joint_set.joints]
        np.testing.assert_allclose(motion.positions()[:, order], joints, atol=0.01 * MILLIMETRE)
        np.testing.assert_allclose(motion.times, even.times - even.times[0], atol=1e-6)
        # The rest pose is that of the body.
        rest = clip.rest(world.body)[1]
        np.testing.assert_allclose(motion.rest()[order], rest - rest[0], atol=0.01 * MILLIMETRE)


def test_a_public_reader_finds_the_joints(world: World, tmp_path: Path) -> None:
    bvhio = pytest.importorskip("bvhio")
    clip = world.clips[0]
    (tmp_path / "a.bvh").write_text(bvh(clip, world.body, world.rate))
    tree = bvhio.readAsHierarchy(str(tmp_path / "a.bvh"))
    even = clip.uniform()
    _, joints = even.posed(world.body, range(len(even)))
    for index in range(len(even)):
        tree.loadPose(index)
        for joint, name in enumerate(world.body.joint_set.joints):
            place = tree.filter(name, isEqual=True)[0].PositionWorld
            np.testing.assert_allclose(np.array([*place]) / 100, joints[index, joint], atol=MILLIMETRE)


def test_angles_do_not_jump(world: World, tmp_path: Path) -> None:
    clip = world.clips[0]
    # Somebody who turns round once: the angle passes half a turn.
    steps = torch.tensor([[0.0, 1.5 * step, 0.0] for step in range(5)], dtype=torch.float64)
    turning = clip.rotations.copy()
    turning[:, 0] = roma.rotvec_to_rotmat(steps).numpy()
    turned = Clip(1, np.arange(5), np.arange(5) / 10, turning, clip.roots, clip.betas)
    rows = bvh(turned, world.body, 10.0).split("Frame Time:")[1].splitlines()[1:]
    yaw = np.array([[float(number) for number in row.split()] for row in rows])[:, 5]
    np.testing.assert_allclose(np.diff(yaw), np.rad2deg(1.5), atol=1e-3)


def test_a_single_frame_has_a_frame_time(world: World, tmp_path: Path) -> None:
    clip = world.clips[0]
    one = Clip(1, clip.frame[:1], clip.times[:1], clip.rotations[:1], clip.roots[:1], clip.betas)
    assert "Frames: 1\nFrame Time: 0.1\n" in bvh(one, world.body, 10.0)
