"""Frames of a recording: a video file or a folder of images, read one frame at a time.

Frames are numbered from 0 in decoding order. Random access decodes forward to the frame instead of
seeking: in containers with a variable frame rate or missing key frames, seeking by number lands on
another frame.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from adaptation.recording.footage.decoding.animations import is_animated_webp, read_animation
from adaptation.recording.footage.decoding.capture import Capture, undecodable
from adaptation.recording.footage.decoding.containers import Damaged, is_cut_off, listed_frames
from adaptation.recording.footage.sampling import EvenSamples
from adaptation.support.errors import UserError, one_line
from adaptation.support.image_files import IMAGE_SUFFIXES, Image, list_images, read_image, read_pixels
from adaptation.support.levels import Deep, Levels
from adaptation.support.reading.file_kinds import kind_of
from adaptation.support.reading.findings import found

# 92 hours at 30 frames per second; without a bound, a range such as "0-99999999999" would fill the memory.
MAX_FRAME_NUMBER = 10_000_000
_LEVEL_SAMPLES = 16  # frames that decide on the range of a recording of 16 bits


class Frames(ABC):
    """The frames of one recording, RGB uint8 (H, W, 3); it can be iterated over repeatedly.

    Attributes:
        path: Video file or folder that the frames come from.
        size: Width and height, pixels.
        levels: Range of a recording of 16 bits that is shown in 8; None for one of 8 bits.
        rate: Frames per second by the file's header; 0 where it is unknown.
        warning: One line on a defect of a recording that is still usable, known after the first
            full pass; empty without a defect.
    """

    def __init__(self, path: Path, size: tuple[int, int]) -> None:
        """Store the path of the frames and their (width, height), pixels."""
        self.path = path
        self.size = size
        self.levels: Levels | None = None
        self.rate = 0.0
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

    def __init__(self, path: Path, levels: Levels | None = None) -> None:
        """Open the file, decode its first frame, and close it again; one of 16 bits is decoded as a whole."""
        capture = Capture(path)
        capture.check_pictures()
        capture.close()
        capture = Capture(path)
        # The size comes from a decoded frame: headers may state the size before rotation or cropping.
        first = capture.read()
        codec, rate = capture.codec(), capture.rate()
        capture.close()
        if first is None:
            raise undecodable(path, codec)
        super().__init__(path, (first.shape[1], first.shape[0]))
        self.rate = rate
        self._announced = capture.announced if capture.announced <= MAX_FRAME_NUMBER else 0
        self._counted: int | None = None
        self._cursor: Capture | None = None
        self._cursor_number = -1
        self._cursor_frame: Image | None = None
        if capture.deep:
            self.levels = levels or self._measured_levels()
        elif levels is not None:
            raise _not_deep(path)

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
        capture = Capture(self.path)
        number = 0
        try:
            while (image := self._shown(capture.read(), number)) is not None:
                yield image
                number += 1
        finally:
            capture.close()
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
            self._cursor = Capture(self.path)
        while self._cursor_number < number:
            image = self._shown(self._cursor.read(), self._cursor_number + 1)
            if image is None:  # the file ends before the header's count
                self._finish(self._cursor_number + 1)
                self._close_cursor()
                raise self._no_such_frame(number)
            self._cursor_number += 1
            self._cursor_frame = image
        assert self._cursor_frame is not None
        # A copy: the caller may draw on it, and the same frame may be requested again.
        return np.array(self._cursor_frame)

    def near(self, numbers: Sequence[int]) -> Iterator[tuple[int, Image]]:
        """Yield frames found by seeking, with the numbers asked for, from which they may be a few frames away.

        A look at a few frames of a long recording takes seconds that way. Frames that cannot be read are left out.
        """
        capture = Capture(self.path)
        for number in numbers:
            capture.seek(number)
            if (image := self._shown(capture.read(), number)) is not None:
                yield number, image
        capture.close()

    def _shown(self, image: Image | Deep | None, number: int) -> Image | None:
        """Check the size of a decoded frame, and show it in 8 bits."""
        if image is None:
            return None
        # Background subtraction compares frames pixel by pixel.
        if (image.shape[1], image.shape[0]) != self.size:
            raise UserError(
                f"{self.path}: frame {number} is {image.shape[1]}x{image.shape[0]}, expected "
                f"{self.size[0]}x{self.size[1]} as the first frame; all frames must have one size"
            )
        if self.levels is None:
            return np.asarray(image, np.uint8)
        return np.repeat(self.levels.apply(np.asarray(image, np.uint16))[..., None], 3, axis=2)

    def _measured_levels(self) -> Levels:
        """Choose the range of a video of 16 bits by samples of its whole length."""
        samples, capture = EvenSamples[Deep](_LEVEL_SAMPLES), Capture(self.path)
        while (image := capture.read()) is not None:
            samples.add(np.asarray(image, np.uint16))
        capture.close()
        return _found_levels(self.path, samples.kept)

    def _finish(self, counted: int) -> None:
        """Store the true number of frames at the end of a pass, and note if frames were lost."""
        self._counted = counted
        if 0 < self._announced <= counted:
            return
        # Not an error: what was decoded is usable, and the user decides.
        if is_cut_off(self.path):
            promised = f" of about {self._announced}" if self._announced else ""
            self.warning = one_line(f"{self.path}: the file is truncated; it has {counted}{promised} frames")
            return
        try:
            listed = listed_frames(self.path) or 0
        except Damaged:
            listed = self._announced
        if counted < listed:
            self.warning = one_line(
                f"{self.path}: only {counted} of the {listed} frames that the file lists could be decoded; it may be "
                "damaged"
            )

    def _close_cursor(self) -> None:
        if self._cursor is not None:
            self._cursor.close()
        self._cursor, self._cursor_number, self._cursor_frame = None, -1, None


class ListedFrames(Frames):
    """Frames that can be had by number at once."""

    def exact_count(self) -> int:
        """Return the number of frames."""
        return self.count

    def __iter__(self) -> Iterator[Image]:
        """Yield every frame, RGB uint8 (H, W, 3)."""
        for number in range(self.count):
            yield self.frame(number)


class AnimationFrames(ListedFrames):
    """The frames of an animated WebP image. Open it with `open_frames`."""

    def __init__(self, path: Path) -> None:
        """Decode all frames."""
        self._images = read_animation(path)
        super().__init__(path, (self._images[0].shape[1], self._images[0].shape[0]))

    @property
    def count(self) -> int:
        """Number of frames."""
        return len(self._images)

    def frame(self, number: int) -> Image:
        """Return frame `number`, RGB uint8 (H, W, 3)."""
        if not 0 <= number < self.count:
            raise self._no_such_frame(number)
        return np.array(self._images[number])


class FolderFrames(ListedFrames):
    """The images of a folder in natural order. Open it with `open_frames`."""

    def __init__(self, path: Path, levels: Levels | None = None) -> None:
        """List the images and read the first one for its size, or some of them for the range of their levels."""
        self.files = list_images(path)
        if not self.files:
            kinds = ", ".join(suffix[1:] for suffix in IMAGE_SUFFIXES)
            raise UserError(f"{path}: there are no images in this folder; expected files of type {kinds}")
        stem, times = Counter(file.stem for file in self.files).most_common(1)[0]
        if times > 1:
            twins = ", ".join(file.name for file in self.files if file.stem == stem)
            raise UserError(f"{path}: images of one name ({twins}), of which one can be the frame; remove the others")
        first = read_pixels(self.files[0])
        super().__init__(path, (first.shape[1], first.shape[0]))
        if first.dtype == np.uint16:
            self.levels = levels or self._measured_levels()
        elif levels is not None:
            raise _not_deep(path)

    @property
    def count(self) -> int:
        """Number of images."""
        return len(self.files)

    def frame(self, number: int) -> Image:
        """Read image `number`, RGB uint8 (H, W, 3)."""
        if not 0 <= number < self.count:
            raise self._no_such_frame(number)
        image = read_image(self.files[number], self.levels)
        if (image.shape[1], image.shape[0]) != self.size:
            raise UserError(
                f"{self.files[number]}: the image is {image.shape[1]}x{image.shape[0]}, expected "
                f"{self.size[0]}x{self.size[1]} as {self.files[0].name}; "
                "all frames must have one size"
            )
        return image

    def _measured_levels(self) -> Levels:
        """Choose the range of images of 16 bits by samples of the whole folder."""
        step = -(-self.count // _LEVEL_SAMPLES)
        images = (read_pixels(file) for file in self.files[::step])
        # An image of 8 bits among them is refused when it is read.
        return _found_levels(self.path, [np.asarray(image) for image in images if image.dtype == np.uint16])


def _found_levels(path: Path, samples: Sequence[Deep]) -> Levels:
    levels = Levels.of([sample[::2, ::2] for sample in samples])
    found(
        f"{path}: 16 bits per channel; levels {levels.low} to {levels.high}, by {len(samples)} sampled frames, become "
        f"0 to 255 in all frames (--range {levels.low},{levels.high} keeps this range for other recordings)"
    )
    return levels


def _not_deep(path: Path) -> UserError:
    return UserError(f"{path}: --range is for recordings of 16 bits per channel, this one has 8; leave it out")


def open_frames(path: str | os.PathLike[str], levels: Levels | None = None) -> Frames:
    """Open a video file, an animated image or a folder of images.

    Args:
        path: Video file of any name, animated GIF, PNG or WebP image, or folder of images, which are taken in natural
            order and must have one size.
        levels: For a recording of 16 bits per channel: the range of levels that becomes 0 to 255. By default samples
            of the recording decide, and `found` states the range.

    Returns:
        The frames, re-iterable and decoded one at a time.

    Raises:
        UserError: The path does not exist, is not a video, has a codec that cannot be decoded or no
            frames, or is a folder without images. An image of another size raises when it is read.
    """
    path = Path(path)
    if path.is_dir():
        return FolderFrames(path, levels)
    if not path.exists():
        raise UserError(f"{path}: there is no such file or folder; give a video file or a folder of images")
    if not path.is_file():  # opening a pipe would wait for its writer
        raise UserError(f"{path}: not a video file but a pipe or a device; write it to a file first")
    kind = kind_of(path)
    if kind == "WebP image" and is_animated_webp(path):
        if levels is not None:
            raise _not_deep(path)
        return AnimationFrames(path)
    _refuse_pictures(path, kind)
    return VideoFrames(path, levels)


def _refuse_pictures(path: Path, kind: str) -> None:
    """Refuse single images, which FFmpeg would open as a video of one frame, and lists of other files."""
    if is_picture(path):
        raise UserError(f"{path}: this is a single image; give a video file or the folder that holds the images")
    # FFmpeg would follow playlists to other files, and to addresses.
    with path.open("rb") as opened:
        raw = opened.read(9) == b"YUV4MPEG2"
    if kind in ("text file", "JSON file", "XML or HTML file") and not raw:
        raise UserError(f"{path}: not a video ({kind}); give a video file or a folder of images")


def is_picture(path: Path) -> bool:
    """Return whether a file is an image, and not an animated one."""
    with path.open("rb") as opened:
        start = opened.read(1 << 16)
    kind = kind_of(path)
    moving = {
        "GIF image": True,
        "PNG image": b"acTL" in start,  # the chunk that announces an animation comes before the pixels
        "JPEG image": path.suffix.lower() in (".mjpeg", ".mjpg"),  # a stream of JPEG images
        "WebP image": kind == "WebP image" and is_animated_webp(path),
    }
    return kind.endswith(" image") and not moving.get(kind, False)
