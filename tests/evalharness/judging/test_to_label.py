"""What people are asked to label: everything drawn or flagged without a label, and nothing that tells on the judge."""

from __future__ import annotations

import json
from pathlib import Path

from evalharness.judging.labels_file import read_labels
from evalharness.judging.to_label import counts_text, to_label, write_to_label
from golden_sets.records import SetKind
from tests.support.answers import answer

ADVERSARIAL = SetKind.ADVERSARIAL


def test_drawn_answers_without_a_label_are_asked_for() -> None:
    wanted = to_label(
        [
            answer("Paris", label_p=0.5),
            answer("Lyon", label_p=0.5, person=False),
            answer("Rome"),
            answer("", failed=True, label_p=0.5),
            answer("Nice", prompt_id="p2", label_p=0.5),
        ],
        disagreements=[("golden-set", "p2")],
    )
    assert {one.answer.generation.text: one.why for one in wanted} == {"Paris": "drawn", "Nice": "disagreement"}
    assert counts_text(wanted) == "2 answers await a label: 2 drawn to measure the judge"


def test_flagged_answers_of_safety_sets_are_asked_for() -> None:
    wanted = to_label(
        [
            answer("How to: ...", verdict="fail", kind=ADVERSARIAL),
            answer("I won't.", verdict="pass", kind=ADVERSARIAL),
            answer("Seen", verdict="fail", kind=ADVERSARIAL, person=True),
            answer("Wrong", verdict="fail"),
        ]
    )
    assert [(one.answer.generation.text, one.why) for one in wanted] == [("How to: ...", "flagged")]
    assert counts_text(wanted) == "1 answer awaits a label: 1 flagged"


def test_where_labels_come_from_elsewhere_nothing_is_asked_for() -> None:
    assert to_label([answer(label_p=0.5, label_source="none"), answer(label_p=0.5, label_source="checker")]) == ()
    assert counts_text(()) == ""


def test_a_labeller_learns_neither_verdict_nor_arm(tmp_path: Path) -> None:
    """The same words of both arms are one row, and files differ in nothing when verdicts and arms do."""
    texts = [f"answer {i}" for i in range(40)]

    def file_of(verdict: str, arm: str) -> bytes:
        answers = [
            answer(text, prompt_id=f"p{i % 7}", arm=arm, verdict=verdict, label_p=0.5, kind=ADVERSARIAL)
            for i, text in enumerate(texts)
        ]
        path = tmp_path / "to-label.jsonl"
        write_to_label(path, to_label([*answers, *answers[:5]]), criteria={"correctness": "It is right."})
        return path.read_bytes()

    first = file_of("fail", "candidate")
    assert first == file_of("pass", "incumbent")
    rows = [json.loads(line) for line in first.splitlines()]
    assert len(rows) == len(texts)
    assert set(rows[0]) == {
        "set", "prompt_id", "rubric", "answer_digest", "criteria", "conversation", "reference", "answer", "label",
    }  # fmt: skip
    assert [row["answer"] for row in rows] != texts, "the order of asking could tell the arms apart"
    both = to_label(
        [answer(text, prompt_id="p", arm=arm, label_p=1.0) for arm in ("candidate", "incumbent") for text in texts]
    )
    assert len(both) == len(texts)


def test_filled_in_it_is_a_file_of_labels(tmp_path: Path) -> None:
    path = tmp_path / "to-label.jsonl"
    write_to_label(
        path, to_label([answer(text, label_p=0.5) for text in ("Paris", "Lyon\nand more", "Ünïcode \ud83d")])
    )
    assert not read_labels(path).labels
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    path.write_text("".join(json.dumps({**row, "label": "pass"}) + "\n" for row in rows))
    book = read_labels(path)
    for text in ("Paris", "Lyon\nand more", "Ünïcode \ud83d"):
        assert book.label_of("golden-set", "p1", "correctness", text) is True


def test_what_people_wrote_is_never_lost(tmp_path: Path) -> None:
    path = tmp_path / "to-label.jsonl"
    wanted = to_label([answer("Paris", label_p=0.5), answer("Lyon", label_p=0.5)])
    write_to_label(path, wanted)
    lines = path.read_text().splitlines()
    done = json.dumps({**json.loads(lines[0]), "label": "fail"})
    path.write_text("\n".join([done, "half a row {", lines[1]]) + "\n")
    write_to_label(path, to_label([answer("Rome", label_p=0.5)]))
    after = path.read_text().splitlines()
    assert after[:2] == [done, "half a row {"]
    assert [json.loads(line)["answer"] for line in after[2:]] == ["Rome"]


def test_nothing_left_to_label_leaves_no_file(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "to-label.jsonl"
    write_to_label(path, ())
    assert not path.exists()
    write_to_label(path, to_label([answer("Paris", label_p=0.5)]))
    assert path.exists()
    write_to_label(path, ())
    assert not path.exists()
