"""How many answers and how many labels, where a judge scores the answers and labels correct the judge.

Normal approximations of the very bounds that decide: Lang and Reiczigel's for rates (`corrected`), the guarded
prediction-powered one for paired differences (`power_tuning`). How close they come is in docs/methodology.md.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import optimize, special

from evalharness.statistics._inputs import count, rate
from evalharness.statistics.corrected import MINIMUM_LABELS_PER_CLASS, lang_reiczigel_variance
from evalharness.statistics.power_tuning import guarded_half_width
from evalharness.statistics.prediction_powered import MINIMUM_LABELLED_UNITS
from evalharness.statistics.sizing import Direction, discordance_of, open_unit
from golden_sets.errors import InputError


def power_for_judged_limit(
    n: float,
    limit: float,
    true_rate: float,
    sensitivity: float,
    specificity: float,
    positives_labelled: float,
    negatives_labelled: float,
    *,
    direction: Direction,
    alpha: float = 0.05,
) -> float:
    """Chance that the one-sided bound of `corrected_rate_interval` at 1 - alpha clears the limit.

    The judged rate, sensitivity and specificity vary around their true values; the bound clears the limit where the
    smoothed estimate lies beyond the value at which the bound, with its shift and its variance there, equals the limit.

    Args:
        n: judged answers.
        limit: floor or ceiling of the true rate.
        true_rate: assumed true rate.
        sensitivity: chance that the judge passes a truly passing answer.
        specificity: chance that the judge fails a truly failing answer.
        positives_labelled: labelled truly passing answers.
        negatives_labelled: labelled truly failing answers.
        direction: floor or ceiling.
        alpha: one-sided error rate.

    Raises:
        InputError: rates outside [0, 1], limit or alpha outside (0, 1), n < 1, negative labels, unknown direction.
    """
    judged = _JudgedRate(
        count(n, "n", at_least=1),
        rate(true_rate, "true_rate"),
        rate(sensitivity, "sensitivity"),
        rate(specificity, "specificity"),
        count(positives_labelled, "positives_labelled"),
        count(negatives_labelled, "negatives_labelled"),
        -float(special.ndtri(open_unit(alpha, "alpha"))),
    )
    if direction not in ("floor", "ceiling"):
        raise InputError(f"unknown direction '{direction}'", do="use floor or ceiling")
    return judged.power(open_unit(limit, "limit"), -1.0 if direction == "floor" else 1.0)


def labels_for_limit(
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
    """Smallest number of labelled answers with which `power_for_judged_limit` reaches ``power``; None: n is too small.

    A share ``true_rate`` of the labelled answers is taken to be truly passing, as in a random sample of the answers;
    at most n answers are labelled.

    Raises:
        InputError: as `power_for_judged_limit`; a true rate on the wrong side of the limit.
    """
    edge, true = provable(limit, true_rate, direction, power)

    def reached(labels: int) -> float:
        passing = labels * true
        return power_for_judged_limit(
            n, edge, true, sensitivity, specificity, passing, labels - passing, direction=direction, alpha=alpha
        )

    return fewest_labels(n, power, reached)


def power_for_judged_margin(
    n: int,
    labels: int,
    margin: float,
    discordance: float,
    sensitivity: float,
    specificity: float,
    pass_rate: float,
    *,
    true_difference: float = 0.0,
    alpha: float = 0.05,
) -> float:
    """Chance that the lower bound of `ppi_paired_interval` at 1 - alpha lies above -margin.

    Power-tuned, the variance is psi (1 - r^2) / m + psi r^2 / n for m labels, psi the variance of a true difference and
    r its correlation with the judged one when the judge errs independently on both arms; the half-width is that of the
    bound itself, its guard for few labels included.

    Args:
        n: judged prompts, the labelled ones included.
        labels: prompts with both answers labelled.
        margin: largest loss that is tolerated.
        discordance: share of prompts on which the arms truly differ.
        sensitivity: chance that the judge passes a truly passing answer.
        specificity: chance that the judge fails a truly failing answer.
        pass_rate: true pass rate of either arm.
        true_difference: candidate minus incumbent.
        alpha: one-sided error rate.

    Raises:
        InputError: rates outside [0, 1], margin or alpha outside (0, 1), n < 1, labels outside [0, n], a discordance
            below the true difference.
    """
    if n < 1:
        raise InputError("n must be at least 1")
    if not 0 <= labels <= n:
        raise InputError(f"labels must lie in [0, n = {n}], got {labels}")
    sens, spec, share = rate(sensitivity, "sensitivity"), rate(specificity, "specificity"), rate(pass_rate, "pass_rate")
    psi = max(discordance_of(discordance, true_difference) - true_difference**2, 1e-12)
    gap, level = open_unit(margin, "margin") + true_difference, 1 - open_unit(alpha, "alpha")
    if labels < MINIMUM_LABELLED_UNITS:
        return 0.0
    noise = 2 * (share * sens * (1 - sens) + (1 - share) * spec * (1 - spec))
    shown = max(0.0, sens + spec - 1) ** 2 * psi
    squared_correlation = shown / (shown + noise) if shown > 0 else 0.0
    unexplained = psi * (1 - squared_correlation) / labels
    variance = unexplained + psi * squared_correlation / n
    # Losses are the rarer the smaller psi is: their skew counts against the claim only where they outnumber wins.
    third = true_difference * (1 - squared_correlation) / labels**2
    half = float(guarded_half_width(variance, variance, -third, labels, labels, confidence=level))
    return float(special.ndtr((gap - half) / math.sqrt(variance)))


def labels_for_margin(
    n: int,
    margin: float,
    discordance: float,
    *,
    sensitivity: float,
    specificity: float,
    pass_rate: float,
    true_difference: float = 0.0,
    alpha: float = 0.05,
    power: float = 0.8,
) -> int | None:
    """Labelled prompts (both answers) with which `power_for_judged_margin` reaches ``power`` on ``n`` judged prompts.

    None when even labelling every prompt does not reach the power: n is too small.

    Raises:
        InputError: as `power_for_judged_margin`; a true difference at or below -margin.
    """
    if open_unit(margin, "margin") + true_difference <= 0:
        raise InputError(f"a true difference of {true_difference} cannot be proved to lie above -{margin}")
    open_unit(power, "power")

    def reached(labels: int) -> float:
        return power_for_judged_margin(
            n, labels, margin, discordance, sensitivity, specificity, pass_rate,
            true_difference=true_difference, alpha=alpha,
        )  # fmt: skip

    return fewest_labels(n, power, reached)


def provable(limit: float, true_rate: float, direction: Direction, power: float) -> tuple[float, float]:
    """Limit and true rate of a floor or ceiling that can be proved at all.

    Raises:
        InputError: limit or power outside (0, 1), a true rate outside [0, 1] or on the wrong side of the limit.
    """
    edge, true = open_unit(limit, "limit"), rate(true_rate, "true_rate")
    if not (true > edge if direction == "floor" else true < edge):
        raise InputError(
            f"a true rate of {true_rate} cannot prove a {direction} of {limit}",
            do="the true rate must lie on the passing side of the limit",
        )
    open_unit(power, "power")
    return edge, true


def fewest_labels(most: int, power: float, reached: Callable[[int], float]) -> int | None:
    """Smallest count up to ``most`` whose power is enough; power rises with the count."""
    if most < 1:
        raise InputError("n must be at least 1")
    if reached(most) < power:
        return None
    low, high = 0, most
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if reached(middle) >= power else (middle, high)
    return high


@dataclass(frozen=True, slots=True)
class _JudgedRate:
    """What is drawn when a corrected rate is measured: answers, their verdicts, and labels of both classes."""

    n: float
    true_rate: float
    sensitivity: float
    specificity: float
    positives: float
    negatives: float
    z: float

    def power(self, limit: float, side: float) -> float:
        """Chance that the bound on the side of ``side`` (-1 lower, 1 upper) clears the limit."""
        if min(self.positives, self.negatives) < MINIMUM_LABELS_PER_CLASS or self.sensitivity + self.specificity <= 1:
            return 0.0
        mean, deviation = self._smoothed()
        excess = [side * (self._bound(v, side) - limit) for v in (-1.0, 2.0)]
        # The bound moves with the estimate; far outside [0, 1] it may be beyond the limit whatever is seen.
        if min(excess) >= 0:
            return 0.0
        if max(excess) <= 0:
            return self._shown()
        edge = float(optimize.brentq(lambda v: self._bound(v, side) - limit, -1.0, 2.0))
        return min(self._shown(), float(special.ndtr(side * (edge - mean) / deviation)))

    def _rates(self) -> tuple[float, float, float]:
        """Smoothed sensitivity and specificity as they are expected, and Youden's J."""
        sensitivity = (self.positives * self.sensitivity + 1) / (self.positives + 2)
        specificity = (self.negatives * self.specificity + 1) / (self.negatives + 2)
        return sensitivity, specificity, sensitivity + specificity - 1

    def _smoothed(self) -> tuple[float, float]:
        """Mean and standard deviation of the smoothed estimate."""
        _, specificity, youden = self._rates()
        judged = self.true_rate * self.sensitivity + (1 - self.true_rate) * (1 - self.specificity)
        n = self.n + self.z**2
        value = ((self.n * judged + self.z**2 / 2) / n + specificity - 1) / youden
        variance = lang_reiczigel_variance(
            np.asarray(value),
            np.asarray(judged),
            np.asarray(n**2 / self.n),
            np.asarray(youden),
            np.asarray(self.sensitivity * (1 - self.sensitivity) * self.positives / (self.positives + 2) ** 2),
            np.asarray(self.specificity * (1 - self.specificity) * self.negatives / (self.negatives + 2) ** 2),
        )
        return value, math.sqrt(max(float(variance), 1e-12))

    def _bound(self, value: float, side: float) -> float:
        """Lang and Reiczigel's limit where the smoothed estimate is ``value`` and the judge as good as expected."""
        sensitivity, specificity, youden = self._rates()
        judged = min(1.0, max(0.0, value * youden + 1 - specificity))
        of_sensitivity = sensitivity * (1 - sensitivity) / (self.positives + 2)
        of_specificity = specificity * (1 - specificity) / (self.negatives + 2)
        variance = lang_reiczigel_variance(
            *(np.asarray(x) for x in (value, judged, self.n + self.z**2, youden, of_sensitivity, of_specificity))
        )
        shift = 2 * self.z**2 * (value * of_sensitivity - (1 - value) * of_specificity) / youden
        return float(value + shift + side * self.z * math.sqrt(float(variance)))

    def _shown(self) -> float:
        """Chance that the judge is shown to be better than chance: else there is no bound."""
        sensitivity, specificity, youden = self._rates()
        variance = sensitivity * (1 - sensitivity) / self.positives + specificity * (1 - specificity) / self.negatives
        return float(special.ndtr(youden / math.sqrt(variance) - self.z))
