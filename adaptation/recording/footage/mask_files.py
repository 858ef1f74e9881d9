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
        instances: Whether the masks tell people apart, by a file, a layer or a label for each.
    """

    def __init__(self, folder: Path, source: Source, coding: Coding, *, apart: bool = False) -> None:
        """Store where the masks are, what their values mean, and whether a frame has a mask for each person."""
        self.folder = folder
        self.instances = apart or coding.several
        self._source = source
        self._numbers = frozenset(source.numbers)
        self._coding = coding
        self._apart = apart

    def __len__(self) -> int:
        """Return the number of frames that have masks."""
        return len(self._numbers)

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

    def people(self, number: int) -> list[Mask] | None:
        """Return the people of frame `number` as the masks tell them apart.

        Returns:
            One mask (H, W) per person if `instances`, otherwise mostly one mask of the whole foreground; some may be
            empty. None if the frame has no file, which says nothing of who is there.

        Raises:
            UserError: As in `mask`.
        """
        if number not in self._numbers:
            return None
        images = self._source.images(number)
        # A file per person is one person, whatever its values.
        if self._apart:
            return [self._coding.mask(image, where) for where, image in images]
        return [person for where, image in images for person in self._coding.people(image, where)]


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
        surveyed, apart = _survey(source)
        return Masks(folder, source, understand(surveyed, str(folder)), apart=apart)


def _survey(source: Source) -> tuple[list[Surveyed], bool]:
    """Read masks spread over the recording, and more until they show a background and a person.

    Returns:
        What the masks hold, and whether a frame has several.
    """
    count = len(source.numbers)
    spread = {source.numbers[index] for index in np.linspace(0, count - 1, min(count, _SURVEYED)).astype(int)}
    surveyed: list[Surveyed] = []
    apart = isinstance(source, MaskFiles) and any(len(files) > 1 for files in source.files.values())
    values: set[int] = set()
    opacities: set[int] = set()
    for number in [*sorted(spread), *(number for number in source.numbers if number not in spread)]:
        if len(surveyed) >= len(spread) and max(len(values - {SHADOW}), len(opacities)) > 1:
            break
        images = source.images(number)
        apart |= len(images) > 1
        for where, image in images:
            surveyed.append(one := Surveyed.of(image, where))
            # What a lossy format makes of black is no person.
            values.update((np.where(one.tally.values > SHADOW, 255, 0) if one.lossy else one.tally.values).tolist())
            opacities.update([255] if one.alpha is None else one.alpha.values.tolist())
    return surveyed, apart
