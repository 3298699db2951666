"""How far a judge agrees with people, and what their rates are behind its verdicts, from labelled answers.

An unparsed verdict is a disagreement: it is in no agreement, an error in both sensitivity and specificity, a third
category of the judge's in kappa, and between both outcomes in the rate the judge reports. Clusters and sampling
weights are respected everywhere; intervals are two-sided.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from evalharness.judging.labelled_file import Codes, Floats, LabelledAnswers
from evalharness.statistics import (
    Interval,
    clustered_kappa_interval,
    clustered_proportion_interval,
    corrected_rate_interval,
    ppi_rate_interval,
)
from evalharness.statistics.clustered import ClusteredProportion
from evalharness.statistics.logistic import logistic_fit

UNPARSED = 2
"""The judge's category, beside 0 and 1, in kappa."""


@dataclass(frozen=True)
class Confusion:
    """Plain counts of labelled answers."""

    true_positives: int
    false_negatives: int
    unparsed_positives: int
    true_negatives: int
    false_positives: int
    unparsed_negatives: int

    @property
    def positives(self) -> int:
        """Answers that people call positive."""
        return self.true_positives + self.false_negatives + self.unparsed_positives

    @property
    def negatives(self) -> int:
        """Answers that people call negative."""
        return self.true_negatives + self.false_positives + self.unparsed_negatives


@dataclass(frozen=True)
class Agreement:
    """A judge against people on some answers."""

    rows: int
    """Answers, labelled or not."""
    labelled: int
    """Labelled ones."""
    unparsed: int
    """Answers, labelled or not, whose verdict could not be read."""
    confusion: Confusion
    """Plain counts of the labelled ones."""
    kappa: Interval
    agreement: Interval
    sensitivity: Interval | None
    """Share of the truly positive that the judge calls so; None without any."""
    specificity: Interval | None
    """Share of the truly negative that the judge calls so; None without any."""
    youden: Interval | None
    """Sensitivity + specificity - 1: how much of a true difference the judge shows."""
    independent: tuple[float, float]
    """Independent, equally likely labels that the truly positive and the truly negative answers are worth."""
    human_rate: Interval
    """Positive rate by the labels alone."""
    judge_rate: Interval
    """Positive rate by the judge's word, over all answers."""
    corrected: Interval
    """Positive rate over all answers, corrected by the labels: prediction-powered where it can be, else labels."""
    rogan_gladen: Interval
    """The same through sensitivity and specificity."""
    length_bias: Interval | None
    """Odds ratio of a positive verdict when an answer is twice as long, at equal truth; 1 is none."""

    @property
    def polarity_flipped(self) -> bool:
        """Whether judge and people agree less than chance, with confidence."""
        return self.kappa.high is not None and self.kappa.high < 0

    def to_json(self) -> dict[str, Any]:
        """Plain data: every rate as an estimate, null where there is none."""
        return {
            "rows": self.rows,
            "labelled": self.labelled,
            "unparsed": self.unparsed,
            "confusion": asdict(self.confusion),
            "kappa": self.kappa.to_json(),
            "agreement": self.agreement.to_json(),
            "sensitivity": _or_none(self.sensitivity),
            "specificity": _or_none(self.specificity),
            "youden": _or_none(self.youden),
            "human_rate": self.human_rate.to_json(),
            "judge_rate": self.judge_rate.to_json(),
            "corrected_rate": self.corrected.to_json(),
            "rogan_gladen_rate": self.rogan_gladen.to_json(),
            "length_bias": _or_none(self.length_bias),
            "polarity_flipped": self.polarity_flipped,
        }


@dataclass(frozen=True)
class ArmDifference:
    """How much better a judge does on one arm than on the others."""

    arm: str
    rate: str
    """``sensitivity`` or ``specificity``."""
    difference: Interval


@dataclass(frozen=True)
class FileCalibration:
    """A judge against people, overall and by arm."""

    overall: Agreement
    arms: dict[str, Agreement]
    differences: tuple[ArmDifference, ...]

    @property
    def different_arms(self) -> list[ArmDifference]:
        """Those that are certain: one correction does not fit these arms."""
        return [one for one in self.differences if _excludes_zero(one.difference)]


def calibrate_answers(answers: LabelledAnswers, *, confidence: float = 0.95) -> FileCalibration:
    """Compare a judge's verdicts with people's labels, overall and by arm.

    Arms without a label have no entry. Differences between arms hold at ``confidence`` together (Bonferroni).

    Raises:
        InputError: confidence outside (0, 1).
    """
    parts = {name: answers.of_arm(index) for index, name in enumerate(answers.arms)}
    labelled = {name: part for name, part in parts.items() if not np.isnan(part.truth).all()}
    return FileCalibration(
        overall=agreement(answers, confidence=confidence),
        arms={name: agreement(part, confidence=confidence) for name, part in labelled.items()},
        differences=tuple(_differences(labelled, confidence)),
    )


def agreement(answers: LabelledAnswers, *, confidence: float = 0.95) -> Agreement:
    """Compare a judge's verdicts with people's labels.

    Args:
        answers: at least one of them labelled.
        confidence: of the two-sided intervals.

    Raises:
        InputError: confidence outside (0, 1).
    """
    known = ~np.isnan(answers.truth)
    truth, seen = answers.truth[known], answers.seen[known]
    clusters, weights = answers.clusters[known], answers.weights[known]

    right = (seen == truth).astype(np.float64)
    categories = np.where(np.isnan(seen), UNPARSED, seen)
    of_positives, of_negatives = (
        ClusteredProportion.of(right[of], clusters[of], weights=weights[of]) if of.any() else None
        for of in (truth == 1, truth == 0)
    )
    sensitivity, specificity = (
        None if rate is None else rate.interval(confidence, method="wilson") for rate in (of_positives, of_negatives)
    )
    human = clustered_proportion_interval(truth, clusters, weights=weights, confidence=confidence, method="wilson")
    return Agreement(
        rows=len(answers),
        labelled=int(known.sum()),
        unparsed=int(np.isnan(answers.seen).sum()),
        confusion=_confusion(truth, seen),
        kappa=clustered_kappa_interval(
            truth,
            categories,
            clusters,
            categories=3 if np.isnan(seen).any() else 2,
            weights=weights,
            confidence=confidence,
        ),
        agreement=clustered_proportion_interval(
            right, clusters, weights=weights, confidence=confidence, method="wilson"
        ),
        sensitivity=sensitivity,
        specificity=specificity,
        youden=None if sensitivity is None or specificity is None else _youden(sensitivity, specificity),
        independent=(
            0.0 if of_positives is None else of_positives.effective_size(confidence),
            0.0 if of_negatives is None else of_negatives.effective_size(confidence),
        ),
        human_rate=human,
        judge_rate=_judge_rate(answers, confidence),
        corrected=_corrected(answers, human, confidence),
        rogan_gladen=_rogan_gladen(answers, confidence),
        length_bias=_length_bias(answers, confidence),
    )


def _confusion(truth: Floats, seen: Floats) -> Confusion:
    def count(said: float | None, true: float) -> int:
        match = np.isnan(seen) if said is None else seen == said
        return int((match & (truth == true)).sum())

    return Confusion(count(1, 1), count(0, 1), count(None, 1), count(0, 0), count(1, 0), count(None, 0))


def _judge_rate(answers: LabelledAnswers, confidence: float) -> Interval:
    """The judge's word: an unparsed verdict is positive in the upper bound and negative in the lower one."""

    def rate(unparsed: float) -> Interval:
        filled = np.where(np.isnan(answers.seen), unparsed, answers.seen)
        return clustered_proportion_interval(filled, answers.clusters, confidence=confidence, method="wilson")

    lowest = rate(0.0)
    missing = int(np.isnan(answers.seen).sum())
    if not missing:
        return lowest
    note = f"{missing} unparsed verdicts: not positive in the value, either in the bounds"
    return replace(lowest, high=rate(1.0).high, note=note)


def _corrected(answers: LabelledAnswers, human: Interval, confidence: float) -> Interval:
    """Prediction-powered; an unparsed verdict says nothing and is given as one half, which keeps it unbiased."""
    known = ~np.isnan(answers.truth)
    if known.all():
        return replace(human, note=_joined(human.note, "every answer is labelled: the rate that people saw"))
    found = ppi_rate_interval(
        np.where(np.isnan(answers.seen), 0.5, answers.seen),
        known,
        answers.truth[known],
        weights=answers.weights[known],
        clusters=answers.clusters,
        confidence=confidence,
    )
    if found.low is not None:
        return found
    alone = clustered_proportion_interval(
        answers.truth[known], answers.clusters[known], weights=answers.weights[known], confidence=confidence
    )
    return replace(alone, note=_joined(found.note, "labels alone"))


def _rogan_gladen(answers: LabelledAnswers, confidence: float) -> Interval:
    """Rogan and Gladen's correction; "says positive" against "does not", so that unparsed verdicts cancel out."""
    known = ~np.isnan(answers.truth)
    said = (answers.seen == 1).astype(np.float64)

    def counts(of: Floats, clusters: Codes, weights: Floats | None) -> tuple[float, float]:
        if of.size == 0:
            return 0.0, 0.0
        found = ClusteredProportion.of(of, clusters, weights=weights)
        size = found.effective_size((1 + confidence) / 2)
        return found.mean * size, size

    positive, negative = known & (answers.truth == 1), known & (answers.truth == 0)
    hits = counts(said[positive], answers.clusters[positive], answers.weights[positive])
    rejections = counts(1 - said[negative], answers.clusters[negative], answers.weights[negative])
    found = corrected_rate_interval(*counts(said, answers.clusters, None), *hits, *rejections, confidence=confidence)
    return replace(found, n=len(answers))


def _youden(sensitivity: Interval, specificity: Interval) -> Interval:
    """Square-and-add (Newcombe, Statistics in Medicine 17 (1998) 873) of the two intervals."""
    value = _number(sensitivity.value) + _number(specificity.value) - 1
    low = value - math.hypot(*(_number(x.value) - _number(x.low) for x in (sensitivity, specificity)))
    high = value + math.hypot(*(_number(x.high) - _number(x.value) for x in (sensitivity, specificity)))
    n = sensitivity.n + specificity.n
    return Interval(value, max(-1.0, low), min(1.0, high), sensitivity.confidence, "square-and-add", n)


def _length_bias(answers: LabelledAnswers, confidence: float) -> Interval | None:
    """Logistic regression of the verdict on people's label and the logarithm of the length."""
    if answers.lengths is None:
        return None
    kept = ~np.isnan(answers.truth) & ~np.isnan(answers.seen) & ~np.isnan(answers.lengths)
    if not kept.any():
        return None
    doublings = np.log2(1 + answers.lengths[kept])
    features = np.column_stack([np.ones(int(kept.sum())), answers.truth[kept], doublings])
    fit = logistic_fit(features, answers.seen[kept], answers.clusters[kept])
    if fit is None:
        return None
    found = fit.interval(2, confidence=confidence)
    value, low, high = (None if x is None else math.exp(x) for x in (found.value, found.low, found.high))
    return replace(found, value=value, low=low, high=high, method="logistic-odds-ratio")


def _differences(arms: dict[str, LabelledAnswers], confidence: float) -> Iterator[ArmDifference]:
    """Each arm against the others together; two arms need one comparison."""
    if len(arms) < 2:
        return
    compared = list(arms)[: 1 if len(arms) == 2 else None]
    level = 1 - (1 - confidence) / (2 * len(compared))
    for name in compared:
        for rate, true in (("sensitivity", 1.0), ("specificity", 0.0)):
            own = _right([arms[name]], true, level)
            others = _right([part for other, part in arms.items() if other != name], true, level)
            if own is not None and others is not None:
                yield ArmDifference(name, rate, _minus(own, others))


def _right(parts: list[LabelledAnswers], true: float, confidence: float) -> Interval | None:
    """Share of the answers of one class that the judge gets right."""
    truth, seen, clusters, weights = (
        np.concatenate([getattr(part, name) for part in parts]) for name in ("truth", "seen", "clusters", "weights")
    )
    kept = truth == true
    if not kept.any():
        return None
    right = (seen[kept] == true).astype(np.float64)
    return clustered_proportion_interval(
        right, clusters[kept], weights=weights[kept], confidence=confidence, method="wilson"
    )


def _minus(one: Interval, other: Interval) -> Interval:
    """Square-and-add of two independent rates; conservative where the same prompts stand behind both."""
    value = _number(one.value) - _number(other.value)
    low = value - math.hypot(_number(one.value) - _number(one.low), _number(other.high) - _number(other.value))
    high = value + math.hypot(_number(one.high) - _number(one.value), _number(other.value) - _number(other.low))
    return Interval(value, max(-1.0, low), min(1.0, high), one.confidence, "square-and-add", one.n + other.n)


def _excludes_zero(interval: Interval) -> bool:
    return (interval.low is not None and interval.low > 0) or (interval.high is not None and interval.high < 0)


def _number(x: float | None) -> float:
    assert x is not None  # noqa: S101 - two-sided intervals of rates have both bounds
    return x


def _joined(*notes: str | None) -> str:
    return "; ".join(note for note in notes if note)


def _or_none(interval: Interval | None) -> dict[str, Any] | None:
    return None if interval is None else interval.to_json()
