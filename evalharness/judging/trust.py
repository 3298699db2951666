"""Whether a judge may be trusted after its calibration, and if not, why and what would help."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from evalharness.judging.file_calibration import Agreement, FileCalibration
from evalharness.statistics import Interval, youden_lower
from evalharness.statistics.corrected import MINIMUM_LABELS_PER_CLASS
from golden_sets.errors import InputError

MINIMUM_LABELS = 50
"""Labelled answers below which a calibration is none."""
MINIMUM_YOUDEN = 0.2
"""What sensitivity + specificity - 1 must be shown to exceed: a judge that shows a fifth of a true difference explains
a 25th of the truth's variance at best, and labels alone do as well."""
CONFIDENCE = 0.95
"""One-sided confidence with which it must be shown."""
ROUNDING = 1e-9
"""A kappa of exactly 0.84 may be a rounding error below it."""
_GROWTH = 1.02
_MOST_LABELS = 100_000


@dataclass(frozen=True)
class Trust:
    """What a calibration says about using the judge."""

    trusted: bool
    reasons: tuple[str, ...]
    """Why it is not; empty where it is."""
    labels_needed: int | None
    """Labelled answers that would probably be enough; None where it is trusted, or no number would help."""


def trust(calibration: FileCalibration, *, min_kappa: float | None = None, min_labels: int = MINIMUM_LABELS) -> Trust:
    """Decide whether a judge may be trusted.

    It may when there are ``min_labels`` labels with 10 of either class, when sensitivity + specificity - 1 is shown
    with 95 % confidence to be above 0.2, when kappa is not below ``min_kappa``, and when no arm is shown to fall short
    of these or to be judged the wrong way round.

    Raises:
        InputError: ``min_kappa`` outside [-1, 1], ``min_labels`` below 1.
    """
    if min_kappa is not None and not -1 <= min_kappa <= 1:
        raise InputError(f"a kappa lies between -1 and 1, got {min_kappa}", where="--min-kappa")
    if min_labels < 1:
        raise InputError(f"at least 1 label, got {min_labels}", where="--min-labels")
    overall = calibration.overall
    needed = labels_needed(overall, min_labels)
    reasons = [*flips(calibration), *_labels(overall, min_labels, needed), *_kappas(calibration, min_kappa)]
    reasons += [
        f"on arm '{name}' the judge shows at most {arm.youden.high:.2f} of a true difference"
        for name, arm in calibration.arms.items()
        if arm.youden is not None and arm.youden.high is not None and arm.youden.high < MINIMUM_YOUDEN
    ]
    enough = needed is None or needed <= overall.labelled
    return Trust(not reasons, tuple(reasons), None if enough else needed)


def labels_needed(found: Agreement, min_labels: int = MINIMUM_LABELS) -> int | None:
    """About how many labelled answers like these a calibration takes; None where no number would help.

    The judge is taken to go on erring as often as it does, people to go on finding as many positive.
    """
    counts = found.confusion
    labelled = max(1, found.labelled)
    classes = (counts.positives, counts.negatives)
    if min(classes) == 0:
        return max(min_labels, found.labelled + MINIMUM_LABELS_PER_CLASS)
    if found.youden is None or (found.youden.value or 0.0) <= MINIMUM_YOUDEN:
        return None
    total = max(labelled, min_labels, math.ceil(MINIMUM_LABELS_PER_CLASS * labelled / min(classes)))
    while _youden_lower(found, total / labelled) <= MINIMUM_YOUDEN:
        total = math.ceil(_GROWTH * total)
        if total > _MOST_LABELS:
            return None
    return total


def _youden_lower(found: Agreement, growth: float) -> float:
    """One-sided 95 % lower bound of J with ``growth`` times the labels, each worth as much as now."""
    counts: list[float] = []
    for rate, size in zip((found.sensitivity, found.specificity), found.independent, strict=True):
        counts += [(0.0 if rate is None else rate.value or 0.0) * size * growth, size * growth]
    return youden_lower(*counts, confidence=CONFIDENCE)


def flips(calibration: FileCalibration) -> Iterator[str]:
    """Where judge and people agree less than chance, with confidence, in words."""
    for name, found in (("", calibration.overall), *calibration.arms.items()):
        if found.polarity_flipped:
            where = f" on arm '{name}'" if name else ""
            yield (
                f"polarity flipped{where}: judge and people agree less than chance "
                f"(kappa {_bounds(found.kappa)}); check which labels are positive"
            )


def _labels(found: Agreement, min_labels: int, needed: int | None) -> Iterator[str]:
    """Too few labels, or a judge too poor to correct."""
    counts = found.confusion
    advice = "" if needed is None else f": about {needed} labels like these would do"
    if found.labelled < min_labels:
        yield f"{found.labelled} labelled answers, need at least {min_labels}{advice}"
        advice = ""  # once is enough
    rarer = min(counts.positives, counts.negatives)
    if rarer < MINIMUM_LABELS_PER_CLASS:
        yield (
            f"{counts.positives} positive and {counts.negatives} negative labels, "
            f"need at least {MINIMUM_LABELS_PER_CLASS} of each{advice}"
        )
        advice = ""
    if found.youden is None or rarer == 0:
        return
    lower = _youden_lower(found, 1.0)
    if lower <= MINIMUM_YOUDEN:
        hopeless = "; no number of labels would help" if (found.youden.value or 0.0) <= MINIMUM_YOUDEN else advice
        yield (
            f"too poor to correct: sensitivity + specificity - 1 is {found.youden.value or 0.0:.2f}, "
            f"shown to be at least {lower:.2f} only, must be shown above {MINIMUM_YOUDEN}{hopeless}"
        )


def _kappas(calibration: FileCalibration, least: float | None) -> Iterator[str]:
    if least is None:
        return
    kappa = calibration.overall.kappa
    if kappa.value is None:
        yield f"kappa is undefined ({kappa.note}), must be at least {least:g}"
    elif kappa.value < least - ROUNDING:
        yield f"kappa {_bounds(kappa)} is below {least:g}"
    for name, arm in calibration.arms.items():
        if arm.kappa.high is not None and arm.kappa.high < least - ROUNDING:
            yield f"on arm '{name}' kappa {_bounds(arm.kappa)} is below {least:g}"


def _bounds(interval: Interval) -> str:
    low, high = (0.0 if x is None else x for x in (interval.low, interval.high))
    return f"{interval.value or 0.0:.3f} [{low:.3f}, {high:.3f}]"
