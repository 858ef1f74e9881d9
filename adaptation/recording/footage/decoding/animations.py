"""Animated WebP images, which OpenCV reads as images and not as videos."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from adaptation.support.errors import UserError
from adaptation.support.image_files import Image, quiet_opencv

MOST_BYTES = 1 << 30  # of the decoded frames, which are all held in memory


def is_animated_webp(path: Path) -> bool:
    """Return whether a WebP image is an animation: its extended header says so."""
    with path.open("rb") as opened:
        start = opened.read(21)
    return start[8:16] == b"WEBPVP8X" and len(start) == 21 and bool(start[20] & 0x02)


def read_animation(path: Path) -> list[Image]:
    """Read the frames of an animated WebP image, RGB uint8 (H, W, 3), transparent parts over black.

    Raises:
        UserError: The file is damaged, or its frames would take more than a gigabyte.
    """
    data = path.read_bytes()
    # The size of the canvas less one, in 24 bits each; one chunk per frame.
    width, height = (int.from_bytes(data[place : place + 3], "little") + 1 for place in (24, 27))
    count = data.count(b"ANMF")
    if width * height * 4 * count > MOST_BYTES:
        raise UserError(
            f"{path}: an animation of about {count} frames of {width}x{height}, too large to be read at once; write "
            "its frames into a folder: anim_dump -folder FOLDER FILE (of libwebp's tools)"
        )
    with quiet_opencv():
        try:
            ok, animation = cv2.imdecodeanimation(np.frombuffer(data, np.uint8))
        except cv2.error:
            ok = False
    frames = list(animation.frames) if ok else []
    if not frames:
        raise UserError(f"{path}: an animated WebP image that cannot be decoded; the file may be damaged")
    return [_rgb(frame) for frame in frames]


def _rgb(frame: npt.NDArray[Any]) -> Image:
    """Return a frame without its alpha channel, if it has one."""
    if frame.shape[2] == 4:
        opacity = frame[..., 3:].astype(np.float32) / 255
        frame = (frame[..., :3] * opacity + 0.5).astype(np.uint8)
    return np.asarray(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB), np.uint8)
