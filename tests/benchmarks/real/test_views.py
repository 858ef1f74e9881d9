from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from real.cameras import Camera, save_cameras
from real.skeleton import OF_SMPL
from real.views import Reference, ViewScores, camera_to_world, judge_camera, judge_cameras, line, silhouette, turn_to

from adaptation.bodies.body import Body
from adaptation.recording.results import PersonResult
from adaptation.support.errors import UserError

FRAME, SIDE, LEFT, TOP = 4, 400.0, 100.0, 300.0
DISTANCE = 20.0  # metres: nearly no perspective


def front_camera() -> Camera:
    matrix = np.array([[4000.0, 0, 320], [0, 4000, 480], [0, 0, 1]])
    return Camera("cam01", matrix, np.zeros(4), np.eye(3), np.zeros(3), (640, 960))


def side_camera() -> Camera:
    """Looks along -x at the same place."""
    rotation = np.array([[0, 0, 1.0], [0, 1, 0], [-1, 0, 0]])
    centre = np.array([DISTANCE, 0, DISTANCE])
    return replace(front_camera(), name="cam02", rotation=rotation, translation=-rotation @ centre)


def standing(body: Body) -> PersonResult:
    """A body upright in front of the first camera, facing it."""
    pose = np.zeros((1, 24, 3), np.float32)
    pose[:, 0, 0] = np.pi
    with torch.no_grad():
        joints = body(torch.from_numpy(pose), torch.zeros(1, 10)).joints.numpy()
    scale = 4000 / DISTANCE / (SIDE / 2)
    middle = joints[0, OF_SMPL][6:8].mean(0)
    # The hips lie on the optical axis.
    shift = (np.array([320, 480]) - [LEFT, TOP]) / (SIDE / 2) - 1
    camera = np.array([[scale, *(shift / scale - middle[:2])]], np.float32)
    joints2d = (scale * (joints[..., :2] + camera[:, None, 1:]) + 1) * SIDE / 2 + np.array([LEFT, TOP])
    one, betas = np.ones(1, np.float32), np.zeros((1, 10), np.float32)
    box = np.array([[LEFT, TOP, SIDE, SIDE]], np.float32)
    return PersonResult(
        np.array([2]), box, pose, betas, camera, joints, joints2d.astype(np.float32), one, one, one, one, pose, betas,
        camera,
    )  # fmt: skip


@pytest.fixture(scope="module")
def reference(free_body: Body, tmp_path_factory: pytest.TempPathFactory) -> Reference:
    """Cameras, skeleton and masks of that body; image 2 is frame 4 of the video."""
    folder = tmp_path_factory.mktemp("reference")
    person = standing(free_body)
    with torch.no_grad():
        vertices = free_body(torch.from_numpy(person.pose), torch.zeros(1, 10)).vertices[0].double().numpy()
    middle = person.joints3d[0, OF_SMPL][6:8].mean(0)
    place = np.array([0, 0, DISTANCE]) - middle
    joints = np.zeros((6, 12, 3))
    joints[:] = person.joints3d[0, OF_SMPL] + place
    save_cameras([front_camera(), side_camera()], folder / "cameras.npz")
    np.savez(folder / "joints3d.npz", joints3d=joints, frame_valid=np.ones(6, bool))
    for camera in (front_camera(), side_camera()):
        (folder / camera.name / "masks").mkdir(parents=True)
        mask = silhouette(camera, vertices + place, free_body).astype(np.uint8) * 255
        assert mask.any()
        for frame in (0, 2, 4):
            cv2.imwrite(str(folder / camera.name / "masks" / f"{frame:03d}.png"), mask)
    return Reference(folder)


def test_the_truth_has_no_error(reference: Reference, free_body: Body) -> None:
    (scores,) = judge_camera([standing(free_body)], reference, "cam01", free_body)
    assert max(scores.pa, scores.mpjpe) < 0.1 and scores.error2d < 1
    assert scores.pck == scores.front == 100
    assert min(scores.own, scores.other, scores.shape) > 97


def test_each_error_shows_in_its_own_column(reference: Reference, free_body: Body) -> None:
    person = standing(free_body)
    # Half a turn about the vertical axis: the mirrored silhouette is nearly the same.
    back = replace(person, joints3d=person.joints3d * np.array([-1, 1, -1], np.float32))
    half = np.array([[0, 0, np.pi]], np.float32)
    (turned,) = judge_camera(
        [replace(back, pose=np.concatenate([half[None], person.pose[:, 1:]], 1))], reference, "cam01", free_body
    )
    assert turned.front == 0 and turned.mpjpe > 100 and turned.pa < 50 and turned.pck == 100
    # Hips at the same pixel, but 0.8 times the size: too far away for the camera beside, unless that is corrected.
    middle = person.joints3d[0, OF_SMPL][6:8].mean(0)[:2]
    shift = (person.camera[:, 1:] + middle) / 0.8 - middle
    small = np.concatenate([person.camera[:, :1] * 0.8, shift], axis=1).astype(np.float32)
    (smaller,) = judge_camera([replace(person, camera=small)], reference, "cam01", free_body)
    assert smaller.own < 60 and smaller.other < 5 and 50 < smaller.shape < 70
    moved = replace(person, joints2d=person.joints2d + 40)
    (away,) = judge_camera([moved], reference, "cam01", free_body)
    assert away.error2d > 10 and away.pck == 0 and away.pa < 0.1


def test_invalid_frames_are_left_out_and_others_refused(reference: Reference, free_body: Body, tmp_path: Path) -> None:
    person = standing(free_body)
    with pytest.raises(UserError, match="cam01 has 3 masks, the results have frame 9"):
        judge_camera([replace(person, frame=np.array([9]))], reference, "cam01", free_body)
    with pytest.raises(UserError, match="no results in subfolders named cam01, cam02"):
        list(judge_cameras(tmp_path, reference, free_body))
    (tmp_path / "cam01").mkdir()
    person.save(tmp_path / "cam01" / "person_01.npz")
    ((name, scores),) = judge_cameras(tmp_path, reference, free_body)
    assert name == "cam01" and len(scores) == 1
    assert len(line(ViewScores.mean(scores))) == 8 * 9
    reference.valid[FRAME] = False
    try:
        assert judge_camera([person], reference, "cam01", free_body) == []
    finally:
        reference.valid[FRAME] = True


def test_axes_of_cameras(reference: Reference) -> None:
    points = np.random.default_rng(0).normal(size=(5, 3))
    for camera in reference.cameras:
        np.testing.assert_allclose(camera_to_world(camera, camera.seen(points)), points, atol=1e-12)
    ray = np.array([0.3, -0.2, 1.0])
    np.testing.assert_allclose(turn_to(ray) @ [0, 0, 1], ray / np.linalg.norm(ray), atol=1e-12)
    assert np.array_equal(turn_to(np.array([0, 0, 2.0])), np.eye(3))
