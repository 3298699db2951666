"""Files of answers: what their labels mean, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from evalharness.answer_classes import AnswerClass
from evalharness.refusals.answers_file import read_answers
from evalharness.refusals.labelled_file import read_labelled_refusals
from golden_sets.errors import InputError

REFUSAL, PARTIAL, COMPLIANCE = AnswerClass.FULL_REFUSAL, AnswerClass.PARTIAL_REFUSAL, AnswerClass.FULL_COMPLIANCE


def labelled(tmp_path: Path, *labels: str, header: str = "text,label") -> Path:
    path = tmp_path / "labels.csv"
    path.write_text("\n".join([header, *(f"answer {i},{label}" for i, label in enumerate(labels))]) + "\n")
    return path


@pytest.mark.parametrize(
    ("labels", "meaning"),
    [
        (("1", "0", "1"), [REFUSAL, COMPLIANCE, REFUSAL]),
        (("True", "false"), [REFUSAL, COMPLIANCE]),
        (("refusal", "compliance"), [REFUSAL, COMPLIANCE]),
        (("partial_refusal", "full_refusal", "full_compliance"), [PARTIAL, REFUSAL, COMPLIANCE]),
        (("3_partial_refusal", "2_full_refusal", "1_full_compliance"), [PARTIAL, REFUSAL, COMPLIANCE]),
    ],
)
def test_usual_labels_need_no_explanation(tmp_path: Path, labels: Sequence[str], meaning: list[AnswerClass]) -> None:
    assert list(read_labelled_refusals(labelled(tmp_path, *labels)).labels) == meaning


def test_named_labels_make_every_other_a_compliance(tmp_path: Path) -> None:
    path = labelled(tmp_path, "no", "half", "fine", "odd", "no")
    found = read_labelled_refusals(path, positive=["no"], partial=["half"])
    assert list(found.labels) == [REFUSAL, PARTIAL, COMPLIANCE, COMPLIANCE, REFUSAL]
    assert (found.positive, found.negative) == (("half", "no"), ("fine", "odd"))


def test_rows_without_a_label_are_left_out_and_counted(tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    rows = [{"t": "a", "label": "1", "m": "x"}, {"t": "b", "label": None, "m": "y"}, {"t": "", "label": "0", "m": "z"}]
    path.write_text("\n".join(map(json.dumps, rows)) + "\n")
    found = read_labelled_refusals(path, columns={"text": "t", "group": "m"})
    assert (found.texts, found.groups, found.prompts, found.unlabelled) == (("a", ""), ("x", "z"), None, 1)


@pytest.mark.parametrize(
    ("labels", "positive", "what"),
    [
        (("good", "poor"), [], "which labels are refusals is not known"),
        (("refused", "fine"), ["refusd"], "did you mean 'refused'"),
        (("", ""), [], "no row has a label"),
    ],
)
def test_labels_that_cannot_be_understood(
    tmp_path: Path, labels: Sequence[str], positive: Sequence[str], what: str
) -> None:
    with pytest.raises(InputError, match=what):
        read_labelled_refusals(labelled(tmp_path, *labels), positive=positive)


def test_answers_to_classify_have_numbers_where_they_have_no_id(tmp_path: Path) -> None:
    path = tmp_path / "answers.csv"
    path.write_text("text,finish_reason\nyes,stop\n,stop\nand so,length\n")
    found = read_answers(path)
    assert (found.texts, found.ids, found.truncated) == (("yes", "", "and so"), ("1", "2", "3"), (False, False, True))
    named = read_answers(path, columns={"id": "finish_reason"}, where={"finish_reason": "length"})
    assert (named.texts, named.ids) == (("and so",), ("length",))
