"""The power-tuned estimator and its half-width, elementwise: the formulas under `prediction_powered`.

Sources: Angelopoulos, Duchi and Zrnic, arXiv 2311.01453 (power tuning); the guard of the half-width is our own
(docs/methodology.md, "An imperfect judge").
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from evalharness.statistics._inputs import Vector
from evalharness.statistics.interval import OneSide, check_confidences


@dataclass(frozen=True, slots=True)
class Contributions:
    """What each independent unit adds to the estimate; units that add the same may share an entry.

    Arrays of shape (..., units), except the last three of shape (...).
    """

    truth: Vector
    """Centred true values of the labelled answers, times their share of the labels."""
    judge: Vector
    """Centred judged values of all answers over their number, minus those of the labelled ones times their share."""
    multiplicity: Vector
    """How many units have this entry."""
    truth_mean: Vector
    """Mean true value over the labels."""
    judged_gap: Vector
    """Mean judged value over all answers minus that over the labels."""
    labelled_units: Vector
    """Independent labelled units."""


@dataclass(frozen=True, slots=True)
class Tuned:
    """A power-tuned estimate with its variance, elementwise."""

    value: Vector
    variance: Vector
    weight: Vector
    """The tuning weight lambda, in [0, 1]."""
    second: Vector
    """Sum of squared residuals of the independent units."""
    third: Vector
    """Sum of cubed residuals of the independent units."""


def power_tuned(units: Contributions, *, squared_shares: ArrayLike) -> Tuned:
    """Minimise the variance of truth + lambda * judge over lambda in [0, 1].

    Args:
        units: contributions of the units.
        squared_shares: sum of the squared shares of the labels, the scale below which the judge's part is rounding.
    """
    times = units.multiplicity
    spread = np.sum(times * units.judge**2, axis=-1)
    # Without unlabelled prompts the judge adds nothing, and what is left of its part is rounding.
    helpful = spread > 1e-12 * np.asarray(squared_shares)
    best = -np.sum(times * units.truth * units.judge, axis=-1) / np.where(helpful, spread, 1.0)
    weight = np.where(helpful, np.clip(best, 0.0, 1.0), 0.0)
    residual = units.truth + weight[..., None] * units.judge
    second, third = np.sum(times * residual**2, axis=-1), np.sum(times * residual**3, axis=-1)
    # One degree of freedom went to the mean and, where the judge is used, one to the tuned weight.
    used = np.where(weight > 0, 2, 1)
    variance = second * units.labelled_units / np.maximum(1, units.labelled_units - used)
    return Tuned(units.truth_mean + weight * units.judged_gap, variance, weight, second, third)


def guarded_bound(
    estimate: Tuned, labels: ArrayLike, units: ArrayLike, *, confidence: ArrayLike, side: OneSide
) -> Vector:
    """One-sided bounds of a difference in [-1, 1]: the estimate -/+ its `guarded_half_width`.

    Args:
        estimate: the power-tuned estimate.
        labels: (effective) number of labels.
        units: independent labelled units; t has one degree of freedom less.
        confidence: one-sided, in (0, 1).
        side: lower or upper.
    """
    sign = -1.0 if side == "lower" else 1.0
    half = guarded_half_width(
        estimate.variance, estimate.second, sign * estimate.third, labels, units, confidence=confidence
    )
    return np.asarray(np.clip(np.clip(estimate.value, -1.0, 1.0) + sign * half, -1.0, 1.0), dtype=np.float64)


def guarded_half_width(
    variance: ArrayLike,
    second: ArrayLike,
    third: ArrayLike,
    labels: ArrayLike,
    units: ArrayLike,
    *,
    confidence: ArrayLike,
) -> Vector:
    """The root h of h^2 = t^2 V + t^2 k h.

    k is the size of an event that pulls the estimate towards the bound: the third over the second moment of the
    residuals in that direction, with z^2 pseudo-events of one whole label. Rare one-sided events make V grow with the
    distance from the estimate (k = 1 / m, Wilson and Tango); many balanced ones do not (k = 0, normal theory). Below
    50 % confidence h is negative, like that of every one-sided bound.

    Args:
        variance: V.
        second: sum of squared residuals.
        third: sum of cubed residuals, positive when the large ones lie on the side of the bound.
        labels: (effective) number of labels, m.
        units: independent labelled units; t has one degree of freedom less.
        confidence: one-sided, in (0, 1).

    Raises:
        InputError: confidence outside (0, 1).
    """
    levels = check_confidences(confidence)
    t, z = special.stdtrit(np.asarray(units) - 1, levels), special.ndtri(levels)
    unit, pseudo = 1.0 / np.asarray(labels), z * z
    weight = np.asarray(second) + pseudo * unit**2
    skew = np.maximum(0.0, np.asarray(third) + pseudo * unit**3) / np.where(weight > 0, weight, 1.0)
    shift = t * t * skew
    return np.asarray(np.copysign((shift + np.sqrt(shift**2 + 4 * t * t * np.asarray(variance))) / 2, z))
