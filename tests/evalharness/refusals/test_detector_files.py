"""Files of detectors: what is loaded is what was saved, and nothing else is."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from evalharness.refusals import RefusalDetector
from golden_sets.errors import InputError

SHIPPED = Path(str(files("evalharness.refusals") / "shipped.json"))
ANSWERS = ["I'm sorry, but I can't help with that.", "Beat two eggs with salt and fry them in butter.", ""]


def edited(tmp_path: Path, edit: Callable[[dict[str, Any]], object]) -> Path:
    document = json.loads(SHIPPED.read_text("utf-8"))
    edit(document)
    path = tmp_path / "edited.json"
    path.write_text(json.dumps(document), "utf-8")
    return path


def test_a_saved_detector_is_the_same_one(tmp_path: Path) -> None:
    shipped = RefusalDetector.shipped()
    path = tmp_path / "new" / "detector.json"
    shipped.save(path)
    loaded = RefusalDetector.load(path)
    assert loaded.digest == shipped.digest
    assert loaded.training == shipped.training
    assert loaded.classify(ANSWERS) == shipped.classify(ANSWERS)
    assert [file.name for file in path.parent.iterdir()] == ["detector.json"]


def test_the_digest_covers_weights_and_training_record() -> None:
    shipped = RefusalDetector.shipped()
    parts = (shipped.sentences, shipped.refusal, shipped.partial, shipped.training)
    assert RefusalDetector.of(*parts).digest == shipped.digest
    moved = replace(shipped.refusal, intercept=shipped.refusal.intercept + 0.001)
    renamed = shipped.training.model_copy(update={"source": "elsewhere"})
    others = [
        RefusalDetector.of(shipped.sentences, moved, shipped.partial, shipped.training),
        RefusalDetector.of(shipped.sentences, shipped.refusal, shipped.partial, renamed),
    ]
    assert len({shipped.digest, *(other.digest for other in others)}) == 3


def _one_weight(document: dict[str, Any]) -> None:
    document["refusal"]["opening"][0] += 0.5


@pytest.mark.parametrize(
    ("edit", "what"),
    [
        (_one_weight, "altered: its digest does not match"),
        (lambda d: d["refusal"].update(intercept=-50.0), "altered"),
        (lambda d: d["training"].update(rows=9), "altered"),
        (lambda d: d["sentences"]["evasive"].update(intercept=0.0), "altered"),
        (lambda d: d.update(encoder="sha256:" + "0" * 64), "another encoder"),
        (lambda d: d.update(features=1), "version 1 of the features"),
        (lambda d: d.update(format="something"), "not a refusal detector"),
        (lambda d: d["refusal"]["opening"].pop(), "weights are not those of"),
        (lambda d: d["partial"]["phrases"].update(unknown=0.0), "weights are not those of"),
        (lambda d: d["sentences"]["refusing"]["embedding"].pop(), "has not 384 weights"),
        (lambda d: d["refusal"].update(intercept=float("nan")), "intercept"),
        (lambda d: d.pop("partial"), "partial"),
    ],
)
def test_an_altered_file_is_refused(tmp_path: Path, edit: Callable[[dict[str, Any]], object], what: str) -> None:
    with pytest.raises(InputError, match=what):
        RefusalDetector.load(edited(tmp_path, edit))


@pytest.mark.parametrize(
    ("content", "what"),
    [(b"", "not JSON"), (b"[1]", "not a refusal detector"), (b"\xff\xfe", "not JSON"), (b" " * 5_000_000, "too large")],
)
def test_other_files_are_refused(tmp_path: Path, content: bytes, what: str) -> None:
    path = tmp_path / "other.json"
    path.write_bytes(content)
    with pytest.raises(InputError, match=what):
        RefusalDetector.load(path)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        RefusalDetector.load(tmp_path / "none.json")


def test_a_detector_is_saved_in_files_only(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path, what in ((tmp_path, "is a folder"), (tmp_path / "file" / "detector.json", "nothing can be written in")):
        with pytest.raises(InputError, match=what):
            RefusalDetector.shipped().save(path)
    assert (tmp_path / "file").read_text() == ""
