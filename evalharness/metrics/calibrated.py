"""Which rows rest on a judge, and which measured error belongs to them."""

from __future__ import annotations

from collections.abc import Sequence

from evalharness.evidence import Calibration
from evalharness.outcomes import Mask, OutcomeTable
from golden_sets.records import SetKind

Calibrations = Sequence[Calibration]
"""The judge's measured error, one entry for each kind of set and rubric."""

COUNTS = ("positives", "true_positives", "negatives", "true_negatives", "unparsed")


def scored_by_judge(table: OutcomeTable) -> Mask:
    """True for rows whose outcome is a judge's opinion rather than the truth; a failed request is nobody's opinion."""
    return table.matches("scored_by", "judge") & ~table.failed()


def calibration_for(
    calibrations: Calibrations, kind: SetKind, table: OutcomeTable
) -> tuple[Calibration | None, str | None]:
    """The calibration that the judged rows of a table need, or what is missing.

    A judge's error belongs to one rubric: rows judged under several cannot be corrected together.

    Returns:
        The calibration and None, or None and what is lacking; (None, None) where no row rests on a judge.
    """
    judged = scored_by_judge(table)
    if not judged.any():
        return None, None
    rubrics = table.take(judged).distinct("rubric")
    if len(rubrics) > 1:
        return None, f"one rubric per check (these are {', '.join(rubrics)}): split it with set_name"
    fitting = [c for c in calibrations if c.set_kind is kind and (not rubrics or c.rubric == rubrics[0])]
    if len(fitting) != 1:
        under = f" under rubric '{rubrics[0]}'" if rubrics else ""
        return None, f"a calibration of the judge{under} on {kind.value} sets: label some answers"
    return fitting[0], None


def added_up(calibrations: Calibrations, kind: SetKind | None) -> Calibration | None:
    """The counts of all calibrations of one kind of set (None: of every kind) added up; None where there is none."""
    total: Calibration | None = None
    for one in calibrations:
        if kind is None or one.set_kind is kind:
            added = {} if total is None else {name: getattr(total, name) + getattr(one, name) for name in COUNTS}
            total = one if total is None else total.model_copy(update=added)
    return total
