"""Image files: listing a folder in natural order, and decoding images without noise on the error stream."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from adaptation.support.errors import UserError

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp")

Image = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]


def list_images(folder: Path) -> list[Path]:
    """List the images of a folder in natural order (2 before 10), without hidden files."""
    return sorted(
        (
            file
            for file in folder.iterdir()
            # Hidden files include the "._*" twins that macOS puts next to every file on foreign disks.
            if file.suffix.lower() in IMAGE_SUFFIXES and not file.name.startswith(".") and file.is_file()
        ),
        # Plain order would put frame 10 before frame 2 where names have no leading zeros.
        key=lambda file: _natural_key(file.name),
    )


def read_image(file: Path) -> Image:
    """Read an image as RGB uint8 (H, W, 3).

    Raises:
        UserError: The file cannot be read, is not an image, or has more than 8 bits per channel.
    """
    return to_rgb(_decode(file, cv2.IMREAD_COLOR))


def read_grey(file: Path) -> Image:
    """Read an image as grey levels, uint8 (H, W); colours are converted.

    Raises:
        UserError: The file cannot be read, is not an image, or has more than 8 bits per channel.
    """
    return _decode(file, cv2.IMREAD_GRAYSCALE)


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


def _decode(file: Path, flags: int) -> Image:
    # Not cv2.imread: it returns None for every failure, so a missing permission would look like damage.
    try:
        data = np.frombuffer(file.read_bytes(), np.uint8)
    except OSError as error:
        raise UserError(f"{file}: cannot be read: {error.strerror}") from error
    with quiet_opencv():
        try:
            # Without ANYDEPTH OpenCV would silently drop the low byte of 16-bit images.
            image = cv2.imdecode(data, flags | cv2.IMREAD_ANYDEPTH) if data.size else None
        except cv2.error:  # an image too large, or a damaged header
            image = None
    if image is None:
        raise UserError(f"{file}: not an image that can be decoded; the file may be damaged")
    if image.dtype != np.uint8:
        # Scaling each image by its own range would make the background flicker.
        raise UserError(
            f"{file}: expected 8 bits per channel, got {8 * image.itemsize}; convert all images with one fixed range"
        )
    return np.asarray(image)


def _natural_key(name: str) -> list[tuple[int, str]]:
    """Return a sort key under which 2 precedes 10, letters precede digits, and case does not matter."""
    parts = re.findall(r"[0-9]+|[^0-9]+", name.lower())
    # Pairs, because Python cannot compare a number with a text.
    return [(int(part), "") if part.isdigit() else (-1, part) for part in parts]
