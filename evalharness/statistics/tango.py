"""Tango's score statistic and bounds for the difference of two paired proportions, elementwise over arrays of counts.

Source: Tango, Statistics in Medicine 17 (1998) 891. Neither statsmodels nor scipy has it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from evalharness.statistics._inputs import Vector
from evalharness.statistics.interval import check_confidences

_BISECTIONS = 45
"""Halvings of [-1, 1]: to 6e-14."""


def tango_z(wins: ArrayLike, losses: ArrayLike, n: ArrayLike, difference: ArrayLike) -> Vector:
    """Tango's signed score statistic for P(win) - P(loss) = ``difference``, elementwise over arrays of counts.

    The lower bound at 1 - alpha lies at or above ``difference`` exactly where it is at least z_alpha, the upper bound
    at or below it where it is at most -z_alpha; so Phi(-tango_z) is the one-sided p-value of a larger difference.
    Without discordant pairs it is 0 at difference 0; +-inf where the difference makes the counts impossible.
    """
    excess, spread = _score(*(np.asarray(x, dtype=np.float64) for x in (wins, losses, n, difference)))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(excess == 0, 0.0, excess / spread), dtype=np.float64)


def paired_lower(wins: ArrayLike, losses: ArrayLike, n: ArrayLike, *, confidence: ArrayLike) -> Vector:
    """One-sided lower Tango bounds, elementwise over arrays of counts and confidences.

    Raises:
        InputError: confidence outside (0, 1).
    """
    b, c, pairs, z = np.broadcast_arrays(
        *(np.asarray(x, dtype=np.float64) for x in (wins, losses, n)), special.ndtri(check_confidences(confidence))
    )
    low, high = np.full(b.shape, -1.0), np.full(b.shape, 1.0)
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        excess, spread = _score(b, c, pairs, middle)
        # Strict: without discordant pairs the excess is 0 at difference 0, a second root that is not the bound.
        above = excess - z * spread > 0
        low, high = np.where(above, middle, low), np.where(above, high, middle)
    # The root itself may be an end of the range (all losses): land on it exactly.
    return np.asarray(np.where(c >= pairs, -1.0, low), dtype=np.float64)


def paired_upper(wins: ArrayLike, losses: ArrayLike, n: ArrayLike, *, confidence: ArrayLike) -> Vector:
    """One-sided upper Tango bounds: minus the lower bound with the arms exchanged.

    Raises:
        InputError: confidence outside (0, 1).
    """
    return np.asarray(-paired_lower(losses, wins, n, confidence=confidence))


def _score(wins: Vector, losses: Vector, n: Vector, difference: Vector) -> tuple[Vector, Vector]:
    """Excess of wins over losses beyond what ``difference`` explains, and its standard deviation under it."""
    excess = wins - losses - n * difference
    return np.asarray(excess), np.asarray(np.sqrt(n * null_variance(wins, losses, n, difference)))


def null_variance(wins: ArrayLike, losses: ArrayLike, n: ArrayLike, difference: ArrayLike) -> Vector:
    """Variance of one paired difference with P(loss) at its maximum likelihood given the true ``difference``.

    Tango (1998), equation for q21: the positive root of 2n q^2 + B q + C = 0; variance 2 q + d (1 - d).
    """
    b, c, pairs, d = (np.asarray(x, dtype=np.float64) for x in (wins, losses, n, difference))
    linear = -b - c + (2 * pairs - b + c) * d
    constant = -c * d * (1 - d)
    root = np.sqrt(np.maximum(linear * linear - 8 * pairs * constant, 0.0))
    loss_rate = (root - linear) / (4 * pairs)
    return np.asarray(np.maximum(2 * loss_rate + d * (1 - d), 0.0), dtype=np.float64)
