"""OpenCV's calibrations: YAML, XML or JSON of `cv2.FileStorage` with a camera matrix and a rotation.

A rotation is a matrix (3 x 3), a rotation vector, or a matrix [R | t] (3 x 4 or 4 x 4), from world axes to camera axes.
Files of several cameras add the camera's name to the keys: ``K_left``, ``R_left``.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from adaptation.data.calibration.pose import Floats, Pose, checked_intrinsics, checked_rotation, read_small, short
from adaptation.support.errors import UserError, reason

# Longer keys first, since the rest of a key is the camera's name. "Rot" is a matrix where "R" is a vector.
_MATRICES = ("camera_matrix", "cameramatrix", "intrinsic_matrix", "intrinsics", "intrinsic", "k")
_ROTATIONS = (
    "rotation_matrix", "rotation_vector", "rotation", "extrinsic_matrix", "extrinsics", "extrinsic", "rvecs", "rvec",
    "rot", "rt", "r",
)  # fmt: skip
_WIDTHS, _HEIGHTS = ("image_width", "imagewidth", "width"), ("image_height", "imageheight", "height")
_SIZES = ("image_size", "imagesize", "size")
_VIEWS = "extrinsic_parameters"  # of OpenCV's program for calibration: one row for each view of a pattern
_MOST_NUMBERS = 100_000  # in one matrix

Keys = dict[str, object]


def read_opencv(file: Path) -> list[Pose]:
    """Read the cameras of a file of OpenCV.

    Raises:
        UserError: the file cannot be read or is not in OpenCV's format, or has no rotation of a camera.
    """
    values = _values(file)
    views = values.pop(_VIEWS, None)
    rotations = _named(values, _ROTATIONS)
    if not rotations:
        if views is not None:
            raise UserError(
                f"{file}: found {_VIEWS} of the views of a pattern, and not which view shows how the camera hangs; add "
                "that view's rotation vector as rvec"
            )
        raise UserError(
            f"{file}: found {_listed(values)}, expected the camera's rotation as R (3 x 3) or rvec (3 numbers), and "
            "its camera_matrix"
        )
    matrices = _named(values, _MATRICES)
    # One camera matrix without a name belongs to the one rotation, whatever its name.
    shared = matrices.get("") if len(rotations) == 1 else None
    return [
        Pose(
            name or file.stem,
            _rotation(rotation, where := f"{file}, camera {short(name)}" if name else str(file)),
            _intrinsics(matrices.get(name, shared), where),
            _size(values, file),
        )
        for name, rotation in rotations.items()
    ]


def _values(file: Path) -> Keys:
    """Return the numbers and matrices at the top level of a file; others are left out."""
    content = read_small(file)
    if b"\0" in content or b"<!DOCTYPE" in content or b"<!ENTITY" in content:
        raise UserError(f"{file}: found binary data or entities, expected YAML, XML or JSON of OpenCV's FileStorage")
    storage = None
    try:
        text = content.decode("utf-8")
        storage = cv2.FileStorage(text, cv2.FILE_STORAGE_READ | cv2.FILE_STORAGE_MEMORY)
        root = storage.root()
        return {key: _value(root.getNode(key)) for key in root.keys()}
    # OpenCV raises SystemError without a text for some files.
    except (cv2.error, SystemError, ValueError, UnicodeError) as error:
        raise UserError(f"{file} is not readable as YAML, XML or JSON of OpenCV: {reason(error)}") from None
    finally:
        if storage is not None:
            storage.release()


def _value(node: cv2.FileNode) -> object:
    """Return a number, a list of numbers or a matrix; None for anything else."""
    if node.isInt() or node.isReal():
        return node.real()
    if node.isSeq() and node.size() <= _MOST_NUMBERS:
        parts = [node.at(index) for index in range(node.size())]
        return np.array([part.real() for part in parts]) if all(p.isInt() or p.isReal() for p in parts) else None
    if node.isMap():
        matrix = node.mat()
        return None if matrix is None else np.asarray(matrix, np.float64)
    return None


def _named(values: Keys, known: tuple[str, ...]) -> Keys:
    """Return the values of known keys by the name of the camera, which follows the key after an underscore."""
    named: Keys = {}
    for key, value in values.items():
        for start in known:
            if key.lower() == start:
                named.setdefault("", value)
                break
            if key.lower().startswith(f"{start}_"):
                named.setdefault(key[len(start) + 1 :], value)
                break
    return named


def _rotation(value: object, where: str) -> Floats:
    array = np.asarray(value if value is not None else np.nan, np.float64)
    if array.size == 3 and np.isfinite(array).all() and np.abs(array).max() < 1e3:
        return np.asarray(cv2.Rodrigues(array.reshape(3, 1))[0], np.float64)
    if array.size == 9:
        return checked_rotation(array.reshape(3, 3), where)
    if array.shape in ((3, 4), (4, 4)):
        return checked_rotation(array[:3, :3], where)
    shape = " x ".join(map(str, array.shape)) or "no matrix"
    raise UserError(f"{where}: found a rotation of {shape}, expected 3 x 3 numbers or a rotation vector of 3")


def _intrinsics(value: object, where: str) -> Floats | None:
    if value is None:
        return None
    array = np.asarray(value, np.float64)
    if array.size != 9:
        raise UserError(f"{where}: found a camera matrix of {array.size} numbers, expected 3 x 3")
    # OpenCV's pixel centres lie at integers.
    matrix = array.reshape(3, 3) + np.array([[0, 0, 0.5], [0, 0, 0.5], [0, 0, 0]])
    return checked_intrinsics(matrix, where)


def _size(values: Keys, file: Path) -> tuple[int, int] | None:
    """Return width and height of the images, if the file states them."""
    lower = {key.lower(): value for key, value in values.items()}
    sides = [next((lower[key] for key in keys if key in lower), None) for keys in (_WIDTHS, _HEIGHTS)]
    both = next((lower[key] for key in _SIZES if key in lower), None)
    if isinstance(both, np.ndarray) and both.size == 2:
        sides = both.ravel().tolist()
    numbers = [side for side in sides if isinstance(side, float)]
    if len(numbers) < 2:
        return None
    if not all(1 <= number <= 1e6 for number in numbers):
        raise UserError(f"{file}: found a size of {numbers[0]:g} x {numbers[1]:g}, expected width and height in pixels")
    return round(numbers[0]), round(numbers[1])


def _listed(values: Keys) -> str:
    return f"the keys {', '.join(short(key) for key in list(values)[:6])}" if values else "no keys"
