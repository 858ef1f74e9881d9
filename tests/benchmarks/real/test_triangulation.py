from __future__ import annotations

import numpy as np
import pytest
import torch
from real.cameras import Camera, letterboxed, load_cameras, read_qualisys, save_cameras
from real.skeleton import EXCHANGED
from real.triangulation import adjusted, consistent_sides, errors, robust, triangulate, without_jumps

from adaptation.evaluation.metrics import similarity_align
from adaptation.support.errors import UserError

NOISE = 3.0  # pixels
REST = np.array(
    [
        [0, 0.18, 1.4], [0, -0.18, 1.4], [0, 0.45, 1.4], [0, -0.45, 1.4], [0, 0.7, 1.4], [0, -0.7, 1.4],
        [0, 0.1, 0.9], [0, -0.1, 0.9], [0, 0.12, 0.5], [0, -0.12, 0.5], [0, 0.12, 0.08], [0, -0.12, 0.08],
    ]
)  # fmt: skip


def camera(azimuth: float, name: str) -> Camera:
    """A camera three metres away, two metres high, that looks at a person's hips."""
    centre = np.array([3 * np.cos(azimuth), 3 * np.sin(azimuth), 2.0])
    forward = np.array([0, 0, 1.0]) - centre
    forward /= np.linalg.norm(forward)
    right = np.cross(forward, [0, 0, 1.0])
    right /= np.linalg.norm(right)
    rotation = np.stack([right, np.cross(forward, right), forward])
    matrix = np.array([[840.0, 0, 270], [0, 840, 480], [0, 0, 1]])
    return Camera(name, matrix, np.array([-0.05, 0.1, 0.001, 0]), rotation, -rotation @ centre, (540, 960))


def cameras(count: int) -> list[Camera]:
    return [camera(0.3 + 2 * np.pi * k / count, f"cam0{k + 1}") for k in range(count)]


def movement(frames: int = 40) -> np.ndarray:
    """Somebody who moves all joints by up to 15 cm, (frames, 12, 3)."""
    phase = np.linspace(0, 2 * np.pi, frames)[:, None, None] * np.array([1, 2, 1])
    return REST + 0.15 * np.sin(phase + np.arange(12)[:, None] * 0.5) * np.array([1, 0.5, 0.3])


def views(joints: np.ndarray, seen_by: list[Camera], noise: float, seed: int = 0) -> np.ndarray:
    chance = np.random.default_rng(seed)
    places = np.stack([each.project(joints) for each in seen_by])
    places += chance.normal(0, noise, places.shape)
    return np.concatenate([places, np.full((*places.shape[:-1], 1), 0.9)], axis=-1)


def distance(joints: np.ndarray, truth: np.ndarray) -> float:
    """Mean distance after a rigid motion and scale of the whole recording, millimetres."""
    a, b = (torch.from_numpy(part.reshape(1, -1, 3)) for part in (joints, truth))
    return 1000 * float((similarity_align(a, b) - b).norm(dim=2).mean())


def test_exact_views_give_the_points_back() -> None:
    for count in (2, 3, 4):
        keypoints = views(movement(), cameras(count), 0)
        points = triangulate(keypoints, cameras(count))
        np.testing.assert_allclose(points, movement(), atol=1e-6)
        np.testing.assert_allclose(errors(points, keypoints, cameras(count)), 0, atol=1e-3)


def test_one_bad_view_is_weighted_down() -> None:
    keypoints = views(movement(), cameras(4), NOISE)
    keypoints[0, ::3, 4, :2] += 90
    points, away = robust(keypoints, cameras(4))
    assert distance(triangulate(keypoints, cameras(4))[:, 4], movement()[:, 4]) > 20
    assert distance(points[:, 4], movement()[:, 4]) < 15
    assert np.median(away[0, ::3, 4]) > 60


def test_a_joint_that_jumps_is_replaced() -> None:
    jumping = movement()
    jumping[20, 5] += 0.4
    steady, kept = without_jumps(jumping)
    assert np.argwhere(~kept).tolist() == [[20, 5]]
    assert np.linalg.norm(steady[20, 5] - movement()[20, 5]) < 0.03
    assert np.array_equal(steady[kept], movement()[kept])


def test_exchanged_sides_are_put_right() -> None:
    keypoints = views(movement(), cameras(3), NOISE)
    wrong = keypoints.copy()
    wrong[1, 10:18] = wrong[1, 10:18][:, EXCHANGED]
    wrong[2, 30, :6] = wrong[2, 30][EXCHANGED][:6]
    assert np.array_equal(consistent_sides(wrong, cameras(3)), keypoints)


def test_a_skeleton_is_recovered_within_the_noise_after_cameras_moved() -> None:
    chance = np.random.default_rng(1)
    changes = [np.concatenate([chance.normal(0, 0.006, 3), chance.normal(0, 0.015, 3)]) for _ in range(4)]
    true = [each.moved(change) for each, change in zip(cameras(4), changes, strict=True)]
    keypoints = views(movement(), true, NOISE)
    before, known = (distance(robust(keypoints, each)[0], movement()) for each in (cameras(4), true))
    found = adjusted(keypoints, cameras(4))
    after = distance(robust(keypoints, found)[0], movement())
    assert before > 1.1 * known
    assert after < 1.05 * known < 15
    assert np.median(robust(keypoints, found)[1]) < 1.1 * np.median(robust(keypoints, true)[1])


def test_cameras_survive_their_file(tmp_path) -> None:
    save_cameras(cameras(3), tmp_path / "cameras.npz")
    for read, written in zip(load_cameras(tmp_path / "cameras.npz"), cameras(3), strict=True):
        assert read.name == written.name and read.size == written.size
        np.testing.assert_allclose(read.project(REST), written.project(REST))
    with pytest.raises(UserError, match="no such file"):
        load_cameras(tmp_path / "none.npz")


def test_images_and_cameras_change_their_size_together() -> None:
    one = camera(0.5, "cam01")
    np.testing.assert_allclose(one.scaled(0.5).project(REST), one.project(REST) / 2)
    boxed = letterboxed(one, (270, 960))
    np.testing.assert_allclose(boxed.project(REST), one.project(REST) / 2 + [0, 240])
    places = one.project(REST)
    seen = one.seen(REST)
    np.testing.assert_allclose(one.undistorted(places), seen[:, :2] / seen[:, 2:], atol=1e-6)


QUALISYS = """<calibration><cameras><camera serial="cam07"><fov_video left="0" top="0" right="1087" bottom="1919"/>
<transform r11="1" r12="0" r13="0" r21="0" r22="0" r23="1" r31="0" r32="-1" r33="0" x="0" y="-4000" z="1000"/>
<intrinsic focalLengthU="64000" focalLengthV="64000" centerPointU="34816" centerPointV="61440" radialDistortion1="0"
 radialDistortion2="0" tangentalDistortion1="0" tangentalDistortion2="0"/></camera></cameras></calibration>"""


def test_qualisys_cameras_are_read() -> None:
    (one,) = read_qualisys(QUALISYS.encode())
    assert one.name == "cam07" and one.size == (1088, 1920) and one.focal == 1000
    # Four metres in front of the camera, one metre to the right and half a metre up.
    np.testing.assert_allclose(one.seen(np.array([1.0, 0, 1.5])), [1, -0.5, 4], atol=1e-9)
    np.testing.assert_allclose(one.project(np.array([[1.0, 0, 1.5]])), [[544 + 250, 960 - 125]], atol=1e-6)
    for bad in (b"", b"<a/", QUALISYS.replace("focalLengthU", "f").encode(), QUALISYS.replace("64000", "x").encode()):
        with pytest.raises(UserError, match="not in Qualisys' format"):
            read_qualisys(bad)
