"""Settings of synthetic crop sets. Nothing here imports torch, so that ``--help`` is quick."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

Split = Literal["train", "adapt", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)
SHIFTS = ("lr-96", "lr-52", "lr-32", "uap-4", "uap-8", "uap-16", "night")
"""Domain shifts by name: widths in pixels of a low resolution, strengths in 255ths of a perturbation, and darkness."""
MARGIN = 0.2  # around the person, as a fraction of the longer side, as in adaptation.recording.crops
FRAMES = 12  # per clip: enough for the median of the empty scene


@dataclass(frozen=True)
class DomainSettings:
    """What a set is made of.

    Attributes:
        family: of looks, "source", "style", or "site", which is "style" before one camera.
        split: "train", "adapt" or "test"; no two share a person, a pose or, but for "site", a scene.
        count: crops, rounded up to whole clips of 12.
        size: side of the crops in pixels.
        seed: of everything random.
    """

    family: str = "source"
    split: Split = "train"
    count: int = 1200
    size: int = 112
    seed: int = 0

    @property
    def clips(self) -> int:
        """How many clips are filmed."""
        return math.ceil(self.count / FRAMES)

    @property
    def filmed(self) -> int:
        """How many crops are filmed: whole clips."""
        return self.clips * FRAMES
