"""Poses of AMASS, 3DPW, SPIN and UP-3D."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import roma
import torch
from dataset_files import poses, write_spin, write_threedpw, write_up3d

from adaptation.bodies.joint_sets import SPIN
from adaptation.data.sets.clips import kept_frames, read_clips
from adaptation.data.sets.up3d import read_up3d
from adaptation.support.errors import UserError


def write_amass(path: Path, frames: int, joints: int, rate_key: str) -> np.ndarray:
    array = np.zeros((frames, 3 * joints))
    array[:, :66] = poses(frames)[:, :66]
    array[:, 66:] = 0.1  # fingers
    np.savez(
        path, poses=array, trans=np.arange(3 * frames).reshape(frames, 3) * 0.1, betas=np.zeros(16),
        gender=np.array("female"), dmpls=np.zeros((frames, 8)), **{rate_key: np.array(120.0)},
    )  # fmt: skip
    return array


@pytest.mark.parametrize(("joints", "key"), [(52, "mocap_framerate"), (55, "mocap_frame_rate")])
def test_amass(joints: int, key: str, tmp_path: Path) -> None:
    array = write_amass(tmp_path / "walk_poses.npz", 21, joints, key)
    (clip,) = read_clips(tmp_path / "walk_poses.npz", 30)
    # 120 frames a second become 30; fewer than 40 poses are no reason to refuse a clip.
    assert clip.name == "walk_poses" and clip.times.tolist() == pytest.approx(
        [0, 4 / 120, 8 / 120, 0.1, 16 / 120, 20 / 120]
    )
    np.testing.assert_allclose(clip.pose[2, 1:22].ravel(), array[8, 3:66], atol=1e-6)
    assert not clip.pose[:, 22:].any()
    # z up becomes y up, for roots and orientations alike.
    np.testing.assert_allclose(clip.roots[1], [1.2, 1.4, -1.3], rtol=1e-6)
    before = roma.rotvec_to_rotmat(torch.from_numpy(array[8, :3]))
    after = roma.rotvec_to_rotmat(torch.from_numpy(clip.pose[2, 0]).double())
    torch.testing.assert_close(after[1], before[2], atol=1e-5, rtol=0)
    torch.testing.assert_close(after[2], -before[1], atol=1e-5, rtol=0)


def test_amass_shape_files_have_no_poses(tmp_path: Path) -> None:
    np.savez(tmp_path / "female_shape.npz", gender=np.array("female"), betas=np.zeros(16))
    with pytest.raises(UserError, match="is a shape file of AMASS, without poses"):
        read_clips(tmp_path / "female_shape.npz", 30)


def test_threedpw_clips(tmp_path: Path) -> None:
    held = write_threedpw(tmp_path / "run.pkl", frames=5)
    clips = read_clips(tmp_path / "run.pkl", 15)
    assert [clip.name for clip in clips] == ["run_0", "run_1"] and len(clips[0].pose) == 3
    np.testing.assert_allclose(clips[1].pose.reshape(3, 72), held["poses"][1][::2], rtol=1e-5)
    np.testing.assert_allclose(clips[1].roots, held["trans"][1][::2], rtol=1e-5)


def test_spin_clips_are_the_fits(tmp_path: Path) -> None:
    pose = poses(3)
    write_spin(tmp_path / "s.npz", ["a.jpg", "b.jpg", "c.jpg"], pose=pose, shape=np.zeros((3, 10)), has_smpl=[1, 0, 1])
    (clip,) = read_clips(tmp_path / "s.npz", 30)
    np.testing.assert_allclose(clip.pose.reshape(2, 72), pose[[0, 2]], rtol=1e-5)
    write_spin(tmp_path / "no.npz", ["a.jpg"])
    with pytest.raises(UserError, match="has no poses of SMPL"):
        read_clips(tmp_path / "no.npz", 30)


def test_kept_frames() -> None:
    assert kept_frames(10, 30, 30).tolist() == list(range(10))
    assert kept_frames(10, 30, 60).tolist() == list(range(10))  # no frame twice
    assert kept_frames(7, 60, 25).tolist() == [0, 2, 5]
    assert kept_frames(1, 30, 10).tolist() == [0]


def test_up3d(tmp_path: Path) -> None:
    held = write_up3d(tmp_path, 1)
    write_up3d(tmp_path, 12)
    people = read_up3d(tmp_path, "test")
    assert people.files == ("00001_image.png", "00012_image.png") and read_up3d(tmp_path).files == people.files
    np.testing.assert_allclose(people.keypoints[0, :14], held["joints"].T, rtol=1e-5)
    assert not people.keypoints[0, 14:].any() and people.joint_set == SPIN
    turn = roma.rotvec_to_rotmat(torch.from_numpy(held["rt"]))
    root = turn @ roma.rotvec_to_rotmat(torch.from_numpy(held["pose"][:3]))
    torch.testing.assert_close(
        roma.rotvec_to_rotmat(torch.from_numpy(people.pose[0, 0]).double()), root, atol=1e-5, rtol=0
    )
    np.testing.assert_allclose(people.betas[0], np.arange(10))
    with pytest.raises(UserError, match=r"train\.txt cannot be read"):
        read_up3d(tmp_path, "train")
    (tmp_path / "00012_body.pkl").unlink()
    with pytest.raises(UserError, match=r"00012_body\.pkl cannot be read"):
        read_up3d(tmp_path)
