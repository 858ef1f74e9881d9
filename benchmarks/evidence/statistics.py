"""Spread of the numbers in tables: confidence intervals, paired differences, and tests of significance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """A mean with its uncertainty.

    Attributes:
        mean: mean of the values.
        half: half of its 95 % confidence interval; NaN if there is only one value.
        spread: standard deviation over seeds; NaN if there is only one seed.
    """

    mean: float
    half: float
    spread: float = np.nan

    def __str__(self) -> str:
        return self.text()

    def text(self, *, sign: bool = False, spread: bool = True) -> str:
        """Format the estimate, such as "61.6 ± 5.4 (1.1)".

        Args:
            sign: whether a positive mean gets its sign.
            spread: whether the spread over seeds is shown.
        """
        mean = f"{self.mean:+.1f}" if sign else f"{self.mean:.1f}"
        half = "" if np.isnan(self.half) else f" ± {self.half:.1f}"
        seeds = f" ({self.spread:.1f})" if spread and not np.isnan(self.spread) else ""
        return f"{mean}{half}{seeds}"


def estimate(values: Numbers) -> Estimate:
    """Estimate the mean of independent values (N,), or of such values from several seeds, (S, N)."""
    # (S, N), with one seed as a single row.
    seeds = np.atleast_2d(values)
    # Seeds see the same clips, so that they are averaged first: the interval is that over clips.
    means, values = seeds.mean(1), seeds.mean(0)
    # The normal quantile: with 50 clips Student's is 2.01.
    half = 1.96 * values.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else np.nan
    return Estimate(float(values.mean()), float(half), float(means.std(ddof=1)) if len(means) > 1 else np.nan)


def paired(first: Numbers, second: Numbers) -> Estimate:
    """Estimate the mean of the differences first - second, (N,) or (S, N) each."""
    # Pairs see the same clips, whose difficulty cancels.
    return estimate(first - second)


def differ(first: Numbers, second: Numbers) -> float:
    """Return the p-value of Wilcoxon's two-sided signed-rank test of pairs (N,); 1 if the two are equal."""
    # Ranks, not values: a few fits that fail entirely would decide a t-test.
    from scipy.stats import wilcoxon

    # The test is not defined without any difference.
    if np.array_equal(first, second):
        return 1.0
    return float(wilcoxon(first, second).pvalue)
