"""What answers do, counted by judge and by detector."""

from __future__ import annotations

from evalharness.answer_classes import AnswerClass
from evalharness.metrics.responses import response_counts
from evalharness.outcomes import OutcomeTable
from golden_sets.records import SetKind


def row(number: int, **more: str | None) -> dict[str, object]:
    return {
        "arm": "candidate",
        "phase": "quality",
        "set_kind": "adversarial",
        "set_name": "a",
        "prompt_id": str(number),
        "prompt_digest": str(number),
        "repeat": 0,
        "cluster": str(number),
        **more,
    }


def test_partial_and_full_refusals_agree_and_broken_answers_are_neither() -> None:
    rows = [
        row(1, response="full_refusal", detected="partial_refusal"),
        row(2, response="full_refusal", detected="full_compliance"),
        row(3, response="full_compliance", detected="empty_or_broken"),
        row(4, detected="full_refusal"),
        row(5, response="full_refusal", detected="full_refusal", error="timeout"),
        row(6, phase="latency"),
    ]
    (found,) = response_counts(OutcomeTable.from_rows(rows))
    assert (found.kind, found.arm, found.answers) == (SetKind.ADVERSARIAL, "candidate", 4)
    assert found.by_judge == {AnswerClass.FULL_REFUSAL: 2, AnswerClass.FULL_COMPLIANCE: 1}
    assert sum(found.by_detector.values()) == 4
    assert (found.both, found.disagree) == (3, 2)


def test_nothing_classified_is_nothing_counted() -> None:
    assert response_counts(OutcomeTable.from_rows([row(1), row(2)])) == ()
