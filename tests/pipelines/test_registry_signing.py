"""Signing, waiving, pinning and checking from the command line, with a registry and without."""

from __future__ import annotations

import errno
import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from gates.decision import Status
from gates.policy import load_policy
from gates.registry import Registry
from gates.verifier.promotion import later
from pipelines.cli.app import run
from pipelines.project import Project
from pipelines.workspace import Workspace
from tests.support.projects import write_project
from tests.support.recorded_releases import Release, checked
from tests.support.signed_registry import SignedRegistry, now

POLICY = """\
name: signed
version: 1
alpha: 0.05
primary: floor
checks:
  - {id: floor, metric: pass_rate, test: floor, threshold: 0.7, expected: 0.8}
  - {id: violations, metric: violation_rate, test: ceiling, threshold: 0.1, expected: 0.02, waivable: false}
promotion:
  roles: {submitter: [sam], ml-owner: [mia, max], safety-reviewer: [sara]}
  stages: {production: {signatures: {ml-owner: 1, safety-reviewer: 1}}}
  waiver_h: 720
"""


@dataclass
class Desk:
    """A project whose people have key files, and the command line."""

    folder: Path
    signed: SignedRegistry
    capsys: pytest.CaptureFixture[str]

    @property
    def registry(self) -> Registry:
        return self.signed.registry

    def key(self, person: str) -> str:
        """A person's key file."""
        path = self.folder / "keys" / person
        if not path.exists():
            self.signed.people.keys[person].write(path)
        return str(path)

    def run(self, *arguments: str) -> tuple[int, str, str]:
        """Exit code, stdout and stderr."""
        self.capsys.readouterr()
        code = run(["registry", *arguments])
        told = self.capsys.readouterr()
        return code, told.out, told.err

    def at(self, *arguments: str) -> tuple[int, Any]:
        """Exit code and JSON document of a command about the project."""
        code, out, _ = self.run(*arguments, "-p", str(self.folder), "--json")
        return code, json.loads(out)

    def release(self, name: str, *failed: str) -> Release:
        """A release against the version in production."""
        signed = self.signed
        served = self.registry.channel("flagship", "production").name
        incumbent = signed.seed() if served is None else signed.make.candidate(served)
        if not failed:
            return signed.release(name, incumbent)
        checks = tuple(checked(c, Status.FAIL if c.id in failed else Status.PASS) for c in signed.make.policy.checks)
        return signed.release(name, incumbent, verdict="block", checks=checks)

    def sign_all(self, version: str) -> None:
        """The submission and both approvals."""
        for person, role in (("sam", "submitter"), ("max", "ml-owner"), ("sara", "safety-reviewer")):
            assert self.at("sign", version, "--role", role, "--key", self.key(person))[0] == 0


@pytest.fixture
def desk(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Desk:
    monkeypatch.delenv("RELGATE_KEY", raising=False)
    folder = tmp_path / "project"
    folder.mkdir()
    write_project(folder, prompts=5)
    (folder / "policy.yaml").write_text(POLICY)
    registry = Workspace.open(Project.load(folder)).registry
    return Desk(folder, SignedRegistry(registry, load_policy(folder / "policy.yaml").policy), capsys)


# -- what people type ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (("sign", "v2", "--role", "ml-owner", "--key", "max", "--comment", "ja\udcff"), "this cannot be signed"),
        (("promote", "new", "--seed", "--reason", "ja\udcff", "--channel", "small"), "cannot be written to the log"),
        (("check", "--within", "99999999d"), "longer than a hundred years"),
        (("pin", "--reason", "x", "--key", "olga", "--owner", " ann"), "' ann' cannot be a person's name"),
        (("prove", "99999999999999999999", "-o", "r.json"), "there is no event 99999999999999999999"),
        (("export", "v2", "-o", "b.zip", "--channel", "flagshp"), "unknown channel 'flagshp'"),
        (("export", "v2", "-o", "b.zip", "--stage", "prod"), "unknown stage 'prod'"),
    ],
)
def test_what_cannot_be_meant_is_bad_input_and_leaves_nothing(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], match: str
) -> None:
    """Shells hand over bytes that are no UTF-8 as halves of surrogate pairs."""
    desk.release("v2")
    monkeypatch.chdir(desk.folder)
    before = len(desk.registry.log())
    keyed = [
        desk.key(said) if earlier == "--key" else said
        for earlier, said in zip(("", *arguments), arguments, strict=False)
    ]
    code, told = desk.at(*keyed)
    assert (code, match in told["error"]["what"]) == (2, True), told
    assert [event.type for event in desk.registry.log()[before:]] in ([], ["registered"])
    assert not any((desk.folder / name).exists() for name in ("b.zip", "r.json"))


def test_envelopes_are_read_before_the_first_is_recorded_and_named_where_they_are_refused(
    desk: Desk, tmp_path: Path
) -> None:
    desk.release("v2")
    good, bad = tmp_path / "good.json", tmp_path / "bad.json"
    prepared = ("sign", "v2", "--role", "ml-owner", "--person", "max", "--prepare", str(good))
    assert desk.at(*prepared)[0] == 0
    assert desk.run("sign", "--file", str(good), "--key", desk.key("max"), "-o", str(good))[0] == 0
    bad.write_text("{}")
    before = len(desk.registry.log())
    code, told = desk.at("record", str(good), str(bad))
    assert (code, told["error"]["where"]) == (2, str(bad))
    assert len(desk.registry.log()) == before
    assert desk.at("record", str(good))[0] == 0
    code, told = desk.at("record", str(good))
    assert (code, told["error"]["where"]) == (2, str(good))


def test_an_envelope_that_cannot_be_written_leaves_the_one_that_was_there(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.release("v2")
    prepared, full = tmp_path / "approval.json", OSError(errno.ENOSPC, "No space left on device")

    def no_space(_descriptor: int) -> None:
        raise full

    prepared.write_text("what was prepared before")
    monkeypatch.setattr("os.fsync", no_space)
    code, told = desk.at("sign", "v2", "--role", "ml-owner", "--person", "max", "--prepare", str(prepared))
    assert (code, "No space left" in told["error"]["what"]) == (4, True)
    assert prepared.read_text() == "what was prepared before"
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["approval.json"]


# -- signing -------------------------------------------------------------------------------------------------


def test_a_version_moves_when_all_have_signed(desk: Desk) -> None:
    desk.release("v2")
    code, told = desk.at("promote", "v2")
    assert code == 5
    assert told["awaiting"] == [
        "no submitter has signed the decision",
        "1 of ml-owner must approve",
        "1 of safety-reviewer must approve",
    ]
    assert told["generation"] == 1
    _, told = desk.at("sign", "v2", "--role", "submitter", "--key", desk.key("sam"))
    assert told["missing"] == ["1 of ml-owner must approve", "1 of safety-reviewer must approve"]
    _, told = desk.at("sign", "v2", "--role", "ml-owner", "--key", desk.key("max"), "--comment", "looks good")
    assert told["statement"]["comment"] == "looks good"
    assert desk.at("promote", "v2")[0] == 5
    code, told = desk.at("sign", "v2", "--role", "safety-reviewer", "--key", desk.key("sara"))
    assert (code, told["missing"]) == (0, [])
    code, told = desk.at("promote", "v2", "--reason", "better")
    assert (code, told["name"], told["generation"]) == (0, "v2", 2)
    assert desk.at("promote", "v2")[0] == 0, "it is served already"
    assert desk.registry.verify().problems == ()


def test_a_submission_carries_the_inference_and_a_summary(desk: Desk) -> None:
    release = desk.release("v2")
    _, told = desk.at("sign", release.decision.digest[7:19], "--role", "submitter", "--key", desk.key("sam"))
    (given,) = desk.registry.authority(release.decision.digest).given[release.decision.digest]
    assert [one["id"] for one in told["statement"]["inference"]] == ["floor", "violations"]
    assert given.act.to_json()["summary"] is not None


def test_the_environments_key_signs(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.release("v2")
    monkeypatch.setenv("RELGATE_KEY", desk.key("max"))
    code, told = desk.at("sign", "v2", "--role", "ml-owner", "--expires", "2d")
    assert (code, told["statement"]["person"]) == (0, "max")
    assert later(now(), hours=47.9) < told["statement"]["expires"] < later(now(), hours=48.1)


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (("sign", "v2", "--role", "ml-owner", "--key", "sara"), "'sara' does not hold the role 'ml-owner'"),
        (("sign", "v2", "--role", "submitter", "--key", "max"), "'max' does not hold the role 'submitter'"),
        (("sign", "v2", "--role", "boss", "--key", "max"), "role 'boss' does not approve"),
        (("sign", "v2", "--role", "ml-owner", "--key", "max", "--expires", "999h"), "longest approval is 168 hours"),
        (("sign", "v2", "--role", "ml-owner", "--key", "max", "--expires", "soon"), "written as 72h"),
        (("sign", "v2", "--role", "ml-owner"), "which key signs"),
        (("sign", "v2", "--key", "max"), "in which role"),
        (("sign", "v1", "--role", "ml-owner", "--key", "max"), "no decision about 'v1'"),
        (("sign", "v9", "--role", "ml-owner", "--key", "max"), "no decision recorded under 'v9'"),
        (("sign", "v2", "--role", "ml-owner", "--prepare", "x"), "who is to sign"),
        (("sign", "--file", "x", "--key", "max"), "where does the signed envelope go"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_what_would_not_count_is_not_signed(desk: Desk, arguments: tuple[str, ...], match: str) -> None:
    desk.release("v2")
    before = desk.registry.log()
    named = [desk.key(a) if b == "--key" else a for a, b in zip(arguments, ("", *arguments), strict=False)]
    code, _, err = desk.run(*named, "-p", str(desk.folder))
    assert (code, match in err) == (2, True), err
    assert desk.registry.log() == before


def test_a_key_that_nobody_enrolled_signs_nothing(desk: Desk, tmp_path: Path) -> None:
    desk.release("v2")
    assert desk.run("key", "new", str(tmp_path / "stranger"))[0] == 0
    code, _, err = desk.run(
        "sign", "v2", "--role", "ml-owner", "--key", str(tmp_path / "stranger"), "-p", str(desk.folder)
    )
    assert (code, "is not enrolled in this registry" in err) == (2, True)


def test_the_submitter_is_told_at_once(desk: Desk) -> None:
    release = desk.release("v2")
    desk.signed.people.submit(release.decision, "mia")
    code, _, err = desk.run("sign", "v2", "--role", "ml-owner", "--key", desk.key("mia"), "-p", str(desk.folder))
    assert (code, "'mia' may not approve what they submitted" in err) == (2, True)


# -- without the registry ------------------------------------------------------------------------------------


def test_a_person_without_the_registry_signs_a_file(desk: Desk, tmp_path: Path) -> None:
    desk.release("v2")
    asked, signed = tmp_path / "asked.json", tmp_path / "signed.json"
    for person, role in (("sam", "submitter"), ("max", "ml-owner"), ("sara", "safety-reviewer")):
        code, told = desk.at("sign", "v2", "--role", role, "--prepare", str(asked), "--person", person)
        assert (code, told["prepared"]) == (0, str(asked))
        code, out, _ = desk.run("sign", "--file", str(asked), "--key", desk.key(person), "-o", str(signed))
        assert code == 0
        assert person in out
        assert role == "submitter" or "'v2' may move to flagship/production" in out
        code, told = desk.at("record", str(signed))
        assert (code, told["recorded"][0]["payload"]["person"]) == (0, person)
    assert desk.at("promote", "v2")[0] == 0
    code, _, err = desk.run("record", str(signed), "-p", str(desk.folder))
    assert (code, "its nonce is used" in err) == (2, True)


def test_what_somebody_else_signed_is_not_recorded(desk: Desk, tmp_path: Path) -> None:
    desk.release("v2")
    asked, signed = tmp_path / "asked.json", tmp_path / "signed.json"
    desk.at("sign", "v2", "--role", "ml-owner", "--prepare", str(asked), "--person", "max")
    desk.run("sign", "--file", str(asked), "--key", desk.key("sara"), "-o", str(signed))
    for path in (asked, signed):
        code, _, err = desk.run("record", str(path), "-p", str(desk.folder))
        assert (code, "not signed with a key of 'max'" in err) == (2, True)


def test_a_file_that_is_no_statement_is_not_signed(desk: Desk, tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text('{"payload": "anything"}')
    code, _, err = desk.run("sign", "--file", str(path), "--key", desk.key("max"), "-o", str(tmp_path / "y.json"))
    assert (code, str(path) in err) == (2, True)
    assert not (tmp_path / "y.json").exists()


# -- waivers -------------------------------------------------------------------------------------------------

WHY = ("--reason", "known gap", "--scope", "tenant a", "--control", "people review")


def test_a_blocked_version_moves_by_a_waiver(desk: Desk) -> None:
    release = desk.release("v2", "floor")
    decision = ("--decision", release.decision.digest)
    assert desk.run("promote", "v2", "-p", str(desk.folder))[0] == 2
    code, _, err = desk.run("promote", "v2", *decision, "-p", str(desk.folder))
    assert (code, "not waived: floor" in err) == (2, True)
    code, told = desk.at("waive", "v2", "--check", "floor", *WHY, "--expires", "30d", "--key", desk.key("mia"))
    assert (code, told["statement"]["role"], told["statement"]["on_expiry"]) == (0, "ml-owner", "demote")
    assert desk.at("promote", "v2", *decision)[0] == 5, "what is waived is signed for all the same"
    desk.sign_all("v2")
    code, told = desk.at("promote", "v2", *decision)
    assert (code, told["name"]) == (0, "v2")
    _, shown = desk.at("show", "v2")
    assert [one["check"] for one in shown["standing"]["waivers"]] == ["floor"]


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"--check": "violations"}, "may not be waived by anybody"),
        ({"--check": "nothing"}, "'nothing' is no check of decision"),
        ({"--key": "sara"}, "'sara' does not own check 'floor'"),
        ({"--key": "sara"}, "let one of its owners sign: max, mia"),
        ({"--reason": " "}, "a waiver needs a reason"),
        ({"--scope": ""}, "a waiver needs a scope"),
        ({"--control": ""}, "a waiver needs a control"),
        ({"--expires": "31d"}, "longest waiver is 720 hours"),
        ({"--on-expiry": "forget"}, "takes demote or block"),
    ],
    ids=str,
)
def test_a_waiver_needs_what_it_needs(desk: Desk, change: dict[str, str], match: str) -> None:
    desk.release("v2", "floor", "violations")
    before = desk.registry.log()
    options = {"--check": "floor", "--expires": "30d", "--key": "mia", **dict(zip(WHY[::2], WHY[1::2], strict=True))}
    options |= change
    options["--key"] = desk.key(options["--key"])
    flat = [text for pair in options.items() for text in pair]
    code, _, err = desk.run("waive", "v2", *flat, "-p", str(desk.folder))
    assert (code, match in err) == (2, True), err
    assert desk.registry.log() == before


def on_a_short_waiver(desk: Desk, hours: float, **fields: Any) -> str:
    """v3 in production by a waiver, above v2 which passed; returns when the waiver expires."""
    passing = desk.release("v2")
    desk.signed.people.sign_off(passing.decision)
    desk.signed.promote(passing)
    release = desk.release("v3", "floor")
    desk.signed.people.sign_off(release.decision)
    expires = later(now(), hours=hours)
    desk.signed.people.waive(release.decision, "mia", "floor", role="ml-owner", expires=expires, **fields)
    desk.signed.promote(release)
    return expires


def test_the_check_announces_demotes_and_reports(desk: Desk) -> None:
    assert desk.at("check") == (0, {"expired": [], "blocked": [], "expiring": [], "warnings": []})
    expires = on_a_short_waiver(desk, 2.5 / 3600)
    code, told = desk.at("check")
    assert (code, [one["expires"] for one in told["expiring"]]) == (0, [expires])
    while now() <= expires:
        time.sleep(0.05)
    code, told = desk.at("check")
    assert (code, told["expired"][0]["action"], told["expired"][0]["channel"]["name"]) == (1, "demote", "v2")
    assert desk.at("check")[0] == 0
    assert desk.registry.verify().problems == ()


def test_what_is_blocked_stays_an_alarm(desk: Desk) -> None:
    expires = on_a_short_waiver(desk, 2.5 / 3600, on_expiry="block")
    while now() <= expires:
        time.sleep(0.05)
    for _ in range(2):
        code, out, _ = desk.run("check", "-p", str(desk.folder))
        assert (code, "flagship/production" in out, "blocked" in out) == (1, True, True)
    _, listed = desk.at("list")
    assert [one["name"] for one in listed["blocked"]] == ["v3"]


def test_every_step_names_the_next(desk: Desk) -> None:
    release = desk.release("v2")
    at, prepared, signed = ("-p", str(desk.folder)), str(desk.folder / "a.json"), str(desk.folder / "b.json")
    _, out, _ = desk.run("promote", "v2", *at)
    assert "relgate registry sign" in out
    desk.at("sign", "v2", "--role", "submitter", "--key", desk.key("sam"))
    desk.at("sign", "v2", "--role", "ml-owner", "--key", desk.key("max"))
    _, out, _ = desk.run("sign", "v2", "--role", "safety-reviewer", "--person", "sara", "--prepare", prepared, *at)
    assert f"relgate registry sign --file {prepared}" in out
    _, out, _ = desk.run("sign", "--file", prepared, "--key", desk.key("sara"), "-o", signed)
    assert f"relgate registry record {signed}" in out
    with Path(signed).open("ab") as file:
        file.write(b"\n")  # as an editor does
    assert desk.at("record", signed)[0] == 0
    _, out, _ = desk.run("show", "v2", *at)
    assert f"decision {release.decision.digest[7:19]}: promote, " in out
    assert "nothing stands against flagship/production" in out
    command = next(text for text in out.splitlines() if "relgate registry promote" in text).split()
    assert desk.run(*command[2:], *at)[0] == 0
    assert desk.registry.channel("flagship", "production").name == "v2"


def test_what_a_version_lacks_is_told_again_after_a_rollback(desk: Desk) -> None:
    desk.release("v2")
    desk.sign_all("v2")
    desk.at("promote", "v2")
    assert desk.at("show", "v2")[1]["standing"]["missing"] == []
    desk.at("rollback", "--reason", "slow")
    missing = desk.at("show", "v2")[1]["standing"]["missing"]
    assert missing == ["1 of ml-owner must approve", "1 of safety-reviewer must approve"]


def test_bad_usage_names_the_help_that_helps(desk: Desk) -> None:
    assert "see 'relgate registry pin --help'" in desk.run("pin")[2]


def test_a_promotion_looks_at_expired_waivers_first(desk: Desk) -> None:
    expires = on_a_short_waiver(desk, 2.5 / 3600)
    while now() <= expires:
        time.sleep(0.05)
    code, _, err = desk.run("promote", "v1", "-p", str(desk.folder))
    assert code == 2
    assert "has expired; it serves v2 now" in err
    assert desk.registry.channel("flagship", "production").name == "v2"


# -- pinned policies -----------------------------------------------------------------------------------------


def test_a_policy_is_pinned_and_loosening_it_is_shown(desk: Desk) -> None:
    code, told = desk.at("pin", "--reason", "first", "--key", desk.key("olga"), "--owner", "sara", "--owner", "olga")
    said = told["statement"]
    assert (code, said["channel"], said["owners"], said["previous"]) == (0, "flagship", ["sara", "olga"], None)
    assert set(said["sets"]) == {"golden", "other", "attacks"}
    assert said["judge"] == Project.load(desk.folder).judge_digest
    looser = desk.folder / "looser.yaml"
    looser.write_text(POLICY.replace("threshold: 0.7", "threshold: 0.6").replace("version: 1", "version: 2"))
    pin = ("pin", str(looser), "--no-sets", "--reason", "tired", "-p", str(desk.folder), "--key")
    code, _, err = desk.run(*pin, desk.key("max"))
    assert (code, "'max' does not own the policy" in err) == (2, True)
    code, out, _ = desk.run(*pin, desk.key("sara"))
    assert code == 0
    assert all(text in out for text in ("floor", "threshold", "0.7", "0.6", "ml-owner", "loosened"))
    _, listed = desk.at("list")
    assert [(one["person"], one["sets"], one["owners"]) for one in listed["pins"]] == [("sara", {}, ["sara", "olga"])]
    code, _, err = desk.run(*pin, desk.key("sara"))
    assert (code, "pinned to this very policy already" in err) == (2, True)


def test_sets_that_are_pinned_no_longer_are_told(desk: Desk) -> None:
    at = ("--key", desk.key("olga"), "-p", str(desk.folder))
    assert desk.run("pin", "--reason", "agreed", *at)[0] == 0
    code, out, _ = desk.run("pin", "--no-sets", "--reason", "looser", *at)
    assert code == 0
    for what in ("pinned set golden", "pinned set attacks", "pinned judge"):
        (told,) = [line for line in out.splitlines() if what in line]
        assert "not pinned" in told
        assert "loosened" in told
    again = desk.run("pin", "--reason", "again", *at)[1]
    assert "pinned judge" in again
    assert "loosened" not in again


def test_the_first_pin_needs_a_root_key(desk: Desk) -> None:
    code, _, err = desk.run("pin", "--reason", "mine", "--key", desk.key("max"), "-p", str(desk.folder))
    assert (code, "pinned with a root key, which 'max' does not hold" in err) == (2, True)


def test_a_pin_is_signed_elsewhere_too(desk: Desk, tmp_path: Path) -> None:
    asked, signed = tmp_path / "asked.json", tmp_path / "signed.json"
    code, _ = desk.at("pin", "--reason", "first", "--prepare", str(asked), "--person", "olga")
    assert code == 0
    code, out, _ = desk.run("sign", "--file", str(asked), "--key", desk.key("olga"), "-o", str(signed))
    assert (code, "channel 'flagship' moves under policy" in out) == (0, True)
    assert desk.at("record", str(signed))[0] == 0
    (pin,) = desk.registry.pins()
    assert pin.pin.policy == desk.signed.make.policy.digest


# -- what is shown -------------------------------------------------------------------------------------------


def test_show_tells_who_signed_and_what_is_missing(desk: Desk) -> None:
    release = desk.release("v2")
    desk.signed.people.submit(release.decision)
    desk.signed.people.approve(release.decision, "max")
    code, out, _ = desk.run("show", "v2", "-p", str(desk.folder))
    assert code == 0
    assert "signed: max, ml-owner for flagship/production" in out
    assert "missing for flagship/production: 1 of safety-reviewer must approve" in out


def test_a_rollback_does_not_wait_for_libraries_it_has_no_use_for(desk: Desk) -> None:
    """Those take seconds to start; one command must have the old version back in less than one."""
    release = desk.release("v2")
    desk.signed.people.sign_off(release.decision)
    desk.signed.promote(release)
    command = [sys.executable, "-X", "importtime", "-m", "pipelines.cli", "registry", "rollback", "--reason", "slow"]
    done = subprocess.run([*command, "-p", str(desk.folder)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "serves v1" in done.stdout
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.splitlines()}
    assert "sqlalchemy" in imported
    assert imported.isdisjoint({"scipy", "pandas", "numpy", "pyarrow", "statsmodels", "sklearn", "aiohttp", "mlflow"})
