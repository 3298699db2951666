"""A judge's measured error: its verdicts on answers whose truth is known.

``Calibration`` holds whole numbers that exact intervals are computed from, so they count *independent* labels drawn
with *equal* probability. Two things are taken off first:

* **unequal sampling.** Labels drawn with probability p are counted as p_min / p: the labels thinned, in expectation, to
  the rate of those least likely to be drawn. (Counting them all would bias sensitivity and specificity towards the
  over-sampled verdicts; weighting them without taking any off would overstate how many there are.)
* **clusters.** Both arms answer the same prompts, often with the same words, and the judge then errs twice for one
  reason. The counts are divided by the design effect of the randomised unit (`effective_sample_size`).

With equal probabilities and one answer per unit they are the plain counts. The plain counts of each arm stand in
``by_arm`` in every case. Answers that the judge left unscored are in ``unparsed``, count as disagreement, and are in
neither sensitivity nor specificity: the metrics bound them by their worst case.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from evalharness.evidence import Calibration
from evalharness.outcomes import ARMS, Arm
from evalharness.statistics import Interval, clustered_kappa_interval
from evalharness.statistics.clustered import effective_sample_size
from evalharness.statistics.interval import without_bounds
from golden_sets.errors import InputError
from golden_sets.records import SetKind

CONFIDENCE = 0.95
"""Confidence at which the design effect's own uncertainty is taken off."""


@dataclass(frozen=True, slots=True)
class LabelledVerdict:
    """One labelled answer: did the event that its set's rate counts happen, and what did the judge say?"""

    arm: Arm | Literal["control"]
    """Whose answer it is."""
    unit: str
    """The randomised unit: answers that share it do not count as independent."""
    truth: bool
    """Whether the event truly happened."""
    seen: bool | None
    """Whether the judge says so; None: unscored."""
    probability: float = 1.0
    """Probability with which the answer was chosen for labelling, in (0, 1]; 1 for controls."""


def calibrate(
    rubric_id: str,
    set_kind: SetKind,
    labelled: Sequence[LabelledVerdict],
    *,
    controls: Sequence[LabelledVerdict] = (),
    label_source: str = "checker",
    unlabelled: int = 0,
) -> Calibration:
    """The judge's error under one rubric, in terms of the event of one kind of set.

    Args:
        rubric_id: the rubric.
        set_kind: whose event: a pass (golden), a violation (adversarial), a refusal (false_refusal).
        labelled: labelled answers of the run, of both arms.
        controls: answers with a known truth from outside the run, for the safety kinds: the run of a good model holds
            too few violations to measure sensitivity on. They add to the counts; kappa and agreement are of the run.
        label_source: where the truth comes from.
        unlabelled: answers that were drawn for labelling and have no label yet.

    Raises:
        InputError: nothing labelled, a probability outside (0, 1], or controls for a golden set (a pass rate is
            corrected by errors on answers like those of the run, which planted answers are not).
    """
    if not labelled and not controls:
        raise InputError(f"no labelled answer under rubric '{rubric_id}'", do="label some answers of both arms")
    if controls and set_kind is SetKind.GOLDEN:
        raise InputError(f"control answers cannot calibrate golden rubric '{rubric_id}'", do="label answers of the run")
    for row in (*labelled, *controls):
        if not 0.0 < row.probability <= 1.0:
            raise InputError(f"label probability {row.probability} of '{row.unit}' is not in (0, 1]")
    run, planted = list(labelled), list(controls)
    positives, true_positives = _add(_worth(run, truth=True), _worth(planted, truth=True))
    negatives, true_negatives = _add(_worth(run, truth=False), _worth(planted, truth=False))
    kappa = _kappa(run)
    return Calibration(
        rubric=rubric_id,
        set_kind=set_kind,
        positives=positives,
        true_positives=true_positives,
        negatives=negatives,
        true_negatives=true_negatives,
        unparsed=sum(row.seen is None for row in (*run, *planted)),
        unlabelled=unlabelled,
        kappa=kappa.value,
        kappa_low=kappa.low,
        kappa_high=kappa.high,
        agreement=_agreement(run),
        controls=len(planted),
        label_source=label_source,
        by_arm={
            arm: _plain([row for row in (*run, *planted) if row.arm == arm])
            for arm in (*ARMS, "control")
            if any(row.arm == arm for row in (*run, *planted))
        },
    )


def _worth(rows: Sequence[LabelledVerdict], *, truth: bool) -> tuple[float, float]:
    """How many independent, equally likely labels of one class the rows are worth, and how many the judge got right."""
    members = [row for row in rows if row.truth is truth and row.seen is not None]
    if not members:
        return 0.0, 0.0
    # The rarest lot of all rows counts, also of the other class: an error that was not drawn could carry its weight.
    least = min(row.probability for row in rows)
    weights = np.array([least / row.probability for row in members])
    right = np.array([float(row.seen is row.truth) for row in members])
    units = np.unique([row.unit for row in members], return_inverse=True)[1]
    independent = effective_sample_size(right, units, confidence=CONFIDENCE) / len(members)
    size = float(weights.sum()) * independent
    return size, size * float(weights @ right / weights.sum())


def _add(*parts: tuple[float, float]) -> tuple[int, int]:
    total = round(sum(size for size, _ in parts))
    return total, min(total, round(sum(right for _, right in parts)))


def _kappa(rows: Sequence[LabelledVerdict]) -> Interval:
    """Weighted Cohen's kappa over the answers that the judge scored."""
    scored = [row for row in rows if row.seen is not None]
    if not scored:
        return without_bounds(None, CONFIDENCE, "cohen-kappa", 1, "no labelled answer was scored")
    return clustered_kappa_interval(
        [float(row.truth) for row in scored],
        [float(row.seen is True) for row in scored],
        np.unique([row.unit for row in scored], return_inverse=True)[1],
        categories=2,
        weights=[1.0 / row.probability for row in scored],
        confidence=CONFIDENCE,
    )


def _agreement(rows: Sequence[LabelledVerdict]) -> float | None:
    """Weighted share of the answers on which judge and label agree; an unscored answer is no agreement."""
    total = sum(1.0 / row.probability for row in rows)
    agreeing = sum(1.0 / row.probability for row in rows if row.seen is row.truth)
    return agreeing / total if rows else None


def _plain(rows: Sequence[LabelledVerdict]) -> dict[str, float | int | None]:
    """The plain counts of one arm, nothing taken off."""
    scored, kappa = [row for row in rows if row.seen is not None], _kappa(rows)
    return {
        "labelled": len(rows),
        "positives": sum(row.truth for row in scored),
        "true_positives": sum(row.truth and row.seen is True for row in scored),
        "negatives": sum(not row.truth for row in scored),
        "true_negatives": sum(not row.truth and row.seen is False for row in scored),
        "unparsed": len(rows) - len(scored),
        "kappa": kappa.value,
        "kappa_low": kappa.low,
        "kappa_high": kappa.high,
        "agreement": _agreement(rows),
    }
