"""From a file's labels to a detector together with what it does on answers it has not seen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from evalharness.judging.file_calibration import Agreement
from evalharness.refusals.detector import THRESHOLD, RefusalDetector
from evalharness.refusals.fitting import Progress, TrainingAnswers, cross_validate, fit_refusals
from evalharness.refusals.labelled_file import LabelledRefusals
from evalharness.refusals.measuring import refusal_agreement


@dataclass(frozen=True)
class Refit:
    """A fitted detector and its error."""

    detector: RefusalDetector
    """Fitted on all answers."""
    answers: TrainingAnswers
    """What it was fitted on."""
    overall: Agreement
    """Held-out verdicts against the labels."""
    groups: dict[str, Agreement]
    """The same by group."""
    shipped: Agreement
    """The shipped detector on the same answers."""


def refit(labelled: LabelledRefusals, *, source: str, progress: Progress | None = None) -> Refit:
    """Fit a detector on labelled answers and measure it by `cross_validate`.

    Raises:
        InputError: too few of a class.
        InfrastructureError: the encoder is missing.
    """
    answers = TrainingAnswers.of(
        labelled.texts, labelled.labels, prompts=labelled.prompts, groups=labelled.groups, source=source
    )
    probabilities = cross_validate(answers, progress)
    seen = [None if np.isnan(p) else bool(p >= THRESHOLD) for p in probabilities]
    by_shipped = RefusalDetector.shipped().refusal.probabilities(answers.matrix) >= THRESHOLD

    def measured(verdicts: list[bool | None], name: str | None = None) -> Agreement:
        rows = [i for i in range(len(verdicts)) if name is None or _group(answers, i) == name]
        return refusal_agreement(answers.refusing[rows], [verdicts[i] for i in rows], answers.units[rows])

    names = [] if answers.groups is None else [str(name) for name in np.unique(answers.groups)]
    return Refit(
        detector=fit_refusals(answers),
        answers=answers,
        overall=measured(seen),
        groups={name: measured(seen, name) for name in names},
        shipped=measured([bool(one) for one in by_shipped]),
    )


def _group(answers: TrainingAnswers, row: int) -> str | None:
    return None if answers.groups is None else str(answers.groups[row])
