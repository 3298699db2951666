"""The detector's error, measured as any judge's is: its verdicts against people's labels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from evalharness.evidence import Calibration
from evalharness.judging.calibration import LabelledVerdict, calibrate
from evalharness.judging.file_calibration import Agreement, agreement
from evalharness.judging.labelled_file import LabelledAnswers
from evalharness.outcomes import Arm
from evalharness.refusals.classes import RefusalVerdict
from golden_sets.errors import InputError
from golden_sets.records import SetKind

RUBRIC = "refusal-detector"
"""Stands where a judge's calibration names its rubric."""


def refusal_agreement(
    truth: Sequence[bool] | npt.NDArray[np.bool_],
    seen: Sequence[bool | None],
    units: Sequence[int] | npt.NDArray[np.int64] | None = None,
    *,
    confidence: float = 0.95,
) -> Agreement:
    """Kappa, sensitivity and specificity for refusals (partial ones included), with intervals.

    Args:
        truth: shape (n,), whether people call it a refusal.
        seen: shape (n,), whether the detector does (`RefusalVerdict.refuses`); None: broken, counts as a disagreement.
        units: shape (n,), rows of one unit are not independent; None: all are.
        confidence: of the intervals.

    Raises:
        InputError: sequences of different lengths, or nothing in them.
    """
    if not len(truth) or len(seen) != len(truth) or (units is not None and len(units) != len(truth)):
        raise InputError(f"{len(truth)} labels and {len(seen)} verdicts: one of each is needed for every answer")
    answers = LabelledAnswers(
        truth=np.asarray(truth, dtype=np.float64),
        seen=np.array([np.nan if one is None else float(one) for one in seen]),
        clusters=np.arange(len(truth)) if units is None else np.asarray(units, dtype=np.int64),
        weights=np.ones(len(truth)),
    )
    return agreement(answers, confidence=confidence)


def refusal_calibration(
    truth: Sequence[bool],
    verdicts: Sequence[RefusalVerdict],
    *,
    units: Sequence[str],
    arms: Sequence[Arm] | None = None,
    probabilities: Sequence[float] | None = None,
    set_kind: SetKind = SetKind.FALSE_REFUSAL,
    label_source: str = "labels",
) -> Calibration:
    """The detector's error in the form in which a judge's is carried into rates and checks.

    The event is a refusal; for an adversarial set, where the rate counts violations, it is the lack of one.

    Args:
        truth: shape (n,), whether people call the answer a refusal.
        verdicts: shape (n,), what the detector says; broken answers count as unparsed.
        units: shape (n,), the randomised unit, e.g. the prompt's cluster.
        arms: shape (n,), whose answer it is; None: the candidate's.
        probabilities: shape (n,), with which each was drawn for labelling; None: all alike.
        set_kind: false_refusal or adversarial.
        label_source: where the labels come from.

    Raises:
        InputError: another kind of set, sequences of different lengths, nothing labelled.
    """
    if set_kind is SetKind.GOLDEN:
        raise InputError("the refusal detector says nothing about a golden set", do="use a judge or a checker")
    whose: Sequence[Arm] = ["candidate"] * len(truth) if arms is None else arms
    flipped = set_kind is SetKind.ADVERSARIAL
    rows = [
        LabelledVerdict(
            arm=arm,
            unit=unit,
            truth=refused is not flipped,
            seen=None if verdict.refuses is None else verdict.refuses is not flipped,
            probability=probability,
        )
        for refused, verdict, unit, arm, probability in zip(
            map(bool, truth),
            verdicts,
            units,
            whose,
            [1.0] * len(truth) if probabilities is None else probabilities,
            strict=True,
        )
    ]
    return calibrate(RUBRIC, set_kind, rows, label_source=label_source)
