"""``relgate registry verify`` and ``export``: what the command line tells, and its exit codes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from evalharness.database import open_database
from gates.registry import Registry
from gates.signing.checkpoints import sign_checkpoint
from gates.signing.keys import SigningKey
from gates.signing.predicates import LogState
from golden_sets.documents import json_text
from pipelines.cli.app import run
from tests.support.forger import Forger
from tests.support.measured_releases import MeasuredRelease, MeasuredReleases
from tests.support.projects import write_project


@dataclass
class Place:
    """A project whose registry holds a signed release, and what an auditor keeps elsewhere."""

    folder: Path
    engine: Engine
    line: MeasuredReleases
    release: MeasuredRelease
    capsys: pytest.CaptureFixture[str]

    @property
    def bundle(self) -> Path:
        return self.folder / "v2.zip"

    def __call__(self, *arguments: str | Path) -> tuple[int, Any]:
        """A command of the registry with ``--json``."""
        self.capsys.readouterr()
        code = run(["registry", *map(str, arguments), "--project", str(self.folder), "--json"])
        return code, json.loads(self.capsys.readouterr().out)

    def text(self, *arguments: str | Path) -> tuple[int, str]:
        """A command of the registry for people."""
        self.capsys.readouterr()
        code = run(["registry", *map(str, arguments), "--project", str(self.folder)])
        return code, self.capsys.readouterr().out

    def checkpoint(self, name: str) -> Path:
        """The log as it is now, in a file."""
        path = self.folder / name
        path.write_text(json_text(self.line.registry.checkpoint().to_json()))
        return path

    def key(self, name: str, key: SigningKey) -> Path:
        """The public half of a key, in a file."""
        path = self.folder / name
        key.write(path)
        return path.with_name(name + ".pub")


@pytest.fixture
def place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Place]:
    folder = tmp_path / "project"
    (folder / ".relgate").mkdir(parents=True)
    write_project(folder)
    engine = open_database(f"sqlite:///{folder / '.relgate' / 'relgate.db'}")
    line = MeasuredReleases(Registry(engine))
    first = line.seed()
    line.people.pin(line.policy)
    yield Place(folder, engine, line, line.promoted("v2", first), capsys)
    engine.dispose()


def test_verify_tells_that_nothing_was_changed(place: Place) -> None:
    code, found = place("verify")
    assert (code, found["ok"], found["problems"], found["verdicts"]) == (0, True, [], 1)
    code, told = place.text("verify")
    assert code == 0
    assert "1 verdict derived again from the outcomes: the same" in told
    assert "19 events, root sha256:" in told
    assert "nothing was changed" in told
    assert place("verify", "--no-verdicts")[1]["verdicts"] == 0


def test_verify_tells_that_nothing_was_ever_recorded(place: Place) -> None:
    """A store's address with a slip in it is a new, empty registry: in order, and not the one that was meant."""
    code, found = place("verify", "--store", f"sqlite:///{place.folder / 'slip.db'}")
    assert (code, found["size"]) == (0, 0)
    assert "the log is empty: nothing was ever recorded here" in found["notices"]


def test_verify_tells_what_was_changed(place: Place) -> None:
    Forger(place.engine).execute("UPDATE ledger SET actor = 'nobody' WHERE position = 3")
    code, found = place("verify")
    assert (code, found["ok"]) == (1, False)
    assert any("event 3 was changed" in problem for problem in found["problems"])
    code, told = place.text("verify")
    assert code == 1
    assert "PROBLEM  event 3 was changed" in told
    assert "not as recorded" in told


def test_checkpoints_and_keys_that_were_kept_elsewhere(place: Place) -> None:
    kept = place.checkpoint("kept.json")
    olga = place.key("olga", place.line.people.keys["olga"])
    state = place.line.registry.checkpoint()
    signed = place.folder / "signed.json"
    log_state = LogState(log=place.line.people.log, size=state.size, root=state.root, time=state.time)
    signed.write_bytes(sign_checkpoint(log_state, [place.line.people.keys["olga"]]))
    code, found = place("verify", "--checkpoint", kept, "--checkpoint", signed, "--trust", olga)
    assert (code, found["problems"], found["trusted"]) == (0, [], True)

    Forger(place.engine).rewrite(place.line.registry.log()[:-1])
    assert place("verify")[0] == 0
    for file in (kept, signed):
        code, found = place("verify", "--checkpoint", file)
        assert code == 1
        assert any("its end was removed" in problem for problem in found["problems"])
    stranger = place.key("stranger", SigningKey.generate())
    code, found = place("verify", "--trust", stranger)
    assert (code, found["trusted"]) == (1, False)


def test_files_that_are_none_are_bad_input(place: Place) -> None:
    nowhere = place.folder / "nowhere"
    for option in ("--checkpoint", "--trust", "--offline", "--receipt"):
        code, found = place("verify", option, nowhere)
        assert code == 2
        assert str(nowhere) in json.dumps(found)
    nowhere.write_text("[" * 200_000)
    for option in ("--checkpoint", "--trust", "--offline", "--receipt"):
        assert place("verify", option, nowhere)[0] == 2
    nowhere.write_text("{}")
    for option in ("--checkpoint", "--trust", "--offline", "--receipt"):
        assert place("verify", option, nowhere)[0] == 2
    assert place("verify", "--offline", nowhere, "--receipt", nowhere)[0] == 2


def test_a_bundle_is_verified_where_there_is_no_project(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, about = place("export", "v2", "-o", place.bundle)
    assert (code, about["name"], about["channel"], about["stage"]) == (0, "v2", "flagship", "production")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    olga = place.key("olga", place.line.people.keys["olga"])
    place.capsys.readouterr()
    code = run(["registry", "verify", "--offline", str(place.bundle), "--trust", str(olga), "--json"])
    found = json.loads(place.capsys.readouterr().out)
    assert code == 0
    assert {"ok", "problems", "notices", "trusted", "verdict", "size", "root"} <= found.keys()
    assert (found["ok"], found["verdict"], found["trusted"], found["derived"]) == (True, "promote", True, True)
    assert list(elsewhere.iterdir()) == []
    code, told = place.text("verify", "--offline", place.bundle)
    assert code == 0
    assert "approved by max as ml-owner" in told
    assert "the same" in told


def test_an_old_bundle_against_a_newer_checkpoint(place: Place) -> None:
    place("export", "v2", "-o", place.bundle)
    place.line.people.revoke("max")
    newer = place.checkpoint("newer.json")
    assert place("verify", "--offline", place.bundle)[0] == 0
    code, found = place("verify", "--offline", place.bundle, "--checkpoint", newer)
    assert code == 1
    assert any("older copy" in problem for problem in found["problems"])
    assert place("verify", "--checkpoint", newer)[0] == 0


def test_export_signs_a_checkpoint_and_names_what_is_unknown(place: Place) -> None:
    key = place.folder / "olga"
    place.line.people.keys["olga"].write(key)
    code, told = place.text("export", "v2", "-o", place.bundle, "--key", key)
    assert code == 0
    assert "'v2' (promotion to flagship/production, event 18), 19 events" in told
    _, found = place("verify", "--offline", place.bundle, "--trust", f"{key}.pub")
    assert (found["ok"], found["trusted"]) == (True, True)
    assert not any("checkpoint" in notice for notice in found["notices"])
    assert place("export", "v9", "-o", place.bundle)[0] == 2
    assert place("export", "v2", "--stage", "canary", "-o", place.bundle)[0] == 0


def test_a_receipt_is_verified_alone(place: Place) -> None:
    keys = [place.line.people.keys["olga"]]
    receipt = place.folder / "receipt.json"
    kept = place.checkpoint("kept.json")
    receipt.write_text(json_text(place.line.registry.prove(18, keys=keys).to_json()))
    olga = place.key("olga", keys[0])
    code, found = place("verify", "--receipt", receipt, "--trust", olga, "--checkpoint", kept)
    assert (code, found["problems"], found["trusted"]) == (0, [], True)
    assert place.text("verify", "--receipt", receipt)[1].startswith("event 18 (promoted)")

    document = json.loads(receipt.read_text())
    document["event"]["actor"] = "somebody else"
    receipt.write_text(json_text(document))
    code, found = place("verify", "--receipt", receipt)
    assert (code, found["ok"]) == (1, False)

    other = {**json.loads(kept.read_text()), "root": "sha256:" + "0" * 64}
    kept.write_text(json_text(other))
    document["event"]["actor"] = place.line.registry.log()[18].actor
    receipt.write_text(json_text(document))
    code, found = place("verify", "--receipt", receipt, "--checkpoint", kept)
    assert code == 1
    assert any("has another root" in problem for problem in found["problems"])
