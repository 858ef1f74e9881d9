"""What the tables say about spread: intervals, paired differences, and whether chance explains them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """A mean with half of its 95 % confidence interval; not a number where one value alone is known."""

    mean: float
    half: float

    def __str__(self) -> str:
        return f"{self.mean:.1f}" if np.isnan(self.half) else f"{self.mean:.1f} ± {self.half:.1f}"


def estimate(values: Numbers) -> Estimate:
    """Of independent values (N,)."""
    half = 1.96 * values.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else np.nan
    return Estimate(float(values.mean()), float(half))


def paired(first: Numbers, second: Numbers) -> Estimate:
    """Of the differences first - second, (N,) each."""
    return estimate(first - second)


def differ(first: Numbers, second: Numbers) -> float:
    """Probability of so large a difference by chance: Wilcoxon's signed-rank test of pairs, two-sided; 1 if equal."""
    from scipy.stats import wilcoxon

    if np.array_equal(first, second):
        return 1.0
    return float(wilcoxon(first, second).pvalue)
