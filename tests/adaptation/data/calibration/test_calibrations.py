"""Calibrations of OpenCV, COLMAP and Qualisys: what is read, what is asked back, and damaged files."""

from __future__ import annotations

import math
from pathlib import Path

import cv2
import numpy as np
import pytest
from fuzzing import fuzz

from adaptation.data.calibration.camera import AXES, CalibratedCamera, read_calibration, read_lens
from adaptation.data.calibration.lens import LensOptions
from adaptation.support.errors import UserError
from adaptation.support.reading.findings import kept_findings

SIZE = WIDTH, HEIGHT = 640, 480
MATRIX = np.array([[700.0, 0, 330], [0, 704, 236], [0, 0, 1]])
PITCH, ROLL = math.radians(20), math.radians(-10)
DOWN = np.array([-math.sin(ROLL) * math.cos(PITCH), math.cos(ROLL) * math.cos(PITCH), math.sin(PITCH)])


def rotation(up: str = "z") -> np.ndarray:
    """Return a rotation to camera axes from a world in which an axis points up, turned about it by any angle."""
    axis = np.array(AXES[up])
    level = np.cross(axis, [0.36, -0.48, 0.8])
    level /= np.linalg.norm(level)
    world = np.stack([-axis, level, np.cross(-axis, level)])
    seen = np.cross(DOWN, [0.6, 0, 0.8])
    seen /= np.linalg.norm(seen)
    return np.stack([DOWN, seen, np.cross(DOWN, seen)]).T @ world


def check(camera: CalibratedCamera, centre: tuple[float, float] = (330, 236)) -> None:
    np.testing.assert_allclose(camera.down, DOWN, atol=1e-6)
    assert camera.focal == pytest.approx(702)
    assert camera.centre == pytest.approx(centre)


def opencv(path: Path, **values: object) -> Path:
    storage = cv2.FileStorage(str(path), cv2.FILE_STORAGE_WRITE)
    for key, value in values.items():
        storage.write(key, value)
    storage.release()
    return path


def colmap(folder: Path, names: tuple[str, ...] = ("cam 1.png",)) -> Path:
    folder.mkdir(exist_ok=True)
    matrix = rotation()
    w = math.sqrt(1 + np.trace(matrix)) / 2
    x, y, z = np.array([matrix[2, 1] - matrix[1, 2], matrix[0, 2] - matrix[2, 0], matrix[1, 0] - matrix[0, 1]]) / (
        4 * w
    )
    (folder / "cameras.txt").write_text(
        "# Camera list with one line of data per camera:\n"
        "1 OPENCV 640 480 700 704 330 236 0.1 0 0 0\n2 SIMPLE_RADIAL 640 480 702 330 236 0.01\n"
    )
    lines = ["# Image list with two lines of data per image:"]
    for number, name in enumerate(names, 1):
        # The first image has no points, so its second line is empty.
        points = "" if number == 1 else "10.5 20.5 -1 7.0 8.0 3"
        lines += [f"{number} {w} {x} {y} {z} 0.1 0.2 4 {1 + number % 2} {name}", points]
    (folder / "images.txt").write_text("\n".join(lines) + "\n")
    return folder


def qualisys(path: Path, names: tuple[str, ...] = ("left",), head: str = "", **changes: str) -> Path:
    flipped = np.diag([1, -1, -1]) @ rotation()
    axes = " ".join(f'r{row + 1}{column + 1}="{flipped[row, column]}"' for row in range(3) for column in range(3))
    view = changes.get("view", "0")
    cameras = "".join(
        f'<camera active="1" serial="{name}" viewrotation="{view}"><fov_video left="10" top="20" right="649" '
        f'bottom="499"/><transform {axes} x="1" y="2" z="3"/><intrinsic focalLengthU="{700 * 64}" '
        f'focalLengthV="{704 * 64}" centerPointU="{340 * 64}" centerPointV="{256 * 64}"/></camera>'
        for name in names
    )
    path.write_text(f'<?xml version="1.0"?>{head}<calibration><cameras>{cameras}</cameras></calibration>')
    return path


@pytest.mark.parametrize("suffix", [".yml", ".xml", ".json"])
@pytest.mark.parametrize("up", ["z", "-y", "x"])
def test_opencv(tmp_path: Path, suffix: str, up: str) -> None:
    vector = cv2.Rodrigues(rotation(up))[0]
    file = opencv(tmp_path / f"camera{suffix}", image_width=640, image_height=480, camera_matrix=MATRIX, rvec=vector)
    check(read_calibration(file, SIZE, up=up), centre=(330.5, 236.5))
    file = opencv(tmp_path / f"matrix{suffix}", K=MATRIX, R=rotation(up))
    check(read_calibration(file, SIZE, up=up), centre=(330.5, 236.5))
    file = opencv(tmp_path / f"both{suffix}", cameraMatrix=MATRIX, extrinsic=np.c_[rotation(up), [1, 2, 3]])
    check(read_calibration(file, SIZE, up=up), centre=(330.5, 236.5))


def test_yaml_of_other_programs(tmp_path: Path) -> None:
    file = tmp_path / "camera.yaml"
    rows = "\n".join(f"- [{', '.join(map(str, row))}]" for row in rotation())
    file.write_text(f"# a comment\nK: [[700, 0, 330],\n  [0, 704, 236], [0, 0, 1]] # px\nR:\n{rows}\n")
    check(read_calibration(file, SIZE, up="z"), centre=(330.5, 236.5))
    vector = "\n".join(f"  - {part}" for part in cv2.Rodrigues(rotation())[0].ravel())
    file.write_text(
        f"%YAML:1.0\nimage_size: [ 640, 480 ]\nnames: [ left ]\nrvec:\n{vector}\nK: [700,0,330,0,704,236,0,0,1]\n"
    )
    check(read_calibration(file, SIZE, up="z"), centre=(330.5, 236.5))


def test_opencv_with_several_cameras(tmp_path: Path) -> None:
    file = opencv(tmp_path / "both.yml", K_left=MATRIX, R_left=rotation(), K_right=MATRIX * 2, R_right=np.eye(3))
    with pytest.raises(UserError, match=r"2 cameras \(left, right\); say which one with --camera"):
        read_calibration(file, SIZE, up="z")
    check(read_calibration(file, SIZE, "left", "z"), centre=(330.5, 236.5))


def test_colmap(tmp_path: Path) -> None:
    folder = colmap(tmp_path / "model")
    for path in (folder, folder / "images.txt", folder / "cameras.txt"):
        check(read_calibration(path, SIZE, up="z"))
    colmap(folder, ("a/one.png", "two.png", "three.png"))
    for name in ("a/one.png", "two.png", "three"):
        check(read_calibration(folder, SIZE, name, "z"))
    (folder / "cameras.txt").unlink()
    with pytest.raises(UserError, match=r"has no cameras\.txt"):
        read_calibration(folder, SIZE, "two", "z")


def test_qualisys(tmp_path: Path) -> None:
    file = qualisys(tmp_path / "calib.qca.txt", ("left", "right"))
    check(read_calibration(file, SIZE, "right"))
    with pytest.raises(UserError, match="no camera named 'top', expected one of: left, right"):
        read_calibration(file, SIZE, "top")
    with pytest.raises(UserError, match="viewrotation 90, expected 0"):
        read_calibration(qualisys(file, view="90"), SIZE)


def test_lenses_need_no_rotation(tmp_path: Path) -> None:
    moved = MATRIX + np.array([[0, 0, 0.5], [0, 0, 0.5], [0, 0, 0]])  # OpenCV's pixel centres lie at integers
    np.testing.assert_allclose(read_lens(opencv(tmp_path / "camera.yml", camera_matrix=MATRIX), SIZE), moved)
    both = opencv(tmp_path / "both.yml", K_left=MATRIX, K_right=MATRIX * np.array([[2], [2], [1]]))
    with pytest.raises(UserError, match=r"2 cameras \(left, right\); say which one with --camera"):
        read_lens(both, SIZE)
    np.testing.assert_allclose(read_lens(both, SIZE, "left"), moved)
    folder = colmap(tmp_path / "model")
    (folder / "images.txt").unlink()
    for path in (folder, folder / "cameras.txt"):
        np.testing.assert_allclose(read_lens(path, SIZE, "1"), MATRIX)
    np.testing.assert_allclose(read_lens(folder, (320, 240), "1"), np.diag([0.5, 0.5, 1]) @ MATRIX)
    np.testing.assert_allclose(read_lens(qualisys(tmp_path / "calib.qca.txt"), SIZE), MATRIX)
    with pytest.raises(UserError, match=r"found the keys R, expected a camera_matrix"):
        read_lens(opencv(tmp_path / "turned.yml", R=rotation()), SIZE)
    (folder / "cameras.txt").write_text("# nothing\n")
    with pytest.raises(UserError, match="found no camera, expected lines CAMERA_ID"):
        read_lens(folder, SIZE)


def test_what_a_user_says_about_a_lens(tmp_path: Path) -> None:
    assert LensOptions().matrix(SIZE) is None
    assert LensOptions(focal=500).matrix(SIZE) == ((500, 0, 320), (0, 500, 240), (0, 0, 1))
    wide = LensOptions(fov=90).matrix(SIZE)
    assert wide is not None and wide[1][1] == pytest.approx(240)  # half the height, as far away
    file = opencv(tmp_path / "camera.yml", camera_matrix=MATRIX)
    assert LensOptions(calibration=str(file)).matrix(SIZE) == tuple(map(tuple, read_lens(file, SIZE).tolist()))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"focal": 500.0, "fov": 60.0}, "--focal and --fov all state the focal length; give one of them"),
        ({"camera": "left"}, "--camera belongs to --calibration"),
        ({"fov": 180.0}, "--fov must be an angle from 1 to 170 degrees, got 180"),
        ({"focal": 0.0}, "--focal must be a length in pixels of the frame, got 0"),
    ],
)
def test_unclear_lenses_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        LensOptions(**options)  # type: ignore[arg-type]


def test_entities_are_refused(tmp_path: Path) -> None:
    bomb = '<!DOCTYPE c [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]>'
    with pytest.raises(UserError, match="document type or entities"):
        read_calibration(qualisys(tmp_path / "calib.qca.txt", head=bomb), SIZE)
    file = opencv(tmp_path / "camera.xml", K=MATRIX, R=rotation())
    file.write_text(file.read_text().replace("?>", f"?>{bomb}", 1))
    with pytest.raises(UserError, match="entities"):
        read_calibration(file, SIZE, up="z")


def test_the_axis_that_points_up_is_asked_for(tmp_path: Path) -> None:
    file = opencv(tmp_path / "camera.yml", K=MATRIX, R=rotation())
    with pytest.raises(UserError, match=r"give --up x, y, z, -x, -y, -z \(.*z: pitch 20, roll -10"):
        read_calibration(file, SIZE)
    with pytest.raises(UserError, match="--up must be one of"):
        read_calibration(file, SIZE, up="north")
    with kept_findings() as findings:
        read_calibration(file, SIZE, up="-z")
    assert any("hangs upside down" in line for line in findings)


def test_frames_of_another_size(tmp_path: Path) -> None:
    file = qualisys(tmp_path / "calib.qca.txt")
    with kept_findings() as findings:
        camera = read_calibration(file, (320, 240))
    assert camera.focal == pytest.approx(351) and camera.centre == pytest.approx((165, 118))
    assert any("640x480" in line and "scaled" in line for line in findings)
    with pytest.raises(UserError, match="cut or turned"):
        read_calibration(file, (480, 640))
    unsized = opencv(tmp_path / "camera.yml", K=MATRIX, R=rotation())
    with pytest.raises(UserError, match=r"principal point \(330, 236\) lies outside of the frames of 200x200"):
        read_calibration(unsized, (200, 200), up="z")


def test_a_rotation_without_a_camera_matrix(tmp_path: Path) -> None:
    with kept_findings() as findings:
        camera = read_calibration(opencv(tmp_path / "camera.yml", R=rotation()), SIZE, up="z")
    assert camera.focal is None and camera.centre == (320, 240)
    assert any("no camera matrix" in line for line in findings)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"K": MATRIX}, "expected the camera's rotation as R"),
        ({"R": np.eye(3) * 3}, "not orthogonal"),
        ({"R": np.diag([1.0, 1, -1])}, "mirror image"),
        ({"R": np.full((3, 3), np.nan)}, "finite"),
        ({"R": np.zeros((2, 2))}, "rotation of 4 numbers"),
        ({"R": "text"}, "rotation of no numbers"),
        ({"R": np.eye(3), "K": np.zeros((3, 3))}, "positive focal lengths"),
        ({"R": np.eye(3), "K": np.zeros((2, 2))}, "camera matrix of 4 numbers"),
        ({"extrinsic_parameters": np.zeros((4, 6))}, "views of a pattern"),
    ],
)
def test_what_is_no_camera_is_refused(tmp_path: Path, values: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        read_calibration(opencv(tmp_path / "camera.yml", **values), SIZE, up="-y")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("notes.txt", "hello", "found a text file, expected a calibration"),
        ("page.html", "<html></html>", "without elements 'camera'"),
        ("calib.qca.txt", "<calibration><camera serial='a'/></calibration>", "no element 'transform'"),
        ("calib.yml", "%YAML:1.0\n---\nK: [1, 2", "found the keys K, expected"),
        ("calib.json", '{"K": [1', "not readable JSON"),
        ("calib.xml", "<opencv_storage><K>1", "not readable XML"),
        ("images.txt", "1 2 3", "has no cameras.txt"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(UserError, match=message):
        read_calibration(tmp_path / name, SIZE, up="z")


def test_there_must_be_a_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file"):
        read_calibration(tmp_path / "missing.yml", SIZE)


def read(file: Path) -> None:
    """Read a file whatever its name says."""
    camera = read_calibration(file, SIZE, up="z")
    assert np.linalg.norm(camera.down) == pytest.approx(1) and camera.focal != 0


def read_model(file: Path) -> None:
    """Read a file of COLMAP beside a good other one."""
    folder = colmap(file.parent / "model")
    cameras = b"OPENCV" in file.read_bytes()
    file.replace(folder / ("cameras.txt" if cameras else "images.txt"))
    read(folder)


def test_damaged_files(tmp_path: Path) -> None:
    good = [qualisys(tmp_path / "calib.qca.txt").read_bytes()]
    for suffix in (".yml", ".xml", ".json"):
        file = opencv(tmp_path / f"a{suffix}", image_size=(640, 480), camera_matrix=MATRIX, R=rotation())
        good.append(file.read_bytes())
    # What a file is shows in its first bytes, whatever its suffix.
    outcome = fuzz(read, good, ".yml", count=400)
    assert not outcome.findings, "\n".join(outcome.findings)
    assert outcome.counts["read"] > 0 and outcome.counts["refused"] > 0


def test_damaged_files_of_colmap(tmp_path: Path) -> None:
    folder = colmap(tmp_path / "model")
    good = [(folder / name).read_bytes() for name in ("images.txt", "cameras.txt")]
    outcome = fuzz(read_model, good, ".txt", count=150)
    assert not outcome.findings, "\n".join(outcome.findings)
    assert outcome.counts["read"] > 0 and outcome.counts["refused"] > 0
