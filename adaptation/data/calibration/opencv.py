"""OpenCV's calibrations: YAML, XML or JSON of `cv2.FileStorage` with a camera matrix and a rotation.

A rotation is a matrix (3 x 3), a rotation vector, or a matrix [R | t] (3 x 4 or 4 x 4), from world axes to camera axes.
Files of several cameras add the camera's name to the keys: ``K_left``, ``R_left``.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from adaptation.data.calibration.opencv_storage import Values, keys_of, read_storage, shape_of
from adaptation.data.calibration.pose import Floats, Lens, Pose, checked_intrinsics, checked_rotation, short
from adaptation.support.errors import UserError

# Longer keys first, since the rest of a key is the camera's name.
_MATRICES = ("camera_matrix", "cameramatrix", "intrinsic_matrix", "intrinsics", "intrinsic", "k")
_ROTATIONS = (
    "rotation_matrix", "rotation_vector", "rotation", "extrinsic_matrix", "extrinsics", "extrinsic", "rvecs", "rvec",
    "rot", "rt", "r",
)  # fmt: skip
_WIDTHS, _HEIGHTS = ("image_width", "imagewidth", "width"), ("image_height", "imageheight", "height")
_SIZES = ("image_size", "imagesize", "size")
_VIEWS = "extrinsic_parameters"  # of OpenCV's program for calibration: one row for each view of a pattern


def read_opencv_lenses(file: Path) -> list[Lens]:
    """Read the camera matrices of a file of OpenCV, which needs no rotations.

    Raises:
        UserError: the file cannot be read or is not in OpenCV's format, or has no camera matrix.
    """
    values = read_storage(file)
    matrices = _named(values, _MATRICES)
    if not matrices:
        raise UserError(f"{file}: found {keys_of(values)}, expected a camera_matrix (3 x 3)")
    size = _size(values, file)
    return [Lens(name or file.stem, _intrinsics(matrix, str(file)), size) for name, matrix in matrices.items()]


def read_opencv(file: Path) -> list[Pose]:
    """Read the cameras of a file of OpenCV.

    Raises:
        UserError: the file cannot be read or is not in OpenCV's format, or has no rotation of a camera.
    """
    values = read_storage(file)
    views = values.pop(_VIEWS, None)
    rotations = _named(values, _ROTATIONS)
    if not rotations:
        if views is not None:
            raise UserError(
                f"{file}: found {_VIEWS} of the views of a pattern, and not which view shows how the camera hangs; add "
                "that view's rotation vector as rvec"
            )
        raise UserError(
            f"{file}: found {keys_of(values)}, expected the camera's rotation as R (3 x 3) or rvec (3 numbers), and "
            "its camera_matrix"
        )
    matrices = _named(values, _MATRICES)
    # One camera matrix without a name belongs to the one rotation, whatever its name.
    shared = [matrices[""]] if len(rotations) == 1 and "" in matrices else []
    poses = []
    for name, rotation in rotations.items():
        where = f"{file}, camera {short(name)}" if name else str(file)
        given = [matrices[name]] if name in matrices else shared
        intrinsics = _intrinsics(given[0], where) if given else None
        poses.append(Pose(name or file.stem, _rotation(rotation, where), intrinsics, _size(values, file)))
    return poses


def _named(values: Values, known: tuple[str, ...]) -> Values:
    """Return the values of known keys by the name of the camera, which follows the key after an underscore."""
    named: Values = {}
    for key, value in values.items():
        for start in known:
            if key.lower() == start:
                named.setdefault("", value)
                break
            if key.lower().startswith(f"{start}_"):
                named.setdefault(key[len(start) + 1 :], value)
                break
    return named


def _rotation(value: npt.NDArray[np.float64] | None, where: str) -> Floats:
    if value is None or value.size not in (3, 9, 12, 16):
        raise UserError(
            f"{where}: found a rotation of {shape_of(value)}, expected a matrix of 3 x 3 or a rotation vector of 3"
        )
    if value.size == 3:
        # Beyond a few turns a vector is no rotation, but damaged.
        if not (np.abs(value) < 100).all():
            raise UserError(f"{where}: found the rotation vector {value.tolist()}, expected angles in radians")
        return np.asarray(cv2.Rodrigues(value.reshape(3, 1))[0], np.float64)
    return checked_rotation(value.reshape(-1, value.size // 3 if value.size < 16 else 4)[:3, :3], where)


def _intrinsics(value: npt.NDArray[np.float64] | None, where: str) -> Floats:
    if value is None or value.size != 9:
        raise UserError(f"{where}: found a camera matrix of {shape_of(value)}, expected 3 x 3")
    # OpenCV's pixel centres lie at integers.
    return checked_intrinsics(value.reshape(3, 3) + np.array([[0, 0, 0.5], [0, 0, 0.5], [0, 0, 0]]), where)


def _size(values: Values, file: Path) -> tuple[int, int] | None:
    """Return width and height of the images, if the file states them."""
    lower = {key.lower(): value for key, value in values.items()}
    sides = [next((lower[key] for key in keys if key in lower), None) for keys in (_WIDTHS, _HEIGHTS)]
    both = next((lower[key] for key in _SIZES if key in lower), None)
    numbers = [side[0].item() for side in sides if side is not None and side.size == 1]
    if both is not None and both.size == 2:
        numbers = both.tolist()
    if len(numbers) < 2:
        return None
    if not all(1 <= number <= 1e6 for number in numbers):
        raise UserError(f"{file}: found a size of {numbers[0]:g} x {numbers[1]:g}, expected width and height in pixels")
    return round(numbers[0]), round(numbers[1])
