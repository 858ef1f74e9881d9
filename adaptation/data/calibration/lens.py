"""What a user says about the lens of a camera, and the camera matrix that follows. Nothing here imports torch."""

from __future__ import annotations

import math
from dataclasses import dataclass

from adaptation.support.errors import UserError

Rows = tuple[tuple[float, ...], ...]
"""Rows of a camera matrix (3, 3), pixels."""


@dataclass(frozen=True)
class LensOptions:
    """Options of commands on the lens; at most one of the first three is given.

    Attributes:
        focal: focal length, pixels of the frame.
        fov: vertical field of view, degrees.
        calibration: file of a calibration.
        camera: name of the camera in that file.
    """

    focal: float | None = None
    fov: float | None = None
    calibration: str | None = None
    camera: str | None = None

    def __post_init__(self) -> None:
        """Check the ranges, and that nothing is said twice.

        Raises:
            UserError: a number is out of range, or options exclude each other.
        """
        named = (("--focal", self.focal), ("--fov", self.fov), ("--calibration", self.calibration))
        given = [name for name, value in named if value is not None]
        if len(given) > 1:
            raise UserError(f"{' and '.join(given)} all state the focal length; give one of them")
        if self.camera is not None and self.calibration is None:
            raise UserError("--camera belongs to --calibration, which is not given")
        if self.focal is not None and not 1 <= self.focal < 1e7:
            raise UserError(f"--focal must be a length in pixels of the frame, got {self.focal:g}")
        if self.fov is not None and not 1 <= self.fov <= 170:
            raise UserError(f"--fov must be an angle from 1 to 170 degrees, got {self.fov:g}")

    def matrix(self, size: tuple[int, int]) -> Rows | None:
        """Return the camera matrix of frames of a width and a height, pixels; None if nothing is given.

        Raises:
            UserError: the calibration cannot be used.
        """
        width, height = size
        if self.calibration is not None:
            from adaptation.data.calibration.camera import read_lens

            return tuple(map(tuple, read_lens(self.calibration, size, self.camera).tolist()))
        focal = self.focal
        if self.fov is not None:
            focal = height / (2 * math.tan(math.radians(self.fov) / 2))
        if focal is None:
            return None
        return (focal, 0.0, width / 2), (0.0, focal, height / 2), (0.0, 0.0, 1.0)
