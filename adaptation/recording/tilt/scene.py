"""A picture of the scene without the people who were tracked through it."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from adaptation.recording.footage.video import Frames
from adaptation.recording.tracking import Track
from adaptation.support.image_files import Mask

_SAMPLES = 11
_SPAN = 300  # frames, from the first: reading further into a long video takes time, and the scene stays the same
_BLACK, _EDGE = 40, 3  # greatest grey level of a bar, and pixels over which its edge is blurred
_MARGIN = 7  # pixels around masks that may still show people


def empty_scene(frames: Frames, tracks: Sequence[Track]) -> tuple[npt.NDArray[np.uint8], Mask]:
    """Return the scene behind the people.

    Args:
        frames: recording of a static camera.
        tracks: people in it.

    Returns:
        Grey picture (H, W) uint8: the median of a few frames without their people; and where (H, W) the scene is
        hidden in all of them, by people or by black bars at the frame's edges.
    """
    last = min(frames.exact_count(), _SPAN) - 1
    numbers = np.unique(np.linspace(0, last, min(_SAMPLES, last + 1)).astype(int))
    stack = np.stack([cv2.cvtColor(frames.frame(int(number)), cv2.COLOR_RGB2GRAY) for number in numbers])
    hidden = np.zeros(stack.shape, bool)
    place = {int(number): index for index, number in enumerate(numbers)}
    for track in tracks:
        for detection in track.detections:
            if (index := place.get(detection.frame)) is not None:
                x, y, w, h = detection.bbox
                hidden[index, y : y + h, x : x + w] |= detection.mask
    kernel = np.ones((2 * _MARGIN + 1, 2 * _MARGIN + 1), np.uint8)
    hidden = np.stack([cv2.dilate(layer.astype(np.uint8), kernel) > 0 for layer in hidden])
    visible = (~hidden).sum(0)
    mean = (stack * ~hidden).sum(0, dtype=np.int64) // np.maximum(visible, 1)
    # People are replaced by the mean of the other frames, which a median then leaves as they are.
    filled = np.where(hidden & (visible > 0), mean, stack).astype(np.uint8)
    picture = np.median(filled, axis=0).astype(np.uint8)
    return picture, (visible == 0) | _bars(picture)


def _bars(picture: npt.NDArray[np.uint8]) -> Mask:
    """Return black bars (H, W) beside a picture of another shape, with their edges, which look like a building's."""
    bars = np.zeros(picture.shape, bool)
    # The same for columns, through a view.
    for image, marked in ((picture, bars), (picture.T, bars.T)):
        lit = np.flatnonzero(image.max(axis=1) > _BLACK)
        first, last = (lit[0], lit[-1]) if len(lit) else (len(image), len(image))
        if first > 0:
            marked[: first + _EDGE] = True
        if last < len(image) - 1:
            marked[max(0, last + 1 - _EDGE) :] = True
    return bars
