"""What a user says about how the camera hangs. Nothing here imports torch, so that ``--help`` is quick."""

from __future__ import annotations

from dataclasses import dataclass

from adaptation.support.errors import UserError

STEEPEST, MOST_ROLL = 90.0, 180.0  # degrees


@dataclass(frozen=True)
class TiltOptions:
    """Options of commands on the camera's tilt; all are None where the recording has to tell.

    Attributes:
        pitch: angle by which the camera looks down along its optical axis, degrees.
        roll: clockwise lean of upright people at the frame's centre, degrees.
        calibration: file of a calibration, which gives the tilt and the focal length.
        camera: name of the camera in that file.
        up: axis of the calibration's world that points up: x, y, z, -x, -y or -z.
    """

    pitch: float | None = None
    roll: float | None = None
    calibration: str | None = None
    camera: str | None = None
    up: str | None = None

    def __post_init__(self) -> None:
        """Check the ranges, and that nothing is said twice.

        Raises:
            UserError: an angle is out of range, or options exclude each other.
        """
        for name, value, limit in (("--pitch", self.pitch, STEEPEST), ("--roll", self.roll, MOST_ROLL)):
            if value is not None and not -limit <= value <= limit:
                raise UserError(f"{name} must be an angle from {-limit:.0f} to {limit:.0f} degrees, got {value}")
        if self.calibration is None:
            for name, text in (("--camera", self.camera), ("--up", self.up)):
                if text is not None:
                    raise UserError(f"{name} belongs to --calibration, which is not given")
        elif self.pitch is not None or self.roll is not None:
            raise UserError("--calibration states pitch and roll of the camera; give either it or --pitch and --roll")
