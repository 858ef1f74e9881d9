"""Data sets in MATLAB's files: LSP, LSPET, MPII, MPI-INF-3DHP and SURREAL."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from dataset_files import RANDOM, write_3dhp_train, write_image, write_mpii, write_surreal

from adaptation.bodies.body import Body
from adaptation.bodies.joint_sets import SMPL, SPIN
from adaptation.data.sets.lsp import read_lsp, read_lspet
from adaptation.data.sets.mpi_inf_3dhp import TEST, TRAIN, read_3dhp
from adaptation.data.sets.mpii import read_mpii
from adaptation.data.sets.surreal import read_surreal
from adaptation.support.errors import UserError

io = pytest.importorskip("scipy.io")


def write_lsp(folder: Path) -> np.ndarray:
    joints = np.concatenate([RANDOM.uniform(5, 40, (2, 14, 2000)), RANDOM.integers(0, 2, (1, 14, 2000))])
    io.savemat(folder / "joints.mat", {"joints": joints})
    return joints


def test_lsp(tmp_path: Path) -> None:
    joints = write_lsp(tmp_path)
    people = read_lsp(tmp_path, "test")
    assert len(people) == 1000 and people.files[0] == "images/im1001.jpg" and people.mask is None
    np.testing.assert_allclose(people.keypoints[0, :14, :2], joints[:2, :, 1000].T, rtol=1e-6)
    # The third row marks hidden joints, all of which are annotated.
    assert (people.keypoints[0, :14, 2] == np.where(joints[2, :, 1000] > 0, 0.5, 1)).all()
    assert read_lsp(tmp_path, "train").files[-1] == "images/im1000.jpg" and len(read_lsp(tmp_path, "all")) == 2000
    write_image(tmp_path / "upi" / "data" / "lsp" / "im1002_segmentation.png", value=0)
    write_image(tmp_path / "upi" / "data" / "lsp" / "im1002_part_segmentation.png", value=3)
    people = read_lsp(tmp_path, "test", tmp_path / "upi")
    assert people.mask(1, (48, 64)).sum() == 255 * 100 and np.unique(people.parts(1, (48, 64))).tolist() == [3, 255]
    with pytest.raises(UserError, match=r"im1001_segmentation.png: cannot be read"):
        people.mask(0, (48, 64))


def test_lspet(tmp_path: Path) -> None:
    joints = np.concatenate([RANDOM.uniform(5, 40, (14, 2, 3)), np.ones((14, 1, 3))], axis=1)
    joints[13, :, 1] = -20, -30, 0
    io.savemat(tmp_path / "joints.mat", {"joints": joints})
    for number in (1, 3, 10):  # the high resolution lacks some numbers
        write_image(tmp_path / f"im{number:05d}.png")
    people = read_lspet(tmp_path)
    assert people.files == ("im00001.png", "im00003.png", "im00010.png")
    assert people.keypoints[1, 13].tolist() == [0, 0, 0] and (people.keypoints[1, :13, 2] == 1).all()
    np.testing.assert_allclose(people.keypoints[2, :14, :2], joints[:, :2, 2], rtol=1e-6)
    (tmp_path / "im00003.png").unlink()
    with pytest.raises(UserError, match=r"has 2 images, .* 3 people"):
        read_lspet(tmp_path)
    with pytest.raises(UserError, match=r"joints must be numbers of shape \(3, 14, any\)"):
        read_lsp(tmp_path)


def test_mpii(tmp_path: Path) -> None:
    write_mpii(tmp_path / "mpii.mat")
    people = read_mpii(tmp_path / "mpii.mat")
    assert people.files == ("a.jpg", "b.jpg")
    joint = SPIN.joints.index
    # MATLAB counts from 1 at the centre of the first pixel.
    assert people.keypoints[0, joint("right_ankle")].tolist() == [21.5, 18.5, 1]
    assert people.keypoints[0, joint("left_ankle")].tolist() == [26.5, 18.5, 0.5]
    assert people.keypoints[0, joint("neck"), 2] == 1 and people.keypoints[0, joint("head_top"), 2] == 1
    assert (people.keypoints[1, :, 2] > 0).sum() == 2
    np.testing.assert_allclose(people.head_size, [0.6 * 5, 0], rtol=1e-6)
    np.testing.assert_allclose(people.box[0], [15.5, 5.5, 20, 20], rtol=1e-6)


def test_3dhp_training_sequences(tmp_path: Path) -> None:
    held = write_3dhp_train(tmp_path)
    people = read_3dhp(tmp_path, "train", every=2)
    assert len(people) == 8 * 2  # eight of 14 cameras, frames 0 and 2
    assert people.files[1] == "S1/Seq1/imageFrames/video_0/frame_000003.jpg" and people.frame.tolist()[:2] == [0, 2]
    assert sorted(set(people.view.tolist())) == [0, 1, 2, 4, 5, 6, 7, 8] and set(people.subject.tolist()) == {1}
    assert people.intrinsics[-1, 0].tolist() == pytest.approx([1498.693, 0, 1024.704])
    place, joint = TRAIN.joints.index("head"), SPIN.joints.index("head")
    np.testing.assert_allclose(
        people.joints3d[1, joint, :3], held["annot3"][0, 2].reshape(28, 3)[place] / 1000, rtol=1e-5
    )
    np.testing.assert_allclose(people.keypoints[1, joint, :2], held["annot2"][0, 2].reshape(28, 2)[place], rtol=1e-5)
    assert (people.joints3d[..., 3] > 0).sum(axis=1).tolist() == [17] * 16
    # Joints beside the image are no keypoints.
    assert people.keypoints[0, SPIN.joints.index("left_ankle")].tolist() == [0, 0, 0]


def test_3dhp_test_sequences(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    points, joints = RANDOM.uniform(100, 2000, (4, 1, 17, 2)), RANDOM.normal(0, 400, (4, 1, 17, 3))
    folder = tmp_path / "mpi_inf_3dhp_test_set" / "TS3"
    folder.mkdir(parents=True)
    # MATLAB 7.3 is HDF5 behind a block of 512 bytes, with dimensions reversed.
    with h5py.File(folder / "annot_data.mat", "w", userblock_size=512) as file:
        file["annot2"], file["univ_annot3"], file["annot3"] = points, joints, joints / 2
        file["valid_frame"], file["activity_annotation"] = np.array([[1], [0], [1], [1]], np.uint8), np.ones((4, 1))
    raw = bytearray((folder / "annot_data.mat").read_bytes())
    header = b"MATLAB 7.3 MAT-file, Platform: GLNXA64"
    raw[: len(header)] = header
    (folder / "annot_data.mat").write_bytes(bytes(raw))
    people = read_3dhp(tmp_path)
    assert people.frame.tolist() == [0, 2, 3] and people.subject.tolist() == [3] * 3
    assert people.files[1] == "mpi_inf_3dhp_test_set/TS3/imageSequence/img_000003.jpg"
    for name in TEST.joints:
        found = people.joints3d[1, SPIN.joints.index(name)]
        np.testing.assert_allclose(found, [*joints[2, 0, TEST.joints.index(name)] / 1000, 1], rtol=1e-5)
    assert read_3dhp(tmp_path, every=2).frame.tolist() == [0, 3]


def test_files_of_matlab_73_are_named_without_h5py(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "h5py", None)
    (tmp_path / "TS1").mkdir()
    (tmp_path / "TS1" / "annot_data.mat").write_bytes(b"MATLAB 7.3 MAT-file" + bytes(600))
    with pytest.raises(UserError, match=r"version 7\.3 \(HDF5\), which needs h5py; pip install '\.\[datasets\]'"):
        read_3dhp(tmp_path)


def test_matlab_refusals(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no mpi_inf_3dhp_test_set/TS1/annot_data.mat and the like"):
        read_3dhp(tmp_path)
    io.savemat(tmp_path / "joints.mat", {"other": np.zeros(3)})
    with pytest.raises(UserError, match="has no variable joints; it may belong to another data set"):
        read_lsp(tmp_path)
    with pytest.raises(UserError, match="has no variable RELEASE"):
        read_mpii(tmp_path / "joints.mat")
    io.savemat(tmp_path / "release.mat", {"RELEASE": {"annolist": 3.0}})
    with pytest.raises(UserError, match="is not in MPII's format"):
        read_mpii(tmp_path / "release.mat")
    (tmp_path / "joints.mat").write_bytes((tmp_path / "joints.mat").read_bytes()[:150])
    with pytest.raises(UserError, match=r"is damaged or truncated|has no variable"):
        read_lsp(tmp_path)
    (tmp_path / "joints.mat").write_text("hello")
    with pytest.raises(UserError, match="found a text file, expected a MATLAB file"):
        read_lsp(tmp_path)


@pytest.mark.parametrize("frames", [1, 3])
def test_surreal(frames: int, tmp_path: Path) -> None:
    held = write_surreal(tmp_path / "run0" / "01_01", frames)
    people = read_surreal(tmp_path / "run0")
    assert people.files == ("01_01/01_01_c0001.mp4",) * frames and people.gender == ("male",) * frames
    flip = list(SMPL.flip)
    np.testing.assert_allclose(people.joints3d[:, flip, :3], held["seen"], atol=1e-5)
    np.testing.assert_allclose(people.keypoints[:, flip, :2], held["pixels"], atol=1e-3)
    # The pose is that of the mirrored person whom the image shows; the free body is not quite symmetric.
    posed = Body.free().joints(torch.from_numpy(people.pose), torch.from_numpy(people.betas)).numpy()
    away = (posed - posed[:, :1]) - (people.joints3d[..., :3] - people.joints3d[:, :1, :3])
    assert np.linalg.norm(away, axis=2).max() < 0.03
    parts = people.parts(0, (240, 320))
    # Left and right thigh are exchanged.
    assert parts[120, 155] == 3 and parts[120, 165] == 2 and (people.mask(0, (240, 320)) > 0).sum() == 800
    assert len(read_surreal(tmp_path, every=2)) == (frames + 1) // 2


def test_surreal_of_another_making_is_refused(tmp_path: Path) -> None:
    write_surreal(tmp_path / "01_01", 3)
    file = tmp_path / "01_01" / "01_01_c0001_info.mat"
    held = {key: value for key, value in io.loadmat(file).items() if not key.startswith("_")}
    io.savemat(file, {**held, "zrot": held["zrot"] + np.pi})
    with pytest.raises(UserError, match="pose and zrot disagree with joints3D"):
        read_surreal(tmp_path)
    io.savemat(file, {**held, "pose": held["pose"][:70]})
    with pytest.raises(UserError, match=r"pose has shape \(70, 3\), expected \(72, 'frames'\)"):
        read_surreal(tmp_path)
