"""Intervals for one binomial proportion: exact and score, one- and two-sided.

Sources: Clopper and Pearson, Biometrika 26 (1934) 404; Wilson, JASA 22 (1927) 209; Brown, Cai and DasGupta,
Statistical Science 16 (2001) 101 (Wilson and Jeffreys recommended for display); Cai, J. Stat. Planning and
Inference 131 (2005) 63 (one-sided score bounds are biased near 0 and 1: gates use Clopper-Pearson).
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from evalharness.statistics._inputs import Vector, successes_of
from evalharness.statistics.interval import Interval, Side, check_confidences, tails
from golden_sets.errors import InputError

ProportionMethod = Literal["wilson", "clopper-pearson", "jeffreys"]


def proportion_interval(
    successes: float,
    n: float,
    *,
    confidence: float = 0.95,
    side: Side = "two-sided",
    method: ProportionMethod = "wilson",
) -> Interval:
    """Interval for a success probability from ``successes`` of ``n`` independent trials.

    ``clopper-pearson`` never covers less than stated (for gates), ``wilson`` and ``jeffreys`` cover as stated on
    average (for display). With ``side="lower"`` the lower bound holds at exactly ``confidence`` and ``high`` is None.
    No method gives zero width, also at 0/n and n/n. Effective (fractional) counts are accepted.

    Raises:
        InputError: negative counts, successes above n, n < 1, confidence outside (0, 1), unknown method or side.
    """
    k, trials = successes_of(successes, n)
    below, above = tails(confidence, side)
    low = None if below is None else float(proportion_lower(k, trials, confidence=below, method=method))
    high = None if above is None else float(proportion_upper(k, trials, confidence=above, method=method))
    return Interval(k / trials, low, high, confidence, method, max(1, round(trials)))


def proportion_lower(
    successes: ArrayLike, n: ArrayLike, *, confidence: ArrayLike, method: ProportionMethod = "clopper-pearson"
) -> Vector:
    """One-sided lower bounds, elementwise over arrays of counts and confidences (see `proportion_interval`).

    Raises:
        InputError: confidence outside (0, 1), counts that cannot be, unknown method.
    """
    k, trials = counts_of(successes, n)
    levels = check_confidences(confidence)
    alpha = 1.0 - levels
    if method == "wilson":
        return _wilson(k, trials, special.ndtri(levels))
    if method == "clopper-pearson":
        bound = special.betaincinv(np.where(k > 0, k, 1.0), trials - k + 1.0, alpha)
    elif method == "jeffreys":
        bound = np.minimum(special.betaincinv(k + 0.5, trials - k + 0.5, alpha), k / trials)
    else:
        raise InputError(f"unknown method '{method}'", do="use wilson, clopper-pearson or jeffreys")
    return np.asarray(np.where(k > 0, bound, 0.0), dtype=np.float64)


def proportion_upper(
    successes: ArrayLike, n: ArrayLike, *, confidence: ArrayLike, method: ProportionMethod = "clopper-pearson"
) -> Vector:
    """One-sided upper bounds, elementwise as and the mirror image of `proportion_lower`.

    Raises:
        InputError: confidence outside (0, 1), counts that cannot be, unknown method.
    """
    k, trials = counts_of(successes, n)
    return np.asarray(1.0 - proportion_lower(trials - k, trials, confidence=confidence, method=method))


def _wilson(k: Vector, n: Vector, z: Vector) -> Vector:
    """The root of the score equation on the side of ``z`` (negative below 50 % confidence)."""
    p = k / n
    centre = p + z * z / (2 * n)
    spread = z * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    bound = (centre - spread) / (1 + z * z / n)
    # At 0/n the lower root is exactly 0; rounding must not push it above.
    return np.asarray(np.clip(np.where((k == 0) & (z >= 0), 0.0, bound), 0.0, 1.0), dtype=np.float64)


def counts_of(successes: ArrayLike, n: ArrayLike) -> tuple[Vector, Vector]:
    """Successes and trials as arrays of one shape.

    Raises:
        InputError: counts that cannot be.
    """
    k, trials = np.broadcast_arrays(np.asarray(successes, dtype=np.float64), np.asarray(n, dtype=np.float64))
    if not (np.isfinite(k) & np.isfinite(trials) & (k >= 0) & (trials > 0) & (k <= trials)).all():
        raise InputError("counts must be finite with 0 <= successes <= n and n > 0")
    return k, trials
