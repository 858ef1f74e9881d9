from __future__ import annotations

import math
from itertools import pairwise

import pytest

from adaptation.fitting.schedule import Geometric, constant, geometric


def test_geometric() -> None:
    values = [geometric(0.2, 0.001, step, 150) for step in range(150)]
    assert values[0] == pytest.approx(0.2)
    assert values[-1] == pytest.approx(0.001)
    ratios = [b / a for a, b in pairwise(values)]
    assert max(ratios) - min(ratios) < 1e-9
    assert geometric(0.05, 1.0, 500, 120) == 1.0
    assert geometric(0.3, 0.1, 0, 1) == 0.1
    assert geometric(0.0, 0.0, 3, 10) == 0.0
    assert math.isclose(geometric(1.0, 4.0, 1, 3), 2.0)
    with pytest.raises(ValueError, match="positive"):
        geometric(0.0, 1.0, 0, 10)


def test_a_weight_that_changes_over_a_share_of_the_steps() -> None:
    weight = Geometric(0.05, 0.5, share=0.8)
    values = [weight.at(step, 100) for step in range(100)]
    assert values[:80] == [geometric(0.05, 0.5, step, 80) for step in range(80)]
    assert values[0] == 0.05 and set(values[79:]) == {0.5}


def test_a_weight_that_changes_over_all_steps_ends_with_the_last() -> None:
    weight = Geometric(0.2, 0.001)
    assert [weight.at(step, 7) for step in range(7)] == [geometric(0.2, 0.001, step, 7) for step in range(7)]
    assert weight.at(6, 7) == 0.001 < weight.at(5, 7)
    assert Geometric(1.0, 2.0, share=0.01).at(0, 10) == 2.0  # less than one step: it is over at once


def test_a_constant_weight_may_be_zero() -> None:
    assert {constant(0.0).at(step, 5) for step in range(5)} == {0.0}
    assert {constant(3.0).at(step, 5) for step in range(5)} == {3.0}
