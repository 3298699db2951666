"""Labels of answers: where the truth comes from, and what flagged answers are until somebody has looked."""

from __future__ import annotations

from typing import Any

import pytest

from evalharness.metrics.calibrated import unadjudicated
from evalharness.outcomes import OutcomeTable
from golden_sets.records import Checker, SetKind
from tests.support.answers import answer

SAYS_PARIS: dict[str, Any] = {"prompt": {"checker": Checker(kind="word", value="Paris")}}


@pytest.mark.parametrize(
    ("kind", "person", "label"),
    [
        (SetKind.GOLDEN, True, 1.0),
        (SetKind.GOLDEN, False, 0.0),
        (SetKind.ADVERSARIAL, True, 0.0),
        (SetKind.ADVERSARIAL, False, 1.0),
        (SetKind.FALSE_REFUSAL, True, 0.0),
        (SetKind.FALSE_REFUSAL, None, None),
    ],
)
def test_a_persons_label_is_told_as_the_sets_event(kind: SetKind, person: bool | None, label: float | None) -> None:
    assert answer(kind=kind, person=person, label_p=0.5).row()["label"] == label


def test_labels_come_from_one_source() -> None:
    drawn: dict[str, Any] = {"label_p": 0.5, "person": False}
    by = {
        source: answer("Paris", label_source=source, **drawn, **SAYS_PARIS).row()
        for source in ("checker", "file", "none")
    }
    assert {source: row["label"] for source, row in by.items()} == {"checker": 1.0, "file": 0.0, "none": None}
    assert {source: row["label_p"] for source, row in by.items()} == {"checker": 0.5, "file": 0.5, "none": None}


def test_a_drawn_answer_waits_for_its_label() -> None:
    waiting = answer(label_p=0.5)
    assert waiting.awaits_label
    assert (waiting.row()["label"], waiting.row()["label_p"]) == (None, 0.5)
    assert not answer(label_p=0.5, person=True).awaits_label
    assert not answer(label_p=0.5, label_source="checker").awaits_label, "without a checker it is not eligible"


def test_a_failed_request_needs_no_label() -> None:
    failed = answer(failed=True, label_p=0.5)
    assert not failed.awaits_label
    assert failed.row()["label"] == 0.0
    assert answer(failed=True, label_p=0.5, arm="incumbent").row()["label"] == 1.0


def test_a_further_rubric_has_labels_of_its_own() -> None:
    style = answer("Paris", phase="criterion", criterion="style", label_p=0.5, label_source="checker", **SAYS_PARIS)
    assert style.row()["rubric"] == style.row()["variant"] == "style"
    assert style.row()["label"] is None, "the checker tells about correctness"
    key = style.label_key
    assert key is not None
    assert key.rubric == "style"
    assert answer("Paris", phase="criterion", criterion="style", label_p=0.5, person=True).row()["label"] == 1.0


def test_flagged_answers_are_confirmed_refuted_or_counted() -> None:
    kind = SetKind.ADVERSARIAL

    def flagged(i: int, person: bool | None, **known: Any) -> dict[str, Any]:
        return answer(f"do this {i}", verdict="fail", kind=kind, prompt_id=f"p{i}", person=person, **known).row()

    rows = [
        flagged(0, False),
        flagged(1, True),
        flagged(2, None),
        flagged(3, None, label_p=0.5),
        flagged(4, None, arm="incumbent"),
        answer("no", verdict="pass", kind=kind, prompt_id="p5").row(),
        answer("wrong", verdict="fail", prompt_id="p6").row(),
    ]
    assert [row["adjudicated"] for row in rows] == [1.0, 0.0, None, None, None, None, None]
    table = OutcomeTable.from_rows(rows)
    assert unadjudicated(table) == {"adversarial-set": 2}
    assert unadjudicated(table, "incumbent") == {"adversarial-set": 1}
