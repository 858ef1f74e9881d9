"""Pictures of the empty scene that a user gives, for recordings in which somebody is there from first to last."""

from __future__ import annotations

import os
from pathlib import Path

from adaptation.recording.footage.sampling import sample_count, sample_frames
from adaptation.recording.footage.video import Frames, is_picture, open_frames
from adaptation.support.errors import UserError
from adaptation.support.image_files import Image, read_image


def read_background(path: str | os.PathLike[str], frames: Frames) -> list[Image]:
    """Read pictures of the empty scene: an image, a folder of images or a short video.

    Args:
        path: File or folder, from the same camera at the same place. A folder may hold pictures of several looks of
            the camera, such as by day and in infrared.
        frames: Recording that the pictures belong to.

    Returns:
        At most about 80 pictures, RGB uint8 (H, W, 3), of the size of the recording's frames.

    Raises:
        UserError: The file cannot be read, or its size or depth is not that of the recording.
    """
    path = Path(path)
    if path.is_file() and is_picture(path):
        pictures = [read_image(path, frames.levels)]
    else:
        opened = open_frames(path, frames.levels)
        if opened.levels != frames.levels:
            raise UserError(f"--background {path} has 16 bits per channel, {frames.path} has 8; give the same depth")
        pictures = sample_frames(opened, sample_count(opened.size))
    width, height = pictures[0].shape[1], pictures[0].shape[0]
    if (width, height) != frames.size:
        raise UserError(
            f"--background {path} is {width}x{height}, expected {frames.size[0]}x{frames.size[1]} as the frames of "
            f"{frames.path}"
        )
    return pictures
