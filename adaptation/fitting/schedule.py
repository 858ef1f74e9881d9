"""How weights change over the steps of a fit."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Geometric:
    """A weight that changes by equal factors, then stays.

    Attributes:
        start: at the first step; positive, unless equal to ``end``.
        end: at the last step of the change, and after it.
        share: of the steps over which it changes, in (0, 1].
    """

    start: float
    end: float
    share: float = 1.0

    def at(self, step: int, steps: int) -> float:
        """The weight at a step from 0 to ``steps - 1``."""
        changing = steps if self.share == 1 else max(1, round(self.share * steps))
        return self.end if step >= changing else geometric(self.start, self.end, step, changing)


def constant(weight: float) -> Geometric:
    """A weight that stays."""
    return Geometric(weight, weight)


def geometric(start: float, end: float, step: int, steps: int) -> float:
    """Interpolate geometrically: from ``start`` at step 0 to ``end`` at step ``steps - 1`` by equal factors.

    Args:
        start: positive, unless equal to ``end``.
        end: likewise.
        step: from 0; the value stays at ``end`` afterwards.
        steps: how many there are. With one, the value is ``end``.

    Raises:
        ValueError: a value is not positive, which no factor reaches.
    """
    if start == end or step >= steps - 1:
        return end
    if start <= 0 or end <= 0:
        raise ValueError(f"geometric: wanted positive values, got {start} and {end}")
    return start * math.exp(math.log(end / start) * step / (steps - 1))
