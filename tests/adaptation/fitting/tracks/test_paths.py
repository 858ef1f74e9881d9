from __future__ import annotations

import itertools

import numpy as np
import pytest

from adaptation.fitting.tracks.paths import cheapest_path, diverse_paths, movement, path_cost


def problem(seed: int, count: int = 5, options: int = 4) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    joints = random.normal(size=(count, options, 3, 3))
    return random.random((count, options)), movement(joints), joints


def test_movement_is_the_mean_over_joints() -> None:
    _, moved, joints = problem(3, count=3, options=2)
    assert moved.shape == (2, 2, 2)
    expected = np.linalg.norm(joints[1, 0] - joints[2, 1], axis=-1).mean()
    assert moved[1, 0, 1] == pytest.approx(expected)
    assert movement(joints[:1]).shape == (0, 2, 2)


@pytest.mark.parametrize("seed", range(5))
def test_no_path_is_cheaper(seed: int) -> None:
    costs, transitions, _ = problem(seed)
    best = min(path_cost(np.array(path), costs, transitions) for path in itertools.product(range(4), repeat=5))
    found = path_cost(cheapest_path(costs, transitions), costs, transitions)
    assert found == pytest.approx(best)


def test_paths_cost_their_bodies_and_moves() -> None:
    costs, transitions, _ = problem(4, count=3, options=2)
    expected = costs[0, 1] + costs[1, 0] + costs[2, 0] + transitions[0, 1, 0] + transitions[1, 0, 0]
    assert path_cost(np.array([1, 0, 0]), costs, transitions) == pytest.approx(expected)


def test_a_single_body_is_the_cheapest_one() -> None:
    costs, transitions, _ = problem(0, count=1)
    assert cheapest_path(costs, transitions).tolist() == [costs[0].argmin()]


def test_paths_that_follow_avoid_the_bodies_of_those_before() -> None:
    costs, transitions, joints = problem(1, count=6, options=8)
    before = costs.copy()
    paths = diverse_paths(costs, transitions, joints, 4, near=0.05, price=100.0)
    np.testing.assert_array_equal(costs, before)
    np.testing.assert_array_equal(paths[0], cheapest_path(costs, transitions))
    for first, second in itertools.combinations(paths, 2):
        assert (first != second).all()
    # Nothing is avoided at no price.
    same = diverse_paths(costs, transitions, joints, 3, near=0.05, price=0.0)
    assert all((path == same[0]).all() for path in same)


def test_bodies_near_those_of_an_earlier_path_are_avoided_too() -> None:
    costs = np.array([[0.0, 0.1, 0.5]] * 3)
    joints = np.zeros((3, 3, 2, 3))
    joints[:, 1], joints[:, 2] = 0.01, 1.0  # the second candidate is all but the first one
    paths = diverse_paths(costs, movement(joints), joints, 2, near=0.15, price=1.0)
    assert [path.tolist() for path in paths] == [[0, 0, 0], [2, 2, 2]]
