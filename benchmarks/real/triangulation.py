"""A skeleton from several calibrated cameras: sides made consistent, robust triangulation, small changes of cameras.

Keypoints of all cameras are arrays (C, F, J, 3): x, y in pixels, and confidence. J is 12, as in `real.skeleton`.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.optimize import least_squares

from real.cameras import Camera
from real.skeleton import EXCHANGED

Floats = npt.NDArray[np.float64]
ARMS, LEGS = slice(0, 6), slice(6, 12)
_LIMIT = 15.0  # pixels; a larger error of a view is as bad as this one
_ROUNDS = (60.0, 30.0, 15.0, 8.0, 8.0, 8.0)  # pixels at which a view loses weight, from round to round
_TURN, _MOVE = 0.005, 0.015  # by how much cameras are expected to be off: radians, metres
_JUMP = 0.05  # metres per frame that cost as much as an error of _LIMIT in one view
_FARTHEST = 0.1  # metres; at 60 frames a second, real joints move by at most half of this between frames
_VOTE = 0.1  # of the same cost: for exchanging left and right in one view


def triangulate(keypoints: Floats, cameras: Sequence[Camera]) -> Floats:
    """Return points (..., 3) of the world by linear least squares, weighted by confidence.

    Args:
        keypoints: (C, ..., 3) x, y in pixels, and weight.
        cameras: C cameras.
    """
    plane = np.stack([each.undistorted(view[..., :2]) for each, view in zip(cameras, keypoints, strict=True)])
    matrices = np.stack([np.hstack([each.rotation, each.translation[:, None]]) for each in cameras])
    # Each view gives two rows: the point lies on the ray through the pixel.
    spread = (len(cameras), *(1,) * (keypoints.ndim - 2), 4)
    rows = [plane[..., k, None] * matrices[:, 2].reshape(spread) - matrices[:, k].reshape(spread) for k in (0, 1)]
    focal = np.array([each.focal for each in cameras]).reshape(spread[:-1])
    points = np.zeros((*keypoints.shape[1:-1], 3))
    depth = np.ones(keypoints.shape[:-1])
    for _ in range(2):
        # Divided by the depth, so that rows are errors in pixels.
        weights = np.sqrt(keypoints[..., 2]) * focal / depth
        stacked = np.concatenate([row * weights[..., None] for row in rows])
        normal = np.einsum("v...i,v...j->...ij", stacked[..., :3], stacked[..., :3])
        right = -np.einsum("v...i,v...->...i", stacked[..., :3], stacked[..., 3])
        points = np.linalg.solve(normal + 1e-9 * np.eye(3), right[..., None])[..., 0]
        depth = np.maximum(np.stack([each.seen(points)[..., 2] for each in cameras]), 0.1)
    return points


def errors(points: Floats, keypoints: Floats, cameras: Sequence[Camera]) -> Floats:
    """Return the reprojection errors (C, ...) of points (..., 3), pixels."""
    views = zip(cameras, keypoints, strict=True)
    return np.stack([np.linalg.norm(each.project(points) - view[..., :2], axis=-1) for each, view in views])


def robust(keypoints: Floats, cameras: Sequence[Camera]) -> tuple[Floats, Floats]:
    """Triangulate with views that disagree weighted down (Geman and McClure's weights, annealed).

    Returns:
        (..., 3) points, and (C, ...) errors of all views, pixels.
    """
    points = triangulate(keypoints, cameras)
    for limit in _ROUNDS:
        away = errors(points, keypoints, cameras)
        weighted = keypoints.copy()
        weighted[..., 2] *= (1 + (away / limit) ** 2) ** -2
        # A point needs two views, however bad they are.
        weighted[..., 2] = np.maximum(weighted[..., 2], 1e-4)
        points = triangulate(weighted, cameras)
    return points, errors(points, keypoints, cameras)


def without_jumps(points: Floats) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Replace joints that jump: two views may agree on a wrong place.

    Args:
        points: (F, J, 3) joints over time.

    Returns:
        The joints, those farther than `_FARTHEST` from their median over five frames replaced by it; and (F, J) which
        ones were left as they are.
    """
    padded = np.concatenate([points[:1], points[:1], points, points[-1:], points[-1:]])
    around = np.median(np.stack([padded[k : k + len(points)] for k in range(5)]), axis=0)
    steady = np.linalg.norm(points - around, axis=-1) < _FARTHEST
    return np.where(steady[..., None], points, around), steady


def consistent_sides(keypoints: Floats, cameras: Sequence[Camera]) -> Floats:
    """Exchange left and right where views or neighbouring frames otherwise contradict each other.

    For arms and legs apart, the path of least cost over time through all combinations of exchanged views. The cost is
    the error of reprojection, the movement of the joints, and a little for each exchange.
    """
    out = keypoints.copy()
    for part in (ARMS, LEGS):
        own = keypoints[:, :, part]
        other = keypoints[:, :, EXCHANGED][:, :, part]
        choices = np.array(list(itertools.product((False, True), repeat=len(cameras))))
        options = np.where(choices[:, :, None, None, None], other, own)
        solved = [robust(option, cameras) for option in options]
        joints = np.stack([points for points, _ in solved])
        cost = np.stack([np.minimum(away / _LIMIT, 1).mean(2).sum(0) for _, away in solved])
        cost += _VOTE * choices.sum(1)[:, None]
        path = _cheapest(cost, joints)
        out[:, :, part] = options[path, :, np.arange(keypoints.shape[1])].swapaxes(0, 1)
    return out


def _cheapest(cost: Floats, joints: Floats) -> npt.NDArray[np.int64]:
    """Return the option of each frame by Viterbi's algorithm; cost is (O, F), joints are (O, F, J, 3)."""
    total, back = cost[:, 0], []
    for frame in range(1, cost.shape[1]):
        step = np.linalg.norm(joints[:, None, frame] - joints[None, :, frame - 1], axis=-1).mean(-1) / _JUMP
        through = total[None] + step
        back.append(through.argmin(1))
        total = through.min(1) + cost[:, frame]
    path = [int(total.argmin())]
    for before in reversed(back):
        path.append(int(before[path[-1]]))
    return np.array(path[::-1])


def adjusted(keypoints: Floats, cameras: Sequence[Camera], every: int = 5, rounds: int = 3) -> list[Camera]:
    """Turn and move cameras slightly, so that their views of a person agree.

    Least squares over six numbers per camera, held near 0, with the points solved for inside; views that disagree lose
    weight from round to round.

    Args:
        keypoints: (C, F, J, 3) with consistent sides.
        cameras: C cameras as they were calibrated.
        every: one frame in this many is used.
        rounds: how often weights are renewed.
    """
    used = keypoints[:, ::every]

    def moved(changes: Floats) -> list[Camera]:
        return [each.moved(change) for each, change in zip(cameras, changes.reshape(-1, 6), strict=True)]

    def residuals(changes: Floats) -> Floats:
        now = moved(changes)
        points = triangulate(weighted, now)
        views = zip(now, weighted, strict=True)
        away = np.concatenate([((c.project(points) - v[..., :2]) * np.sqrt(v[..., 2:])).ravel() for c, v in views])
        held = changes.reshape(-1, 6) / np.array([_TURN] * 3 + [_MOVE] * 3)
        # Errors of one person over time are alike: they count as if each frame had one joint.
        return np.concatenate([away / (_ROUNDS[-1] * np.sqrt(used.shape[2])), held.ravel()])

    changes = np.zeros(6 * len(cameras))
    for limit in (40.0, 20.0, 12.0)[-rounds:]:
        weighted = used.copy()
        away = robust(used, moved(changes))[1]
        weighted[..., 2] = np.maximum(weighted[..., 2] * (1 + (away / limit) ** 2) ** -2, 1e-4)
        changes = least_squares(residuals, changes, max_nfev=10).x
    return moved(changes)
