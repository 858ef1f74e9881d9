"""SPIN's preprocessed npz files, and those of ProHMR."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from dataset_files import poses, write_image, write_spin

from adaptation.bodies.joint_sets import SPIN
from adaptation.data.sets.spin import read_spin
from adaptation.support.errors import UserError

H36M = [f"images/S9_Directions_1.60457274_{frame:06d}.jpg" for frame in (1, 6, 11)]


def test_human36m_of_spin(tmp_path: Path) -> None:
    written = write_spin(tmp_path / "h36m_valid_protocol2.npz", H36M)
    people = read_spin(tmp_path / "h36m_valid_protocol2.npz")
    assert people.files == tuple(H36M) and people.joint_set == people.joints3d_set == SPIN
    # A scale of 0.1 is 20 pixels.
    np.testing.assert_allclose(people.box, np.tile([15, 5, 20, 20], (3, 1)), rtol=1e-6)
    np.testing.assert_allclose(people.keypoints, written["part"], rtol=1e-6)
    np.testing.assert_allclose(people.joints3d, written["S"], rtol=1e-6)
    assert people.frame.tolist() == [0, 5, 10] and people.clip.tolist() == [0, 0, 0]
    assert people.subject.tolist() == [9, 9, 9] and people.view.tolist() == [60457274] * 3
    assert people.pose is None and people.mask is None


@pytest.mark.parametrize(
    ("names", "subject", "view", "frame"),
    [
        (["S3/Seq2/imageFrames/video_8/frame_000031.jpg", "S3/Seq2/imageFrames/video_8/frame_000041.jpg"], 3, 8, 30),
        (["mpi_inf_3dhp_test_set/TS4/imageSequence/img_000007.jpg"], 4, None, 6),
        (["imageFiles/downtown_walking_00/image_00012.jpg"], None, None, 12),
        (["im1001.jpg", "im1002.jpg"], None, None, None),
        # One foreign name, and nothing is known of any.
        ([H36M[0], "other.jpg"], None, None, None),
    ],
)
def test_names_say_where_images_are_from(
    names: list[str], subject: int | None, view: int | None, frame: int | None, tmp_path: Path
) -> None:
    write_spin(tmp_path / "set.npz", names)
    people = read_spin(tmp_path / "set.npz")
    for array, value in ((people.subject, subject), (people.view, view), (people.frame, frame)):
        assert (None if array is None else array[0]) == value
    assert (people.clip is None) == (frame is None)


def test_partial_labels_are_kept(tmp_path: Path) -> None:
    pose = poses(3)
    pose[1] = 0
    openpose = np.zeros((3, 25, 3))
    openpose[:, 8] = 20, 15, 0.7  # between the hips
    part = np.zeros((3, 24, 3))
    part[0, 3] = 21, 14, 1
    write_spin(
        tmp_path / "train.npz", ["a.jpg", "b.jpg", "c.jpg"], pose=pose, shape=np.ones((3, 10)), openpose=openpose,
        has_smpl=np.array([1, 1, 0]), part=part, gender=np.array(["m", "f", "n"]),
    )  # fmt: skip
    people = read_spin(tmp_path / "train.npz")
    # The second pose is zeros, and the third is not a fit.
    assert people.has_pose.tolist() == [True, False, False] and people.gender == ("male", "female", "neutral")
    np.testing.assert_allclose(people.pose[0].ravel(), pose[0], rtol=1e-6)
    assert people.keypoints[0, SPIN.joints.index("left_hip")].tolist() == [21, 14, 1]
    # Annotations come first, and OpenPose's keypoints where there are none.
    assert people.keypoints[0, SPIN.joints.index("pelvis"), 2] == 0
    np.testing.assert_allclose(people.keypoints[1, SPIN.joints.index("pelvis")], [20, 15, 0.7], rtol=1e-6)


def test_masks_of_lsp(tmp_path: Path) -> None:
    names = np.array(["data/lsp/im1001_segmentation.png"])
    write_image(tmp_path / "upi" / names[0], value=0)
    write_spin(tmp_path / "lsp.npz", ["images/im1001.jpg"], maskname=names)
    assert read_spin(tmp_path / "lsp.npz").mask is None
    mask = read_spin(tmp_path / "lsp.npz", tmp_path / "upi").mask(0, (48, 64))
    assert mask.shape == (48, 64) and (mask > 0).sum() == 100


def test_prohmr(tmp_path: Path) -> None:
    body, extra = np.zeros((2, 25, 3)), np.zeros((2, 19, 3))
    extra[0, 13] = 30, 20, 1
    body[1, 0] = 31, 21, 0.5
    np.savez(
        tmp_path / "coco.npz", imgname=np.array([b"a.jpg", b"b.jpg"]), center=np.array([[25.0, 15], [26, 16]]),
        scale=np.array([[10.0, 20], [30, 8]]), body_keypoints_2d=body, extra_keypoints_2d=extra,
        body_pose=poses(2), has_body_pose=np.array([1.0, 0]), betas=np.zeros((2, 10)), has_betas=np.ones(2),
    )  # fmt: skip
    people = read_spin(tmp_path / "coco.npz")
    # The scale has pixels, and the longer side counts.
    np.testing.assert_allclose(people.box[:, 2], [20, 30])
    assert people.files == ("a.jpg", "b.jpg") and people.has_pose.tolist() == [True, False]
    assert people.keypoints[0, SPIN.joints.index("head_top")].tolist() == [30, 20, 1]
    assert people.keypoints[1, SPIN.joints.index("nose")].tolist() == [31, 21, 0.5]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"center": np.zeros((2, 2))}, r"center must be numbers of shape \(3, 2\)"),
        ({"part": np.zeros((3, 14, 3))}, r"part must be numbers of shape \(3, 24, 3\), got float64 \(3, 14, 3\)"),
        ({"S": np.full((3, 24, 4), np.nan)}, "S holds NaN or infinity"),
        ({"scale": np.zeros(3)}, "nobody has a box"),
    ],
)
def test_what_does_not_fit_is_named(changes: dict[str, np.ndarray], message: str, tmp_path: Path) -> None:
    write_spin(tmp_path / "bad.npz", H36M, **changes)
    with pytest.raises(UserError, match=message):
        read_spin(tmp_path / "bad.npz")


def test_other_npz_files_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "poses.npz", poses=poses(3))
    with pytest.raises(UserError, match="lacks imgname, center, scale, which preprocessed files of SPIN have"):
        read_spin(tmp_path / "poses.npz")
