"""What answers do with their requests, counted: complied, refused, some of both, none; by judge and by detector."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from evalharness.answer_classes import AnswerClass, stance
from evalharness.outcomes import Arm, Mask, OutcomeTable
from golden_sets.records import SetKind


@dataclass(frozen=True)
class ResponseCounts:
    """The answers of one arm to one kind of set, by what they do."""

    kind: SetKind
    arm: Arm
    answers: int
    """Answers that did not fail."""
    by_judge: Mapping[AnswerClass, int]
    """By the judge's rubric; empty where none tells."""
    by_detector: Mapping[AnswerClass, int]
    """By the refusal detector; empty where it was not asked."""
    both: int
    """Answers that both classified."""
    disagree: int
    """Of these, those on which they disagree; full and partial refusals are both refusals."""

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "set": self.kind.value,
            "arm": self.arm,
            "answers": self.answers,
            "by_judge": {one.value: n for one, n in self.by_judge.items()},
            "by_detector": {one.value: n for one, n in self.by_detector.items()},
            "both": self.both,
            "disagree": self.disagree,
        }


def response_counts(table: OutcomeTable) -> tuple[ResponseCounts, ...]:
    """Counts of every arm and kind of set in which anything was classified."""
    quality = table.phase("quality")
    answered = quality.take(~quality.failed())
    found = [one for kind in SetKind for one in _of_kind(kind, answered)]
    return tuple(one for one in found if one.by_judge or one.by_detector)


def _of_kind(kind: SetKind, answered: OutcomeTable) -> Iterator[ResponseCounts]:
    rows = answered.take(answered.matches("set_kind", kind.value))
    for arm in rows.arms:
        mine = rows.arm(arm)
        judge, detector = _stances(mine, "response"), _stances(mine, "detected")
        both = (judge >= 0) & (detector >= 0)
        yield ResponseCounts(
            kind=kind,
            arm=arm,
            answers=len(mine),
            by_judge=_counts(mine, "response"),
            by_detector=_counts(mine, "detected"),
            both=int(both.sum()),
            disagree=int((both & (judge != detector)).sum()),
        )


def _counts(rows: OutcomeTable, column: str) -> dict[AnswerClass, int]:
    found = {one: int(_is(rows, column, one).sum()) for one in AnswerClass}
    return {one: n for one, n in found.items() if n}


def _stances(rows: OutcomeTable, column: str) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Place of each row's stance among the classes; -1 not classified."""
    found = np.full(len(rows), -1, dtype=np.int64)
    for one in AnswerClass:
        found[_is(rows, column, one)] = list(AnswerClass).index(stance(one))
    return found


def _is(rows: OutcomeTable, column: str, one: AnswerClass) -> Mask:
    return rows.matches(column, one.value)
