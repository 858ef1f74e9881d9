"""Settings of synthetic crop sets. Nothing here imports torch, so that ``--help`` is quick."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

Split = Literal["train", "adapt", "test"]
# The order is part of the seeds of clips: a new split goes to the end.
SPLITS: tuple[Split, ...] = get_args(Split)
SHIFTS = ("lr-96", "lr-52", "lr-32", "uap-4", "uap-8", "uap-16", "night")
"""Names of domain shifts: low resolution (lr, with a width in pixels), universal adversarial perturbation (uap, with a
strength in 255ths) and night."""
MARGIN = 0.2  # around the person, as a fraction of the longer side of the box; default of adaptation.recording.crops
FRAMES = 12  # per clip: enough for the median to recover the empty scene


@dataclass(frozen=True)
class DomainSettings:
    """Settings of a synthetic crop set.

    Attributes:
        family: family of appearances: "source", "style", or "site", which is "style" in front of one fixed camera.
        split: "train", "adapt" or "test". No two splits share a person or a pose or, except for "site", a scene.
        count: number of crops, rounded up to whole clips of 12.
        size: side of the crops, pixels.
        seed: seed of all random numbers.
    """

    family: str = "source"
    split: Split = "train"
    count: int = 1200
    size: int = 112
    seed: int = 0

    @property
    def clips(self) -> int:
        """Number of clips that are rendered."""
        # Whole clips, since part of a clip is too short to learn its background.
        return math.ceil(self.count / FRAMES)

    @property
    def filmed(self) -> int:
        """Number of crops that are rendered, a multiple of 12."""
        return self.clips * FRAMES
