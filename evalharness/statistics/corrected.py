"""The true pass rate behind an imperfect judge: Rogan-Gladen with smoothing.

Sources: Rogan and Gladen, Am. J. Epidemiology 107 (1978) 71 (estimator); Lang and Reiczigel, Preventive Veterinary
Medicine 113 (2014) 13 (interval when sensitivity and specificity are themselves estimated); Lee et al., arXiv
2511.21140 (the same for LLM judges).
"""

from __future__ import annotations

import math

from scipy import special

from evalharness.statistics._inputs import successes_of
from evalharness.statistics.interval import Interval, Side, check_confidence, tails, without_bounds
from evalharness.statistics.proportions import proportion_lower

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
    sensitivity, specificity = hits / labelled_pass, rejections / labelled_fail
    value = min(1.0, max(0.0, (k / size + specificity - 1) / (sensitivity + specificity - 1)))
    counts = (k, size, hits, labelled_pass, rejections, labelled_fail)
    low = None if below is None else min(value, _bound(counts, -float(special.ndtri(below))))
    high = None if above is None else max(value, _bound(counts, float(special.ndtri(above))))
    return Interval(value, low, high, confidence, "rogan-gladen", units)


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
    check_confidence(confidence)
    pairs = (
        successes_of(true_positives, positives_labelled, "true_positives", "positives_labelled"),
        successes_of(true_negatives, negatives_labelled, "true_negatives", "negatives_labelled"),
    )
    gaps = [k / n - float(proportion_lower(k, n, confidence=confidence, method="wilson")) for k, n in pairs]
    return max(-1.0, sum(k / n for k, n in pairs) - 1 - math.hypot(*gaps))


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


def _bound(counts: tuple[float, float, float, float, float, float], z: float) -> float:
    """The Lang-Reiczigel limit on the side of ``z``, truncated to [0, 1]."""
    k, n, hits, passing, rejections, failing = counts
    rate = (k + z * z / 2) / (n + z * z)
    sensitivity, specificity = (hits + 1) / (passing + 2), (rejections + 1) / (failing + 2)
    youden = sensitivity + specificity - 1
    value = (rate + specificity - 1) / youden
    sensitivity_variance = sensitivity * (1 - sensitivity) / (passing + 2)
    specificity_variance = specificity * (1 - specificity) / (failing + 2)
    variance = (
        rate * (1 - rate) / (n + z * z) + (1 - value) ** 2 * specificity_variance + value**2 * sensitivity_variance
    ) / youden**2
    shift = 2 * z * z * (value * sensitivity_variance - (1 - value) * specificity_variance) / youden
    return min(1.0, max(0.0, value + shift + z * math.sqrt(variance)))
