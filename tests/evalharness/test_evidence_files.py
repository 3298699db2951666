"""Evidence on disk: what was written comes back, and a changed file is noticed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from evalharness.evidence_files import outcomes_path, read_evidence, write_evidence
from golden_sets.errors import InputError
from tests.support.evidence import measured, rows, table


@pytest.fixture
def path(tmp_path: Path) -> Path:
    one = measured(table(rows([1.0, 0.0, None], dim_tier="easy")))
    write_evidence(one.evidence, one.outcomes.to_parquet(), tmp_path / "e.json")
    return tmp_path / "e.json"


def test_round_trip(path: Path) -> None:
    evidence, outcomes = read_evidence(path)
    assert evidence.subject_name == "candidate"
    assert outcomes.dimensions == ("tier",)
    assert list(outcomes.frame["outcome"].fillna(-1)) == [1.0, 0.0, -1.0]


def test_equal_outcomes_give_equal_bytes_whatever_their_order() -> None:
    forward, backward = rows([1.0, 0.0, 1.0]), list(reversed(rows([1.0, 0.0, 1.0])))
    assert table(forward).to_parquet() == table(backward).to_parquet()


def test_removed_outcomes_are_noticed(path: Path) -> None:
    outcomes_path(path).write_bytes(table(rows([1.0])).to_parquet())
    with pytest.raises(InputError, match="changed after the evidence was written"):
        read_evidence(path)


def test_edited_evidence_is_noticed(path: Path) -> None:
    document = json.loads(path.read_text())
    document["evidence"]["subject_name"] = "somebody else"
    path.write_text(json.dumps(document))
    with pytest.raises(InputError, match="changed after it was written"):
        read_evidence(path)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": "relgate.evidence/1", "evidence": {}}', "\x00"])
def test_what_is_not_evidence_is_refused(tmp_path: Path, text: str) -> None:
    wrong = tmp_path / "wrong.json"
    wrong.write_text(text)
    with pytest.raises(InputError, match=r"wrong\.json"):
        read_evidence(wrong)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_evidence(tmp_path / "absent.json")
