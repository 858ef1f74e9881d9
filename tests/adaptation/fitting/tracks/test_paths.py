from __future__ import annotations

import itertools

import numpy as np
import pytest

from adaptation.fitting.tracks.paths import cheapest_path, diverse_paths


def problem(seed: int, count: int = 5, options: int = 4) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    return random.random((count, options)), random.normal(size=(count, options, 3, 3)), random.random(count - 1)


def cost_of(path: tuple[int, ...], costs: np.ndarray, joints: np.ndarray, motion: np.ndarray) -> float:
    total = sum(costs[i, chosen] for i, chosen in enumerate(path))
    for i in range(len(path) - 1):
        moved = np.linalg.norm(joints[i, path[i]] - joints[i + 1, path[i + 1]], axis=-1).mean()
        total += motion[i] * moved
    return total


@pytest.mark.parametrize("seed", range(5))
def test_no_path_is_cheaper(seed: int) -> None:
    costs, joints, motion = problem(seed)
    best = min(cost_of(path, costs, joints, motion) for path in itertools.product(range(4), repeat=5))
    found = cost_of(tuple(cheapest_path(costs, joints, motion)), costs, joints, motion)
    assert found == pytest.approx(best)


def test_a_single_body_is_the_cheapest_one() -> None:
    costs, joints, motion = problem(0, count=1)
    assert cheapest_path(costs, joints, motion).tolist() == [costs[0].argmin()]


def test_paths_that_follow_avoid_the_bodies_of_those_before() -> None:
    costs, joints, motion = problem(1, count=6, options=8)
    before = costs.copy()
    paths = diverse_paths(costs, joints, motion, 4, near=0.05, price=100.0)
    np.testing.assert_array_equal(costs, before)
    np.testing.assert_array_equal(paths[0], cheapest_path(costs, joints, motion))
    for first, second in itertools.combinations(paths, 2):
        assert (first != second).all()
    # Nothing is avoided at no price.
    same = diverse_paths(costs, joints, motion, 3, near=0.05, price=0.0)
    assert all((path == same[0]).all() for path in same)


def test_bodies_near_those_of_an_earlier_path_are_avoided_too() -> None:
    costs = np.array([[0.0, 0.1, 0.5]] * 3)
    joints = np.zeros((3, 3, 2, 3))
    joints[:, 1], joints[:, 2] = 0.01, 1.0  # the second candidate is all but the first one
    paths = diverse_paths(costs, joints, np.ones(2), 2, near=0.15, price=1.0)
    assert [path.tolist() for path in paths] == [[0, 0, 0], [2, 2, 2]]
