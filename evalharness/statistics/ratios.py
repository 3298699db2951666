"""Intervals for ratios of sums, such as cost per success, and for the ratio of two such ratios.

Delta method on logarithms with a cluster-robust variance of the linearised contributions (Cochran, Sampling
Techniques, 3rd ed. 1977, chapter 6, for ratio estimators; Deng, Knoblich and Lu, KDD 2018, arXiv 1803.06336, for
paired and clustered ratio metrics).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from evalharness.statistics._inputs import Clusters, Vector, clusters_of, vector
from evalharness.statistics.clustered import robust_variance, t_quantile
from evalharness.statistics.interval import Interval, Side, tails, without_bounds

MINIMUM_PRODUCTIVE_UNITS = 5
"""Fewer units than this with a non-zero denominator (successes): no bounds."""


def ratio_of_sums_interval(
    numerators: ArrayLike,
    denominators: ArrayLike,
    *,
    clusters: ArrayLike | None = None,
    confidence: float = 0.95,
    side: Side = "two-sided",
) -> Interval:
    """Interval for sum(numerators) / sum(denominators) over independent units, e.g. USD per success.

    Args:
        numerators: shape (n,), >= 0, e.g. USD spent on each prompt.
        denominators: shape (n,), >= 0, e.g. successes on each prompt.
        clusters: shape (n,), one code per unit; None when all are independent.
        confidence: in (0, 1).
        side: two-sided, lower or upper.

    Raises:
        InputError: empty, NaN, negative, lengths that differ.
    """
    return RatioOfSums.of(numerators, denominators, clusters=clusters).interval(confidence, side)


def log_ratio_interval(
    numerators_a: ArrayLike,
    denominators_a: ArrayLike,
    numerators_b: ArrayLike,
    denominators_b: ArrayLike,
    *,
    clusters: ArrayLike | None = None,
    confidence: float = 0.95,
    side: Side = "two-sided",
) -> Interval:
    """Interval for (sum num_a / sum den_a) / (sum num_b / sum den_b), paired by index, on the ratio scale.

    Arm a is the candidate, arm b the incumbent; entry i of each belongs to the same prompt. The paired covariance is
    kept: what both arms share cancels. Value and bounds are ratios (1 = no difference), not logarithms.

    Raises:
        InputError: empty, NaN, negative, lengths that differ.
    """
    prepared = RatioOfSums.paired(numerators_a, denominators_a, numerators_b, denominators_b, clusters=clusters)
    return prepared.interval(confidence, side)


@dataclass(frozen=True, slots=True)
class RatioOfSums:
    """What the intervals for a ratio of sums need to know of the units: another confidence costs nothing more."""

    n: int
    """Units."""
    clusters: int
    """Independent ones."""
    method: str
    """Name of the method."""
    value: float | None
    """The ratio; None where it is undefined."""
    error: float
    """Standard error of its logarithm."""
    note: str | None
    """Why there are no bounds."""

    @classmethod
    def of(cls, numerators: ArrayLike, denominators: ArrayLike, *, clusters: ArrayLike | None = None) -> RatioOfSums:
        """Prepare `ratio_of_sums_interval`.

        Raises:
            InputError: empty, NaN, negative, lengths that differ.
        """
        a = vector(numerators, "numerators", low=0.0)
        b = vector(denominators, "denominators", low=0.0, length=a.size)
        return cls._of_factors([(a, b)], clusters_of(clusters, a.size), "log-ratio-of-sums")

    @classmethod
    def paired(
        cls,
        numerators_a: ArrayLike,
        denominators_a: ArrayLike,
        numerators_b: ArrayLike,
        denominators_b: ArrayLike,
        *,
        clusters: ArrayLike | None = None,
    ) -> RatioOfSums:
        """Prepare `log_ratio_interval`.

        Raises:
            InputError: empty, NaN, negative, lengths that differ.
        """
        a = vector(numerators_a, "numerators_a", low=0.0)
        b = vector(denominators_a, "denominators_a", low=0.0, length=a.size)
        c = vector(numerators_b, "numerators_b", low=0.0, length=a.size)
        d = vector(denominators_b, "denominators_b", low=0.0, length=a.size)
        return cls._of_factors([(a, b), (d, c)], clusters_of(clusters, a.size), "paired-log-ratio")

    @classmethod
    def _of_factors(cls, factors: list[tuple[Vector, Vector]], groups: Clusters, method: str) -> RatioOfSums:
        """The product of sum(top) / sum(bottom) over ``factors``."""
        n = int(groups.codes.size)
        if any(part.sum() <= 0 for pair in factors for part in pair):
            return cls(n, groups.count, method, None, math.inf, "a sum is zero: the ratio is undefined")
        value = math.prod(float(top.sum() / bottom.sum()) for top, bottom in factors)
        fewest = min(int(np.count_nonzero(groups.sums(part))) for pair in factors for part in pair)
        if fewest < MINIMUM_PRODUCTIVE_UNITS:
            note = f"only {fewest} independent units with a non-zero amount: need at least {MINIMUM_PRODUCTIVE_UNITS}"
            return cls(n, groups.count, method, value, math.inf, note)
        contributions = np.sum([top / top.sum() - bottom / bottom.sum() for top, bottom in factors], axis=0)
        # Units that all agree would give zero width. The floor is the change if one average unit went missing.
        variance = max(robust_variance(groups.sums(contributions)), 1.0 / groups.effective_count**2)
        return cls(n, groups.count, method, value, math.sqrt(variance), None)

    def interval(self, confidence: float = 0.95, side: Side = "two-sided") -> Interval:
        """See `ratio_of_sums_interval` and `log_ratio_interval`."""
        below, above = tails(confidence, side)
        if self.value is None or self.note is not None:
            return without_bounds(self.value, confidence, self.method, self.n, self.note or "", clusters=self.clusters)
        degrees = self.clusters - 1
        low = None if below is None else self.value * math.exp(-t_quantile(below, degrees) * self.error)
        high = None if above is None else self.value * math.exp(t_quantile(above, degrees) * self.error)
        return Interval(self.value, low, high, confidence, self.method, self.n, self.clusters)
