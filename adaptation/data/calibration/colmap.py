"""COLMAP's sparse models as text: ``images.txt`` has the poses, ``cameras.txt`` beside it the intrinsics.

Quaternions are w, x, y, z and rotate from world axes to camera axes; pixel centres lie at +0.5. The world's axes are
arbitrary unless the model was aligned. https://colmap.github.io/format.html
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from adaptation.data.calibration.pose import Floats, Lens, Pose, checked_intrinsics, read_small, short
from adaptation.support.errors import UserError

# Places of fx, fy, cx, cy among the parameters of each camera model.
_PARAMETERS = {
    **dict.fromkeys(
        ("SIMPLE_PINHOLE", "SIMPLE_RADIAL", "RADIAL", "SIMPLE_RADIAL_FISHEYE", "RADIAL_FISHEYE"), (0, 0, 1, 2)
    ),
    **dict.fromkeys(("PINHOLE", "OPENCV", "OPENCV_FISHEYE", "FULL_OPENCV", "FOV", "THIN_PRISM_FISHEYE"), (0, 1, 2, 3)),
}
_NAMES = ("images.txt", "cameras.txt")


def read_colmap(path: Path) -> list[Pose]:
    """Read the images of a model, which are its cameras' poses.

    Args:
        path: folder of the model, or one of its files ``images.txt`` and ``cameras.txt``; both are needed.

    Raises:
        UserError: a file is missing or not in COLMAP's format.
    """
    folder = path if path.is_dir() else path.parent
    for name in _NAMES:
        if not (folder / name).is_file():
            raise UserError(
                f"{folder} has no {name}, expected images.txt and cameras.txt of COLMAP; `colmap model_converter "
                "--output_type TXT` writes them"
            )
    cameras = _cameras(folder / "cameras.txt")
    return _images(folder / "images.txt", cameras)


def read_colmap_lenses(path: Path) -> list[Lens]:
    """Read the cameras of a model by their numbers, without its images.

    Args:
        path: ``cameras.txt``, or the folder that it is in.

    Raises:
        UserError: the file is missing or not in COLMAP's format.
    """
    file = path / "cameras.txt" if path.is_dir() else path
    if not file.is_file():
        raise UserError(f"{path} has no cameras.txt of COLMAP; `colmap model_converter --output_type TXT` writes it")
    cameras = _cameras(file)
    if not cameras:
        raise UserError(f"{file}: found no camera, expected lines CAMERA_ID MODEL WIDTH HEIGHT PARAMETERS")
    return [Lens(name, matrix, size) for name, (matrix, size) in cameras.items()]


def _cameras(file: Path) -> dict[str, tuple[Floats, tuple[int, int]]]:
    """Return the camera matrix and the size of each camera, by its number."""
    cameras = {}
    for number, line in _lines(file):
        words = line.split()
        if not words:
            continue
        where = f"{file}, line {number}"
        if len(words) < 5 or words[1] not in _PARAMETERS:
            raise UserError(f"{where}: found {short(line)!r}, expected CAMERA_ID MODEL WIDTH HEIGHT PARAMETERS")
        width, height, *parameters = _numbers(words[2:], where)
        places = _PARAMETERS[words[1]]
        if len(parameters) <= max(places) or not (1 <= width <= 1e6 and 1 <= height <= 1e6):
            raise UserError(f"{where}: found {short(line)!r}, expected a size and the parameters of {words[1]}")
        fx, fy, cx, cy = (parameters[place] for place in places)
        matrix = checked_intrinsics(np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1.0]]), where)
        cameras[words[0]] = matrix, (round(width), round(height))
    return cameras


def _images(file: Path, cameras: dict[str, tuple[Floats, tuple[int, int]]]) -> list[Pose]:
    poses = []
    lines = iter(_lines(file))
    for number, line in lines:
        words = line.split(maxsplit=9)
        if not words:
            continue
        where = f"{file}, line {number}"
        if len(words) != 10:
            raise UserError(f"{where}: found {short(line)!r}, expected IMAGE_ID QW QX QY QZ TX TY TZ CAMERA_ID NAME")
        if words[8] not in cameras:
            raise UserError(f"{where}: its camera {short(words[8])} is not in cameras.txt; give files of one model")
        matrix, size = cameras[words[8]]
        rotation = _of_quaternion(np.array(_numbers(words[1:5], where)), where)
        poses.append(Pose(words[9].strip(), rotation, matrix, size))
        # The image's points follow in a line of their own, which is empty without points.
        next(lines, None)
    if not poses:
        raise UserError(f"{file}: found no image, expected lines IMAGE_ID QW QX QY QZ TX TY TZ CAMERA_ID NAME")
    return poses


def _of_quaternion(quaternion: Floats, where: str) -> Floats:
    """Return the rotation matrix of a quaternion w, x, y, z of any length but 0."""
    length = float(np.linalg.norm(quaternion))
    if not 1e-3 < length < 1e3:
        raise UserError(f"{where}: found a quaternion of length {length:g}, expected 1")
    w, *vector = (quaternion / length).tolist()
    x, y, z = vector
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0.0]])
    return np.asarray(np.eye(3) + 2 * (w * cross + cross @ cross))


def _lines(file: Path) -> list[tuple[int, str]]:
    """Return the lines of a file with their numbers, without comments."""
    try:
        text = read_small(file).decode("utf-8")
    except UnicodeDecodeError:
        raise UserError(f"{file}: found bytes that are not text, expected a file of COLMAP as text") from None
    # Only line ends separate lines: a name may hold other separators that splitlines knows.
    return [(number, line) for number, line in enumerate(text.split("\n"), 1) if not line.startswith("#")]


def _numbers(words: list[str], where: str) -> list[float]:
    try:
        numbers = [float(word) for word in words]
    except ValueError:
        raise UserError(f"{where}: found {short(' '.join(words))!r}, expected numbers") from None
    if not np.isfinite(numbers).all():
        raise UserError(f"{where}: found {short(' '.join(words))!r}, expected finite numbers")
    return numbers
