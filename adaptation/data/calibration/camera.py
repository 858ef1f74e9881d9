"""Reads how a camera hangs from a calibration of OpenCV, COLMAP or Qualisys."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np

from adaptation.data.calibration.colmap import read_colmap, read_colmap_lenses
from adaptation.data.calibration.opencv import read_opencv, read_opencv_lenses
from adaptation.data.calibration.pose import Floats, Lens, Pose, read_small, short
from adaptation.data.calibration.qualisys import read_qualisys
from adaptation.support.errors import UserError
from adaptation.support.reading.file_kinds import kind_of, with_article
from adaptation.support.reading.findings import found

AXES = {
    f"{sign}{name}": tuple(float((place == axis) * (-1 if sign else 1)) for place in range(3))
    for sign in ("", "-")
    for axis, name in enumerate("xyz")
}
"""Unit vectors of the axes that may point up, by their names x, y, z, -x, -y and -z."""

Known = TypeVar("Known", Pose, Lens)
_SHAPE = 0.02  # relative difference of the aspect ratios of images that count as the same images, scaled
_USUAL = 60.0  # degrees of pitch and roll


@dataclass(frozen=True)
class CalibratedCamera:
    """How a calibrated camera hangs.

    Attributes:
        name: name of the camera in its file.
        down: unit vector of gravity in camera axes (x right, y down, z forward).
        focal: focal length in frame pixels; None if the file does not state it.
        centre: principal point in frame pixels, where pixel centres lie at +0.5.
    """

    name: str
    down: tuple[float, float, float]
    focal: float | None
    centre: tuple[float, float]


def read_calibration(
    path: str | Path, size: tuple[int, int], camera: str | None = None, up: str | None = None
) -> CalibratedCamera:
    """Read one camera of a calibration.

    Args:
        path: file of OpenCV (YAML, XML, JSON) or Qualisys (.qca.txt), or a file or folder of COLMAP as text.
        size: width and height of the recording's frames. Intrinsics for another size of the same shape are scaled.
        camera: name of the camera; may be None if the file has only one.
        up: axis of the world that points up, one of `AXES`. Qualisys' world has z up.

    Raises:
        UserError: the file cannot be read, or it is not clear which camera or which axis is meant.
    """
    path = Path(path)
    if up is not None and up not in AXES:
        raise UserError(f"--up must be one of {', '.join(AXES)}, got {short(up)!r}")
    pose = _chosen(_read(path), camera, path)
    down = _down(pose, up, path)
    if pose.intrinsics is None:
        found(f"{path}: there is no camera matrix; the focal length is unknown, so all people count as seen alike")
        return CalibratedCamera(pose.name, down, None, (size[0] / 2, size[1] / 2))
    (fx, _, cx), (_, fy, cy) = _scaled(pose, size, path)[:2].tolist()
    return CalibratedCamera(pose.name, down, (fx + fy) / 2, (cx, cy))


def read_lens(path: str | Path, size: tuple[int, int], camera: str | None = None) -> Floats:
    """Read the camera matrix (3, 3) of one camera of a calibration, which need not say how the camera hangs.

    Args:
        path: as for `read_calibration`; of COLMAP, ``cameras.txt`` is enough, whose cameras are named by their numbers.
        size: as for `read_calibration`.
        camera: as for `read_calibration`.

    Returns:
        The matrix in pixels of the frames, where pixel centres lie at +0.5. Distortion is left out.

    Raises:
        UserError: the file cannot be read, states no camera matrix, or it is not clear which camera is meant.
    """
    path = Path(path)
    if (kind := _format(path)) == "Qualisys":
        lenses = [Lens(pose.name, pose.intrinsics, pose.size) for pose in read_qualisys(path)]
    else:
        lenses = read_opencv_lenses(path) if kind == "OpenCV" else read_colmap_lenses(path)
    lens = _chosen(lenses, camera, path)
    if lens.intrinsics is None:
        raise UserError(f"{path}: there is no camera matrix; give --focal or --fov")
    return _scaled(lens, size, path)


def _read(path: Path) -> list[Pose]:
    """Read all cameras with their poses."""
    return {"OpenCV": read_opencv, "COLMAP": read_colmap, "Qualisys": read_qualisys}[_format(path)](path)


def _format(path: Path) -> Literal["OpenCV", "COLMAP", "Qualisys"]:
    """Return the program that wrote a calibration; its contents tell."""
    if path.is_dir():
        return "COLMAP"
    kind = kind_of(path)
    start = read_small(path)[:1000].lstrip(b"\xef\xbb\xbf \r\n\t")
    if kind == "XML or HTML file":
        return "OpenCV" if b"<opencv_storage" in start else "Qualisys"
    if start.startswith(b"%YAML") or kind == "JSON file" or path.suffix.lower() in (".yml", ".yaml"):
        return "OpenCV"
    if path.name in ("cameras.txt", "images.txt"):
        return "COLMAP"
    raise UserError(
        f"{path}: found {with_article(kind)}, expected a calibration: OpenCV's YAML, XML or JSON, images.txt and "
        "cameras.txt of COLMAP, or a .qca.txt of Qualisys"
    )


def _chosen(poses: Sequence[Known], camera: str | None, path: Path) -> Known:
    names = [pose.name for pose in poses]
    listed = ", ".join(short(name) for name in names[:8]) + (", ..." if len(names) > 8 else "")
    if camera is None:
        if len(poses) > 1:
            raise UserError(f"{path}: found {len(poses)} cameras ({listed}); say which one with --camera NAME")
        return poses[0]
    matching = [pose for pose in poses if pose.name == camera]
    # COLMAP's names are those of images.
    matching = matching or [pose for pose in poses if Path(pose.name).stem == camera]
    if len(matching) != 1:
        many = "no camera" if not matching else f"{len(matching)} cameras"
        raise UserError(f"{path}: found {many} named {short(camera)!r}, expected one of: {listed}")
    return matching[0]


def _down(pose: Pose, up: str | None, path: Path) -> tuple[float, float, float]:
    """Return gravity in camera axes."""
    axis = up or pose.up
    if axis is None:
        usual = [
            f"{name}: pitch {pitch:.0f}, roll {roll:.0f}"
            for name in AXES
            for pitch, roll in [_angles(pose, name)]
            if max(abs(pitch), abs(roll)) <= _USUAL
        ]
        shown = f" ({'; '.join(usual)} degrees)" if usual else ""
        raise UserError(f"{path} does not say which axis of its world points up; give --up {', '.join(AXES)}{shown}")
    pitch, roll = _angles(pose, axis)
    if abs(roll) > 90:
        found(
            f"{path}: with {axis} up, camera {short(pose.name)} hangs upside down (pitch {pitch:.0f}, roll {roll:.0f} "
            "degrees); give another --up if it does not"
        )
    return _gravity(pose, axis)


def _gravity(pose: Pose, axis: str) -> tuple[float, float, float]:
    x, y, z = (-(pose.rotation @ np.array(AXES[axis]))).tolist()
    return x, y, z


def _angles(pose: Pose, axis: str) -> tuple[float, float]:
    """Return pitch and roll in degrees, if an axis points up."""
    x, y, z = _gravity(pose, axis)
    return math.degrees(math.atan2(z, math.hypot(x, y))), math.degrees(math.atan2(-x, y))


def _scaled(pose: Pose | Lens, size: tuple[int, int], path: Path) -> Floats:
    """Return the camera matrix (3, 3) in pixels of frames of a size."""
    width, height = size
    assert pose.intrinsics is not None  # callers say what its lack means
    zoom = (1.0, 1.0)
    if pose.size is not None and pose.size != size:
        zoom = (width / pose.size[0], height / pose.size[1])
        text = f"{path}: it is for images of {pose.size[0]}x{pose.size[1]}, and the frames are {width}x{height}"
        if abs(zoom[0] / zoom[1] - 1) > _SHAPE:
            raise UserError(
                f"{text}, which are cut or turned; give a calibration for these frames, or --pitch and --roll"
            )
        found(f"{text}; its focal length and principal point are scaled")
    matrix: Floats = np.diag([*zoom, 1.0]) @ pose.intrinsics
    matrix[0, 1] = 0.0  # skew, which no camera here has
    centre = (matrix[0, 2], matrix[1, 2])
    if not (0 <= centre[0] <= width and 0 <= centre[1] <= height):
        raise UserError(
            f"{path}: its principal point ({centre[0]:.0f}, {centre[1]:.0f}) lies outside of the frames of "
            f"{width}x{height}; give a calibration for these frames, or --pitch and --roll"
        )
    return matrix
