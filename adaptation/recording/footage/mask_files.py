"""Masks that another program made, read from a folder of PNG files in place of background subtraction."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from adaptation.recording.footage.video import FolderFrames, Frames
from adaptation.support.errors import UserError
from adaptation.support.image_files import Mask, list_images, read_grey


class Masks:
    """Given masks of a recording, one PNG per frame. Open them with `open_masks`.

    Attributes:
        folder: Folder of the files.
        size: Width and height of the frames, pixels.
        files: File of each frame number; frames without an entry have no mask.
    """

    def __init__(self, folder: Path, size: tuple[int, int], files: dict[int, Path]) -> None:
        """Store which file is the mask of which frame; nothing is read yet."""
        self.folder = folder
        self.size = size
        self.files = files

    def mask(self, number: int) -> Mask | None:
        """Return the mask (H, W) of frame `number`, or None if the folder has none.

        Pixels above 127 are foreground, so a shadow label of 127 is background. In a file that
        holds only zeros and ones, ones are foreground.

        Raises:
            UserError: The file is unreadable or its size is not the frames' size.
        """
        file = self.files.get(number)
        if file is None:
            return None
        # Read on demand: the masks of a long recording would not fit into memory.
        grey = read_grey(file)
        if (grey.shape[1], grey.shape[0]) != self.size:
            raise UserError(
                f"{file}: the mask is {grey.shape[1]}x{grey.shape[0]}, wanted "
                f"{self.size[0]}x{self.size[1]} as the frames; make the masks at the frames' size"
            )
        # A threshold of 127 would make a file of zeros and ones silently empty.
        return grey > 0 if grey.max() <= 1 else grey > 127


def open_masks(folder: str | os.PathLike[str], frames: Frames) -> Masks:
    """Open a folder of masks made elsewhere, PNG with 0 and 255, to use instead of background subtraction.

    For a folder of images, a mask has the stem of its image. For a video, or if no stem matches,
    the masks are taken in natural order if there are as many as frames; otherwise the number at the
    end of a mask's stem is its frame number, counted from 0. Frames may lack a mask.

    Args:
        folder: Folder of the masks.
        frames: Recording that the masks belong to; a video of unknown length is decoded once to
            count its frames.

    Returns:
        The masks by frame number. The first one is read now, so that a wrong size fails early.

    Raises:
        UserError: There is no such folder, it holds no PNG, no mask belongs to a frame, or a mask
            has the wrong size.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise UserError(f"{folder}: there is no such folder of masks")
    # JPEG would blur the outlines.
    files = [file for file in list_images(folder) if file.suffix.lower() == ".png"]
    if not files:
        raise UserError(f"{folder}: there are no PNG masks in this folder")
    # Which file belongs to which frame is decided once, before any pixel is read.
    masks = Masks(folder, frames.size, _pair(files, frames))
    if not masks.files:
        raise UserError(
            f"{folder}: none of the {len(files)} masks belongs to a frame of {frames.path}; name "
            f"each mask after its image or by its frame number, 0 to {frames.exact_count() - 1}"
        )
    masks.mask(min(masks.files))
    return masks


def _pair(files: Sequence[Path], frames: Frames) -> dict[int, Path]:
    """Map frame numbers to mask files."""
    # Images and masks of one data set usually share their names; videos have no names per frame.
    if isinstance(frames, FolderFrames):
        numbers = {file.stem: number for number, file in enumerate(frames.files)}
        by_stem = {numbers[file.stem]: file for file in files if file.stem in numbers}
        if by_stem:
            return by_stem
    count = frames.exact_count()
    # Order comes before numbers: many tools count from 1, so numbers would be off by one.
    if len(files) == count:
        return dict(enumerate(files))
    numbered = ((re.search(r"(\d+)$", file.stem), file) for file in files)
    # The end of the name: numbers before it often count clips or people.
    by_number = {int(match[1]): file for match, file in numbered if match}
    return {number: file for number, file in by_number.items() if number < count}
