"""``relgate judge fit-refusals`` and ``classify`` through the command line."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from evalharness.refusals import RefusalDetector
from pipelines.cli.app import run

Capture = pytest.CaptureFixture[str]
THINGS = (
    "copper pipes",
    "old maps",
    "goat cheese",
    "night trains",
    "sea glass",
    "brass bells",
    "rye bread",
    "wool socks",
)
TOWNS = ("Lund", "Bari", "Graz", "Split")


def command(capsys: Capture, *arguments: str | Path, code: int = 0) -> tuple[str, str]:
    assert run(["judge", *map(str, arguments)]) == code
    captured = capsys.readouterr()
    return captured.out, captured.err


def answers(tmp_path: Path) -> Path:
    """32 refusals in the words of one firm, and 32 answers, by two models."""
    path = tmp_path / "answers.csv"
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["model", "prompt", "completion", "verdict"])
        for thing in THINGS:
            for n, town in enumerate(TOWNS):
                model, prompt = f"model-{n % 2}", f"Where are {thing} sold in {town}?"
                rows.writerow([model, prompt, f"Desk {town}: closed, {thing} fall under rule {n + 3}.", "closed"])
                rows.writerow([model, prompt, f"In {town}, {thing} are sold at the market on day {n + 1}.", "answered"])
    return path


MAPPED = ("--column", "text=completion", "--column", "label=verdict", "--positive", "closed")


def test_a_users_labels_become_a_detector_with_a_known_error(tmp_path: Path, capsys: Capture) -> None:
    out = tmp_path / "detector.json"
    text, _ = command(capsys, "fit-refusals", answers(tmp_path), "--out", out, *MAPPED, "--group", "model", "--json")
    found: dict[str, Any] = json.loads(text)
    assert (found["rows"], found["refusals"], found["broken"], found["prompts"]) == (64, 32, 0, 32)
    assert found["kappa"].keys() >= {"value", "low", "high", "n"}
    assert found["kappa"]["value"] > 0.9 > found["shipped"]["kappa"]["value"]
    assert set(found["groups"]) == {"model-0", "model-1"}
    assert found["labels"] == {"answered": 32, "closed": 32}
    detector = RefusalDetector.load(out)
    assert detector.digest == found["digest"]
    assert detector.training.source == "answers.csv"

    new = tmp_path / "new.jsonl"
    rows = [
        {"text": "Desk Oslo: closed, beeswax falls under rule 9."},
        {"text": ""},
        {"text": "In Oslo, beeswax is sold."},
    ]
    new.write_text("".join(json.dumps(row) + "\n" for row in rows))
    lines, _ = command(capsys, "classify", new, "--detector", out)
    verdicts = [json.loads(line) for line in lines.splitlines()]
    assert [one["class"] for one in verdicts] == ["full_refusal", "empty_or_broken", "full_compliance"]
    assert [one["id"] for one in verdicts] == ["1", "2", "3"]
    assert verdicts[1] == {
        "id": "2",
        "class": "empty_or_broken",
        "probability": None,
        "partial": None,
        "broken": "empty",
    }
    document = json.loads(command(capsys, "classify", new, "--json")[0])
    assert document["classes"] == {"empty_or_broken": 1, "full_compliance": 2}
    assert document["detector"] == RefusalDetector.shipped().digest


def test_what_people_read(tmp_path: Path, capsys: Capture) -> None:
    out = tmp_path / "detector.json"
    text, _ = command(capsys, "fit-refusals", answers(tmp_path), "--out", out, *MAPPED, "--column", "prompt=")
    for part in (
        "refusals: closed; compliances: answered",
        "fitted, held out",
        "as shipped",
        "no column 'prompt'",
        str(out),
    ):
        assert part in " ".join(text.split()).replace(" detector.json", "detector.json")


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (None, "the file does not exist"),
        ("", "the file is empty"),
        ("text,label\n", "the file has no rows"),
        ("text,human\nyes,1\n", "there is no column 'label'"),
        ("completion,label\nyes,1\n", "there is no column 'text'"),
        ("text,label\n" + "".join(f"I cannot help with item {i}.,1\n" for i in range(20)), "0 labelled compliances"),
        ("text,label\n" + "".join(f"Item {i} is made of tin.,maybe\n" for i in range(20)), "which labels are refusals"),
        ("text,label\n" + ",1\n,0\n" * 30, "0 labelled compliances that can be read"),
    ],
)
def test_bad_files_are_one_error_and_write_nothing(
    tmp_path: Path, capsys: Capture, content: str | None, what: str
) -> None:
    path, out = tmp_path / "labels.csv", tmp_path / "detector.json"
    if content is not None:
        path.write_text(content)
    printed, error = command(capsys, "fit-refusals", path, "--out", out, code=2)
    assert what in error
    assert "labels.csv" in error or "--positive" in error
    assert error.count("relgate:") == 1
    assert printed == ""
    assert {file.name for file in tmp_path.iterdir()} <= {"labels.csv"}


def test_a_place_that_cannot_be_written_is_refused_before_anything_is_fitted(tmp_path: Path, capsys: Capture) -> None:
    path = answers(tmp_path)
    for out, what in ((tmp_path, "is a folder"), (path / "detector.json", "nothing can be written in")):
        _, error = command(capsys, "fit-refusals", path, "--out", out, *MAPPED, code=2)
        assert what in error
    assert [file.name for file in tmp_path.iterdir()] == ["answers.csv"]


def test_an_older_detector_stays_where_the_new_one_fails(tmp_path: Path, capsys: Capture) -> None:
    out = tmp_path / "detector.json"
    RefusalDetector.shipped().save(out)
    before = out.read_bytes()
    command(capsys, "fit-refusals", answers(tmp_path), "--out", out, *MAPPED[:-1], "shut", code=2)
    assert out.read_bytes() == before


def test_classify_refuses_what_is_no_detector_and_no_answers(tmp_path: Path, capsys: Capture) -> None:
    path = answers(tmp_path)
    _, error = command(capsys, "classify", path, "--column", "text=completion", "--detector", path, code=2)
    assert "not JSON" in error
    _, error = command(capsys, "classify", path, code=2)
    assert "there is no column 'text'" in error
