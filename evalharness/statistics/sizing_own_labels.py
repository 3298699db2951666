"""How many answers and how many labels of these very answers, where a judge scores one arm and labels correct it.

A normal approximation of the guarded prediction-powered bound (`power_tuning`), at the true rate and the judge's error.
"""

from __future__ import annotations

import math

import numpy as np
from scipy import optimize, special

from evalharness.statistics._inputs import rate
from evalharness.statistics.power_tuning import guarded_half_width
from evalharness.statistics.prediction_powered import MINIMUM_LABELLED_UNITS
from evalharness.statistics.sizing import Direction, open_unit
from evalharness.statistics.sizing_judged import fewest_labels, provable
from golden_sets.errors import InputError


def power_for_labelled_limit(
    n: int,
    labels: int,
    limit: float,
    true_rate: float,
    sensitivity: float,
    specificity: float,
    *,
    direction: Direction,
    alpha: float = 0.05,
) -> float:
    """Chance that the prediction-powered bound of a judged rate at 1 - alpha clears the limit.

    The bound clears it where the estimate lies beyond the rate at which the bound, with its half-width there, equals
    the limit.

    Args:
        n: judged answers, the labelled ones included.
        labels: labelled ones, drawn at random.
        limit: floor or ceiling of the true rate.
        true_rate: assumed true rate.
        sensitivity: chance that the judge passes a truly passing answer.
        specificity: chance that the judge fails a truly failing answer.
        direction: floor or ceiling.
        alpha: one-sided error rate.

    Raises:
        InputError: rates outside [0, 1], limit or alpha outside (0, 1), n < 1, labels outside [0, n], an unknown
            direction.
    """
    if n < 1:
        raise InputError("n must be at least 1")
    if not 0 <= labels <= n:
        raise InputError(f"labels must lie in [0, n = {n}], got {labels}")
    if direction not in ("floor", "ceiling"):
        raise InputError(f"unknown direction '{direction}'", do="use floor or ceiling")
    true, sens, spec = rate(true_rate, "true_rate"), rate(sensitivity, "sensitivity"), rate(specificity, "specificity")
    sign, confidence = (1.0 if direction == "floor" else -1.0), 1 - open_unit(alpha, "alpha")
    edge = open_unit(limit, "limit")
    if labels < MINIMUM_LABELLED_UNITS:
        return 0.0

    def excess(estimate: float) -> float:
        """How far beyond the limit the bound lies where this rate is what was found."""
        variance, third = _moments(n, labels, estimate, sens, spec)
        half = guarded_half_width(variance, variance, -sign * third, labels, labels, confidence=confidence)
        return sign * (estimate - edge) - float(half)

    best = 1.0 if direction == "floor" else 0.0
    if excess(best) <= 0:
        return 0.0
    needed = float(optimize.brentq(excess, edge, best)) if excess(edge) < 0 else edge
    return float(special.ndtr(sign * (true - needed) / math.sqrt(_moments(n, labels, true, sens, spec)[0])))


def _moments(n: int, labels: int, true: float, sensitivity: float, specificity: float) -> tuple[float, float]:
    """Expected sums of the squared and cubed residuals of the power-tuned estimate."""
    truth, judged = np.array([1.0, 1.0, 0.0, 0.0]), np.array([1.0, 0.0, 1.0, 0.0])
    chances = np.outer([true, 1 - true], [1.0, 1.0]) * [[sensitivity, 1 - sensitivity], [1 - specificity, specificity]]
    chances = chances.ravel()
    truth, judged = truth - true, judged - chances @ judged
    spread = float(chances @ judged**2)
    # The weight that minimises the variance of truth - weight * judged over the labels + weight * judged over all.
    weight = float(chances @ (truth * judged)) / spread if spread > 1e-12 and labels < n else 0.0
    weight = min(1.0, max(0.0, weight))
    unlabelled = weight * judged / n
    labelled = (truth - weight * judged) / labels + unlabelled

    def moment(order: int) -> float:
        return float(chances @ (labels * labelled**order + (n - labels) * unlabelled**order))

    return max(moment(2), 1e-12), moment(3)


def labels_for_labelled_limit(
    n: int,
    limit: float,
    true_rate: float,
    *,
    sensitivity: float,
    specificity: float,
    direction: Direction,
    alpha: float = 0.05,
    power: float = 0.8,
) -> int | None:
    """Labels with which `power_for_labelled_limit` reaches ``power`` on ``n`` judged answers; None: n is too small.

    Raises:
        InputError: as `power_for_labelled_limit`; a true rate on the wrong side of the limit.
    """
    edge, true = provable(limit, true_rate, direction, power)

    def reached(labels: int) -> float:
        return power_for_labelled_limit(
            n, labels, edge, true, sensitivity, specificity, direction=direction, alpha=alpha
        )

    return fewest_labels(n, power, reached)
