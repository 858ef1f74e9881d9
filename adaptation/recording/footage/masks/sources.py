"""Where masks are stored: image files, an array of NumPy, or a video."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from adaptation.recording.footage.masks.folders import list_masks
from adaptation.recording.footage.masks.images import MaskImage, check_size, of_layers, of_pixels, read_mask_images
from adaptation.recording.footage.masks.numbering import Recording, pair
from adaptation.recording.footage.video import FolderFrames, Frames, VideoFrames
from adaptation.support.errors import UserError
from adaptation.support.reading.array_files import names_of_arrays, read_arrays
from adaptation.support.reading.file_kinds import kind_of
from adaptation.support.reading.findings import found

_NAMES = ("masks", "mask", "segmentation", "arr_0", "")  # of arrays, the most telling first


class Source(ABC):
    """The masks of a recording as they are stored.

    Attributes:
        numbers: numbers of the frames that have masks, in rising order.
    """

    numbers: list[int]

    @abstractmethod
    def images(self, number: int) -> list[tuple[str, MaskImage]]:
        """Return the masks of a frame, each with its place for messages.

        Raises:
            UserError: a mask cannot be read or has another size than the frames.
        """


class MaskFiles(Source):
    """Masks in image files.

    Attributes:
        files: files of each frame number.
    """

    def __init__(self, folder: Path, frames: Frames) -> None:
        """Pair the files of a folder with frames; nothing is decoded."""
        images = tuple(file.name for file in frames.files) if isinstance(frames, FolderFrames) else ()
        inside, names = list_masks(folder, frames.path, frozenset(Path(image).stem for image in images))
        pairs = pair(names, Recording(str(frames.path), frames.exact_count(), images), str(folder))
        self.files: Mapping[int, tuple[Path, ...]] = {
            number: tuple(inside / name for name in paired) for number, paired in pairs.items()
        }
        self.numbers = sorted(self.files)
        self._size = frames.size

    def images(self, number: int) -> list[tuple[str, MaskImage]]:
        """Read the files of a frame."""
        # Read on demand: the masks of a long recording would not fit into memory.
        files = self.files.get(number, ())
        return [(str(file), image) for file in files for image in read_mask_images(file, self._size)]


class MaskArray(Source):
    """Masks in one array of an npy or npz file, a mask for each frame."""

    def __init__(self, file: Path, frames: Frames) -> None:
        """Read the array."""
        names = names_of_arrays(file) or ("",)
        chosen = names[0] if len(names) == 1 else next((name for name in _NAMES if name in names), None)
        if chosen is None:
            raise UserError(f"{file}: found the arrays {', '.join(names[:8])}, expected one named masks")
        array: Any = read_arrays(file, (chosen,))[chosen]
        count = frames.exact_count()
        if array.ndim < 3 or len(array) != count or array.dtype.kind not in "buif":
            raise UserError(
                f"{file}: found an array {array.shape} of {array.dtype}, expected numbers of shape ({count}, "
                f"{frames.size[1]}, {frames.size[0]}), a mask for each of the {count} frames of {frames.path}"
            )
        if array.dtype.kind == "f" and not array.max() <= 1 and (array == np.rint(array)).all() and array.min() >= 0:
            array = array.astype(np.uint32)  # ids as fractions, which a frame with ids 0 and 1 alone does not show
        found(f"masks: {len(array)} masks of an array are taken as frames 0 to {count - 1}")
        self._array, self._file, self._size = array, file, frames.size
        self.numbers = list(range(count))

    def images(self, number: int) -> list[tuple[str, MaskImage]]:
        """Return a part of the array."""
        where = f"{self._file}, mask {number}"
        return [(where, image) for image in of_layers(self._array[number], where, self._size)]


class MaskVideo(Source):
    """Masks in a video, a mask for each frame."""

    def __init__(self, file: Path, frames: Frames) -> None:
        """Open the video and count its frames."""
        self._video = VideoFrames(file)
        check_size(self._video.size, frames.size, str(file))
        count, own = frames.exact_count(), self._video.exact_count()
        if own != count:
            raise UserError(
                f"{file}: found {own} frames, expected {count} as in {frames.path}; give a mask for each frame"
            )
        found(f"masks: frames of the video {file.name} are taken as masks of frames 0 to {count - 1}")
        self.numbers = list(range(count))

    def images(self, number: int) -> list[tuple[str, MaskImage]]:
        """Decode a frame."""
        where = f"{self._video.path}, frame {number}"
        image = of_pixels(self._video.frame(number)[..., ::-1], "video", where, self._video.size, lossy=True)
        return [(where, image)]


def open_source(path: Path, frames: Frames) -> Source:
    """Find out how masks are stored, and which belongs to which frame.

    Args:
        path: folder of image files, npy or npz file, or video.
        frames: the recording.

    Raises:
        UserError: the path is nothing of this, or it is not clear which mask belongs to which frame.
    """
    if path.is_dir():
        return MaskFiles(path, frames)
    if not path.exists():
        raise UserError(f"{path}: there is no such folder of masks")
    kind = kind_of(path)
    if kind in ("npy file of NumPy", "npz file of NumPy"):
        return MaskArray(path, frames)
    if kind.endswith(" video"):
        return MaskVideo(path, frames)
    raise UserError(f"{path}: found a {kind}, expected a folder of masks, an npy or npz file, or a video")
