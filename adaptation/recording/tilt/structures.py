"""A camera's tilt from vertical structures: door frames, edges of buildings, posts.

Images of vertical lines meet in one point, the vertical vanishing point, and the ray to it is the direction of gravity.
Line segments vote for all tilts of a grid over pitch and roll whose vanishing point they point to, as in a Hough
transform. How much the winner changes when segments are drawn anew with replacement (bootstrap) says how far it can be
trusted.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from adaptation.recording.tilt.estimate import Estimate, Focal
from adaptation.support.image_files import Mask

Floats = npt.NDArray[np.float64]

_SIDE = 1280  # longer side, in pixels, of the picture in which segments are found: larger ones gain nothing
_SHORTEST = 0.025  # length of a segment as a fraction of the diagonal; shorter ones have no clear direction
_MOST = 500  # segments, the longest ones
_FEWEST = 6  # segments that must point to the vanishing point
_PITCH, _ROLL = (-30.0, 60.0), (-45.0, 45.0)  # degrees
# Usual cameras: mean and standard deviation of pitch and of roll, degrees. Wide, but a horizontal direction that
# recedes steeply must not be taken for the vertical one.
_USUAL_PITCH, _USUAL_ROLL = (10.0, 30.0), (0.0, 30.0)
_STRAIGHT, _BLUR = math.radians(0.7), 1.0  # angle and pixels by which a segment misses the vanishing point
DRAWS = 40
# Segments are not independent, as both edges of a post are one structure: the bootstrap alone is too sure.
DEPENDENT = 1.5
_FLOOR = (math.radians(2.0), math.radians(1.0))  # of pitch and roll: lenses distort lines
_WORST = math.radians(8.0)  # greatest standard deviation of an estimate that is worth something


@dataclass(frozen=True, eq=False)
class Segments:
    """N line segments of a picture.

    Attributes:
        middle: (N, 2) middle points, pixels from the principal point.
        direction: (N, 2) unit vectors.
        length: (N,) pixels.
    """

    middle: Floats
    direction: Floats
    length: Floats

    def __len__(self) -> int:
        """N."""
        return len(self.length)


def find_segments(picture: npt.NDArray[np.uint8], centre: tuple[float, float], hidden: Mask | None = None) -> Segments:
    """Find the line segments of a picture of the empty scene.

    Args:
        picture: (H, W) uint8.
        centre: principal point, pixels.
        hidden: (H, W), where people hide the scene in all frames; None if they do so nowhere.

    Returns:
        At most 500 segments, the longest first.
    """
    height, width = picture.shape
    zoom = min(1.0, _SIDE / max(height, width))
    small = cv2.resize(picture, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_AREA) if zoom < 1 else picture
    lines = cv2.createLineSegmentDetector().detect(small)[0]
    ends = np.zeros((0, 4)) if lines is None else lines.reshape(-1, 4).astype(np.float64) / zoom
    along = ends[:, 2:] - ends[:, :2]
    length = np.linalg.norm(along, axis=1)
    middle = (ends[:, 2:] + ends[:, :2]) / 2
    keep = length > _SHORTEST * math.hypot(height, width)
    if hidden is not None:
        row, column = (np.clip(middle[:, i].astype(int), 0, (width, height)[i] - 1) for i in (1, 0))
        keep &= ~hidden[row, column]
    order = np.flatnonzero(keep)[np.argsort(-length[keep], kind="stable")][:_MOST]
    return Segments(middle[order] - centre, along[order] / length[order, None], length[order])


def tilt_of_structures(segments: Segments, focal: Focal) -> Estimate | None:
    """Estimate a camera's tilt from line segments.

    Args:
        segments: segments of the scene.
        focal: focal length. Pitch depends on it: an error of 10 % changes a pitch of 20 degrees by 1.8 degrees.

    Returns:
        The tilt; None where segments are few, or do not agree on a vertical direction.
    """
    if len(segments) < _FEWEST:
        return None
    angles = _grid()
    votes = votes_for(segments, focal.pixels, _down(angles))
    usual = _usual(angles)
    best = angles[(votes.sum(1) * usual).argmax()]
    # The same draws for the same segments, so that results can be repeated.
    chance = np.random.default_rng(0)
    counts = chance.multinomial(len(segments), np.full(len(segments), 1 / len(segments)), DRAWS)
    drawn = angles[(votes @ counts.T * usual[:, None]).argmax(0)]
    spread = DEPENDENT * np.sqrt(np.square(drawn - best).mean(0))
    refined = _refined(best, segments, focal.pixels)
    agreeing = _misses(segments, focal.pixels, _down(refined[None]))[0] < 2 * _tolerance(segments)
    if (spread > _WORST).any() or agreeing.sum() < _FEWEST:
        return None
    pitch, roll = float(refined[0]), float(refined[1])
    by_focal = abs(math.sin(pitch) * math.cos(pitch)) * focal.deviation  # from tan pitch = focal / distance
    return Estimate(pitch, roll, math.hypot(spread[0], _FLOOR[0], by_focal), math.hypot(spread[1], _FLOOR[1]), focal)


def _grid() -> Floats:
    """Return the pitches and rolls (C, 2) of the grid, radians."""
    # Roll turns all lines, pitch only those far from the middle.
    pitch, roll = (np.arange(low, high + step, step) for (low, high), step in ((_PITCH, 2.0), (_ROLL, 1.0)))
    return np.radians(np.stack(np.meshgrid(pitch, roll, indexing="ij"), axis=-1).reshape(-1, 2))


def _usual(angles: Floats) -> Floats:
    """Return how usual a tilt is, (C,), at most 1."""
    mean, deviation = np.radians(np.array([_USUAL_PITCH, _USUAL_ROLL])).T
    return np.asarray(np.exp(-0.5 * np.square((angles - mean) / deviation).sum(1)))


def _down(angles: Floats) -> Floats:
    """Return the directions of gravity (C, 3) of tilts (C, 2)."""
    pitch, roll = angles.T
    return np.stack([-np.sin(roll) * np.cos(pitch), np.cos(roll) * np.cos(pitch), np.sin(pitch)], axis=1)


def _misses(segments: Segments, focal: float, directions: Floats) -> Floats:
    """Return the angles (C, N) between segments and the lines from their middles to vanishing points, radians."""
    x, y = segments.middle.T / focal
    # A vanishing point lies at (X, Y) / Z of its direction, which may be at infinity.
    across, along, forward = (part[:, None] for part in directions.T)
    to_x, to_y = across - x * forward, along - y * forward
    along_x, along_y = segments.direction.T
    return np.asarray(np.arctan2(np.abs(to_x * along_y - to_y * along_x), np.abs(to_x * along_x + to_y * along_y)))


def _tolerance(segments: Segments) -> Floats:
    """Return the standard deviation (N,) of the direction of segments, radians: short ones are less certain."""
    return np.hypot(_STRAIGHT, _BLUR / segments.length)


def votes_for(segments: Segments, focal: float, directions: Floats) -> Floats:
    """Return the votes of segments for directions in space: how well the segments point to their vanishing points.

    Args:
        segments: N segments.
        focal: focal length, pixels.
        directions: (C, 3) unit vectors in camera axes.

    Returns:
        (C, N) votes, pixels**0.5.
    """
    # Heavy tails, as lenses bend lines. Square roots, or one long line that is not vertical would outvote many.
    misses = _misses(segments, focal, directions) / _tolerance(segments)
    return np.asarray((1 + np.square(misses)) ** -1.5 * np.sqrt(segments.length))


def _refined(angles: Floats, segments: Segments, focal: float) -> Floats:
    """Return the tilt (2,) with the most votes near one of the grid."""
    for step in (0.5, 0.1):
        reach = np.radians(np.arange(-5, 6) * step)
        near = angles + np.stack(np.meshgrid(reach, reach, indexing="ij"), axis=-1).reshape(-1, 2)
        angles = near[votes_for(segments, focal, _down(near)).sum(1).argmax()]
    return angles
