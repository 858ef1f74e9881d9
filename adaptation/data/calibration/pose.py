"""One camera of a calibration, and the checks that all formats share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from adaptation.support.errors import UserError
from adaptation.support.reading.file_kinds import kind_of

Floats = npt.NDArray[np.float64]

_MOST_BYTES = 64 << 20
_ORTHONORMAL = 0.01  # greatest error of a product of two axes, as files round numbers
_LONGEST_NAME = 60


@dataclass(frozen=True, eq=False)
class Lens:
    """The lens of a camera as a file states it.

    Attributes:
        name: name of the camera in the file.
        intrinsics: (3, 3) camera matrix, pixels; pixel centres lie at +0.5. None if the file does not state it.
        size: width and height that the intrinsics are for, pixels; None if the file does not state it.
    """

    name: str
    intrinsics: Floats | None
    size: tuple[int, int] | None = None


@dataclass(frozen=True, eq=False)
class Pose:
    """One camera as a file states it.

    Attributes:
        name: name of the camera in the file.
        rotation: (3, 3) from world axes to camera axes (x right, y down, z forward).
        intrinsics: (3, 3) camera matrix, pixels; pixel centres lie at +0.5. None if the file does not state it.
        size: width and height that the intrinsics are for, pixels; None if the file does not state it.
        up: axis of the world that points up, by the format; None if a user chooses it.
    """

    name: str
    rotation: Floats
    intrinsics: Floats | None
    size: tuple[int, int] | None = None
    up: str | None = None


def checked_rotation(rotation: Floats, where: str) -> Floats:
    """Return the rotation nearest to a matrix (3, 3).

    Args:
        rotation: matrix from a file.
        where: file and camera, for the error.

    Raises:
        UserError: the matrix is no rotation.
    """
    if rotation.shape != (3, 3) or not np.isfinite(rotation).all():
        raise UserError(f"{where}: found a rotation that is not 3 x 3 finite numbers")
    # Larger numbers are no rotation either, and their products may overflow.
    if np.abs(rotation).max() > 2 or np.abs(rotation @ rotation.T - np.eye(3)).max() > _ORTHONORMAL:
        raise UserError(f"{where}: the rows of its rotation are not orthogonal unit vectors; give another file")
    if np.linalg.det(rotation) < 0:
        raise UserError(
            f"{where}: its rotation is a mirror image (determinant -1), expected axes x right, y down, z forward"
        )
    left, _, right = np.linalg.svd(rotation)
    return np.asarray(left @ right)


def checked_intrinsics(intrinsics: Floats, where: str) -> Floats:
    """Return a camera matrix (3, 3) as it is.

    Raises:
        UserError: focal lengths are not positive, or a number is not finite or absurdly large.
    """
    plausible = intrinsics.shape == (3, 3) and bool((np.abs(intrinsics) < 1e7).all())  # False for NaN, too
    if not plausible or min(intrinsics[0, 0], intrinsics[1, 1]) < 1:
        raise UserError(f"{where}: found a camera matrix without positive focal lengths in pixels")
    return intrinsics


def read_small(file: Path) -> bytes:
    """Return the contents of a file of at most 64 MiB.

    Raises:
        UserError: the file cannot be read or is larger.
    """
    kind_of(file)  # refuses files that cannot be opened
    with file.open("rb") as opened:
        content = opened.read(_MOST_BYTES + 1)
    if len(content) > _MOST_BYTES:
        raise UserError(
            f"{file}: found more than {_MOST_BYTES >> 20} MiB, which no calibration takes; give another file"
        )
    return content


def short(name: str) -> str:
    """Return a name from a file, shortened for messages."""
    return name if len(name) <= _LONGEST_NAME else f"{name[:_LONGEST_NAME]}..."
