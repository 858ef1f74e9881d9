"""How fast people move through the image."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from adaptation.recording.tracking import Track


def velocity_of(track: Track, frames: NDArray[np.int64], reach: int = 6) -> NDArray[np.float64]:
    """Estimate the image velocity of a track at some frames.

    The velocity is the slope of a straight line fitted to the positions up to ``reach`` frames away, and 0 where there
    is only one position.

    Args:
        track: the person's track.
        frames: (N,) frame numbers.
        reach: largest distance in frames of a position that is used.

    Returns:
        (N, 2) velocity, x right and y down, body heights per frame.
    """
    times = np.array([detection.frame for detection in track.detections], dtype=float)
    boxes = np.array([detection.bbox for detection in track.detections], dtype=float)
    positions = boxes[:, :2] + boxes[:, 2:] / 2
    velocity = np.zeros((len(frames), 2))
    for i, frame in enumerate(frames):
        near = np.abs(times - frame) <= reach
        # All detections count, also unusable ones: a cut-off mask still shows where the person is.
        centred = times[near] - times[near].mean()
        if centred.any():
            slope = (centred[:, None] * positions[near]).sum(0) / (centred**2).sum()
            # In body heights, so that one speed limit fits people near and far.
            velocity[i] = slope / np.median(boxes[near, 3])
    return velocity
