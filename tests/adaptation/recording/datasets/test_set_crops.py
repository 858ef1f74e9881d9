"""Crops of the people of data sets, with labels."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from dataset_files import poses, write_image

from adaptation.bodies.body import Body
from adaptation.bodies.camera import WeakPerspective
from adaptation.bodies.joint_sets import H36M, OPENPOSE, SMPL, SPIN, JointSet
from adaptation.data.samples import Samples
from adaptation.data.sets.people import People, with_confidence
from adaptation.data.sets.threedpw import COCO_18
from adaptation.recording.datasets.set_crops import CropSettings, crop_set
from adaptation.recording.datasets.set_labels import UNKNOWN_SMPL, Models
from adaptation.support.errors import UserError

SIZE = 40


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a.png", "sub/b.png"):
        write_image(tmp_path / "images" / name)
    (tmp_path / "out").mkdir()
    return tmp_path


def people(**more: object) -> People:
    """Three people in two images; the first and the last have the box (15, 5, 20, 20)."""
    box = np.array([[15, 5, 20, 20], [-10, -10, 20, 20], [15, 5, 20, 20]], np.float32)
    return People(("a.png", "sub/b.png", "a.png"), box, **more)  # type: ignore[arg-type]


def cropped(some: People, folder: Path, settings: CropSettings | None = None, models: Models | None = None) -> Samples:
    settings = settings or CropSettings(SIZE)
    samples = crop_set(some, folder / "images", folder / "out", settings, models or Models())
    samples.save(folder / "out", {})
    return Samples.load(folder / "out")


def test_crops_show_the_boxes(folder: Path) -> None:
    samples = cropped(people(), folder)
    assert samples.images.shape == (3, SIZE, SIZE, 3) and samples.masks is None
    # The square from (20, 10) to (30, 20) lies in the middle, twice as large.
    assert (samples.images[0, 12:28, 12:28] == 255).all() and samples.images[0, 5, 5].tolist() == [90] * 3
    np.testing.assert_array_equal(samples.images[2], samples.images[0])
    # Beyond the frame it is black.
    assert not samples.images[1, :18].any() and samples.images[1, 30, 30].tolist() == [90] * 3
    assert samples.frame_size.tolist() == [[64, 48]] * 3 and samples.box[0].tolist() == [15, 5, 20, 20]
    listed = (folder / "out" / "sources.csv").read_text().splitlines()
    assert listed == ["crop,file,frame", "0,a.png,", "1,sub/b.png,", "2,a.png,"]


def test_larger_crops_keep_their_middle(folder: Path) -> None:
    samples = cropped(people(), folder, CropSettings(SIZE, enlarge=2))
    assert samples.box[0].tolist() == [5, -5, 40, 40] and (samples.images[0, 16:24, 16:24] == 255).all()
    assert len(cropped(people(), folder, CropSettings(SIZE, most=2))) == 2


def test_labels_are_in_the_crop(folder: Path) -> None:
    keypoints = np.zeros((3, 24, 3), np.float32)
    keypoints[:, 0] = 25, 15, 0.5
    some = people(
        keypoints=keypoints, head_size=np.full(3, 4, np.float32), joints3d=np.ones((3, 24, 4), np.float32),
        mask=lambda person, shape: np.pad(np.full((10, 10), 9, np.uint8), ((10, 28), (20, 34))),
        parts=lambda person, shape: np.pad(np.full((10, 10), 3, np.uint8), ((10, 28), (20, 34))),
        frame=np.array([4, 5, 6]), clip=np.array([0, 1, 0]), intrinsics=np.tile(np.eye(3, dtype=np.float32), (3, 1, 1)),
    )  # fmt: skip
    samples = cropped(some, folder)
    assert samples.keypoints[0, 0].tolist() == [20, 20, 0.5] and not samples.keypoints[0, 1].any()
    assert samples.head_size.tolist() == [8, 8, 8] and samples.frame.tolist() == [4, 5, 6]
    assert samples.joint_set == "spin" and samples.body == UNKNOWN_SMPL
    for kind in range(3):
        assert samples.masks[0, kind].sum() == 400 and samples.masks[0, kind, 10:30, 10:30].all()
    assert (samples.parts[0, 10:30, 10:30] == 3).all() and samples.parts[0].sum() == 3 * 400
    with pytest.raises(UserError, match=r"a\.png: its mask has 3 x 2 pixels, the image 64 x 48"):
        cropped(replace(some, mask=lambda person, shape: np.zeros((2, 3), np.uint8)), folder)


def test_missing_images_are_said(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    (folder / "images" / "sub" / "b.png").unlink()
    caplog.set_level("INFO", "adaptation.found")
    some = people(frame=np.array([1, 2, 3]))
    samples = cropped(some, folder)
    assert samples.frame.tolist() == [1, 3] and "1 of 3 people have no image (sub/b.png, ...)" in caplog.text
    (folder / "images" / "a.png").unlink()
    with pytest.raises(UserError, match=r"no such file: .*a\.png; --images names the folder"):
        cropped(some, folder)


def test_frames_of_videos(folder: Path) -> None:
    video = cv2.VideoWriter(str(folder / "images" / "a.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 10, (64, 48))
    for level in (40, 120, 200):
        video.write(np.full((48, 64, 3), level, np.uint8))
    video.release()
    box = np.tile(np.float32([15, 5, 20, 20]), (4, 1))
    samples = cropped(People(("a.avi",) * 4, box, frame=np.array([2, 0, 1, 3])), folder)
    # The video has three frames, and order is kept.
    np.testing.assert_allclose(samples.images[:, 20, 20, 0], [200, 40, 120], atol=4)


def test_detected_keypoints_join_smpls_joints(folder: Path) -> None:
    keypoints = np.tile(np.float32([25, 15, 1]), (3, 18, 1))
    joints = np.ones((3, 24, 4), np.float32)
    some = people(keypoints=keypoints, joint_set=COCO_18, joints3d=joints, joints3d_set=SMPL)
    samples = cropped(some, folder)
    assert samples.joint_set == "smpl" and (samples.keypoints[0, :, 2] > 0).sum() == len(OPENPOSE)
    alone = cropped(replace(some, joints3d=None, joint_set=SPIN, keypoints=keypoints.repeat(2, 1)[:, :24]), folder)
    assert alone.joint_set == "spin" and alone.joints3d is None


def posed(body: Body) -> People:
    pose = poses(3).reshape(3, 24, 3).astype(np.float32)
    betas = np.zeros((3, 10), np.float32)
    joints = body.joints(torch.from_numpy(pose), torch.from_numpy(betas))
    camera = WeakPerspective(torch.tensor([[0.8, 0.1, 0.2]] * 3))
    # Crop coordinates in the frame's box (15, 5, 20, 20) of the first and the last person.
    seen = camera.project(joints, 20) + torch.tensor([15.0, 5.0])
    keypoints = SMPL.placed_in(OPENPOSE, with_confidence(seen.numpy()))
    keypoints[1] = 0
    return people(pose=pose, betas=betas, keypoints=keypoints, joint_set=OPENPOSE, gender=("neutral",) * 3)


def test_cameras_are_fitted_to_keypoints(folder: Path, body: Body) -> None:
    samples = cropped(posed(body), folder, models=Models(neutral=body))
    assert samples.has_camera.tolist() == [True, False, True] and samples.body == "free"
    np.testing.assert_allclose(samples.camera[[0, 2]], [[0.8, 0.1, 0.2]] * 2, atol=1e-4)
    assert cropped(posed(body), folder).camera is None


def test_joints_are_regressed_from_meshes(folder: Path, body: Body) -> None:
    weights = torch.rand(17, body.vertex_count, generator=torch.Generator().manual_seed(0))
    weights /= weights.sum(dim=1, keepdim=True)
    some = replace(posed(body), gender=("male", "female", "male"), has_pose=np.array([True, True, False]))
    models = Models(male=body, female=body, regressor=weights)
    samples = cropped(some, folder, models=models)
    vertices = body(torch.from_numpy(some.pose), torch.from_numpy(some.betas)).vertices
    place = SPIN.joints.index("left_knee")
    expected = (weights @ vertices)[0, H36M.joints.index("left_knee")]
    np.testing.assert_allclose(samples.joints3d[0, place], [*expected.numpy(), 1], atol=1e-5)
    assert samples.joint_set == "spin" and samples.body == UNKNOWN_SMPL  # of two models
    assert (samples.joints3d[0, :, 3] > 0).sum() == 17 and not samples.joints3d[2].any()
    with pytest.raises(UserError, match="--regressor needs the female body model: --female"):
        cropped(some, folder, models=Models(male=body, regressor=weights))
    with pytest.raises(UserError, match="--regressor is for sets with poses"):
        cropped(people(), folder, models=models)


def test_joint_sets_are_placed_by_name() -> None:
    small = JointSet("small", ("nose", "left_hip", "tail"))
    placed = small.placed_in(SPIN, np.array([[[1.0, 2, 1], [3, 4, 0.5], [5, 6, 1]]]))
    assert placed[0, SPIN.joints.index("left_hip")].tolist() == [3, 4, 0.5] and (placed[..., 2] > 0).sum() == 2
