"""Masks that another program made, used in place of background subtraction."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from adaptation.recording.footage.masks.sources import MaskFiles, Source, open_source
from adaptation.recording.footage.masks.tally import Surveyed
from adaptation.recording.footage.masks.values import SHADOW, Coding, understand
from adaptation.recording.footage.video import Frames
from adaptation.support.image_files import Mask
from adaptation.support.reading.findings import findings_of_success

_SURVEYED = 100  # frames whose masks are read to decide what the values mean; all, if these show nobody


class Masks:
    """Given masks of a recording. Open them with `open_masks`.

    Attributes:
        folder: Folder or file of the masks.
    """

    def __init__(self, folder: Path, source: Source, coding: Coding) -> None:
        """Store where the masks are and what their values mean."""
        self.folder = folder
        self._source = source
        self._coding = coding

    @property
    def files(self) -> Mapping[int, tuple[Path, ...]]:
        """Files of each frame number; frames without an entry have no mask. Empty for arrays and videos."""
        return self._source.files if isinstance(self._source, MaskFiles) else {}

    def mask(self, number: int) -> Mask | None:
        """Return the mask (H, W) of frame `number`, or None if there is none.

        Raises:
            UserError: The mask is unreadable, its size is not the frames' size, or its values
                contradict those of the other masks.
        """
        people: Mask | None = None
        for where, image in self._source.images(number):
            mask = self._coding.mask(image, where)
            people = mask if people is None else people | mask
        return people


def open_masks(folder: str | os.PathLike[str], frames: Frames) -> Masks:
    """Open masks made elsewhere, to use instead of background subtraction.

    Masks are image files in a folder (PNG, JPEG, BMP, TIFF, WebP, npy), an array (N, H, W) in an npy or npz file, or a
    video. What their values mean is decided once for all of them, and which file belongs to which frame by names and
    numbers; see `mask_values` and `mask_numbering`. What is unusual is stated with `found`.

    Args:
        folder: Folder or file of the masks.
        frames: Recording that the masks belong to; a video of unknown length is decoded once to
            count its frames.

    Returns:
        The masks by frame number. About 100 are read now, so that most errors come early.

    Raises:
        UserError: There are no masks, it is not clear to which frames they belong or which values
            are people, no mask belongs to a frame, or a mask has the wrong size.
    """
    folder = Path(folder)
    with findings_of_success():
        source = open_source(folder, frames)
        return Masks(folder, source, understand(_survey(source), str(folder)))


def _survey(source: Source) -> list[Surveyed]:
    """Read masks spread over the recording, and more until they show a background and a person."""
    count = len(source.numbers)
    spread = {source.numbers[index] for index in np.linspace(0, count - 1, min(count, _SURVEYED)).astype(int)}
    surveyed: list[Surveyed] = []
    values: set[int] = set()
    opacities: set[int] = set()
    for number in [*sorted(spread), *(number for number in source.numbers if number not in spread)]:
        if len(surveyed) >= len(spread) and max(len(values - {SHADOW}), len(opacities)) > 1:
            break
        for where, image in source.images(number):
            surveyed.append(one := Surveyed.of(image, where))
            # What a lossy format makes of black is no person.
            values.update((np.where(one.tally.values > SHADOW, 255, 0) if one.lossy else one.tally.values).tolist())
            opacities.update([255] if one.alpha is None else one.alpha.values.tolist())
    return surveyed
