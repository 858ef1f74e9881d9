"""The library of poses for search: what it holds, that it repeats, and the poses that come with the package."""

from __future__ import annotations

import numpy as np
import pytest
import roma
import torch

from adaptation.bodies.body import Body, mirror_pose
from adaptation.bodies.joint_sets import SMPL
from adaptation.bodies.poses import facing, sample_poses, within_limits
from adaptation.data.pose_library import pose_library, real_poses, without_heading

LEGS = [number for number, name in enumerate(SMPL.joints) if name.endswith(("hip", "knee", "ankle", "foot"))]


def test_shipped_poses_are_distinct_and_within_limits() -> None:
    poses, body = real_poses(), Body.free()
    assert poses.shape == (500, 24, 3) and poses.dtype == torch.float32
    # Half precision moves a component of 1.5 by at most 0.0005.
    assert (within_limits(poses) - poses).abs().max() < 1e-3
    joints = body.joints(poses, body.mean_shape(len(poses))).flatten(1)
    distance = torch.cdist(joints, joints) + 10 * torch.eye(len(poses))
    assert distance.min() > 0.1
    # Not one kind of pose: knees bend by 20 to 140 degrees, hands are below the pelvis and above the head.
    knee = poses[:, SMPL.joints.index("left_knee"), 0].rad2deg()
    assert knee.min() < 20 < 100 < knee.max()


def test_equal_seeds_give_equal_libraries() -> None:
    assert torch.equal(pose_library(2000, seed=3), pose_library(2000, seed=3))
    assert not torch.equal(pose_library(2000, seed=3), pose_library(2000, seed=4))


def test_real_poses_come_first_with_their_mirror_images() -> None:
    real = sample_poses(7, torch.Generator().manual_seed(0))
    library = pose_library(40, real=real)
    assert torch.allclose(library[:14], torch.cat([real, mirror_pose(real)]), atol=1e-6)
    assert len(pose_library(5, real=real)) == 5


def test_mixtures_take_whole_legs_from_real_and_sampled_poses() -> None:
    real = sample_poses(7, torch.Generator().manual_seed(0)) * 0.9
    mixed = pose_library(4000, real=real)[14:]
    known = torch.cat([real, mirror_pose(real)])[:, LEGS].flatten(1)
    same = (mixed[:, LEGS].flatten(1)[:, None] - known).abs().amax(2) < 1e-6
    assert 0.45 < same.any(1).float().mean() < 0.55
    assert same.any(0).all()


@pytest.mark.parametrize("count", [1, 3000])
def test_without_real_poses(count: int) -> None:
    library = pose_library(count, real=torch.zeros(0, 24, 3))
    assert library.shape == (count, 24, 3)
    assert torch.equal(within_limits(library), library)
    assert not library[:, 0].any()


def test_headings_are_removed_and_tilts_kept() -> None:
    lying = torch.tensor([[-torch.pi / 2, 0, 0]])
    turns = torch.linspace(-3, 3, 9)[:, None] * torch.tensor([[0.0, 1.0, 0.0]])
    pose = torch.zeros(9, 24, 3)
    pose[:, 0] = roma.rotvec_composition((turns, lying.expand(9, 3)))
    assert torch.allclose(without_heading(pose)[:, 0], lying.expand(9, 3), atol=1e-5)


def test_joint_0_becomes_an_orientation_in_camera_axes() -> None:
    """A body of the library, turned by `facing`, has its head at the top of the image: negative y."""
    poses, body = pose_library(20, real=torch.zeros(0, 24, 3)), Body.free()
    turned = roma.rotvec_to_rotmat(facing(0.3)) @ roma.rotvec_to_rotmat(poses[:, 0])
    poses[:, 0] = roma.rotmat_to_rotvec(turned)
    joints = body.joints(poses, body.mean_shape(20))
    assert (joints[:, SMPL.joints.index("head"), 1] < joints[:, SMPL.joints.index("left_ankle"), 1]).all()


def test_file_names_its_sources() -> None:
    from importlib import resources

    with resources.as_file(resources.files("adaptation") / "assets" / "real_poses.npz") as path:
        arrays = np.load(path)
        assert path.stat().st_size < 100_000
        assert arrays["pose"].dtype == np.float16
        assert {name[:2] for name in arrays["clip"]} == {"01", "02", "03"}
