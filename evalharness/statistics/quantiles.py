"""Order-statistic intervals for quantiles: exact for any distribution, ties and infinities included.

Source: Conover, Practical Nonparametric Statistics (3rd ed., 1999), section 3.2; Hahn and Meeker, Statistical
Intervals (1991), section 5.2.
"""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from evalharness.statistics._inputs import Vector, vector
from evalharness.statistics.interval import Interval, Side, check_confidence, tails
from golden_sets.errors import InputError


def quantile_interval(values: ArrayLike, q: float, *, confidence: float = 0.95, side: Side = "two-sided") -> Interval:
    """Interval for the q-quantile of independent values; +inf stands for a failed request.

    The number of values below the true quantile is binomial (n, q), so ranks of the sorted sample bound it. For p95
    at n = 200 the one-sided 95 % upper bound is x(196), the lower bound x(185). Where n is too small for a bound it
    is None, and the note says the n it takes. The estimate is x(ceil(n q)).

    Raises:
        InputError: empty, NaN, -inf, q outside (0, 1), confidence outside (0, 1).
    """
    return OrderedSample.of(values).interval(q, confidence, side)


@dataclass(frozen=True, slots=True)
class OrderedSample:
    """Values in order: what every quantile's interval needs to know of them."""

    values: Vector
    """Shape (n,), increasing; +inf stands for a failed request."""

    @classmethod
    def of(cls, values: ArrayLike) -> OrderedSample:
        """Prepare `quantile_interval`.

        Raises:
            InputError: empty, NaN, -inf.
        """
        return cls(np.sort(vector(values, "values", low=-sys.float_info.max, allow_infinite=True)))

    def interval(self, q: float, confidence: float = 0.95, side: Side = "two-sided") -> Interval:
        """See `quantile_interval`."""
        x = self.values
        below, above = tails(confidence, side)
        low_rank, high_rank = quantile_ranks(x.size, q, confidence=confidence, side=side)
        remarks = []
        if below is not None and low_rank is None:
            remarks.append(f"n too small for any lower bound: need n >= {quantile_n_for_bound(1 - q, below)}")
        if above is not None and high_rank is None:
            remarks.append(f"n too small for any upper bound: need n >= {quantile_n_for_bound(q, above)}")
        return Interval(
            float(x[_rank(x.size * q) - 1]),
            None if low_rank is None else float(x[low_rank - 1]),
            None if high_rank is None else float(x[high_rank - 1]),
            confidence,
            "order-statistic",
            int(x.size),
            note="; ".join(remarks) or None,
        )


def quantile_ranks(
    n: int, q: float, *, confidence: float = 0.95, side: Side = "two-sided"
) -> tuple[int | None, int | None]:
    """Ranks (1 = smallest) of the order statistics that bound the q-quantile; None where n is too small.

    Raises:
        InputError: n < 1, q or confidence outside (0, 1).
    """
    if n < 1:
        raise InputError(f"n must be at least 1, got {n}")
    _check_quantile(q)
    below, above = tails(confidence, side)
    low_rank = high_rank = None
    if below is not None:
        # Largest k with P(Bin(n, q) >= k) >= confidence.
        rank = _smallest_count(1 - below, n, q) + 1
        while rank > 0 and special.bdtrc(rank - 1, n, q) < below:
            rank -= 1
        low_rank = rank if rank >= 1 else None
    if above is not None:
        # Smallest k with P(Bin(n, q) <= k - 1) >= confidence.
        rank = _smallest_count(above, n, q) + 1
        high_rank = rank if rank <= n else None
    return low_rank, high_rank


def _smallest_count(probability: float, n: int, q: float) -> int:
    """Smallest k with P(Bin(n, q) <= k) >= probability (up to rounding)."""
    k = min(n, max(0, math.ceil(float(special.bdtrik(probability, n, q)))))
    enough = probability * (1 - 1e-13)
    while k > 0 and special.bdtr(k - 1, n, q) >= enough:
        k -= 1
    while k < n and special.bdtr(k, n, q) < enough:
        k += 1
    return k


def quantile_n_for_bound(q: float, confidence: float) -> int:
    """Smallest n at which the q-quantile has any one-sided upper bound: q^n <= 1 - confidence (p95: 59, p99: 299).

    A lower bound for q needs as many as an upper bound for 1 - q.

    Raises:
        InputError: q or confidence outside (0, 1).
    """
    n = max(1, math.ceil(math.log(1 - check_confidence(confidence)) / math.log(_check_quantile(q))))
    while 1 - q**n < confidence:
        n += 1
    return n


def _rank(position: float) -> int:
    """``ceil`` that forgives rounding such as 200 * 0.07 = 14.000000000000002."""
    return max(1, math.ceil(position - 1e-9))


def _check_quantile(q: float) -> float:
    if not 0.0 < q < 1.0:
        raise InputError(f"q must be strictly between 0 and 1, got {q}", do="write p95 as 0.95")
    return float(q)
