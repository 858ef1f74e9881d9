"""Decoding of video files as a player would show them, and what to do with files that cannot be decoded."""

from __future__ import annotations

import os
import shlex
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

# FFmpeg's messages bypass OpenCV's log. OpenCV reads this variable when it opens its first video.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")

import cv2
import numpy as np
import numpy.typing as npt

from adaptation.recording.footage.decoding.containers import codec_of, has_index, is_cut_off
from adaptation.support.errors import UserError
from adaptation.support.image_files import Image, quiet_opencv, to_rgb
from adaptation.support.levels import Deep
from adaptation.support.reading.file_kinds import kind_of
from adaptation.support.reading.findings import found

MOST_PIXELS = 1 << 27  # of a frame; a damaged header may announce one that fills the memory
_ATTEMPTS = 8  # damaged frames in succession after which a video ends
_WIDEST_PIXEL = 4.0  # real ones have an aspect ratio of at most 2 or so; damaged headers have any
_LOSSLESS_GREY = "-pix_fmt gray16le -c:v ffv1"
_USUAL = "-pix_fmt yuv420p -c:v libx264 -crf 12"
# FFmpeg's names of the pixel formats that begin with a plane of 8-bit luma.
_LUMA_FIRST = (b"I420", b"IYUV", b"YV12", b"Y42B", b"422P", b"444P", b"440P", b"411P", b"Y41B", b"NV12", b"NV21")


class Capture:
    """An open video file. Its frames are turned, and stretched to square pixels, as their file asks for.

    Attributes:
        path: The file.
        announced: Number of frames by the file's header, which may be an estimate; 0 if it has none.
        deep: Whether frames have 16 bits per pixel.
    """

    def __init__(self, path: Path) -> None:
        """Open a file.

        Raises:
            UserError: The file cannot be read or decoded, its frames are too large, or they are grey with a depth
                that OpenCV would silently cut down to 8 bits.
        """
        if not path.is_file():
            raise UserError(f"{path}: not a video file")
        try:
            path.open("rb").close()
        except OSError as error:
            raise UserError(f"{path}: cannot be read: {error.strerror}") from None
        self.path = path
        with quiet_opencv(), _plain_name(path) as name:
            # FFmpeg only: other backends interpret some file names as image sequences or devices.
            self._capture = cv2.VideoCapture(name, cv2.CAP_FFMPEG)
            opened = self._capture.isOpened()
        if not opened:
            raise undecodable(path)
        width, height = self._number(cv2.CAP_PROP_FRAME_WIDTH), self._number(cv2.CAP_PROP_FRAME_HEIGHT)
        if width * height > MOST_PIXELS:
            self.close()
            raise UserError(f"{path}: frames of {width:.0f}x{height:.0f} are too large; the file may be damaged")
        self.deep = self._is_deep()
        if self.deep:
            with quiet_opencv():
                self._capture.set(cv2.CAP_PROP_CONVERT_RGB, 0)
        announced = self._number(cv2.CAP_PROP_FRAME_COUNT)
        # Some containers announce no count, or a negative or absurd one.
        self.announced = int(announced) if 0 < announced < 1e9 else 0

    def read(self) -> Image | Deep | None:
        """Return the next frame that can be decoded, RGB uint8 (H, W, 3) or uint16 (H, W), or None at the end."""
        image = None
        with quiet_opencv():
            # OpenCV reports a damaged frame as it does the end, and goes on with the next one if it is asked again.
            for _ in range(_ATTEMPTS):
                try:
                    ok, image = self._capture.read()
                except cv2.error:
                    return None
                if ok and image is not None:  # damaged streams may report success without an image
                    break
            else:
                return None
        # The size comes from the frame: headers may state that before turning or cropping.
        size = self._square(image.shape[1], image.shape[0])
        if size != (image.shape[1], image.shape[0]):
            image = cv2.resize(image, size, interpolation=cv2.INTER_LINEAR)
        return np.asarray(image, np.uint16) if self.deep else to_rgb(image)

    def seek(self, number: int) -> None:
        """Go to about a frame: containers with a variable rate or few key frames lead to another one nearby."""
        with quiet_opencv():
            self._capture.set(cv2.CAP_PROP_POS_FRAMES, number)

    def turn(self) -> int:
        """Return the angle by which frames are turned for display, degrees."""
        return int(self._number(cv2.CAP_PROP_ORIENTATION_META)) % 360

    def rate(self) -> float:
        """Return the number of frames per second by the file's header; 0 if it has none."""
        return self._number(cv2.CAP_PROP_FPS)

    def codec(self) -> str:
        """Return the name of the codec; empty if it is unknown."""
        code = int(self._number(cv2.CAP_PROP_FOURCC)) & 0xFFFFFFFF
        name = code.to_bytes(4, "little").decode("latin1").strip("\0 ")
        return name if name and name.isascii() and name.isprintable() else codec_of(self.path)

    def close(self) -> None:
        """Close the file."""
        self._capture.release()

    def check_pictures(self) -> None:
        """Check that OpenCV converts the frames; call it before the first one is read.

        OpenCV 5.0 cannot convert frames that are marked as interlaced, and returns memory that it has not written:
        black, or noise. The luma, which it is asked for without conversion, then does not resemble the converted frame.

        Raises:
            UserError: Frames are not converted.
        """
        if self._pixel_format() not in _LUMA_FIRST:
            return
        with quiet_opencv(), _plain_name(self.path) as name:
            other = cv2.VideoCapture(name, cv2.CAP_FFMPEG)
            other.set(cv2.CAP_PROP_CONVERT_RGB, 0)
            try:
                while (same := _resemble(self._capture.read()[1], other.read()[1])) is None:
                    pass
            except cv2.error:
                return
            finally:
                other.release()
        if not same:
            raise UserError(
                f"{self.path}: the video is interlaced, which the installed OpenCV cannot decode; convert it: "
                f"{_conversion(self.path, f'-vf yadif {_USUAL}', '.mp4')}"
            )

    def _pixel_format(self) -> bytes:
        """Return FFmpeg's name of the pixel format, four bytes."""
        return (int(self._number(cv2.CAP_PROP_CODEC_PIXEL_FORMAT)) & 0xFFFFFFFF).to_bytes(4, "little")

    def _number(self, name: int) -> float:
        value = self._capture.get(name)
        return float(value) if np.isfinite(value) else 0.0

    def _is_deep(self) -> bool:
        """Return whether the video is grey with 16 bits."""
        # FFmpeg's names of pixel formats: "Y1" and the depth, or "Y2" with alpha; reversed for other byte orders.
        form = self._pixel_format()
        if form == b"Y1\0\x10":
            return True
        depth = form[3] if form[:3] in (b"Y1\0", b"Y2\0") else form[0] if form[1:] in (b"\x001Y", b"\x002Y") else 8
        if depth > 8:
            self.close()
            raise UserError(
                f"{self.path}: grey levels of {depth} bits in a form that OpenCV would cut down to 8; convert them "
                f"without loss: {_conversion(self.path, _LOSSLESS_GREY, '.mkv')}"
            )
        return False

    def _square(self, width: int, height: int) -> tuple[int, int]:
        """Return the size (width, height) at which pixels are square."""
        wide, high = self._number(cv2.CAP_PROP_SAR_NUM), self._number(cv2.CAP_PROP_SAR_DEN)
        if wide <= 0 or high <= 0 or wide == high:
            return width, height
        if int(self._number(cv2.CAP_PROP_ORIENTATION_META)) % 180:  # the ratio is that before the turn
            wide, high = high, wide
        ratio = wide / high
        if not 1 / _WIDEST_PIXEL <= ratio <= _WIDEST_PIXEL:
            found(f"{self.path}: a pixel's aspect ratio of {wide:.0f}:{high:.0f}, taken for an error and ignored")
            return width, height
        # The shorter side of a pixel is stretched, so that no detail is lost.
        size = (round(width * ratio), height) if ratio > 1 else (width, round(height / ratio))
        if size != (width, height):
            found(
                f"{self.path}: {width}x{height} with pixels of {wide:.0f}:{high:.0f}, shown at {size[0]}x{size[1]} as "
                "players do; frame pixels in results are those"
            )
        return size


def undecodable(path: Path, codec: str = "") -> UserError:
    """Return the error for a file of which no frame can be decoded.

    Args:
        path: The file.
        codec: Name of its codec; if it is empty, the file's bytes are asked.
    """
    kind = kind_of(path)
    if kind in ("empty file", "unknown file", "text file") and not codec:
        return UserError(f"{path}: not a video ({kind}); give a video file or a folder of images")
    codec = codec or codec_of(path)
    what = f"{kind}, codec {codec}" if codec and codec.lower() not in kind.lower() else kind
    if not has_index(path):
        return UserError(
            f"{path}: not a video that can be decoded ({kind}): its index is missing (no moov box); the file is "
            "truncated, or its recording was never finished; copy or record it again"
        )
    if is_cut_off(path):
        return UserError(f"{path}: not a video that can be decoded ({what}): the file is truncated; copy it again")
    return UserError(
        f"{path}: not a video that can be decoded ({what}): the installed OpenCV lacks its codec, or the file is "
        f"damaged; convert it: {_conversion(path, _USUAL, '.mp4')}"
    )


def _resemble(image: npt.NDArray[Any] | None, luma: npt.NDArray[Any] | None) -> bool | None:
    """Return whether a BGR frame (H, W, 3) shows the picture of a luma plane (H, W); None if both are quite black."""
    if image is None or luma is None:
        return image is None  # a stream that has shown nothing but black to its end was not converted
    grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    if luma.shape != grey.shape or luma.dtype != np.uint8:
        return True  # not what was asked for, so nothing can be said
    a, b = (plane - plane.mean() for plane in (grey.astype(np.float32), luma.astype(np.float32)))
    noise = float(np.sqrt(np.mean(a * a) * np.mean(b * b)))
    if noise < 1:
        # Luma of black is 16, or 0 in the rarer full range; memory that was not written is mostly 0.
        return None if max(grey.mean(), luma.mean()) < 8 else abs(float(grey.mean()) - float(luma.mean())) < 32
    return float(np.mean(a * b)) > 0.5 * noise


def _conversion(path: Path, options: str, suffix: str) -> str:
    """Return a command that converts a video."""
    new = f"converted-{path.stem}{suffix}"
    return f"ffmpeg -i {shlex.quote(str(path))} {options} {shlex.quote(new)}"


@contextmanager
def _plain_name(path: Path) -> Iterator[str]:
    """Give a name under which FFmpeg opens a file, whatever its own name is; needed only while it is opened."""
    full = os.path.abspath(path)  # a relative name could be that of an option or a protocol, as rtsp:
    try:
        full.encode()
        yield full
    except UnicodeEncodeError:  # OpenCV would crash on a name that is not UTF-8
        with tempfile.TemporaryDirectory() as folder:
            link = Path(folder) / ("video" + "".join(letter for letter in path.suffix if letter.isascii()))
            link.symlink_to(full)
            yield str(link)
