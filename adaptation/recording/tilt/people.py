"""A camera's tilt from the people in a recording: they stand upright on one level floor, and are about equally tall.

Lv, Zhao and Nevatia ("Camera calibration from video of a walking human", PAMI 2006) calibrate cameras by the feet and
heads of walkers: lines from feet to heads meet in the vertical vanishing point, and how heights in the image change
with the place on the floor gives the horizon. Here the head of each sighting is predicted from its feet, and pitch,
roll, focal length and the camera's height are fitted by robust least squares. A person's own lean and height count once
per track, however often the person is seen.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from adaptation.recording.detections import Detection
from adaptation.recording.tilt.camera_tilt import down_of
from adaptation.recording.tilt.estimate import Estimate, Focal
from adaptation.recording.tracking import Track

Floats = npt.NDArray[np.float64]

_PER_TRACK = 12  # sightings of a person that are used
_INDEPENDENT = 4  # sightings that these are worth: poses of one person resemble each other
_FLOOR = (math.radians(2.0), math.radians(1.0))  # of pitch and roll: floors are not exactly level
_ELONGATED = 2.2  # least ratio of the deviations of a mask along and across its axis; people who bend have less
# Deviations as fractions of a person's height: of length and lean from frame to frame, and from person to person.
_SCATTER = np.array([0.05, 0.08])
_PERSONAL = np.array([0.07, 0.07])
_USUAL_PITCH, _USUAL_ROLL = (math.radians(10), math.radians(25)), (0.0, math.radians(20))
_USUAL_CAMERA = (math.log(2.0), 1.0)  # logarithm of the camera's height above the floor in heights of people
_STARTS = (0.05, 0.35, 0.8)  # pitches, radians
_ROUNDS = 25
_OUTLIER = 2.0  # standard deviations from which a sighting loses weight


@dataclass(frozen=True, eq=False)
class Walkers:
    """N sightings of upright people.

    Attributes:
        feet: (N, 2) lower ends of people, pixels from the principal point.
        heads: (N, 2) upper ends.
        person: (N,) number of the person, from 0.
    """

    feet: Floats
    heads: Floats
    person: npt.NDArray[np.int64]


def find_walkers(tracks: Sequence[Track], centre: tuple[float, float]) -> Walkers:
    """Collect sightings of upright people: at most 12 of each person, spread over the track.

    Args:
        tracks: people; only masks that are usable count.
        centre: principal point, pixels.
    """
    ends, person = [], []
    for number, track in enumerate(tracks):
        usable = track.usable
        chosen = np.unique(np.linspace(0, len(usable) - 1, min(_PER_TRACK, len(usable))).astype(int))
        for index in chosen:
            if (axis := _axis(usable[index])) is not None:
                ends.append(axis)
                person.append(number)
    both = np.array(ends).reshape(-1, 2, 2) - centre
    return Walkers(both[:, 0], both[:, 1], np.array(person, np.int64))


def _axis(detection: Detection) -> Floats | None:
    """Return the lower and the upper end (2, 2) of a person along the mask's axis of inertia; None if they bend."""
    rows, columns = np.nonzero(detection.mask)
    points = np.stack([columns, rows], axis=1) + 0.5 + detection.bbox[:2]
    middle = points.mean(0)
    values, vectors = np.linalg.eigh(np.cov((points - middle).T) + np.eye(2) / 12)
    if values[1] < _ELONGATED**2 * values[0]:
        return None
    along = vectors[:, 1] * (1 if vectors[1, 1] >= 0 else -1)
    place = (points - middle) @ along
    return middle + np.outer([place.max() + 0.5, place.min() - 0.5], along)


def tilt_of_people(walkers: Walkers, focal: Focal) -> Estimate | None:
    """Estimate a camera's tilt from sightings of people.

    Args:
        walkers: sightings of upright people.
        focal: focal length; it is estimated along with the tilt as far as its deviation allows.

    Returns:
        The tilt with the focal length that was found. Few people in one place leave the pitch uncertain, which its
        deviation says. None without people.
    """
    if not len(walkers.person):
        return None
    fits = [_fitted(walkers, focal, start) for start in _STARTS]
    state, normal, cost = min(fits, key=lambda fit: fit[2])
    # More scatter than expected makes everything less certain.
    worth = 2 * np.minimum(np.bincount(walkers.person), _INDEPENDENT).sum()
    deviation = np.sqrt(np.diag(np.linalg.inv(normal)) * max(1.0, cost / worth))
    pitch, roll, log_focal, _ = state.tolist()
    found = Focal(math.exp(log_focal), min(focal.deviation, float(deviation[2])))
    return Estimate(pitch, roll, math.hypot(deviation[0], _FLOOR[0]), math.hypot(deviation[1], _FLOOR[1]), found)


def _fitted(walkers: Walkers, focal: Focal, pitch: float) -> tuple[Floats, Floats, float]:
    """Fit pitch, roll, and the logarithms of focal length and camera height by damped Gauss-Newton steps.

    Returns:
        The four numbers, their information matrix (4, 4), and the sum of squares.
    """
    usual = np.array([_USUAL_PITCH, _USUAL_ROLL, (math.log(focal.pixels), max(focal.deviation, 1e-4)), _USUAL_CAMERA])
    state = np.array([pitch, 0.0, math.log(focal.pixels), _USUAL_CAMERA[0]])
    damping = 1e-2
    residuals, weights = _residuals(state, walkers, usual)
    normal = np.eye(4)
    for _ in range(_ROUNDS):
        # Weights are fixed within a round, so that a step that helps is recognised.
        slopes = np.stack(
            [(_residuals(state + step, walkers, usual, weights)[0] - residuals) / 1e-5 for step in 1e-5 * np.eye(4)], 1
        )
        normal, gradient = slopes.T @ slopes, slopes.T @ residuals
        tried = state - np.linalg.solve(normal + damping * np.diag(np.diag(normal)), gradient)
        tried[:2] = np.clip(tried[:2], -1.4, 1.4)
        if np.square(_residuals(tried, walkers, usual, weights)[0]).sum() < np.square(residuals).sum():
            state, damping = tried, damping / 5
            residuals, weights = _residuals(state, walkers, usual)
        else:
            damping *= 5
    return state, normal, float(np.square(residuals).sum())


def _residuals(state: Floats, walkers: Walkers, usual: Floats, weights: Floats | None = None) -> tuple[Floats, Floats]:
    """Return the residuals in standard deviations, and the weights (N,) of sightings, which may be given."""
    misses = _misses(state, walkers)
    if weights is None:
        size = np.sqrt(np.square(misses / np.hypot(_SCATTER, _PERSONAL)).mean(1))
        weights = 1 / np.maximum(1, size / _OUTLIER) ** 2
        weights *= np.minimum(1, _INDEPENDENT / np.bincount(walkers.person)[walkers.person])
    total = np.bincount(walkers.person, weights)
    seen = total > 0
    mean = np.stack([np.bincount(walkers.person, weights * miss) for miss in misses.T], 1)[seen] / total[seen, None]
    number = np.cumsum(seen) - 1
    # A person's mean has the person's own deviation, which more sightings do not lower.
    within = (misses - mean[number[walkers.person]]) * np.sqrt(weights)[:, None] / _SCATTER
    between = mean / np.sqrt(_SCATTER**2 / total[seen, None] + _PERSONAL**2)
    prior = (state - usual[:, 0]) / usual[:, 1]
    return np.concatenate([within.ravel(), between.ravel(), prior]), weights


def _misses(state: Floats, walkers: Walkers) -> Floats:
    """Return how far heads lie from where they should, along and across people (N, 2), fractions of their height."""
    pitch, roll, log_focal, log_camera = state
    focal, camera = math.exp(log_focal), math.exp(min(log_camera, 10.0))
    down = np.array(down_of(pitch, roll))
    rays = np.concatenate([walkers.feet / focal, np.ones((len(walkers.feet), 1))], axis=1)
    # Feet stand on the floor, `camera` heights below the camera; above the horizon there is none, so it is far away.
    heads = rays * (camera / np.maximum(rays @ down, 1e-3))[:, None] - down
    seen = heads[:, :2] / np.maximum(heads[:, 2:], 1e-3) * focal
    axis = walkers.heads - walkers.feet
    height = np.linalg.norm(axis, axis=1, keepdims=True)
    axis = axis / height
    miss = (seen - walkers.heads) / height
    return np.stack([(miss * axis).sum(1), miss[:, 0] * axis[:, 1] - miss[:, 1] * axis[:, 0]], axis=1)
