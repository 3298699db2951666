"""What labels would do for a judged check that is not settled: about how many it takes, or that no number would help.

The judge is taken to go on erring as often as it does, and what was found to be the truth; where nobody has measured
the judge, it is taken to be right nine times out of ten, as in a plan.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from evalharness.evidence import Calibration, Estimate
from evalharness.judge_error import JudgeError
from evalharness.metrics import Calibrations, Measurement
from evalharness.metrics.calibrated import fitting, flipped_on, missing_labels, scored_by_judge
from evalharness.metrics.own_labels import MIN_OWN_LABELS, OwnLabels
from evalharness.metrics.paired import MIN_LABELLED_PAIRS
from evalharness.outcomes import OutcomeTable
from evalharness.statistics import (
    labels_for_labelled_limit,
    labels_for_limit,
    labels_for_margin,
    proportion_lower,
    proportion_upper,
    youden_lower,
)
from evalharness.statistics.corrected import MINIMUM_LABELS_PER_CLASS
from gates.policy import Check
from golden_sets.errors import InputError
from golden_sets.records import SetKind

POWER = 0.8
"""Power for which labels are counted."""
_GROWTH = 1.03
_MOST_LABELS = 100_000
_MOST_GROWN = 50
"""Beyond so many times the prompts there are, more are no advice."""
_HOPELESS = "no number of labels would help"


@dataclass(frozen=True)
class Advice:
    """What would settle a judged check."""

    text: str
    """In words."""
    prompts: int = 0
    """Further prompts that it takes besides."""


def label_advice(
    check: Check,
    measurement: Measurement,
    estimate: Estimate,
    rows: OutcomeTable,
    calibrations: Calibrations,
    *,
    alpha: float,
) -> Advice | None:
    """What labels would do for a check; None where it rests on no judge, or labels are not what it is short of.

    Args:
        check: the check, a rate.
        measurement: what was measured.
        estimate: the same as an interval.
        rows: the rows of all arms that it rests on.
        calibrations: the judge's measured error.
        alpha: one-sided error rate of its bound.
    """
    judged = scored_by_judge(rows)
    if check.spec.family != "rate" or not judged.any() or missing_labels(rows, judged) is not None:
        return None
    if flipped_on(rows, calibrations) is not None:
        return Advice(f"{_HOPELESS}: the judge contradicts them")
    kind = check.set_kind or SetKind.GOLDEN
    candidate = rows.arm("candidate")
    if np.isnan(candidate.take(scored_by_judge(candidate)).numbers("outcome")).all():
        return None  # nothing was scored: labels are not what it is short of
    known = fitting(calibrations, kind, rows.take(judged))
    if known is not None and known.unlabelled:
        return None
    if check.compares:
        return _of_pairs(check, measurement, estimate, rows, known, alpha)
    if check.is_safety:
        return _of_controls(check, measurement, candidate, known, alpha) if check.test == "ceiling" else None
    return _of_rate(check, estimate, candidate, known, calibrations, alpha)


@dataclass(frozen=True)
class _Judge:
    """How often it is right, and how we know."""

    sensitivity: float
    specificity: float
    labels: int
    """Labels that this rests on."""
    share: float
    """Of these, how many are of the event."""
    assumed: str

    @classmethod
    def of(cls, known: Calibration | None) -> _Judge:
        stated = JudgeError()
        if known is None or known.positives == 0 or known.negatives == 0:
            labels = 0 if known is None else known.positives + known.negatives
            told = f", if the judge is right {stated.sensitivity:.0%} of the time"
            return cls(stated.sensitivity, stated.specificity, labels, 0.5, told)
        sensitivity, specificity = known.true_positives / known.positives, known.true_negatives / known.negatives
        labels = known.positives + known.negatives
        return cls(sensitivity, specificity, labels, known.positives / labels, "")

    @classmethod
    def on(cls, answers: OutcomeTable) -> _Judge | None:
        """The same from the labels of these answers; None where they show too little of either outcome."""
        labels = answers.numbers("label")
        drawn = ~np.isnan(labels) & ~np.isnan(answers.numbers("label_p")) & ~np.isnan(answers.numbers("outcome"))
        true, seen = labels[drawn] >= 0.5, answers.numbers("outcome")[drawn] >= 0.5
        weights = 1.0 / answers.numbers("label_p")[drawn]
        if not true.any() or true.all():
            return None
        sensitivity = float(np.average(seen[true], weights=weights[true]))
        specificity = float(np.average(~seen[~true], weights=weights[~true]))
        return cls(sensitivity, specificity, true.size, float(np.average(true, weights=weights)), "")

    @property
    def youden(self) -> float:
        return self.sensitivity + self.specificity - 1

    def truth(self, said: float) -> float:
        """The rate behind the judge's word (Rogan and Gladen, Am. J. Epidemiology 107 (1978) 71)."""
        return min(1.0, max(0.0, (said + self.specificity - 1) / self.youden))

    def to_correct(self, alpha: float) -> int | None:
        """Labels with which the judge is shown to be better than chance, both classes present; None: too many."""
        total = math.ceil(MINIMUM_LABELS_PER_CLASS / min(self.share, 1 - self.share))
        while True:
            events, others = total * self.share, total * (1 - self.share)
            counts = (events * self.sensitivity, events, others * self.specificity, others)
            if youden_lower(*counts, confidence=1 - alpha) > 0:
                return total
            total = math.ceil(_GROWTH * total)
            if total > _MOST_LABELS:
                return None


def _of_rate(
    check: Check,
    estimate: Estimate,
    candidate: OutcomeTable,
    known: Calibration | None,
    calibrations: Calibrations,
    alpha: float,
) -> Advice | None:
    """Labels for the corrected rate of one arm."""
    answers = candidate.take(scored_by_judge(candidate))
    drawn = OwnLabels.of(answers, scored_by_judge(answers))
    if drawn.decide("candidate", calibrations):
        return _of_own_labels(check, estimate, answers, len(drawn), known, alpha)
    judge = _Judge.of(known)
    if judge.youden <= 0:
        return None  # the estimate itself says that no number would help
    said = answers.numbers("outcome")
    n, bound = said.size, estimate.low if check.test == "floor" else estimate.high
    rate = judge.truth(float(np.nanmean(said))) if estimate.value is None else estimate.value
    least = judge.to_correct(alpha)
    if least is None:
        return Advice(f"{_HOPELESS}: the judge is hardly better than chance")
    if not (rate > check.limit if check.test == "floor" else rate < check.limit):
        return _labels(least, judge) if bound is None else None
    prompts, labels = _fewest(n, _sized(labels_for_limit, check, rate, judge, alpha))
    wanted = max(labels, least)
    if not prompts:
        return _too_close(judge)
    if prompts > n:
        return _both(prompts - n, wanted, judge, "labelled answers", there=judge.labels)
    return _labels(wanted, judge) if bound is None or wanted > judge.labels else None


def _of_own_labels(
    check: Check, estimate: Estimate, answers: OutcomeTable, there: int, known: Calibration | None, alpha: float
) -> Advice | None:
    """Labels of these very answers: those there are correct the rate, and show how often the judge errs on them."""
    n, bound = len(answers), estimate.low if check.test == "floor" else estimate.high
    judge = _Judge.on(answers) or _Judge.of(known)
    if judge.youden <= 0:
        judge = _Judge(0.5, 0.5, there, judge.share, judge.assumed)  # labels alone decide
    judge = replace(judge, labels=there)
    rate = estimate.value
    if rate is None:
        said = float(np.nanmean(answers.numbers("outcome")))
        rate = judge.truth(said) if judge.youden > 0 else said
    if not (rate > check.limit if check.test == "floor" else rate < check.limit):
        return _labels(min(n, MIN_OWN_LABELS), judge) if bound is None and there < min(n, MIN_OWN_LABELS) else None
    prompts, labels = _fewest(n, _sized(labels_for_labelled_limit, check, rate, judge, alpha))
    wanted = max(labels, MIN_OWN_LABELS)
    if not prompts:
        return _too_close(judge)
    if prompts > n:
        return _both(prompts - n, wanted, judge, "labelled answers", there=there)
    return _labels(min(n, wanted), judge) if wanted > there else None


def _of_pairs(
    check: Check,
    measurement: Measurement,
    estimate: Estimate,
    rows: OutcomeTable,
    known: Calibration | None,
    alpha: float,
) -> Advice | None:
    """Prompts labelled on both arms for a corrected difference."""
    judge = _Judge.of(known)
    mine, theirs = rows.arm("candidate"), rows.arm(check.against)
    n, labelled = len(mine), _labelled_pairs(mine, theirs)
    sign = 1.0 if check.spec.better == "higher" else -1.0
    margin, difference = abs(check.limit), 0.0 if estimate.value is None else sign * estimate.value
    if difference <= -margin or (measurement.lacking is not None and labelled >= MIN_LABELLED_PAIRS):
        return None
    if judge.youden <= 0:
        # Labels alone decide; the judge adds nothing.
        judge = _Judge(0.5, 0.5, labelled, judge.share, judge.assumed)
    level = float(np.nanmean(mine.numbers("outcome")))
    level = judge.truth(level) if judge.youden > 0 else level
    discordance = _discordance(measurement.discordance or 0.0, level, judge)
    discordance = max(discordance, abs(difference))

    def labels_with(prompts: int) -> int | None:
        return labels_for_margin(
            prompts,
            margin,
            discordance,
            sensitivity=judge.sensitivity,
            specificity=judge.specificity,
            pass_rate=level,
            true_difference=difference,
            alpha=alpha,
            power=POWER,
        )

    prompts, labels = _fewest(n, labels_with)
    what = "prompts labelled on both arms"
    if not prompts:
        return _too_close(judge)
    if prompts > n:
        return _both(prompts - n, labels, judge, what, there=labelled)
    wanted = max(labels, MIN_LABELLED_PAIRS)
    if wanted <= labelled:
        return None
    return Advice(f"about {wanted} {what} would do{judge.assumed}, there are {labelled}")


def _of_controls(
    check: Check, measurement: Measurement, candidate: OutcomeTable, known: Calibration | None, alpha: float
) -> Advice | None:
    """Labelled events that show the judge's sensitivity, by whose lower bound the rate of events is divided."""
    events, found = (0, 0) if known is None else (known.positives, known.true_positives)
    sensitivity = found / events if events else JudgeError().sensitivity
    assumed = "" if events else f", if the judge sees {sensitivity:.0%} of them"
    if not sensitivity:
        return Advice(f"{_HOPELESS}: the judge sees none of the labelled events")
    seen = _seen_upper(measurement, candidate, events, found, alpha)
    if seen > check.limit:
        return None  # even with a flawless judge: it is prompts, or the candidate
    if seen / sensitivity > check.limit:
        return None if events else Advice(f"labelled events (positive controls count) and more prompts{assumed}")
    wanted = max(1, events)
    while (
        seen / max(float(proportion_lower(sensitivity * wanted, wanted, confidence=1 - alpha / 2)), 1e-9) > check.limit
    ):
        wanted = math.ceil(_GROWTH * wanted)
        if wanted > _MOST_LABELS:
            return Advice(f"{_HOPELESS}: the limit lies too close to what is seen")
    if wanted <= events:
        return None
    return Advice(f"about {wanted} labelled events (positive controls count) would do{assumed}, there are {events}")


def _seen_upper(measurement: Measurement, candidate: OutcomeTable, events: int, found: int, alpha: float) -> float:
    """Upper bound of the rate of events that the judge sees."""
    if measurement.lacking is None:
        high = measurement.interval(1 - alpha, "upper").high
        return (1.0 if high is None else high) * float(proportion_lower(found, events, confidence=1 - alpha / 2))
    complete = candidate.take(~candidate.failed())
    outcomes, adjudicated = complete.numbers("outcome"), complete.numbers("adjudicated")
    counted = (np.isnan(outcomes) | (outcomes > 0)) & ~(adjudicated == 0.0)
    return float(proportion_upper(float(counted.sum()), max(1, len(complete)), confidence=1 - alpha / 2))


def _labelled_pairs(mine: OutcomeTable, theirs: OutcomeTable) -> int:
    """About how many pairs are labelled on both arms."""
    return int(min((~np.isnan(table.numbers("label")) & scored_by_judge(table)).sum() for table in (mine, theirs)))


def _discordance(judged: float, level: float, judge: _Judge) -> float:
    """The share of prompts on which the arms truly differ, behind the share on which the judge says so."""
    if judge.youden <= 0:
        return judged
    noise = 2 * (
        level * judge.sensitivity * (1 - judge.sensitivity) + (1 - level) * judge.specificity * (1 - judge.specificity)
    )
    return min(judged, max(0.01, (judged - noise) / judge.youden**2)) or 0.01


def _labels(wanted: int, judge: _Judge) -> Advice:
    return Advice(f"about {wanted} labelled answers would do{judge.assumed}, there are {judge.labels}")


def _both(prompts: int, labels: int, judge: _Judge, what: str, *, there: int) -> Advice:
    return Advice(f"with about {labels} {what} in all{judge.assumed}, there are {there}", prompts=prompts)


def _too_close(judge: _Judge) -> Advice:
    return Advice(
        f"neither labels nor prompts within reason would help: sensitivity + specificity - 1 is {judge.youden:.2f} and "
        "what was found lies close to the limit"
    )


def _sized(
    labels_for: Callable[..., int | None], check: Check, rate: float, judge: _Judge, alpha: float
) -> Callable[[int], int | None]:
    """Labels that settle a floor or ceiling at a number of judged answers, by one of the sizes of `statistics`."""
    return lambda prompts: labels_for(
        prompts,
        check.limit,
        rate,
        sensitivity=judge.sensitivity,
        specificity=judge.specificity,
        direction="floor" if check.test == "floor" else "ceiling",
        alpha=alpha,
        power=POWER,
    )


def _fewest(n: int, labels_with: Callable[[int], int | None]) -> tuple[int, int]:
    """Prompts, from ``n`` up in steps, for which some number of labels is enough, and that number; (0, 0): none."""
    prompts = n
    while prompts <= _MOST_GROWN * n:
        try:
            labels = labels_with(prompts)
        except InputError:  # what was found lies on the limit
            return 0, 0
        if labels is not None:
            return prompts, labels
        prompts = math.ceil(1.1 * prompts)
    return 0, 0
