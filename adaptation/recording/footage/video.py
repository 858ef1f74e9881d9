"""Frames of a recording: a video file or a folder of images, read one frame at a time.

Frames are numbered from 0 in decoding order. Random access decodes forward to the frame instead of
seeking: in containers with a variable frame rate or missing key frames, seeking by number lands on
another frame.
"""

from __future__ import annotations

import os
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from pathlib import Path

# FFmpeg's messages bypass OpenCV's log. OpenCV reads this variable when it opens its first video.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")

import cv2
import numpy as np

from adaptation.support.errors import UserError
from adaptation.support.image_files import (
    IMAGE_SUFFIXES,
    Image,
    list_images,
    quiet_opencv,
    read_image,
    to_rgb,
)

# 92 hours at 30 frames per second; without a bound, a range such as "0-99999999999" would fill the memory.
MAX_FRAME_NUMBER = 10_000_000


class Frames(ABC):
    """The frames of one recording, RGB uint8 (H, W, 3); it can be iterated over repeatedly.

    Attributes:
        path: Video file or folder that the frames come from.
        size: Width and height, pixels.
        warning: One line on a defect of a recording that is still usable, known after the first
            full pass; empty without a defect.
    """

    def __init__(self, path: Path, size: tuple[int, int]) -> None:
        """Store the path of the frames and their (width, height), pixels."""
        self.path = path
        self.size = size
        self.warning = ""

    @property
    @abstractmethod
    def count(self) -> int:
        """Number of frames; for a video, the header's claim until one pass has reached the end."""

    @abstractmethod
    def exact_count(self) -> int:
        """Return the number of frames; a video of unknown length is decoded once."""

    @abstractmethod
    def __iter__(self) -> Iterator[Image]:
        """Yield every frame in order."""

    @abstractmethod
    def frame(self, number: int) -> Image:
        """Return frame `number`, RGB uint8 (H, W, 3); cheapest if numbers rise from call to call.

        Raises:
            UserError: There is no such frame.
        """

    def _no_such_frame(self, number: int) -> UserError:
        last = self.count - 1
        return UserError(f"{self.path}: there is no frame {number}; its frames are numbered 0 to {last}")


class VideoFrames(Frames):
    """The frames of a video file. Open it with `open_frames`."""

    def __init__(self, path: Path) -> None:
        """Open the file, decode its first frame, and close it again."""
        capture = _open_capture(path)
        # The size comes from a decoded frame: headers may state the size before rotation or cropping.
        first = _read(capture)
        if first is None:
            raise UserError(f"{path}: no frame could be decoded; the file is empty, truncated or damaged")
        announced = capture.get(cv2.CAP_PROP_FRAME_COUNT)
        capture.release()
        super().__init__(path, (first.shape[1], first.shape[0]))
        # Some containers announce no count, or a negative or absurd one.
        self._announced = int(announced) if 0 < announced <= MAX_FRAME_NUMBER else 0
        self._counted: int | None = None
        self._cursor: cv2.VideoCapture | None = None
        self._cursor_number = -1
        self._cursor_frame: Image | None = None

    @property
    def count(self) -> int:
        """Number of frames: the header's claim (at least 1) until a pass has reached the end."""
        return self._counted if self._counted is not None else max(self._announced, 1)

    def exact_count(self) -> int:
        """Return the number of frames that can be decoded, counted in one pass if necessary."""
        if self._counted is None:
            # Decoding is the only count that can be trusted.
            for _ in self:
                pass
        return self.count

    def __iter__(self) -> Iterator[Image]:
        """Yield every frame, decoding the file from its start."""
        # A capture of its own: iteration must not move the cursor of `frame`.
        capture = _open_capture(self.path)
        number = 0
        try:
            while (image := self._checked(_read(capture), number)) is not None:
                yield image
                number += 1
        finally:
            capture.release()
        # Not in the `finally`: an iteration that is abandoned has not seen the end.
        self._finish(number)

    def frame(self, number: int) -> Image:
        """Return frame `number`, RGB uint8 (H, W, 3), decoding forward from the last requested frame if possible."""
        # Before a full pass the count is a claim, so larger numbers are tried.
        if number < 0 or (self._counted is not None and number >= self._counted):
            raise self._no_such_frame(number)
        # Backwards means from the start again; nothing but decoding is trusted to find a frame.
        if self._cursor is None or number < self._cursor_number:
            self._close_cursor()
            self._cursor = _open_capture(self.path)
        while self._cursor_number < number:
            image = self._checked(_read(self._cursor), self._cursor_number + 1)
            if image is None:  # the file ends before the header's count
                self._finish(self._cursor_number + 1)
                self._close_cursor()
                raise self._no_such_frame(number)
            self._cursor_number += 1
            self._cursor_frame = image
        assert self._cursor_frame is not None
        # A copy: the caller may draw on it, and the same frame may be requested again.
        return np.array(self._cursor_frame)

    def _checked(self, image: Image | None, number: int) -> Image | None:
        # Background subtraction compares frames pixel by pixel.
        if image is not None and (image.shape[1], image.shape[0]) != self.size:
            raise UserError(
                f"{self.path}: frame {number} is {image.shape[1]}x{image.shape[0]}, expected "
                f"{self.size[0]}x{self.size[1]} as the first frame; all frames must have one size"
            )
        return image

    def _finish(self, counted: int) -> None:
        """Store the true number of frames at the end of a pass, and note if the header promised more."""
        self._counted = counted
        # Not an error: what was decoded is usable, and the user decides.
        if counted < self._announced:
            self.warning = (
                f"{self.path}: only {counted} of the {self._announced} frames that its header "
                "announces could be decoded; the file may be truncated"
            )

    def _close_cursor(self) -> None:
        if self._cursor is not None:
            self._cursor.release()
        self._cursor, self._cursor_number, self._cursor_frame = None, -1, None


class FolderFrames(Frames):
    """The images of a folder in natural order. Open it with `open_frames`."""

    def __init__(self, path: Path) -> None:
        """List the images and read the first one for its size."""
        self.files = list_images(path)
        if not self.files:
            kinds = ", ".join(suffix[1:] for suffix in IMAGE_SUFFIXES)
            raise UserError(f"{path}: there are no images in this folder; expected files of type {kinds}")
        first = read_image(self.files[0])
        super().__init__(path, (first.shape[1], first.shape[0]))

    @property
    def count(self) -> int:
        """Number of images."""
        return len(self.files)

    def exact_count(self) -> int:
        """Return the number of images."""
        return self.count

    def __iter__(self) -> Iterator[Image]:
        """Yield every image, RGB uint8 (H, W, 3)."""
        for number in range(self.count):
            yield self.frame(number)

    def frame(self, number: int) -> Image:
        """Read image `number`, RGB uint8 (H, W, 3)."""
        if not 0 <= number < self.count:
            raise self._no_such_frame(number)
        image = read_image(self.files[number])
        if (image.shape[1], image.shape[0]) != self.size:
            raise UserError(
                f"{self.files[number]}: the image is {image.shape[1]}x{image.shape[0]}, expected "
                f"{self.size[0]}x{self.size[1]} as {self.files[0].name}; "
                "all frames must have one size"
            )
        return image


def open_frames(path: str | os.PathLike[str]) -> Frames:
    """Open a video file or a folder of images.

    Args:
        path: Video file, or folder of png, jpg, jpeg or bmp files, which are taken in natural order
            and must have one size.

    Returns:
        The frames, re-iterable and decoded one at a time.

    Raises:
        UserError: The path does not exist, is not a video, has a codec that cannot be decoded or no
            frames, or is a folder without images. An image of another size raises when it is read.
    """
    path = Path(path)
    try:
        str(path).encode()
    except UnicodeEncodeError:  # OpenCV's FFmpeg backend would crash on such a name
        raise UserError(f"{str(path)!r}: the name is not UTF-8; rename the file or folder") from None
    if path.is_dir():
        return FolderFrames(path)
    if not path.exists():
        raise UserError(f"{path}: there is no such file or folder; give a video file or a folder of images")
    # FFmpeg would open it as a video of one frame, which has no background.
    if path.suffix.lower() in IMAGE_SUFFIXES:
        raise UserError(f"{path}: this is a single image; give a video file or the folder that holds the images")
    return VideoFrames(path)


def parse_frames(text: str) -> tuple[int, ...]:
    """Parse a list of frame numbers and inclusive ranges, such as "10,20,30-40".

    Args:
        text: Numbers from 0 and ranges a-b with a <= b, separated by commas; spaces are ignored.

    Returns:
        The distinct numbers in rising order.

    Raises:
        UserError: The text has another form, or a number exceeds `MAX_FRAME_NUMBER`.
    """
    # A set, because ranges may overlap.
    numbers: set[int] = set()
    for part in text.split(","):
        match = re.fullmatch(r"\s*([0-9]+)\s*(?:-\s*([0-9]+)\s*)?", part)
        if match is None:
            raise UserError(
                f'frames "{text}": "{part.strip()}" is not a number or a range; write, for example, 10,20,30-40'
            )
        # The length is compared first: Python refuses to convert thousands of digits.
        ends = [end.lstrip("0") or "0" for end in match.groups() if end is not None]
        if any(len(end) > len(str(MAX_FRAME_NUMBER)) or int(end) > MAX_FRAME_NUMBER for end in ends):
            raise UserError(f'frames "{part.strip()[:40]}": frame numbers go up to {MAX_FRAME_NUMBER}')
        first, last = int(ends[0]), int(ends[-1])
        if last < first:
            raise UserError(f'frames "{text}": the range {first}-{last} runs backwards; write {last}-{first}')
        numbers.update(range(first, last + 1))
    return tuple(sorted(numbers))


def check_frames(numbers: Iterable[int], frames: Frames) -> None:
    """Check that a recording has the requested frames; a video of unknown length is decoded once.

    Raises:
        UserError: A number is out of range.
    """
    count = frames.exact_count()
    for number in numbers:
        if not 0 <= number < count:
            raise UserError(f"frame {number} does not exist: {frames.path} has {count} frames, 0 to {count - 1}")


def _open_capture(path: Path) -> cv2.VideoCapture:
    if not path.is_file():
        raise UserError(f"{path}: not a video file")
    with quiet_opencv():
        # FFmpeg only: other backends interpret some file names as image sequences or devices.
        capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
        opened = capture.isOpened()
    if not opened:
        raise UserError(
            f"{path}: not a video that can be decoded (unknown format or codec, or damaged); "
            "convert it, for example to H.264 in mp4"
        )
    return capture


def _read(capture: cv2.VideoCapture) -> Image | None:
    # Damaged streams may report success without an image.
    with quiet_opencv():
        ok, bgr = capture.read()
    return to_rgb(bgr) if ok and bgr is not None else None
