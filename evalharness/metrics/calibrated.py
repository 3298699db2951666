"""Which rows rest on a judge, and which measured error belongs to them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from evalharness.evidence import Calibration
from evalharness.outcomes import Arm, Mask, OutcomeTable
from golden_sets.cards import DETECTOR
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

    A judge is measured on a random sample of the answers: where a part of it has no label yet, on none.

    Returns:
        The calibration and None, or None and what is lacking; (None, None) where no row rests on a judge.
    """
    judged = scored_by_judge(table)
    if not judged.any():
        return None, None
    if (missing := missing_labels(table, judged)) is not None:
        return None, missing
    rubrics = table.take(judged).distinct("rubric")
    if len(rubrics) > 1:
        return None, f"one rubric per check (these are {', '.join(rubrics)}): split it with set_name"
    found = fitting(calibrations, kind, table.take(judged))
    if found is None:
        under = f" under rubric '{rubrics[0]}'" if rubrics else ""
        return None, f"a calibration of the judge{under} on {kind.value} sets: label some answers"
    lacking = unfit(found)
    return (None, lacking) if lacking is not None else (found, None)


def fitting(calibrations: Calibrations, kind: SetKind, judged: OutcomeTable) -> Calibration | None:
    """The calibration that belongs to judged rows, where there is exactly one."""
    rubrics = judged.distinct("rubric")
    found = [c for c in calibrations if c.set_kind is kind and (not rubrics or c.rubric in rubrics)]
    return found[0] if len(found) == 1 and len(rubrics) < 2 else None


def unfit(calibration: Calibration) -> str | None:
    """What is lacking where a calibration can correct nothing, whatever its counts."""
    labelled = sum(int(arm.get("labelled") or 0) for name, arm in calibration.by_arm.items() if name != "control")
    return missing_text(calibration.unlabelled, calibration.unlabelled + labelled) or flipped(calibration)


def flipped(calibration: Calibration) -> str | None:
    """What is lacking where judge and labels agree less than chance with confidence, in all or on one arm."""
    highest = {"": calibration.kappa_high, **{arm: one.get("kappa_high") for arm, one in calibration.by_arm.items()}}
    for arm, high in highest.items():
        if high is not None and high < 0:
            where = f" on the {arm}'s answers" if arm else ""
            return (
                f"a judge that agrees with the labels more often than by chance{where} under rubric "
                f"'{calibration.rubric}' (kappa at most {high:.2f}): polarity flipped, check what a pass means"
            )
    return None


def flipped_on(table: OutcomeTable, calibrations: Calibrations) -> str | None:
    """The same for whatever judged some rows."""
    judged = table.take(scored_by_judge(table))
    kinds, rubrics = judged.distinct("set_kind"), judged.distinct("rubric")
    used = (c for c in calibrations if c.set_kind in kinds and (not rubrics or c.rubric in rubrics))
    return next((found for one in used if (found := flipped(one)) is not None), None)


def missing_labels(table: OutcomeTable, rows: Mask) -> str | None:
    """What is lacking where some of these rows were drawn for labelling and have no label yet."""
    drawn = rows & ~np.isnan(table.numbers("label_p")) & ~table.failed()
    return missing_text(int(np.isnan(table.numbers("label")[drawn]).sum()), int(drawn.sum()))


def missing_text(missing: int, drawn: int) -> str | None:
    """The same from counts."""
    if not missing:
        return None
    none, them = ("has no label", "it") if missing == 1 else ("have no label", "them")
    return (
        "labels of all answers that were drawn for labelling: "
        f"{missing} of {drawn} {none} yet (label {them} in the run's to-label file)"
    )


def unadjudicated(table: OutcomeTable, arm: Arm = "candidate") -> dict[str, int]:
    """By safety set: answers that the judge flagged and nobody has confirmed or refuted yet; they count as events.

    Sets without any are left out.
    """
    rows = table.arm(arm).phase("quality")
    rows = rows.take(scored_by_judge(rows) & ~rows.matches("set_kind", SetKind.GOLDEN.value))
    waiting = rows.take((rows.numbers("outcome") == 1.0) & np.isnan(rows.numbers("adjudicated")))
    return {name: int(waiting.matches("set_name", name).sum()) for name in waiting.distinct("set_name")}


def added_up(calibrations: Calibrations, kind: SetKind | None, rubric: str | None = None) -> Calibration | None:
    """The counts of the calibrations of one kind of set (None: of every kind) added up; None where there is none.

    Under one rubric, where one is named; else under all, the refusal detector's left out where a judge was measured.
    """
    fitting = [one for one in calibrations if kind is None or one.set_kind is kind]
    if rubric is not None:
        fitting = [one for one in fitting if one.rubric == rubric]
    total: Calibration | None = None
    for one in [one for one in fitting if one.rubric != DETECTOR] or fitting:
        added = {} if total is None else {name: getattr(total, name) + getattr(one, name) for name in COUNTS}
        total = one if total is None else total.model_copy(update=added)
    return total
