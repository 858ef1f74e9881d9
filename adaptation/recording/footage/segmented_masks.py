"""Masks that a person segmenter makes of the frames, used in place of background subtraction."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from adaptation.detectors.model_packages import open_models
from adaptation.detectors.segmenter import SMALLEST, Segmenter, union
from adaptation.recording.footage.mask_files import Masks, open_masks
from adaptation.recording.footage.masks.images import MaskImage
from adaptation.recording.footage.masks.sources import Source
from adaptation.recording.footage.masks.values import Coding
from adaptation.recording.footage.video import Frames
from adaptation.support.reading.findings import found


class SegmentedFrames(Source):
    """Masks that are made when they are asked for."""

    def __init__(self, frames: Frames, segmenter: Segmenter) -> None:
        """Store what is segmented, and with what."""
        self.numbers = list(range(frames.exact_count()))
        self._frames, self._segmenter = frames, segmenter

    def images(self, number: int) -> list[tuple[str, MaskImage]]:
        """Segment the people of a frame."""
        people = union(self._segmenter.masks(self._frames.frame(number)), self._frames.size)
        where = f"{self._frames.path}, frame {number}"
        return [(where, MaskImage("mask of the segmenter", "level", people.astype(np.uint8) * np.uint8(255)))]


def open_segmented(models: Path, frames: Frames) -> Masks:
    """Return masks of a recording that MediaPipe's segmenter makes, also of people who stand still.

    Args:
        models: package of the networks, see `adaptation.detectors.model_packages.open_models`.
        frames: recording; a video of unknown length is decoded once to count its frames.

    Raises:
        UserError: the package is unusable, or LiteRT is not installed.
    """
    segmenter = Segmenter(open_models(models))
    found(
        f"masks: made by MediaPipe's segmenter, which finds people of at least {SMALLEST:.0%} of the longer side "
        "of the frame; for smaller ones use background subtraction"
    )
    return Masks(Path(f"the segmenter of {models}"), SegmentedFrames(frames, segmenter), Coding("level"))


def open_given(masks: Path | None, models: Path | None, frames: Frames) -> Masks | None:
    """Open masks that replace background subtraction.

    Args:
        masks: folder or file of masks.
        models: package of the segmenter's networks, if it is to make the masks.
        frames: recording that the masks belong to.

    Returns:
        The masks, or None if neither is given.

    Raises:
        UserError: they cannot be used.
    """
    if models is not None:
        return open_segmented(models, frames)
    return open_masks(masks, frames) if masks else None
