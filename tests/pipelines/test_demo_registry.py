"""The demo's people and its auditor, on a release that was measured without a model."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

import pytest

import tests.support.measured_releases as measured_releases
from gates.policy import load_policy
from gates.registry import Registry
from golden_sets.errors import InputError
from pipelines.cli.app import run
from pipelines.demo_registry import CANARY, DRILL, SUBMITTER, People, audit, set_up, sign_off
from pipelines.progress import Progress
from pipelines.project import Project
from pipelines.signing import KEY_VARIABLE, submit
from pipelines.workspace import Workspace
from tests.support.measured_releases import MeasuredRelease, MeasuredReleases
from tests.support.recorded_releases import Maker

PROJECT = """\
name: demo
sets: [golden.yaml]
stage: canary
data: .
mlflow: null
"""
CARD = """\
{name: golden-set, version: '1', kind: golden, file: golden.jsonl, rubric: correctness, needs_reference: false}
"""
POLICY = """\
name: demo
version: 1
alpha: 0.05
primary: floor
require_plan: true
checks:
  - {id: floor, metric: pass_rate, test: floor, where: {set: golden}, threshold: 0.8}
  - {id: reliability, metric: request_success_rate, test: floor, threshold: 0.9}
promotion:
  roles: {submitter: [ci], ml-owner: [mia], safety-reviewer: [sara], release-manager: [rita]}
  stages:
    canary: {signatures: {ml-owner: 1}}
    production: {signatures: {safety-reviewer: 1, release-manager: 1}, after: canary}
"""
QUIET = Progress(quiet=True)


class Releases(MeasuredReleases):
    """Releases in a registry whose people somebody else enrols."""

    def __init__(self, workspace: Workspace) -> None:
        self.registry, self.policy = workspace.registry, workspace.project.policy.policy
        self.make = Maker(self.policy)


@dataclass
class Demo:
    """A project as the demo has it, with a first version in production and a second that passed."""

    workspace: Workspace
    people: People
    release: MeasuredRelease

    @property
    def registry(self) -> Registry:
        return self.workspace.registry


@pytest.fixture
def demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Demo:
    monkeypatch.delenv(KEY_VARIABLE, raising=False)
    (tmp_path / "relgate.yaml").write_text(PROJECT)
    (tmp_path / "policy.yaml").write_text(POLICY)
    (tmp_path / "golden.yaml").write_text(CARD)
    prompts = [{"id": f"easy-{i}", "prompt": f"question {i}", "tier": "easy"} for i in range(300)]
    (tmp_path / "golden.jsonl").write_text("".join(json.dumps(prompt) + "\n" for prompt in prompts))
    workspace = Workspace.open(Project.load(tmp_path))
    monkeypatch.setattr(measured_releases, "SETS", tuple(one.prompt_set for one in workspace.project.sets))
    releases = Releases(workspace)
    first = releases.seed()
    people = set_up(workspace, QUIET)
    found = releases.release("v2", first)
    with people.submitting():
        assert submit(workspace.registry, found.decision) == ()
    return Demo(workspace, people, found)


def test_the_demo_signs_moves_rolls_back_and_is_verified(demo: Demo, capsys: pytest.CaptureFixture[str]) -> None:
    signed = sign_off(demo.workspace, demo.people, demo.release.decision, QUIET)
    own, hurried, spent = signed.refused
    assert "'ci' may not approve what they submitted" in own or "does not hold the role" in own
    assert "was not promoted to flagship/canary" in hurried
    assert "must approve" in spent
    assert signed.served.digest == demo.release.digest
    assert [move.kind for move in signed.served.history] == ["seed", "promote", "rollback", "promote"]
    assert signed.served.history[2].reason == DRILL
    assert demo.registry.channel("flagship", CANARY).digest == demo.release.digest
    assert signed.rollback_s is not None
    assert signed.rollback_s < 1.0
    assert KEY_VARIABLE not in os.environ

    found = audit(demo.workspace, demo.people, demo.release.digest, QUIET)
    assert found.surprises == ()
    assert found.registry.verdicts == 1
    assert found.bundle.log.trusted is True
    assert not found.forged.ok

    folder = found.folder
    offline = [
        "registry",
        "verify",
        "--checkpoint",
        str(folder / "checkpoint.json"),
        "--trust",
        str(folder / "root.pub"),
    ]
    assert run([*offline, "--offline", str(folder / "release.zip")]) == 0
    assert run([*offline, "--offline", str(folder / "forged.zip")]) == 1
    assert "PROBLEM" in capsys.readouterr().out


def test_a_second_run_signs_nothing_again(demo: Demo) -> None:
    sign_off(demo.workspace, demo.people, demo.release.decision, QUIET)
    size = demo.registry.checkpoint().size
    set_up(demo.workspace, QUIET)
    again = sign_off(demo.workspace, demo.people, demo.release.decision, QUIET)
    assert again.refused == ()
    assert again.rollback_s is None
    assert again.served.digest == demo.release.digest
    assert demo.registry.checkpoint().size == size


def test_an_interrupted_run_goes_on(demo: Demo) -> None:
    people, decision = demo.people, demo.release.decision
    people.approve(decision, "mia", "ml-owner", "flagship", CANARY, "")
    demo.registry.promote(
        "flagship", CANARY, demo.release.digest, decision_digest=decision.digest, expected_generation=0, reason="r"
    )
    assert sign_off(demo.workspace, people, decision, QUIET).served.digest == demo.release.digest


def test_what_the_auditor_finds_when_the_log_was_edited(demo: Demo) -> None:
    sign_off(demo.workspace, demo.people, demo.release.decision, QUIET)
    with demo.registry._engine.begin() as connection:
        names = connection.exec_driver_sql("SELECT name FROM sqlite_master WHERE type = 'trigger'").scalars().all()
        for name in names:
            connection.exec_driver_sql(f"DROP TRIGGER {name}")
        connection.exec_driver_sql("UPDATE ledger SET actor = 'nobody' WHERE position = 3")
    found = audit(demo.workspace, demo.people, demo.release.digest, QUIET)
    assert any(text.startswith("registry verify:") for text in found.surprises)


def test_keys_are_made_once_and_only_their_owner_may_read_them(demo: Demo) -> None:
    assert demo.people.key(SUBMITTER).public == demo.people.key(SUBMITTER).public
    assert demo.people.file(SUBMITTER).stat().st_mode & 0o077 == 0


def test_a_folder_of_an_older_demo_is_refused(tmp_path: Path, demo: Demo) -> None:
    (tmp_path / "policy.yaml").write_text(POLICY[: POLICY.index("promotion:")])
    assert load_policy(tmp_path / "policy.yaml").policy.promotion is None
    with pytest.raises(InputError, match="older relgate"):
        set_up(Workspace.open(Project.load(tmp_path)), QUIET)
