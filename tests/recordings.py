"""Small recordings on disk for the tests of this folder."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

WIDTH, HEIGHT = 64, 48


def grey_frame(number: int) -> np.ndarray:
    """Return a frame whose brightness is ten times its number."""
    return np.full((HEIGHT, WIDTH, 3), 10 * number, np.uint8)


def write_video(path: Path, count: int, codec: str = "MJPG") -> Path:
    """Write a video of `count` grey frames."""
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter_fourcc(*codec), 10, (WIDTH, HEIGHT))
    for number in range(count):
        writer.write(grey_frame(number))
    writer.release()
    return path


def write_folder(path: Path, names: list[str]) -> Path:
    """Write a folder with one grey frame per name."""
    path.mkdir()
    for number, name in enumerate(names):
        cv2.imwrite(str(path / name), grey_frame(number))
    return path
