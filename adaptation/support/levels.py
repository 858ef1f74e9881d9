"""Images of 16 bits per channel, such as a thermal camera's, shown in 8 bits with one range for a whole recording."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from adaptation.support.errors import UserError

Deep = npt.NDArray[np.uint16]


@dataclass(frozen=True)
class Levels:
    """The range of 16-bit levels that becomes 0 to 255; what lies beyond is clipped.

    One range serves all frames: a range per frame would make the background flicker.

    Attributes:
        low: Level that becomes 0.
        high: Level that becomes 255, above `low`.
    """

    low: int
    high: int

    @classmethod
    def parse(cls, text: str) -> Levels:
        """Parse "LOW,HIGH", two whole numbers from 0 to 65535.

        Raises:
            UserError: The text has another form, or HIGH is not above LOW.
        """
        parts = text.split(",")
        # Five digits at most: Python refuses to convert thousands of them.
        if len(parts) == 2 and all(part.strip().isdecimal() and len(part.strip()) <= 5 for part in parts):
            low, high = (int(part) for part in parts)
            if low < high <= 65535:
                return cls(low, high)
        raise UserError(f'range "{text[:40]}": expected LOW,HIGH with 0 <= LOW < HIGH <= 65535, such as 28000,33000')

    @classmethod
    def of(cls, samples: Sequence[Deep]) -> Levels:
        """Choose a range that holds 99.8 % of the samples' levels, with a margin of a twentieth on either side."""
        # 0.1 % at either end is left to dead pixels and to small sources of heat, which would take the range.
        low, high = np.percentile(np.concatenate([sample.ravel() for sample in samples]), (0.1, 99.9))
        margin = max((high - low) / 20, 1)
        return cls(max(round(low - margin), 0), min(round(high + margin), 65535))

    def apply(self, image: Deep) -> npt.NDArray[np.uint8]:
        """Return an image (H, W) or (H, W, 3) in 8 bits."""
        scaled: npt.NDArray[Any] = (image.astype(np.float32) - self.low) * (255 / (self.high - self.low))
        return np.clip(scaled + 0.5, 0, 255).astype(np.uint8)
