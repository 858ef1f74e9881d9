"""Calibrations of Qualisys Track Manager, ``*.qca.txt``: an XML file with one element per camera.

Lengths are in 1/64 pixel. The axes of a camera in the file are x right, y up and z backward; the world's z points up.
"""

from __future__ import annotations

from pathlib import Path
from xml.parsers import expat

import numpy as np

from adaptation.data.calibration.pose import Floats, Pose, checked_intrinsics, checked_rotation, read_small, short
from adaptation.support.errors import UserError, reason

_UNIT = 64.0  # of the file, per pixel
_FLIP = np.diag([1.0, -1.0, -1.0])  # to y down and z forward
_PARTS = ("transform", "intrinsic", "fov_video")
Attributes = dict[str, str]


def read_qualisys(file: Path) -> list[Pose]:
    """Read the cameras of a calibration of Qualisys.

    Args:
        file: XML file; entities and document types are refused.

    Raises:
        UserError: the file is no such calibration, or a camera in it is incomplete or not understood.
    """
    cameras = _elements(file)
    if not cameras:
        raise UserError(f"{file}: found XML without elements 'camera', expected a calibration of Qualisys (.qca.txt)")
    return [_pose(parts, f"{file}, camera {short(parts['camera'].get('serial', '?'))}") for parts in cameras]


def _elements(file: Path) -> list[dict[str, Attributes]]:
    """Return the attributes of each camera and of its parts."""
    cameras: list[dict[str, Attributes]] = []

    def start(name: str, attributes: Attributes) -> None:
        if name == "camera":
            cameras.append({"camera": attributes})
        elif name in _PARTS and cameras:
            cameras[-1].setdefault(name, attributes)

    def refuse(*_: object) -> None:
        raise UserError(f"{file}: found a document type or entities, which no calibration needs; remove them")

    parser = expat.ParserCreate()
    parser.StartElementHandler = start
    # Entities are defined in a document type alone. They may expand to any size, or read other files.
    parser.StartDoctypeDeclHandler = refuse
    try:
        parser.Parse(read_small(file), True)
    except (expat.ExpatError, ValueError, LookupError) as error:
        raise UserError(f"{file} is not readable XML: {reason(error)}") from None
    return cameras


def _pose(parts: dict[str, Attributes], where: str) -> Pose:
    camera = parts["camera"]
    if camera.get("viewrotation", "0") != "0":
        raise UserError(
            f"{where}: found viewrotation {short(camera['viewrotation'])}, expected 0; give --pitch and --roll instead"
        )
    for part in _PARTS[:2]:
        if part not in parts:
            raise UserError(f"{where}: has no element '{part}', expected the camera's calibration")
    transform, intrinsic, view = (parts.get(part, {}) for part in _PARTS)
    rotation = np.array([[_number(transform, f"r{row}{column}", where) for column in "123"] for row in "123"])
    # Pixels count from the corner of the view, which may be a part of the sensor.
    left, top = (_number(view, key, where) if key in view else 0.0 for key in ("left", "top"))
    matrix = np.eye(3)
    for row, (axis, corner) in enumerate((("U", left), ("V", top))):
        matrix[row, row] = _number(intrinsic, f"focalLength{axis}", where) / _UNIT
        matrix[row, 2] = _number(intrinsic, f"centerPoint{axis}", where) / _UNIT - corner
    checked: Floats = _FLIP @ checked_rotation(rotation, where)
    return Pose(
        camera.get("serial", "?"), checked, checked_intrinsics(matrix, where), _size(view, left, top, where), up="z"
    )


def _size(view: Attributes, left: float, top: float, where: str) -> tuple[int, int] | None:
    """Return the width and height of the view; its right and bottom are the last pixels."""
    if "right" not in view or "bottom" not in view:
        return None
    width, height = _number(view, "right", where) - left + 1, _number(view, "bottom", where) - top + 1
    if not (1 <= width <= 1e6 and 1 <= height <= 1e6):
        raise UserError(f"{where}: found a view of {width:g} x {height:g} pixels, expected its true size")
    return round(width), round(height)


def _number(attributes: Attributes, key: str, where: str) -> float:
    text = attributes.get(key)
    try:
        value = float(text if text is not None else "")
    except ValueError:
        found = "nothing" if text is None else repr(short(text))
        raise UserError(f"{where}: found {found} as {key}, expected a number") from None
    if not np.isfinite(value):
        raise UserError(f"{where}: found {value} as {key}, expected a finite number")
    return value
