"""Frames and masks from disk: a video file or a folder of images, read one frame at a time.

Frames are numbered from 0 in the order they are decoded. Seeking by number is not trusted
(containers with variable frame rate or missing key frames land elsewhere), so random access decodes
forward to the frame.
"""

from __future__ import annotations

import os
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

# FFmpeg's own messages bypass OpenCV's log; this variable is read when the first video is opened.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")

import cv2
import numpy as np
import numpy.typing as npt

from adaptation.support.errors import UserError

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp")
MAX_FRAME_NUMBER = 10_000_000  # 92 hours at 30 frames a second; keeps "0-99999999999" from filling the memory

Image = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]


class Frames(ABC):
    """The frames of one recording, RGB uint8 (H, W, 3); iterate over it as often as needed.

    Attributes:
        path: Where the frames come from.
        size: Width and height in pixels.
        warning: Empty, or one line on what is wrong with a recording that could be used
            nevertheless (known after the first full pass).
    """

    def __init__(self, path: Path, size: tuple[int, int]) -> None:
        """Remember where the frames are and their (width, height)."""
        self.path = path
        self.size = size
        self.warning = ""

    @property
    @abstractmethod
    def count(self) -> int:
        """Number of frames; a video's is its header's until one pass has reached the end."""

    @abstractmethod
    def exact_count(self) -> int:
        """Number of frames, decoding the recording once if it is not yet known."""

    @abstractmethod
    def __iter__(self) -> Iterator[Image]:
        """Yield every frame in order."""

    @abstractmethod
    def frame(self, number: int) -> Image:
        """Return frame `number`; cheapest when asked for in rising order.

        Raises:
            UserError: There is no such frame.
        """

    def _no_such_frame(self, number: int) -> UserError:
        last = self.count - 1
        return UserError(f"{self.path}: there is no frame {number}; its frames are numbered 0 to {last}")


class VideoFrames(Frames):
    """The frames of a video file. Made by `open_frames`."""

    def __init__(self, path: Path) -> None:
        """Open the file, decode its first frame and close it again."""
        capture = _open_capture(path)
        first = _read(capture)
        if first is None:
            raise UserError(f"{path}: no frame could be decoded; the file is empty, cut off or damaged")
        announced = capture.get(cv2.CAP_PROP_FRAME_COUNT)
        capture.release()
        super().__init__(path, (first.shape[1], first.shape[0]))
        # Some containers announce nothing, or a negative or absurd number.
        self._announced = int(announced) if 0 < announced <= MAX_FRAME_NUMBER else 0
        self._counted: int | None = None
        self._cursor: cv2.VideoCapture | None = None
        self._cursor_number = -1
        self._cursor_frame: Image | None = None

    @property
    def count(self) -> int:
        """Number of frames: the header's (at least 1) until a pass has reached the end."""
        return self._counted if self._counted is not None else max(self._announced, 1)

    def exact_count(self) -> int:
        """Number of frames that decode, counted in one pass if need be."""
        if self._counted is None:
            for _ in self:
                pass
        return self.count

    def __iter__(self) -> Iterator[Image]:
        """Yield every frame, decoding the file from its start."""
        capture = _open_capture(self.path)
        number = 0
        try:
            while (image := self._checked(_read(capture), number)) is not None:
                yield image
                number += 1
        finally:
            capture.release()
        self._finish(number)

    def frame(self, number: int) -> Image:
        """Decode up to frame `number`, from the last one asked for where that is possible."""
        if number < 0 or (self._counted is not None and number >= self._counted):
            raise self._no_such_frame(number)
        if self._cursor is None or number < self._cursor_number:
            self._close_cursor()
            self._cursor = _open_capture(self.path)
        while self._cursor_number < number:
            image = self._checked(_read(self._cursor), self._cursor_number + 1)
            if image is None:
                self._finish(self._cursor_number + 1)
                self._close_cursor()
                raise self._no_such_frame(number)
            self._cursor_number += 1
            self._cursor_frame = image
        assert self._cursor_frame is not None
        return np.array(self._cursor_frame)

    def _checked(self, image: Image | None, number: int) -> Image | None:
        if image is not None and (image.shape[1], image.shape[0]) != self.size:
            raise UserError(
                f"{self.path}: frame {number} is {image.shape[1]}x{image.shape[0]}, the first is "
                f"{self.size[0]}x{self.size[1]}; a static camera keeps one size"
            )
        return image

    def _finish(self, counted: int) -> None:
        self._counted = counted
        if counted < self._announced:
            self.warning = (
                f"{self.path}: only {counted} of the {self._announced} frames its header "
                "announces could be decoded; the file may be cut off"
            )

    def _close_cursor(self) -> None:
        if self._cursor is not None:
            self._cursor.release()
        self._cursor, self._cursor_number, self._cursor_frame = None, -1, None


class FolderFrames(Frames):
    """The images of a folder in natural order. Made by `open_frames`."""

    def __init__(self, path: Path) -> None:
        """List the images and read the first one for its size."""
        self.files = list_images(path)
        if not self.files:
            kinds = ", ".join(suffix[1:] for suffix in IMAGE_SUFFIXES)
            raise UserError(f"{path}: there are no images in this folder; wanted files of type {kinds}")
        first = read_image(self.files[0])
        super().__init__(path, (first.shape[1], first.shape[0]))

    @property
    def count(self) -> int:
        """Number of images."""
        return len(self.files)

    def exact_count(self) -> int:
        """Number of images."""
        return self.count

    def __iter__(self) -> Iterator[Image]:
        """Yield every image."""
        for number in range(self.count):
            yield self.frame(number)

    def frame(self, number: int) -> Image:
        """Read image `number`."""
        if not 0 <= number < self.count:
            raise self._no_such_frame(number)
        image = read_image(self.files[number])
        if (image.shape[1], image.shape[0]) != self.size:
            raise UserError(
                f"{self.files[number]}: the image is {image.shape[1]}x{image.shape[0]}, wanted "
                f"{self.size[0]}x{self.size[1]} as {self.files[0].name}; "
                "all frames must be of one size"
            )
        return image


class Masks:
    """Given masks of a recording, one PNG a frame. Made by `open_masks`.

    Attributes:
        folder: Where they are.
        size: Width and height, those of the frames.
        files: Frame number to file; frames without an entry have no mask.
    """

    def __init__(self, folder: Path, size: tuple[int, int], files: dict[int, Path]) -> None:
        """Remember which file is whose mask."""
        self.folder = folder
        self.size = size
        self.files = files

    def mask(self, number: int) -> Mask | None:
        """Return frame `number`'s mask (H, W), or None where the folder has none.

        Pixels above 127 are foreground (so that a shadow label of 127 is not); in a file of zeros
        and ones, ones are.

        Raises:
            UserError: The file is unreadable or not of the frames' size.
        """
        file = self.files.get(number)
        if file is None:
            return None
        grey = _decode(file, cv2.IMREAD_GRAYSCALE)
        if (grey.shape[1], grey.shape[0]) != self.size:
            raise UserError(
                f"{file}: the mask is {grey.shape[1]}x{grey.shape[0]}, wanted "
                f"{self.size[0]}x{self.size[1]} as the frames; make the masks at the frames' size"
            )
        return grey > 0 if grey.max() <= 1 else grey > 127


def open_frames(path: str | os.PathLike[str]) -> Frames:
    """Open a video file or a folder of images.

    Args:
        path: A file, or a folder of png, jpg, jpeg or bmp files: taken in natural order, all of
            one size.

    Returns:
        The frames, re-iterable and decoded one at a time.

    Raises:
        UserError: Nothing there, not a video, a codec that cannot be decoded, no frames, a folder
            without images. Images of different sizes are found, and raise, when they are reached.
    """
    path = Path(path)
    try:
        str(path).encode()
    except UnicodeEncodeError:  # FFmpeg would crash
        raise UserError(f"{str(path)!r}: the name is not UTF-8; rename the file or folder") from None
    if path.is_dir():
        return FolderFrames(path)
    if not path.exists():
        raise UserError(f"{path}: there is no such file or folder; give a video file or a folder of images")
    if path.suffix.lower() in IMAGE_SUFFIXES:
        raise UserError(f"{path}: this is a single image; give a video file or the folder that holds the images")
    return VideoFrames(path)


def open_masks(folder: str | os.PathLike[str], frames: Frames) -> Masks:
    """Open a folder of masks made elsewhere, PNG 0/255, to use instead of background subtraction.

    For a folder of images a mask has the stem of its image. For a video, or where no stem matches,
    as many masks as frames are taken in natural order; otherwise the number a mask's stem ends in
    is its frame, counted from 0. Frames without a mask are allowed.

    Args:
        folder: The masks.
        frames: The recording they belong to; a video whose length is not known yet is decoded once
            to count.

    Returns:
        The masks by frame number. The first one is read at once, to fail early on a wrong size.

    Raises:
        UserError: No such folder, no PNG in it, no mask that belongs to a frame, or a wrong size.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise UserError(f"{folder}: there is no such folder of masks")
    files = [file for file in list_images(folder) if file.suffix.lower() == ".png"]
    if not files:
        raise UserError(f"{folder}: there are no PNG masks in this folder")
    masks = Masks(folder, frames.size, _pair(files, frames))
    if not masks.files:
        raise UserError(
            f"{folder}: none of the {len(files)} masks belongs to a frame of {frames.path}; name "
            f"each by its image's name or by its frame number, 0 to {frames.exact_count() - 1}"
        )
    masks.mask(min(masks.files))
    return masks


def _pair(files: Sequence[Path], frames: Frames) -> dict[int, Path]:
    """Frame number to mask file."""
    if isinstance(frames, FolderFrames):
        numbers = {file.stem: number for number, file in enumerate(frames.files)}
        by_stem = {numbers[file.stem]: file for file in files if file.stem in numbers}
        if by_stem:
            return by_stem
    count = frames.exact_count()
    if len(files) == count:
        return dict(enumerate(files))
    numbered = ((re.search(r"(\d+)$", file.stem), file) for file in files)
    by_number = {int(match[1]): file for match, file in numbered if match}
    return {number: file for number, file in by_number.items() if number < count}


def list_images(folder: Path) -> list[Path]:
    """List the images of a folder in natural order (2 before 10), without hidden files."""
    return sorted(
        (
            file
            for file in folder.iterdir()
            if file.suffix.lower() in IMAGE_SUFFIXES and not file.name.startswith(".") and file.is_file()
        ),
        key=lambda file: _natural_key(file.name),
    )


def read_image(file: Path) -> Image:
    """Read an image as RGB uint8 (H, W, 3).

    Raises:
        UserError: The file cannot be read or is not an image.
    """
    return _to_rgb(_decode(file, cv2.IMREAD_COLOR))


def parse_frames(text: str) -> tuple[int, ...]:
    """Parse a list of frame numbers and inclusive ranges such as "10,20,30-40".

    Args:
        text: Numbers from 0 and ranges a-b with a <= b, separated by commas; spaces are ignored.

    Returns:
        The numbers, sorted, each once.

    Raises:
        UserError: Anything else.
    """
    numbers: set[int] = set()
    for part in text.split(","):
        match = re.fullmatch(r"\s*([0-9]+)\s*(?:-\s*([0-9]+)\s*)?", part)
        if match is None:
            raise UserError(
                f'frames "{text}": "{part.strip()}" is not a number or a range; write for example 10,20,30-40'
            )
        # Compared by length first: Python refuses to convert thousands of digits.
        ends = [end.lstrip("0") or "0" for end in match.groups() if end is not None]
        if any(len(end) > len(str(MAX_FRAME_NUMBER)) or int(end) > MAX_FRAME_NUMBER for end in ends):
            raise UserError(f'frames "{part.strip()[:40]}": frame numbers go up to {MAX_FRAME_NUMBER}')
        first, last = int(ends[0]), int(ends[-1])
        if last < first:
            raise UserError(f'frames "{text}": the range {first}-{last} runs backwards; write {last}-{first}')
        numbers.update(range(first, last + 1))
    return tuple(sorted(numbers))


def check_frames(numbers: Iterable[int], frames: Frames) -> None:
    """Check that a recording has the frames asked for; a video is decoded once to count.

    Raises:
        UserError: A number is out of range.
    """
    count = frames.exact_count()
    for number in numbers:
        if not 0 <= number < count:
            raise UserError(f"frame {number} does not exist: {frames.path} has {count} frames, 0 to {count - 1}")


def _natural_key(name: str) -> list[tuple[int, str]]:
    """Sort key by which 2 comes before 10; digits before letters, and case does not matter."""
    parts = re.findall(r"[0-9]+|[^0-9]+", name.lower())
    return [(int(part), "") if part.isdigit() else (-1, part) for part in parts]


def _decode(file: Path, flags: int) -> Image:
    try:
        data = np.frombuffer(file.read_bytes(), np.uint8)
    except OSError as error:
        raise UserError(f"{file}: cannot be read: {error.strerror}") from error
    with _quiet():
        try:
            image = cv2.imdecode(data, flags | cv2.IMREAD_ANYDEPTH) if data.size else None
        except cv2.error:  # an image too large, or a damaged header
            image = None
    if image is None:
        raise UserError(f"{file}: not an image that can be decoded; the file may be damaged")
    if image.dtype != np.uint8:
        raise UserError(f"{file}: {8 * image.itemsize} bits a channel, wanted 8; convert all with one fixed range")
    return np.asarray(image)


def _to_rgb(bgr: npt.NDArray[Any]) -> Image:
    return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8)


def _open_capture(path: Path) -> cv2.VideoCapture:
    if not path.is_file():
        raise UserError(f"{path}: not a video file")
    with _quiet():
        # FFmpeg only: other backends would take some file names for image sequences or devices.
        capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
        opened = capture.isOpened()
    if not opened:
        raise UserError(
            f"{path}: not a video that can be decoded (unknown format or codec, or damaged); "
            "convert it, for example to H.264 in mp4"
        )
    return capture


def _read(capture: cv2.VideoCapture) -> Image | None:
    with _quiet():
        ok, bgr = capture.read()
    return _to_rgb(bgr) if ok and bgr is not None else None


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep OpenCV from writing to stderr, so that the user sees only our line."""
    level = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        yield
    finally:
        cv2.utils.logging.setLogLevel(level)
