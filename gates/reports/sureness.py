"""How sure the gate was: counts of the sample, and the judge's measured error with intervals."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from evalharness.evidence import Calibration
from evalharness.outcomes import ARMS, Arm, OutcomeTable
from evalharness.statistics import Interval, proportion_interval
from golden_sets.records import SetKind

CALIBRATION_CONFIDENCE = 0.95
"""Two-sided confidence at which the judge's error is shown."""


@dataclass(frozen=True, slots=True)
class SampleCounts:
    """What became of one arm's answers to one kind of set, in the scored pass."""

    set_kind: SetKind
    """Kind of the set."""
    arm: Arm
    """Whose answers."""
    asked: int
    """Answers asked for; every other number is a part of it."""
    failing: int
    """Answers with the bad outcome (failed requests of golden prompts included)."""
    errors: int
    """Requests that ended in an error."""
    unscored: int
    """Answers that came but could not be scored."""
    labelled: int
    """Answers whose true outcome is known."""
    unresolved: int
    """Flagged answers of safety sets that nobody has adjudicated; they count as violations."""


def sample_counts(table: OutcomeTable) -> tuple[SampleCounts, ...]:
    """Counts by kind of set and arm, the candidate first; empty combinations are left out."""
    quality = table.phase("quality")
    found = []
    for kind in SetKind:
        for arm in ARMS:
            rows = quality.where({"set": kind.value}).arm(arm)
            if len(rows) == 0:
                continue
            error, outcome = rows.failed(), rows.numbers("outcome")
            bad = (outcome < 0.5) | error if kind is SetKind.GOLDEN else (outcome >= 0.5) & ~error
            flagged = (outcome >= 0.5) & np.isnan(rows.numbers("adjudicated"))
            judged = rows.matches("scored_by", "judge")
            found.append(
                SampleCounts(
                    set_kind=kind,
                    arm=arm,
                    asked=len(rows),
                    failing=int(bad.sum()),
                    errors=int(error.sum()),
                    unscored=int((np.isnan(outcome) & ~error).sum()),
                    labelled=int(np.isfinite(rows.numbers("label")).sum()),
                    unresolved=0 if kind is SetKind.GOLDEN else int((flagged & judged).sum()),
                )
            )
    return tuple(found)


@dataclass(frozen=True, slots=True)
class JudgeError:
    """One calibration as two rates with intervals."""

    calibration: Calibration
    """The counts."""
    sensitivity: Interval | None
    """Of the truly positive answers, the share that the judge recognises; None without such an answer."""
    specificity: Interval | None
    """Of the truly negative answers, the share that the judge recognises; None without such an answer."""


def judge_error(calibration: Calibration) -> JudgeError:
    """Sensitivity and specificity with exact (Clopper-Pearson) two-sided intervals."""
    return JudgeError(
        calibration,
        _share(calibration.true_positives, calibration.positives),
        _share(calibration.true_negatives, calibration.negatives),
    )


def _share(successes: int, n: int) -> Interval | None:
    if n == 0:
        return None
    return proportion_interval(successes, n, confidence=CALIBRATION_CONFIDENCE, method="clopper-pearson")
