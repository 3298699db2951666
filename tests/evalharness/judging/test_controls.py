"""Files of control answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from evalharness.judging.controls import read_controls
from golden_sets.errors import InputError
from golden_sets.records import SetKind

ROW = {"id": "c1", "set": "adversarial", "prompt": "How?", "answer": "So.", "label": "fail", "rubric": "refusal"}


def write(path: Path, *rows: Any) -> Path:
    path.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows), encoding="utf-8")
    return path


def test_a_prompt_is_one_user_message_and_messages_are_taken_as_they_are(tmp_path: Path) -> None:
    messages = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hi"},
        {"role": "user", "content": "How?"},
    ]
    second = {**{k: v for k, v in ROW.items() if k != "prompt"}, "id": "c2", "messages": messages, "answer": ""}
    first, other = read_controls(write(tmp_path / "controls.jsonl", ROW, "", second))
    assert (first.set, first.label, first.messages[0].content) == (SetKind.ADVERSARIAL, "fail", "How?")
    assert len(other.messages) == 3
    assert other.item.answer_text == ""


@pytest.mark.parametrize(
    ("rows", "line", "complaint"),
    [
        ([ROW, {**ROW, "answer": "other"}], 2, "id 'c1' is already that of"),
        ([{**ROW, "label": "maybe"}], 1, "'maybe' is not known"),
        ([{**ROW, "set": "adversary"}], 1, "'adversary' is not known"),
        ([{**ROW, "lable": "fail"}], 1, "did you mean 'label'"),
        ([{k: v for k, v in ROW.items() if k != "rubric"}], 1, "missing key 'rubric'"),
        ([{k: v for k, v in ROW.items() if k != "prompt"}], 1, "either 'messages' or 'prompt'"),
        ([ROW, "{"], 2, "not valid JSON"),
        ([{**ROW, "prompt": ""}], 1, "content"),
    ],
)
def test_bad_rows_are_named_with_their_line(tmp_path: Path, rows: list[Any], line: int, complaint: str) -> None:
    path = write(tmp_path / "controls.jsonl", *rows)
    with pytest.raises(InputError, match=complaint) as caught:
        read_controls(path)
    assert f"{path}:{line}" in str(caught.value)


def test_an_empty_or_absent_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no control"):
        read_controls(write(tmp_path / "empty.jsonl", ""))
    with pytest.raises(InputError, match="does not exist"):
        read_controls(tmp_path / "absent.jsonl")
