"""Cheapest sequences of candidates: one body per frame, chosen by its own cost and by the motion to its neighbours."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def cheapest_path(costs: Array, joints: Array, motion: Array) -> NDArray[np.int64]:
    """Find the cheapest sequence of candidates by dynamic programming (Viterbi).

    Args:
        costs: (N, K) cost of each candidate by itself.
        joints: (N, K, J, 3) root-centred joints of each candidate, metres.
        motion: (N - 1,) cost per metre of mean movement of the joints between neighbours.

    Returns:
        (N,) index of the chosen candidate of each frame.
    """
    count, options = costs.shape
    best = costs[0]
    came_from = np.zeros((count, options), dtype=np.int64)
    for i in range(1, count):
        # Root-centred joints, so that walking through the image costs nothing, but turning around does.
        moved = np.linalg.norm(joints[i - 1][:, None] - joints[i][None], axis=-1).mean(-1)  # (K, K)
        through = best[:, None] + motion[i - 1] * moved
        came_from[i] = through.argmin(0)
        # Only K paths survive each frame, so the cost is linear in the length of the sequence.
        best = through.min(0) + costs[i]
    # Follow the cheapest path backwards from its end.
    chosen = np.empty(count, dtype=np.int64)
    chosen[-1] = best.argmin()
    for i in range(count - 1, 0, -1):
        chosen[i - 1] = came_from[i, chosen[i]]
    return chosen


def diverse_paths(
    costs: Array, joints: Array, motion: Array, count: int, *, near: float, price: float
) -> list[NDArray[np.int64]]:
    """Find cheap sequences that differ from each other: each avoids the bodies of those before it.

    Args:
        costs: (N, K), as in `cheapest_path`.
        joints: (N, K, J, 3), likewise.
        motion: (N - 1,), likewise.
        count: number of sequences.
        near: mean distance of joints, metres, within which a candidate resembles that of an earlier sequence.
        price: cost of such a resemblance.

    Returns:
        ``count`` arrays (N,), the cheapest one first.
    """
    costs = costs.copy()
    paths = []
    frames = np.arange(len(costs))
    for _ in range(count):
        path = cheapest_path(costs, joints, motion)
        paths.append(path)
        away = np.linalg.norm(joints - joints[frames, path][:, None], axis=-1).mean(-1)
        costs += price * (away < near)
    return paths
