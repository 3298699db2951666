"""The traffic log: read once, from where the last run stopped, whatever is wrong with single lines."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from golden_sets.errors import InputError
from router_training.shadow.traffic import Batch, read_batches, seconds_of


def write(path: Path, lines: list[object]) -> None:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")


def read(path: Path, places: dict[str, int] | None = None, **options: object) -> list[Batch]:
    return list(read_batches(path, places or {}, **options))  # type: ignore[arg-type]


def places_after(batches: list[Batch]) -> dict[str, int]:
    return {batches[-1].place.head: batches[-1].place.offset}


def test_every_line_once_in_batches(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    write(log, [{"prompt": f"p{k}", "id": k, "time": k} for k in range(10)])
    batches = read(log, size=4)
    assert [len(batch.requests) for batch in batches] == [4, 4, 2]
    assert [one.prompt for batch in batches for one in batch.requests] == [f"p{k}" for k in range(10)]
    assert read(log, places_after(batches)) == []


def test_a_log_that_grows_is_read_on(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    write(log, [{"prompt": "first"}])
    places = places_after(read(log))
    with log.open("a") as file:
        file.write('{"prompt": "second"}\n')
    (batch,) = read(log, places)
    assert [one.prompt for one in batch.requests] == ["second"]


def test_a_last_line_that_is_still_being_written_waits(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    log.write_text('{"prompt": "first"}\n{"prompt": "seco')
    (batch,) = batches = read(log)
    assert [one.prompt for one in batch.requests] == ["first"]
    assert batch.malformed == ()
    with log.open("a") as file:
        file.write('nd"}\n')
    (batch,) = read(log, places_after(batches))
    assert [one.prompt for one in batch.requests] == ["second"]


def test_a_rotated_log_begins_anew(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    write(log, [{"prompt": "a"}, {"prompt": "b"}])
    places = places_after(read(log))
    write(log, [{"prompt": "c"}])
    (batch,) = read(log, places)
    assert [one.prompt for one in batch.requests] == ["c"]


def test_ids_without_an_id_tell_lines_and_logs_apart(tmp_path: Path) -> None:
    one, other = tmp_path / "one.jsonl", tmp_path / "other.jsonl"
    write(one, [{"prompt": "same"}, {"prompt": "same"}])
    write(other, [{"prompt": "other"}, {"prompt": "same"}])
    ids = [request.id for path in (one, other) for batch in read(path) for request in batch.requests]
    assert len(set(ids)) == 4
    assert [request.id for request in read(one)[0].requests] == ids[:2]


def test_a_cut_log_is_refused(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    write(log, [{"prompt": "a"}, {"prompt": "b"}])
    places = places_after(read(log))
    write(log, [{"prompt": "a"}])
    with pytest.raises(InputError, match="shorter than what was read"):
        read(log, places)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("not json", "not JSON"),
        ('["a", "list"]', "not a JSON object"),
        ('{"text": "no prompt"}', "no text under 'prompt'"),
        ('{"prompt": 3}', "no text under 'prompt'"),
        ('{"prompt": "p", "time": "soon"}', "neither seconds nor an ISO 8601 time"),
        ('{"prompt": "p", "time": true}', "neither seconds nor an ISO 8601 time"),
        ('{"prompt": "p", "time": Infinity}', "not finite"),
        ('{"prompt": "p", "time": 1' + "0" * 400 + "}", "not finite"),
        ('{"prompt": "p", "time": 1' + "0" * 5000 + "}", "too many digits"),
        ('{"prompt": "p", "time": 1700000000000}', "not milliseconds"),
        ("[" * 100_000, "JSON"),
    ],
)
def test_a_bad_line_is_passed_over_and_told(tmp_path: Path, line: str, why: str) -> None:
    log = tmp_path / "log.jsonl"
    log.write_text(f'{{"prompt": "good"}}\n{line}\n{{"prompt": "good too"}}\n')
    (batch,) = read(log)
    assert [one.prompt for one in batch.requests] == ["good", "good too"]
    assert len(batch.malformed) == 1
    assert why in batch.malformed[0]
    assert "log.jsonl: byte 19" in batch.malformed[0]


def test_bytes_that_are_no_text_are_passed_over(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    log.write_bytes(b'{"prompt": "good"}\n{"prompt": "\xff"}\n{"prompt": "\\ud800 lone"}\n')
    (batch,) = read(log)
    assert len(batch.malformed) == 1
    assert batch.requests[1].prompt == "? lone"


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    write(log, [{"question": f"q{k}"} for k in range(20)])
    with pytest.raises(InputError, match="the first lines hold no request") as caught:
        read(log)
    assert "--column" in str(caught.value)
    (batch,) = read(log, columns={"prompt": "question"})
    assert len(batch.requests) == 20


def test_a_missing_log_and_an_unknown_column_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such log"):
        read(tmp_path / "none.jsonl")
    write(tmp_path / "log.jsonl", [{"prompt": "p"}])
    with pytest.raises(InputError, match="no column 'promt'"):
        read(tmp_path / "log.jsonl", columns={"promt": "x"})


def test_an_empty_log_holds_nothing(tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").write_text("")
    assert read(tmp_path / "log.jsonl") == []


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (1700000000, 1.7e9),
        ("1700000000.5", 1700000000.5),
        ("2023-11-14T22:13:20+00:00", 1.7e9),
        ("2023-11-14 22:13:20", 1.7e9),
        ("2023-11-14 22:13:20.1234567", 1700000000.123456),
        (None, None),
        ("", None),
    ],
)
def test_times(value: object, seconds: float | None) -> None:
    assert seconds_of(value) == seconds


def test_what_an_answer_is_scored_by_is_carried(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    write(log, [{"prompt": "p", "reference": "42", "checker": {"kind": "exact", "value": "42"}}, {"prompt": "q"}])
    (batch,) = read(log)
    assert batch.requests[0].expected == {"reference": "42", "checker": {"kind": "exact", "value": "42"}}
    assert batch.requests[1].expected is None


def test_half_a_surrogate_pair_anywhere_is_replaced(tmp_path: Path) -> None:
    odd = {"prompt": "half \ud83d", "id": "\ude00", "family": "f\ud83d", "reference": ["r\ud83d"], "time": 5}
    write(tmp_path / "log.jsonl", [odd, {"prompt": "whole \U0001f600"}])
    ((first, second),) = [batch.requests for batch in read(tmp_path / "log.jsonl")]
    assert (first.prompt, first.id, first.family, first.time) == ("half ?", "?", "f?", 5)
    assert first.expected == {"reference": ["r?"]}
    assert second.prompt == "whole \U0001f600"
