"""Image files: listing a folder in natural order, and decoding images without noise on the error stream."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

# 134 megapixels: a damaged header may announce an image that fills the memory. OpenCV reads this when it is loaded.
os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(1 << 27))

import cv2
import numpy as np
import numpy.typing as npt

from adaptation.support.errors import UserError
from adaptation.support.levels import Deep, Levels
from adaptation.support.reading.file_kinds import kind_of
from adaptation.support.reading.findings import found

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".pgm", ".ppm")

Image = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]


def list_images(folder: Path) -> list[Path]:
    """List the images of a folder in natural order (2 before 10), without hidden files.

    Raises:
        UserError: The folder cannot be read.
    """
    try:
        entries = list(folder.iterdir())
    except OSError as error:
        raise UserError(f"{folder}: cannot be read: {error.strerror}") from error
    return sorted(
        (
            file
            for file in entries
            # Hidden files include the "._*" twins that macOS puts next to every file on foreign disks.
            if file.suffix.lower() in IMAGE_SUFFIXES and not file.name.startswith(".") and file.is_file()
        ),
        # Plain order would put frame 10 before frame 2 where names have no leading zeros.
        key=lambda file: natural_key(file.name),
    )


def read_image(file: Path, levels: Levels | None = None) -> Image:
    """Read an image as RGB uint8 (H, W, 3), turned as its EXIF data say, transparent parts over black.

    Args:
        file: Image file.
        levels: Range of an image of 16 bits per channel; such images are refused without one, since a range of
            its own for each image would make the background flicker.

    Raises:
        UserError: The file cannot be read, is not an image, or has another depth than `levels` asks for.
    """
    pixels = read_pixels(file)
    if levels is not None:
        if pixels.dtype != np.uint16:
            raise UserError(f"{file}: expected 16 bits per channel, as in the first image, got 8")
        return levels.apply(np.asarray(pixels, np.uint16))
    return _eight_bits(file, pixels)


def read_pixels(file: Path) -> Image | Deep:
    """Read an image as RGB (H, W, 3), uint8 or, if it has 16 bits per channel, uint16; see `read_image`.

    Raises:
        UserError: The file cannot be read, is not an image, or has more than 16 bits per channel.
    """
    data = _content(file)
    if not _is_transparent(data):
        return _reversed(_decode(file, data, cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH))
    image = _decode(file, data, cv2.IMREAD_UNCHANGED)
    if image.ndim == 2:  # OpenCV drops the transparency of some kinds of PNG
        return np.repeat(image[..., None], 3, axis=2)
    colours, most = image[..., :3], np.iinfo(image.dtype).max
    if image.shape[2] == 4 and (image[..., 3] != most).any():
        found(f"{file.parent}: images with transparent parts, which are shown over black")
        opacity = image[..., 3:].astype(np.float32) / most
        colours = (colours * opacity + 0.5).astype(image.dtype)
    return _reversed(colours)


def read_grey(file: Path) -> Image:
    """Read an image as grey levels, uint8 (H, W); colours are converted.

    Raises:
        UserError: The file cannot be read, is not an image, or has more than 8 bits per channel.
    """
    return _eight_bits(file, _decode(file, _content(file), cv2.IMREAD_GRAYSCALE | cv2.IMREAD_ANYDEPTH))


def to_rgb(bgr: npt.NDArray[Any]) -> Image:
    """Convert OpenCV's channel order, (H, W, 3) uint8 BGR, to RGB."""
    return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8)


@contextmanager
def quiet_opencv() -> Iterator[None]:
    """Keep OpenCV from writing to stderr, so that the user sees only our one line."""
    # OpenCV moved these functions in 4.13.
    log: Any = getattr(cv2.utils, "logging", cv2)
    # The old level is restored, because the log is shared with the program that imports us.
    level = log.getLogLevel()
    log.setLogLevel(0)  # silent
    try:
        yield
    finally:
        log.setLogLevel(level)


def _content(file: Path) -> bytes:
    # Not cv2.imread: it returns None for every failure, so a missing permission would look like damage.
    try:
        return file.read_bytes()
    except OSError as error:
        raise UserError(f"{file}: cannot be read: {error.strerror}") from error


def _decode(file: Path, data: bytes, flags: int) -> npt.NDArray[Any]:
    """Decode an image of at most 16 bits per channel, in OpenCV's order of channels."""
    with quiet_opencv():
        try:
            # The flags keep the depth: OpenCV would silently drop the low byte of 16-bit images.
            image = cv2.imdecode(np.frombuffer(data, np.uint8), flags) if data else None
            if image is None and data:  # OpenCV converts no floating-point images to colours
                image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
                image = None if image is not None and image.dtype in (np.uint8, np.uint16) else image
        except cv2.error:  # an image too large, or a damaged header
            image = None
    if image is None:
        raise UserError(f"{file}: not an image that can be decoded ({kind_of(file)}); the file may be damaged")
    if image.dtype not in (np.uint8, np.uint16):
        raise UserError(
            f"{file}: got pixels of type {image.dtype}, expected whole numbers of 8 or 16 bits without sign; scale all "
            "images to 16 bits by one fixed range"
        )
    return np.asarray(image)


def _eight_bits(file: Path, image: npt.NDArray[Any]) -> Image:
    if image.dtype != np.uint8:
        raise UserError(f"{file}: expected 8 bits per channel, got 16; convert all images with one fixed range")
    return np.asarray(image, np.uint8)


def _reversed(bgr: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB))


def _is_transparent(data: bytes) -> bool:
    """Return whether a PNG or WebP image has an alpha channel or a transparent colour."""
    if data[:8] == b"\x89PNG\r\n\x1a\n":
        # The type of colour in the header (4 and 6 have alpha), or a chunk before the pixels.
        return data[25:26] in (b"\x04", b"\x06") or b"tRNS" in data[: data.find(b"IDAT") + 1]
    # Flags of the extended header, "VP8X".
    return data[8:16] == b"WEBPVP8X" and bool(data[20] & 0x10 if len(data) > 20 else 0)


def natural_key(name: str) -> list[tuple[int, str]]:
    """Return a sort key under which 2 precedes 10, letters precede digits, and case does not matter."""
    parts = re.findall(r"[0-9]+|[^0-9]+", name.lower())
    # Pairs, because Python cannot compare a number with a text. The name itself breaks ties such as 1 and 01.
    return [*((int(part), "") if part[0] in "0123456789" else (-1, part) for part in parts), (-1, name)]
