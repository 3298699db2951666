"""The true pass rate behind an imperfect judge: Rogan-Gladen with smoothing.

Sources: Rogan and Gladen, Am. J. Epidemiology 107 (1978) 71 (estimator); Lang and Reiczigel, Preventive Veterinary
Medicine 113 (2014) 13 (interval when sensitivity and specificity are themselves estimated); Lee et al., arXiv
2511.21140 (the same for LLM judges).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from evalharness.statistics._inputs import Vector, successes_of
from evalharness.statistics.interval import Interval, OneSide, Side, check_confidences, tails, without_bounds
from evalharness.statistics.proportions import counts_of, proportion_lower

MINIMUM_LABELS_PER_CLASS = 10
"""Fewer labelled answers of either class than this: no correction."""
_MOST_LABELS = 1_000_000


def corrected_rate_interval(
    positives: float,
    n: float,
    true_positives: float,
    positives_labelled: float,
    true_negatives: float,
    negatives_labelled: float,
    *,
    confidence: float = 0.95,
    side: Side = "two-sided",
) -> Interval:
    """Interval for the true pass rate when the judge passed ``positives`` of ``n`` answers.

    theta = (p + spec - 1) / (sens + spec - 1), with the variances of the sample and of both calibration rates added
    and each rate smoothed (z^2 pseudo-observations on p, two on sensitivity and specificity), truncated to [0, 1].

    The judge must be better than chance with confidence: when the lower bound of J = sens + spec - 1 is not above
    zero, or either class has fewer than 10 labels, value and bounds are None and the note says what it would take.
    Errors of the judge must not depend on the model: labels come from both arms.

    Args:
        positives: answers the judge passed, of ``n`` (effective counts may be fractional).
        n: answers judged.
        true_positives: labelled truly passing answers that the judge passed.
        positives_labelled: labelled truly passing answers.
        true_negatives: labelled truly failing answers that the judge failed.
        negatives_labelled: labelled truly failing answers.
        confidence: in (0, 1).
        side: two-sided, lower or upper.

    Raises:
        InputError: negative counts, successes above their number, n < 1.
    """
    k, size = successes_of(positives, n, "positives")
    hits, labelled_pass = _calibration(true_positives, positives_labelled, "true_positives", "positives_labelled")
    rejections, labelled_fail = _calibration(true_negatives, negatives_labelled, "true_negatives", "negatives_labelled")
    below, above = tails(confidence, side)
    units = max(1, round(size))
    refusal = _refusal(hits, labelled_pass, rejections, labelled_fail, below or above or confidence)
    if refusal is not None:
        return without_bounds(None, confidence, "rogan-gladen", units, refusal)
    counts = (k, size, hits, labelled_pass, rejections, labelled_fail)
    low = None if below is None else float(corrected_rate_bound(*counts, confidence=below, side="lower"))
    high = None if above is None else float(corrected_rate_bound(*counts, confidence=above, side="upper"))
    return Interval(float(_estimate(_Counts.of(*counts))), low, high, confidence, "rogan-gladen", units)


def corrected_rate_bound(
    positives: ArrayLike,
    n: ArrayLike,
    true_positives: ArrayLike,
    positives_labelled: ArrayLike,
    true_negatives: ArrayLike,
    negatives_labelled: ArrayLike,
    *,
    confidence: ArrayLike,
    side: OneSide,
) -> Vector:
    """One-sided bounds of `corrected_rate_interval`, elementwise over arrays of counts and confidences.

    NaN where the interval is refused: too few labels, or a judge not shown to be better than chance.

    Raises:
        InputError: counts that cannot be, confidence outside (0, 1).
    """
    levels = check_confidences(confidence)
    z = special.ndtri(levels)
    counts = _Counts.of(positives, n, true_positives, positives_labelled, true_negatives, negatives_labelled)
    # A judge at chance divides by zero, and no labels too: both are refused below.
    with np.errstate(divide="ignore", invalid="ignore"):
        value = _estimate(counts)
        bound = np.minimum(value, _limit(counts, -z)) if side == "lower" else np.maximum(value, _limit(counts, z))
        refused = ~(_youden_lower(counts, levels) > 0)
    refused |= np.minimum(counts.passing, counts.failing) < MINIMUM_LABELS_PER_CLASS
    return np.asarray(np.where(refused, np.nan, bound), dtype=np.float64)


def youden_lower(
    true_positives: float,
    positives_labelled: float,
    true_negatives: float,
    negatives_labelled: float,
    *,
    confidence: float = 0.95,
) -> float:
    """One-sided lower bound of J = sensitivity + specificity - 1: how much of a true difference the judge shows.

    Wilson bounds of the two rates, combined by square-and-add (Newcombe, Statistics in Medicine 17 (1998) 873).

    Raises:
        InputError: counts that cannot be, confidence outside (0, 1).
    """
    hits, passing = successes_of(true_positives, positives_labelled, "true_positives", "positives_labelled")
    rejections, failing = successes_of(true_negatives, negatives_labelled, "true_negatives", "negatives_labelled")
    counts = _Counts.of(0, 1, hits, passing, rejections, failing)
    return float(_youden_lower(counts, check_confidences(confidence)))


def _calibration(k: float, n: float, name: str, of: str) -> tuple[float, float]:
    """Counts of one class; no labels at all is not an error here but a refusal with a reason."""
    return (0.0, 0.0) if n == 0 and k == 0 else successes_of(k, n, name, of)


def _refusal(hits: float, passing: float, rejections: float, failing: float, confidence: float) -> str | None:
    if min(passing, failing) < MINIMUM_LABELS_PER_CLASS:
        return (
            f"too few labels: {passing:g} passing and {failing:g} failing answers, "
            f"need at least {MINIMUM_LABELS_PER_CLASS} of each"
        )
    if youden_lower(hits, passing, rejections, failing, confidence=confidence) > 0:
        return None
    sensitivity, specificity = hits / passing, rejections / failing
    if sensitivity + specificity <= 1:
        return "the judge is no better than chance (sensitivity + specificity <= 1): no number of labels would help"
    needed = MINIMUM_LABELS_PER_CLASS
    while needed < _MOST_LABELS and (
        youden_lower(sensitivity * needed, needed, specificity * needed, needed, confidence=confidence) <= 0
    ):
        needed = math.ceil(needed * 1.05)
    return f"the judge is not shown to be better than chance: about {needed} labels of each class would be needed"


@dataclass(frozen=True, slots=True)
class _Counts:
    """Counts of the sample and of both classes of labels, elementwise."""

    positives: Vector
    n: Vector
    hits: Vector
    passing: Vector
    rejections: Vector
    failing: Vector

    @staticmethod
    def of(
        k: ArrayLike, n: ArrayLike, hits: ArrayLike, passing: ArrayLike, rejections: ArrayLike, failing: ArrayLike
    ) -> _Counts:
        """Checked counts; no labels at all are allowed here, and refused later."""
        return _Counts(*counts_of(k, n), *_labels(hits, passing), *_labels(rejections, failing))


def _labels(k: ArrayLike, n: ArrayLike) -> tuple[Vector, Vector]:
    found, labelled = np.asarray(k, dtype=np.float64), np.asarray(n, dtype=np.float64)
    counts_of(found, np.where((labelled == 0) & (found == 0), 1.0, labelled))
    return found, labelled


def _youden_lower(counts: _Counts, confidence: Vector) -> Vector:
    """`youden_lower`, elementwise; NaN without labels."""
    rates, gaps = [], []
    for k, n in ((counts.hits, counts.passing), (counts.rejections, counts.failing)):
        rate = k / np.where(n > 0, n, np.nan)
        rates.append(rate)
        gaps.append(rate - proportion_lower(k, np.where(n > 0, n, 1.0), confidence=confidence, method="wilson"))
    return np.asarray(np.maximum(-1.0, rates[0] + rates[1] - 1 - np.hypot(gaps[0], gaps[1])), dtype=np.float64)


def _estimate(counts: _Counts) -> Vector:
    """Rogan and Gladen's estimator, truncated to [0, 1]."""
    sensitivity, specificity = counts.hits / counts.passing, counts.rejections / counts.failing
    value = (counts.positives / counts.n + specificity - 1) / (sensitivity + specificity - 1)
    return np.asarray(np.clip(value, 0.0, 1.0), dtype=np.float64)


def _limit(counts: _Counts, z: Vector) -> Vector:
    """The Lang-Reiczigel limit on the side of ``z``, truncated to [0, 1]."""
    n = counts.n + z * z
    rate = (counts.positives + z * z / 2) / n
    sensitivity, specificity = (counts.hits + 1) / (counts.passing + 2), (counts.rejections + 1) / (counts.failing + 2)
    youden = sensitivity + specificity - 1
    value = (rate + specificity - 1) / youden
    sensitivity_variance = sensitivity * (1 - sensitivity) / (counts.passing + 2)
    specificity_variance = specificity * (1 - specificity) / (counts.failing + 2)
    variance = lang_reiczigel_variance(value, rate, n, youden, sensitivity_variance, specificity_variance)
    shift = 2 * z * z * (value * sensitivity_variance - (1 - value) * specificity_variance) / youden
    return np.asarray(np.clip(value + shift + z * np.sqrt(variance), 0.0, 1.0), dtype=np.float64)


def lang_reiczigel_variance(
    value: Vector,
    judged_rate: Vector,
    n: Vector,
    youden: Vector,
    sensitivity_variance: Vector,
    specificity_variance: Vector,
) -> Vector:
    """Variance of the corrected rate: the sample's and both calibration rates' added, over Youden's J squared."""
    calibration = (1 - value) ** 2 * specificity_variance + value**2 * sensitivity_variance
    return np.asarray((judged_rate * (1 - judged_rate) / n + calibration) / youden**2, dtype=np.float64)
