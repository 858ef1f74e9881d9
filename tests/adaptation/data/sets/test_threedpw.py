"""3DPW's pickles."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import roma
import torch
from dataset_files import write_threedpw

from adaptation.bodies.joint_sets import SMPL
from adaptation.data.sets.threedpw import COCO_18, read_threedpw
from adaptation.support.errors import UserError


def test_a_sequence(tmp_path: Path) -> None:
    held = write_threedpw(tmp_path / "sequenceFiles" / "test" / "downtown_00.pkl")
    people = read_threedpw(tmp_path)
    # Two people in four frames, one of which has no valid camera for the first.
    assert len(people) == 7 and people.frame.tolist() == [0, 2, 3, 0, 1, 2, 3]
    assert people.files[1] == "imageFiles/downtown_00/image_00002.jpg"
    assert people.gender == ("male",) * 3 + ("female",) * 4 and people.subject.tolist() == [0] * 3 + [1] * 4
    assert people.joint_set == COCO_18 and people.joints3d_set == SMPL
    camera = held["cam_poses"][0]
    world = held["jointPositions"][0][2].reshape(24, 3)
    np.testing.assert_allclose(people.joints3d[1, :, :3], world @ camera[:3, :3].T + camera[:3, 3], atol=1e-5)
    np.testing.assert_allclose(people.keypoints[1], held["poses2d"][0][2].T, rtol=1e-6)
    np.testing.assert_allclose(people.intrinsics[0], held["cam_intrinsics"])
    np.testing.assert_allclose(people.betas[4], held["betas"][1], rtol=1e-6)


def test_poses_turn_to_the_camera(tmp_path: Path) -> None:
    held = write_threedpw(tmp_path / "a.pkl")
    people = read_threedpw(tmp_path / "a.pkl")
    before = roma.rotvec_to_rotmat(torch.from_numpy(held["poses"][1][2].reshape(24, 3)))
    after = roma.rotvec_to_rotmat(torch.from_numpy(people.pose[5]).double())
    turn = torch.from_numpy(held["cam_poses"][2, :3, :3])
    torch.testing.assert_close(after[0], turn @ before[0], atol=1e-5, rtol=0)
    torch.testing.assert_close(after[1:], before[1:], atol=1e-5, rtol=0)


def test_boxes_are_spins_or_those_of_joints(tmp_path: Path) -> None:
    held = write_threedpw(tmp_path / "a.pkl")
    people = read_threedpw(tmp_path / "a.pkl")
    points = held["poses2d"][0][0][:2]
    low, high = points.min(axis=1), points.max(axis=1)
    side = 1.2 * (high - low).max()
    np.testing.assert_allclose(people.box[0], [*((low + high) / 2 - side / 2), side, side], rtol=1e-5)
    # OpenPose found nobody in frame 2 of the second person, whose joints are projected instead.
    x, y, z = people.joints3d[5, :, :3].T
    u, v = 100 * x / z + 32, 100 * y / z + 24
    side = 1.2 * max(np.ptp(u), np.ptp(v))
    np.testing.assert_allclose(people.box[5, 2:], side, rtol=1e-4)
    np.testing.assert_allclose(people.box[5, 0] + side / 2, (u.min() + u.max()) / 2, rtol=1e-4)
    assert not people.keypoints[5, :, 2].any()


def test_nothing_is_executed(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return Path.touch, (tmp_path / "touched",)

    (tmp_path / "evil.pkl").write_bytes(pickle.dumps({"sequence": Evil()}, protocol=2))
    with pytest.raises(UserError, match="which are not loaded, because that could run code"):
        read_threedpw(tmp_path / "evil.pkl")
    assert not (tmp_path / "touched").exists()


def test_refusals(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no pickles of 3DPW"):
        read_threedpw(tmp_path)
    (tmp_path / "sequenceFiles").mkdir()
    with pytest.raises(UserError, match="has the splits train, validation, test, not 'val'"):
        read_threedpw(tmp_path, "val")
    held = write_threedpw(tmp_path / "a.pkl")
    (tmp_path / "cut.pkl").write_bytes((tmp_path / "a.pkl").read_bytes()[:1000])
    with pytest.raises(UserError, match="is damaged, or no pickle"):
        read_threedpw(tmp_path / "cut.pkl")
    (tmp_path / "other.pkl").write_bytes(pickle.dumps({"poses": held["poses"]}, protocol=2))
    with pytest.raises(UserError, match="is not a sequence of 3DPW: it lacks sequence, betas"):
        read_threedpw(tmp_path / "other.pkl")
    del held["jointPositions"]
    (tmp_path / "two").mkdir()
    for name, some in (("a.pkl", held), ("b.pkl", write_threedpw(tmp_path / "b.pkl"))):
        (tmp_path / "two" / name).write_bytes(pickle.dumps(some, protocol=2))
    assert read_threedpw(tmp_path / "two").joints3d is None
    held["poses2d"] = [array[:, :2] for array in held["poses2d"]]
    (tmp_path / "bad.pkl").write_bytes(pickle.dumps(held, protocol=2))
    with pytest.raises(UserError, match=r"poses2d must be numbers of shape \(4, 3, 18\), got float64 \(4, 2, 18\)"):
        read_threedpw(tmp_path / "bad.pkl")
