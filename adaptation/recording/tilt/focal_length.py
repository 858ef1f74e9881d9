"""A camera's focal length from a scene with level edges at right angles, as buildings and furniture have them.

The vertical vanishing point fixes the tilt for each focal length. Two level directions at right angles then have
vanishing points on the horizon, and only at the true focal length do many lines point to them (Caprile and Torre,
"Using vanishing points for camera calibration", IJCV 1990). Focal lengths and directions on a grid are voted for, and
the bootstrap says how sure the winner is, as in `adaptation.recording.tilt.structures`.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from adaptation.recording.tilt.estimate import Estimate, Focal
from adaptation.recording.tilt.structures import DEPENDENT, DRAWS, Segments, votes_for

Floats = npt.NDArray[np.float64]

_RANGE = np.exp(np.linspace(math.log(0.45), math.log(2.2), 24))  # multiples of the assumed focal length
_TURNS = np.radians(np.arange(0, 90, 1.5))  # a quarter turn exchanges the two level directions
# The winner must have this many times the votes of the median focal length: in scenes without right angles, all focal
# lengths have about the same.
_CLEAR = 1.2
_FLOOR, _WORST = 0.15, 0.3  # standard deviations of the logarithm: at least, and the greatest that is worth something


def focal_of_structures(segments: Segments, tilt: Estimate) -> Focal:
    """Estimate the focal length.

    Args:
        segments: segments of the scene.
        tilt: tilt by vertical structures, with the focal length that was assumed for it.

    Returns:
        The mean of the assumed focal length and the one that the scene shows, weighted by their inverse variances; the
        assumed one where it is known or the scene shows none.
    """
    assumed = tilt.focal
    if assumed.deviation == 0:
        return assumed
    votes = np.stack([_best_votes(segments, tilt, assumed.pixels * zoom) for zoom in _RANGE])  # (F, T, N)
    totals = votes.sum(2).max(1)
    best = int(totals.argmax())
    chance = np.random.default_rng(0)
    counts = chance.multinomial(len(segments), np.full(len(segments), 1 / len(segments)), DRAWS)
    drawn = np.log(_RANGE)[(votes @ counts.T.astype(np.float64)).max(1).argmax(0)]
    shown = math.log(_RANGE[best])
    spread = DEPENDENT * math.sqrt(np.square(drawn - shown).mean())
    # A winner at the end of the range may be anywhere beyond it.
    if totals[best] < _CLEAR * np.median(totals) or spread > _WORST or best in (0, len(_RANGE) - 1):
        return assumed
    deviation = math.hypot(spread, _FLOOR)
    weight = assumed.deviation**2 / (assumed.deviation**2 + deviation**2)
    return Focal(
        assumed.pixels * math.exp(weight * shown),
        assumed.deviation * deviation / math.hypot(assumed.deviation, deviation),
    )


def _best_votes(segments: Segments, tilt: Estimate, focal: float) -> Floats:
    """Return, for each turn of the two level directions, the votes (T, N) for the nearest of the three directions."""
    # The vertical vanishing point stays where it is.
    pitch = math.atan(math.tan(tilt.pitch) * focal / tilt.focal.pixels)
    sine, cosine = math.sin(tilt.roll), math.cos(tilt.roll)
    down = np.array([-sine * math.cos(pitch), cosine * math.cos(pitch), math.sin(pitch)])
    right = np.array([cosine, sine, 0.0])  # level, and in the image plane
    away = np.cross(right, down)
    one = np.cos(_TURNS)[:, None] * right + np.sin(_TURNS)[:, None] * away
    other = np.cos(_TURNS)[:, None] * away - np.sin(_TURNS)[:, None] * right
    level = np.maximum(votes_for(segments, focal, one), votes_for(segments, focal, other))
    return np.asarray(np.maximum(level, votes_for(segments, focal, down[None])))
