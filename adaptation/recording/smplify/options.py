"""Options of `topo-adapt smplify`. Nothing here imports torch, so that ``--help`` is quick."""

from __future__ import annotations

from dataclasses import dataclass, field

from adaptation.fitting.smplify.settings import SmplifySettings
from adaptation.recording.options import FitOptions


@dataclass(frozen=True)
class SmplifyOptions:
    """Options that determine a result; they are stored with it.

    Attributes:
        recording: frames, crops, masks and device; the settings of its fits are not used.
        smplify: stages, weights and rates.
        silhouettes: whether bodies are fitted to masks beside keypoints.
        focal: focal length in pixels of the frame; None for weak perspective, or that of a calibration.
        batch: people of all frames that are fitted in one optimisation.
    """

    recording: FitOptions = field(default_factory=FitOptions)
    smplify: SmplifySettings = field(default_factory=SmplifySettings)
    silhouettes: bool = False
    focal: float | None = None
    batch: int = 256

    @property
    def intrinsics(self) -> tuple[tuple[float, ...], ...] | None:
        """Rows of the frame's camera matrix, pixels; None if it is unknown."""
        return self.recording.intrinsics

    @property
    def rate(self) -> float | None:
        """Frames per second that the user gave; None for the recording's own."""
        return self.recording.rate
