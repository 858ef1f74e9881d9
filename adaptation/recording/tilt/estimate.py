"""What an estimation of a camera's tilt has in common, whatever it looks at."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Focal:
    """A focal length in frame pixels.

    Attributes:
        pixels: the focal length.
        deviation: standard deviation of its logarithm; 0 if it is known.
    """

    pixels: float
    deviation: float = 0.0

    @classmethod
    def guess(cls, size: tuple[int, int]) -> Focal:
        """Return the frame's diagonal, a normal lens, for frames of a size (width, height) in pixels.

        Wide lenses of phones and of surveillance have about 0.6 diagonals, zoomed ones more than 1.2.
        """
        return cls(math.hypot(*size), 0.3)


@dataclass(frozen=True)
class Estimate:
    """Pitch and roll of a camera, radians, each with its standard deviation."""

    pitch: float
    roll: float
    pitch_deviation: float
    roll_deviation: float
    focal: Focal
