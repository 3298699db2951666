"""``relgate registry key|checkpoint|prove``: keys from the making to the revocation, and what proves the log."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from gates.signing.keys import PASSPHRASE_VARIABLE, read_public_key
from pipelines.cli.app import run
from pipelines.scaffold import scaffold


@dataclass
class Shell:
    """The command line in one project."""

    folder: Path
    capsys: pytest.CaptureFixture[str]

    def __call__(self, *arguments: str, code: int = 0) -> dict[str, Any]:
        """Run ``relgate registry ... --json``; what it printed."""
        project = () if arguments[:2] == ("key", "new") else ("--project", str(self.folder / "project"))
        self.capsys.readouterr()
        assert run(["registry", *arguments, *project, "--json"]) == code
        found: dict[str, Any] = json.loads(self.capsys.readouterr().out)
        return found

    def refused(self, *arguments: str) -> str:
        """Run a command that is refused; why."""
        return str(self(*arguments, code=2)["error"]["what"])

    def told(self, *arguments: str) -> str:
        """Run a command for people; what it printed."""
        self.capsys.readouterr()
        assert run(["registry", *arguments, "--project", str(self.folder / "project")]) == 0
        return self.capsys.readouterr().out

    def path(self, name: str) -> str:
        return str(self.folder / name)

    def new(self, name: str) -> str:
        """Make a key; its path."""
        self("key", "new", self.path(name))
        return self.path(name)


@pytest.fixture
def shell(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Shell:
    for name in ("RELGATE_KEY", PASSPHRASE_VARIABLE):
        monkeypatch.delenv(name, raising=False)
    scaffold(tmp_path / "project", [], name="keys")
    return Shell(tmp_path, capsys)


@pytest.fixture
def olga(shell: Shell) -> str:
    """The first key of the log, ``olga``'s."""
    key = shell.new("olga")
    shell("key", "enrol", key, "--person", "olga")
    return key


def test_the_first_key_is_the_root_key(shell: Shell) -> None:
    key = shell.new("olga")
    found = shell("key", "enrol", key, "--person", "olga")
    assert (found["person"], found["root"], found["since"], found["signs"]) == ("olga", True, 0, True)
    assert found["key"] == read_public_key(Path(key + ".pub")).id
    assert shell("verify", "--trust", key + ".pub")["problems"] == []


def test_a_key_is_enrolled_with_a_root_key_at_hand(shell: Shell, olga: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ann = shell.new("ann")
    assert "a root key must countersign" in shell.refused("key", "enrol", ann, "--person", "ann")
    assert shell("key", "enrol", ann, "--person", "ann", "--by", olga)["since"] == 1
    monkeypatch.setenv("RELGATE_KEY", olga)
    found = shell("key", "enrol", shell.new("bob"), "--person", "bob")
    assert (found["since"], found["root"]) == (2, False)
    bea = shell.new("bea")
    assert "no root key signed it" in shell.refused("key", "enrol", bea, "--person", "bea", "--by", ann)
    assert "cannot be a person's name" in shell.refused("key", "enrol", bea, "--person", "bea ", "--by", olga)


def test_a_key_is_enrolled_by_request_without_leaving_its_holder(shell: Shell, olga: str, tmp_path: Path) -> None:
    ann, request = shell.new("ann"), shell.path("request.json")
    log = shell("key", "list")["log"]
    shell("key", "request", ann, "--person", "ann", "--log", log, "-o", request)
    Path(ann).rename(tmp_path / "elsewhere")
    assert "a root key must countersign" in shell.refused("key", "enrol", "--request", request)
    assert shell("key", "enrol", "--request", request, "--by", olga)["person"] == "ann"
    assert "its nonce is used" in shell.refused("key", "enrol", "--request", request, "--by", olga)
    shell("key", "request", shell.new("bob"), "--person", "bob", "-o", request)
    said = json.loads(Path(request).read_text())
    said["signatures"] = []
    Path(request).write_text(json.dumps(said, separators=(",", ":")))
    assert "the key itself did not sign" in shell.refused("key", "enrol", "--request", request, "--by", olga)
    assert "a request says itself" in shell.refused("key", "enrol", "--request", request, "--person", "eve")
    assert "which key" in shell.refused("key", "enrol")


def test_a_request_for_another_log_is_refused(shell: Shell, olga: str) -> None:
    request, other = shell.path("request.json"), "sha256:" + "0" * 64
    shell("key", "request", shell.new("ann"), "--person", "ann", "--log", other, "-o", request)
    assert "signed for another log" in shell.refused("key", "enrol", "--request", request, "--by", olga)


def test_a_key_is_rotated_and_revoked_and_its_successor_named(shell: Shell, olga: str) -> None:
    old, new = shell.new("ann"), shell.new("ann-2")
    first = shell("key", "enrol", old, "--person", "ann", "--by", olga)
    second = shell("key", "rotate", old, new)
    assert (second["person"], second["replaces"], second["signs"]) == ("ann", first["key"], True)
    assert "it signs nothing now" in shell.refused("key", "rotate", old, shell.new("ann-3"))
    assert "needs a reason" in shell.refused("key", "revoke", old + ".pub", "--reason", " ", "--key", new)
    revoked = shell("key", "revoke", old + ".pub", "--reason", "stolen", "--key", new)
    assert (revoked["key"], revoked["revoked"], revoked["retired"]) == (first["key"], 3, 2)
    assert "goes on signing" in revoked["warnings"][0]
    last = shell("key", "revoke", second["key"][:8], "--reason", "stolen too", "--key", olga)
    assert last["warnings"] == []
    assert [key["signs"] for key in shell("key", "list")["keys"]] == [True, False, False]
    told = shell.told("key", "list")
    assert "was revoked by event 3" in told
    assert "signs, as a root key" in told
    assert "signs nothing in this registry" in shell.refused(
        "key", "revoke", olga + ".pub", "--reason", "x", "--key", new
    )
    assert "last root key" in shell.refused("key", "revoke", olga + ".pub", "--reason", "x", "--key", olga)
    assert "no key is enrolled" in shell.refused("key", "revoke", "abcdef", "--reason", "x", "--key", olga)
    assert "which key signs" in shell.refused("key", "revoke", olga + ".pub", "--reason", "x")
    assert shell("verify")["problems"] == []


def test_an_encrypted_key_signs_with_its_passphrase(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PASSPHRASE_VARIABLE, "correct horse")
    assert shell("key", "new", shell.path("olga"))["encrypted"]
    assert shell("key", "enrol", shell.path("olga"), "--person", "olga")["root"]
    monkeypatch.delenv(PASSPHRASE_VARIABLE)
    assert "encrypted" in shell.refused("checkpoint", "--key", shell.path("olga"))


def test_a_checkpoint_shows_that_nothing_was_removed_since(shell: Shell, olga: str) -> None:
    plain, signed = shell.path("plain.json"), shell.path("signed.json")
    assert shell("checkpoint", "-o", plain)["keys"] == []
    found = shell("checkpoint", "-o", signed, "--key", olga)
    assert found["size"] == 1
    assert found["keys"] == [read_public_key(Path(olga + ".pub")).id]
    shell("key", "enrol", shell.new("ann"), "--person", "ann", "--by", olga)
    for file in (plain, signed):
        assert shell("verify", "--checkpoint", file)["problems"] == []
    told = shell.told("checkpoint")
    assert "not signed: add --key KEY" in told
    assert "not written: add -o FILE" in told
    changed = json.loads(Path(plain).read_text())
    changed["root"] = "sha256:" + "0" * 64
    Path(plain).write_text(json.dumps(changed))
    assert "the log was rewritten" in shell("verify", "--checkpoint", plain, code=1)["problems"][0]
    assert "signed with enrolled keys" in shell.refused("checkpoint", "--key", shell.new("eve"))


def test_a_receipt_is_verified_without_a_registry(shell: Shell, olga: str) -> None:
    receipt = shell.path("receipt.json")
    assert shell("prove", "0", "-o", receipt)["keys"] == []
    found = shell("prove", "0", "-o", receipt, "--key", olga)
    assert found["event"]["type"] == "key_enrolled"
    (shell.folder / "project").rename(shell.folder / "gone")
    (shell.folder / "project").mkdir()
    checked = shell("verify", "--receipt", receipt, "--trust", olga + ".pub")
    assert (checked["ok"], checked["trusted"]) == (True, True)
    said = json.loads(Path(receipt).read_text())
    said["event"]["actor"] = "somebody else"
    Path(receipt).write_text(json.dumps(said))
    assert "is not in the log" in shell("verify", "--receipt", receipt, code=1)["problems"][0]


def test_there_is_no_receipt_of_an_event_to_come(shell: Shell, olga: str) -> None:
    assert "there is no event 7" in shell.refused("prove", "7", "-o", shell.path("receipt.json"))
    assert not Path(shell.path("receipt.json")).exists()
