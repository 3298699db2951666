"""A file of people's labels: they belong to the words that were read; oddities are counted and named."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from evalharness.judging.labels_file import LabelKey, answer_digest, label_use, read_labels
from golden_sets.errors import InputError

Row = dict[str, Any]


def row(answer: str = "Paris", label: Any = "pass", **other: Any) -> Row:
    found: Row = {
        "set": "capitals",
        "prompt_id": "p1",
        "rubric": "correctness",
        "answer_digest": answer_digest(answer),
        "label": label,
    }
    return {**found, **other}


def jsonl(folder: Path, *rows: Row) -> Path:
    path = folder / "labels.jsonl"
    path.write_text("".join(json.dumps(one) + "\n" for one in rows))
    return path


def test_a_label_belongs_to_the_words_that_were_read(tmp_path: Path) -> None:
    book = read_labels(jsonl(tmp_path, row("Paris"), row("Lyon", "fail")))
    assert book.label_of("capitals", "p1", "correctness", "Paris") is True
    assert book.label_of("capitals", "p1", "correctness", "Lyon") is False
    assert book.label_of("capitals", "p1", "correctness", "Paris.") is None
    assert book.label_of("capitals", "p2", "correctness", "Paris") is None
    assert book.label_of("capitals", "p1", "style", "Paris") is None
    assert book.label_of("rivers", "p1", "correctness", "Paris") is None


def test_csv_and_jsonl_say_the_same(tmp_path: Path) -> None:
    rows = [row("Paris, of course\nParis"), row("Lyon", "FAIL", labeller="ann", note='no, "wrong"\nsee map')]
    table = tmp_path / "labels.csv"
    with table.open("w", newline="") as file:
        writer = csv.DictWriter(file, [*rows[0], "labeller", "note"])
        writer.writeheader()
        writer.writerows(rows)
    assert read_labels(table).labels == read_labels(jsonl(tmp_path, *rows)).labels
    assert len(read_labels(table).labels) == 2


def test_two_people_who_disagree_leave_no_label_and_a_third_settles_it(tmp_path: Path) -> None:
    ann, bob = row(labeller="ann"), row(label="fail", labeller="bob")
    book = read_labels(jsonl(tmp_path, ann, bob))
    assert book.label_of("capitals", "p1", "correctness", "Paris") is None
    assert len(book.disputed) == 1
    settled = read_labels(jsonl(tmp_path, ann, bob, row(label="fail", labeller="cat")))
    assert settled.label_of("capitals", "p1", "correctness", "Paris") is False
    assert not settled.disputed


def test_a_labeller_may_think_again(tmp_path: Path) -> None:
    book = read_labels(jsonl(tmp_path, row(labeller="ann"), row(label="fail", labeller="ann")))
    assert book.label_of("capitals", "p1", "correctness", "Paris") is False
    assert not book.disputed


def test_a_third_label_labels_nothing_and_is_counted_and_named(tmp_path: Path) -> None:
    book = read_labels(
        jsonl(tmp_path, row(label="unsure"), row("Lyon", "unsure"), row("Rome", ""), row("Nice", "fail"))
    )
    assert book.label_of("capitals", "p1", "correctness", "Paris") is None
    assert book.strange == {"unsure": 2}
    found = label_use(book, {"capitals": ["p1"]}, ["correctness"], set(book.labels))
    assert "2 rows neither pass nor fail, so no label: 'unsure' (2)" in found.lines()


def test_what_the_run_does_not_have_is_counted_and_named(tmp_path: Path) -> None:
    strangers = [
        *(row(set=f"old-{i}") for i in range(5)),
        row(prompt_id="p9"),
        row(rubric="style"),
        row("said last week"),
        row("Paris"),
        row("Lyon", "fail", labeller="ann"),
        row("Lyon", "pass", labeller="bob"),
    ]
    given = {LabelKey("capitals", "p1", "correctness", answer_digest(words)) for words in ("Paris", "Lyon", "Rome")}
    found = label_use(read_labels(jsonl(tmp_path, *strangers)), {"capitals": ["p1", "p2"]}, ["correctness"], given)
    assert (found.used, found.disputed) == (1, 1)
    assert {what: len(names) for what, names in found.unknown.items()} == {
        "set": 5,
        "prompt": 1,
        "rubric": 1,
        "answer": 1,
    }
    text = "\n".join(found.lines())
    assert "5 labels about a set that the run does not have: old-0, old-1, old-2 and 2 more" in text
    assert "capitals/p9" in text
    assert "1 label about words that nobody answered: capitals/p1" in text
    assert "1 answer disputed" in text


def test_digests_are_taken_with_or_without_their_name(tmp_path: Path) -> None:
    bare = answer_digest("Paris").removeprefix("sha256:").upper()
    assert read_labels(jsonl(tmp_path, row(answer_digest=bare))).label_of("capitals", "p1", "correctness", "Paris")


def test_words_that_no_file_can_hold_have_a_digest() -> None:
    assert answer_digest("half a \ud83d pair") == answer_digest("half a ? pair")
    assert answer_digest("a\0b") == answer_digest("a\ufffdb"), "as the store gives them back"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", r"labels\.jsonl: the file is empty"),
        ('{"set": "a"\n', r"labels\.jsonl:1: not a JSON object"),
        ("[1]\n", r"JSON list"),
        ("set,prompt_id,rubric,answer_digest,label\n", "no rows"),
        ("set,prompt_id,rubric,answer_digest\na,b,c,d\n", r"labels\.jsonl:1: there is no column 'label'"),
        (json.dumps(row()) + "\n\n" + json.dumps(row(prompt_id="")) + "\n", r"labels\.jsonl:3: prompt_id is empty"),
        (json.dumps(row(answer_digest="sha256:12")) + "\n", r"labels\.jsonl:1: answer_digest: .* no SHA-256 digest"),
        (json.dumps(row(label=["pass"])) + "\n", r"labels\.jsonl:1: 'label' is neither text nor a number"),
    ],
)
def test_a_malformed_file_is_one_clear_error(tmp_path: Path, text: str, complaint: str) -> None:
    path = tmp_path / "labels.jsonl"
    path.write_text(text)
    with pytest.raises(InputError, match=complaint):
        read_labels(path)


def test_no_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        read_labels(tmp_path / "none.jsonl")
