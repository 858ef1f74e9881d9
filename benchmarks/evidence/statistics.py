"""What the tables say about spread: intervals, paired differences, and whether chance explains them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """A mean, half of its 95 % confidence interval, and its spread over seeds; NaN where one value alone is known."""

    mean: float
    half: float
    spread: float = np.nan

    def __str__(self) -> str:
        return self.text()

    def text(self, *, sign: bool = False, spread: bool = True) -> str:
        """As "61.6 ± 5.4 (1.1)"."""
        mean = f"{self.mean:+.1f}" if sign else f"{self.mean:.1f}"
        half = "" if np.isnan(self.half) else f" ± {self.half:.1f}"
        seeds = f" ({self.spread:.1f})" if spread and not np.isnan(self.spread) else ""
        return f"{mean}{half}{seeds}"


def estimate(values: Numbers) -> Estimate:
    """Of independent values (N,), or of such from several seeds, (S, N)."""
    seeds = np.atleast_2d(values)
    means, values = seeds.mean(1), seeds.mean(0)
    half = 1.96 * values.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else np.nan
    return Estimate(float(values.mean()), float(half), float(means.std(ddof=1)) if len(means) > 1 else np.nan)


def paired(first: Numbers, second: Numbers) -> Estimate:
    """Of the differences first - second, (N,) or (S, N) each."""
    return estimate(first - second)


def differ(first: Numbers, second: Numbers) -> float:
    """Probability of so large a difference by chance: Wilcoxon's signed-rank test of pairs, two-sided; 1 if equal."""
    from scipy.stats import wilcoxon

    if np.array_equal(first, second):
        return 1.0
    return float(wilcoxon(first, second).pvalue)
