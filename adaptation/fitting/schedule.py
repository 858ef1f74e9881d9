"""Schedules of weights over the steps of a fit."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Geometric:
    """A weight that changes by equal factors and then stays constant.

    Attributes:
        start: weight at the first step; positive, unless equal to ``end``.
        end: weight at the last step of the change and after it; positive, unless equal to ``start``.
        share: share of the steps over which the weight changes, in (0, 1].
    """

    start: float
    end: float
    share: float = 1.0

    def at(self, step: int, steps: int) -> float:
        """Return the weight at a step from 0 to ``steps - 1``."""
        # With a single changing step, the weight is `end` from the start.
        changing = steps if self.share == 1 else max(1, round(self.share * steps))
        return self.end if step >= changing else geometric(self.start, self.end, step, changing)


def constant(weight: float) -> Geometric:
    """Return a weight that stays constant."""
    return Geometric(weight, weight)


def geometric(start: float, end: float, step: int, steps: int) -> float:
    """Interpolate geometrically: from ``start`` at step 0 to ``end`` at step ``steps - 1`` by equal factors.

    Args:
        start: value at step 0; positive, unless equal to ``end``.
        end: value at the last step; positive, unless equal to ``start``.
        step: step from 0; after the last step the value stays at ``end``.
        steps: number of steps. With one step, the value is ``end``.

    Raises:
        ValueError: ``start`` or ``end`` is not positive, so no factor leads from one to the other.
    """
    # Equal ends first: a constant weight may be 0, which has no logarithm.
    if start == end or step >= steps - 1:
        return end
    if start <= 0 or end <= 0:
        raise ValueError(f"geometric: expected positive values, got {start} and {end}")
    return start * math.exp(math.log(end / start) * step / (steps - 1))
