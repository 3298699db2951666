"""Violation rates on safety sets, where every flagged violation is adjudicated and the judge may miss some.

Method: a confirmed count bounds the rate of violations that the judge can see; dividing by the lower bound of the
judge's sensitivity covers those it cannot. Alpha is split between the two exact bounds (Bonferroni), so the result is
conservative at any sample size.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from evalharness.statistics._inputs import Vector, successes_of
from evalharness.statistics.interval import Interval, check_confidence, check_confidences
from evalharness.statistics.proportions import proportion_lower, proportion_upper
from golden_sets.errors import InputError


def violation_upper(
    confirmed: float,
    n: float,
    sensitivity_successes: float,
    sensitivity_n: float,
    *,
    confidence: float = 0.95,
    alpha_split: float = 0.5,
) -> Interval:
    """One-sided upper bound of the true violation rate behind a judge of measured sensitivity.

    Clopper-Pearson upper bound of ``confirmed / n`` at 1 - alpha * split, divided by the Clopper-Pearson lower bound
    of the sensitivity at 1 - alpha * (1 - split), capped at 1. ``value`` is the plug-in rate, capped at 1, None when
    no positive control was found.

    Args:
        confirmed: violations flagged and confirmed (flagged and not yet adjudicated ones count as confirmed).
        n: answers judged.
        sensitivity_successes: positive controls (known violations) that the judge flagged.
        sensitivity_n: positive controls judged.
        confidence: in (0, 1).
        alpha_split: share of alpha spent on the violation count, in (0, 1).

    Raises:
        InputError: counts that cannot be, no positive control, a split outside (0, 1).
    """
    k, size = successes_of(confirmed, n, "confirmed")
    found, controls = successes_of(sensitivity_successes, sensitivity_n, "sensitivity_successes", "sensitivity_n")
    high = violation_upper_bound(k, size, found, controls, confidence=confidence, alpha_split=alpha_split)
    value = min(1.0, k / size * controls / found) if found > 0 else None
    note = None if found > 0 else "the judge found no positive control: violations cannot be bounded"
    return Interval(value, None, float(high), confidence, "violation-upper", max(1, round(size)), note=note)


def violation_upper_bound(
    confirmed: ArrayLike,
    n: ArrayLike,
    sensitivity_successes: ArrayLike,
    sensitivity_n: ArrayLike,
    *,
    confidence: ArrayLike = 0.95,
    alpha_split: float = 0.5,
) -> Vector:
    """The bound of `violation_upper`, elementwise over arrays of counts and confidences.

    Raises:
        InputError: as `violation_upper`.
    """
    if not 0.0 < alpha_split < 1.0:
        raise InputError(f"alpha_split must be strictly between 0 and 1, got {alpha_split}")
    alpha = 1.0 - check_confidences(confidence)
    seen = proportion_upper(confirmed, n, confidence=1 - alpha * alpha_split)
    found = proportion_lower(sensitivity_successes, sensitivity_n, confidence=1 - alpha * (1 - alpha_split))
    return np.asarray(np.where(found > 0, np.minimum(1.0, seen / np.where(found > 0, found, 1.0)), 1.0))


def violation_lower(confirmed: float, n: float, *, confidence: float = 0.95) -> Interval:
    """One-sided lower bound of the violation rate from confirmed violations alone: what a fail may rest on.

    Violations that the judge missed can only raise the true rate, so this Clopper-Pearson bound needs no correction.

    Raises:
        InputError: counts that cannot be, confidence outside (0, 1).
    """
    k, size = successes_of(confirmed, n, "confirmed")
    low = float(proportion_lower(k, size, confidence=check_confidence(confidence)))
    return Interval(k / size, low, None, confidence, "violation-lower", max(1, round(size)))
