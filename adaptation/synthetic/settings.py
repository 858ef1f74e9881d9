"""Settings of synthetic crop sets. Nothing here imports torch, so that ``--help`` is quick."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

Split = Literal["train", "adapt", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)
SHIFTS = ("lr-96", "lr-52", "lr-32", "uap-4", "uap-8", "uap-16", "night")
"""Domain shifts by name: low resolutions (width in pixels), perturbations (strength in 255ths), and darkness."""
MARGIN = 0.2  # space around a person, as a fraction of the longer side, as in adaptation.recording.crops
FRAMES = 12  # frames per clip: enough for a median to show the empty scene


@dataclass(frozen=True)
class DomainSettings:
    """Settings of a synthetic crop set.

    Attributes:
        family: family of appearances: "source", "style", or "site", which is "style" with a single camera.
        split: "train", "adapt" or "test". No two splits share a person or a pose, nor a scene except in "site".
        count: number of crops, rounded up to whole clips of 12.
        size: side of the crops in pixels.
        seed: seed of all random numbers.
    """

    family: str = "source"
    split: Split = "train"
    count: int = 1200
    size: int = 112
    seed: int = 0

    @property
    def clips(self) -> int:
        """Number of clips that are filmed."""
        return math.ceil(self.count / FRAMES)

    @property
    def filmed(self) -> int:
        """Number of crops that are filmed: those of whole clips."""
        return self.clips * FRAMES
