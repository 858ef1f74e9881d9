"""Cheapest sequences of candidates: one body per frame, chosen by its own cost and by the motion to its neighbours."""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def movement(joints: Array) -> Array:
    """Compute how far bodies move between neighbouring frames.

    Args:
        joints: (N, K, J, 3) root-centred joints of K candidates in N frames, metres. Root-centred, so that walking
            through the image is no movement, but turning around is.

    Returns:
        (N - 1, K, K) mean movement of the joints from each candidate to each one of the next frame, metres.
    """
    pairs = itertools.pairwise(joints)
    # Frame by frame: all differences at once would take a lot of memory.
    moved = [np.linalg.norm(before[:, None] - after[None], axis=-1).mean(-1) for before, after in pairs]
    return np.stack(moved) if moved else np.zeros((0, joints.shape[1], joints.shape[1]))


def cheapest_path(costs: Array, transitions: Array) -> NDArray[np.int64]:
    """Find the cheapest sequence of candidates by dynamic programming (Viterbi).

    Args:
        costs: (N, K) cost of each candidate by itself.
        transitions: (N - 1, K, K) cost of each candidate of a frame followed by each one of the next frame.

    Returns:
        (N,) index of the chosen candidate of each frame.
    """
    count, options = costs.shape
    best = costs[0]
    came_from = np.zeros((count, options), dtype=np.int64)
    for i in range(1, count):
        through = best[:, None] + transitions[i - 1]
        came_from[i] = through.argmin(0)
        # Only K paths survive each frame, so the cost is linear in the length of the sequence.
        best = through.min(0) + costs[i]
    # Follow the cheapest path backwards from its end.
    chosen = np.empty(count, dtype=np.int64)
    chosen[-1] = best.argmin()
    for i in range(count - 1, 0, -1):
        chosen[i - 1] = came_from[i, chosen[i]]
    return chosen


def path_cost(path: NDArray[np.int64], costs: Array, transitions: Array) -> float:
    """Return the cost of a sequence (N,) of candidates; the other arguments are those of `cheapest_path`."""
    frames = np.arange(len(costs))
    own, moves = costs[frames, path], transitions[frames[:-1], path[:-1], path[1:]]
    return float(own.sum() + moves.sum())


def diverse_paths(
    costs: Array, transitions: Array, joints: Array, count: int, *, near: float, price: float
) -> list[NDArray[np.int64]]:
    """Find cheap sequences that differ from each other: each avoids the bodies of those before it.

    Args:
        costs: (N, K), as in `cheapest_path`.
        transitions: (N - 1, K, K), likewise.
        joints: (N, K, J, 3) root-centred joints of each candidate, metres.
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
        path = cheapest_path(costs, transitions)
        paths.append(path)
        away = np.linalg.norm(joints - joints[frames, path][:, None], axis=-1).mean(-1)
        costs += price * (away < near)
    return paths
