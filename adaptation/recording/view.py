"""What a result folder says about its recording, so that bodies can be placed in space and time afterwards."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from adaptation.recording.tilt.camera_tilt import CameraTilt
from adaptation.support.errors import UserError
from adaptation.support.files import MARKER

KEY = "recording"
"""Key of the view in a result folder's settings."""


@dataclass(frozen=True)
class RecordingView:
    """A recording as its results need it.

    Attributes:
        size: width and height of the frames, pixels.
        rate: frames per second; 0 where nothing says it.
        body: name of the body model of the results.
        focal: focal length in frame pixels, from a calibration or estimated; None if nothing is known.
        centre: principal point in frame pixels; None for the frame's middle.
        down: unit vector of gravity in camera axes (x right, y down, z forward); None if it is unknown.
    """

    size: tuple[int, int]
    rate: float
    body: str
    focal: float | None = None
    centre: tuple[float, float] | None = None
    down: tuple[float, float, float] | None = None

    @classmethod
    def of(cls, size: tuple[int, int], rate: float, body: str, tilt: CameraTilt | None) -> RecordingView:
        """Return the view of a recording whose camera hangs as ``tilt`` says; None if nobody asked."""
        if tilt is None:
            return cls(size, rate, body)
        # With an unknown pitch or roll, bodies tell better where up is than an angle of 0 does.
        known = math.isfinite(tilt.deviation)
        return cls(size, rate, body, tilt.focal, tilt.centre, tilt.down if known else None)

    def as_json(self) -> dict[str, object]:
        """Return the view as JSON holds it."""
        return asdict(self)

    @classmethod
    def read(cls, folder: Path) -> RecordingView:
        """Read the view from a result folder's settings.

        Raises:
            UserError: the folder holds no results, its settings are damaged, or an earlier version wrote them.
        """
        path = folder / MARKER
        try:
            settings = json.loads(path.read_text("utf-8"))
        except (OSError, ValueError) as error:
            what = f"has no readable {MARKER}" if folder.is_dir() else "is not a folder"
            raise UserError(
                f"{folder} {what}; expected a folder written by topo-adapt fit or predict, or the folder bodies of an "
                "adapt run"
            ) from error
        stored = settings.get(KEY) if isinstance(settings, dict) else None
        if not isinstance(stored, dict):
            raise UserError(
                f"{path} does not describe a recording: an earlier version wrote it, or it belongs to another kind of "
                "run; run topo-adapt fit or predict again"
            )
        try:
            return cls._checked(stored)
        except (KeyError, TypeError, ValueError):
            raise UserError(f"{path}: {KEY!r} is damaged; run topo-adapt fit or predict again") from None

    @classmethod
    def _checked(cls, stored: dict[str, Any]) -> RecordingView:
        width, height = (int(side) for side in stored["size"])
        rate, body, focal = float(stored["rate"]), stored["body"], stored["focal"]
        centre = None if stored["centre"] is None else _numbers(stored["centre"], 2)
        down = None if stored["down"] is None else _numbers(stored["down"], 3)
        focal = None if focal is None else float(focal)
        if not isinstance(body, str) or min(width, height) < 1:
            raise ValueError("no body model, or no frames")
        if not 0 <= rate < math.inf or not (focal is None or 0 < focal < math.inf):
            raise ValueError("out of range")
        if down is not None and abs(math.hypot(*down) - 1) > 1e-3:
            raise ValueError("not a unit vector")
        return cls((width, height), rate, body, focal, centre, down)  # type: ignore[arg-type]


def _numbers(values: Any, count: int) -> tuple[float, ...]:
    numbers = tuple(float(value) for value in values)
    if len(numbers) != count or not all(math.isfinite(number) for number in numbers):
        raise ValueError("not finite numbers")
    return numbers
