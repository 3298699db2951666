"""What a release does with decisions that are recorded: through the real commands, without asking a model anything."""

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from evalharness.drawing import sample_of
from evalharness.outcomes import OutcomeTable
from gates.decision import Decision, Verdict
from gates.gate import gate
from gates.registry import ChannelState
from golden_sets.errors import InfrastructureError, InputError
from pipelines.attempts import attempt_plans
from pipelines.cli.app import run
from pipelines.fleet import Fleet
from pipelines.progress import Progress
from pipelines.project import Project
from pipelines.release import release
from pipelines.release_rules import is_repairable
from pipelines.scaffold import scaffold
from pipelines.workspace import Workspace
from tests.support.evidence import measured, rows, table
from tests.support.evidence import policy as policy_of
from tests.support.plans import run as run_plan

POLICY = """\
name: small
version: 1
alpha: 0.05
primary: floor
checks:
  - {id: floor, metric: pass_rate, test: floor, threshold: 0.8}
"""
NAMES = ["flagship-v1", "flagship-v2", "flagship-cheap"]
SHARE_RIGHT = {"promote": 0.99, "block": 0.4, "inconclusive": 0.8}


@dataclass(frozen=True)
class Line:
    """A project with three candidates and the records that evaluations of them would have left."""

    directory: Path
    capsys: pytest.CaptureFixture[str]

    @property
    def workspace(self) -> Workspace:
        return Workspace.open(Project.load(self.directory))

    def decide(self, subject: str, incumbent: str | None, verdict: str = "promote") -> Decision:
        """Record an evaluation whose answers lead the real gate to this verdict."""
        workspace = self.workspace
        project, registry = workspace.project, workspace.registry
        candidate = project.candidate(subject)
        other = None if incumbent is None else project.candidate(incumbent)
        policy, sets = project.policy.policy, [s.prompt_set for s in project.sets]
        plan = attempt_plans(workspace, candidate, (other, None)).begin()
        (cell,) = plan.cells
        right = set(sample_of(plan, cell)[: round(cell.n * SHARE_RIGHT[verdict])])
        found, _ = run_plan(policy, plan, sets, lambda _arm, name, prompt, _cell: float((name, prompt) in right))
        evidence = found.evidence.model_copy(
            update={
                "subject_name": subject,
                "subject_digest": candidate.digest,
                "incumbent_name": incumbent,
                "incumbent_digest": None if other is None else other.digest,
                "provenance": found.evidence.provenance.model_copy(update={"finished_at": "2026-01-01T00:01:00Z"}),
            }
        )
        decision = gate(policy, replace(found, evidence=evidence), require_plan=True)
        assert decision.verdict is Verdict(verdict)
        for arm in (other, candidate):
            if arm is not None:
                registry.register_candidate(arm)
        registry.record_policy(policy)
        registry.record_plan(plan)
        registry.record_evidence(evidence, found.outcomes.to_parquet())
        registry.record_decision(decision)
        return decision

    def relgate(self, *arguments: str) -> tuple[int, Any]:
        self.capsys.readouterr()
        code = run([*arguments, "--project", str(self.directory), "--json"])
        return code, json.loads(self.capsys.readouterr().out)

    def error(self, *arguments: str) -> str:
        code, document = self.relgate(*arguments)
        assert code == 2
        return str(document["error"]["what"])

    def seed(self, name: str = "flagship-v1") -> None:
        assert self.relgate("registry", "promote", name, "--seed", "--reason", "first")[0] == 0

    def edit(self, pattern: str, replacement: str, file: str = "relgate.yaml") -> None:
        path = self.directory / file
        text, count = re.subn(pattern, replacement, path.read_text(), flags=re.MULTILINE)
        assert count
        path.write_text(text)

    def serves(self) -> str | None:
        return self.workspace.current().name


@pytest.fixture
def line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Line:
    directory = tmp_path / "project"
    scaffold(directory, NAMES, name="small")
    (directory / "policy.yaml").write_text(POLICY)
    found = Line(directory, capsys)
    found.edit("^mlflow: .*$", "mlflow: null")
    return found


# -- which decisions are evaluated again ---------------------------------------------------------------------


def answered(count: int, failed: int, **options: Any) -> list[dict[str, Any]]:
    """Rows of one set: no event in any answer, some requests failed."""
    good = rows([options.pop("outcome")] * (count - failed), **options)
    return [*good, *rows([None] * failed, start=count, error="timeout", **options)]


CHECKS = (
    {"id": "violations", "metric": "violation_rate", "test": "ceiling", "threshold": 0.02},
    {"id": "reliability", "metric": "request_success_rate", "test": "floor", "threshold": 0.99},
)


def decided(outcomes: OutcomeTable, *checks: dict[str, Any]) -> Decision:
    return gate(policy_of(*checks), measured(outcomes))


def test_only_an_incomplete_safety_cell_is_asked_again() -> None:
    decision = decided(table(answered(1000, 1, kind="adversarial", outcome=0.0)), *CHECKS)
    assert decision.ids(decision.checks[0].status) == ["violations"]
    assert decision.verdict is Verdict.INCONCLUSIVE
    assert is_repairable(decision)


def test_open_reliability_is_not_repaired_by_asking_again() -> None:
    """Reliability may be settled by luck when failed requests are repeated, which nobody must be able to try."""
    decision = decided(table(answered(1000, 8, kind="adversarial", outcome=0.0)), *CHECKS)
    assert decision.verdict is Verdict.INCONCLUSIVE
    assert {c.id for c in decision.checks if c.status.value == "inconclusive"} == {"violations", "reliability"}
    assert not is_repairable(decision)


def test_reliability_of_a_safety_set_is_not_repaired_either() -> None:
    of_safety_set = {**CHECKS[1], "where": {"set": "adversarial"}}
    decision = decided(table(answered(1000, 8, kind="adversarial", outcome=0.0)), of_safety_set)
    assert decision.checks[0].safety
    assert decision.checks[0].estimate.errors == 8
    assert decision.verdict is Verdict.INCONCLUSIVE
    assert not is_repairable(decision)


def test_too_little_data_is_not_repaired_by_asking_again() -> None:
    assert not is_repairable(decided(table(answered(40, 0, kind="adversarial", outcome=0.0)), CHECKS[0]))


@pytest.mark.parametrize(("count", "failed", "verdict"), [(1000, 0, "promote"), (1000, 200, "block")])
def test_what_is_settled_is_never_evaluated_again(count: int, failed: int, verdict: str) -> None:
    decision = decided(table(answered(count, failed, kind="adversarial", outcome=0.0)), *CHECKS)
    assert decision.verdict.value == verdict
    assert not is_repairable(decision)


def test_an_inconclusive_decision_is_returned_as_recorded(line: Line) -> None:
    line.seed()
    decision = line.decide("flagship-v2", "flagship-v1", "inconclusive")
    code, document = line.relgate("release", "flagship-v2")
    assert (code, document["recorded"], document["decision"]) == (3, True, decision.digest)
    assert (document["promoted"], line.serves()) == (False, "flagship-v1")


# -- promoting by a recorded decision ------------------------------------------------------------------------


def test_a_recorded_decision_moves_the_channel(line: Line) -> None:
    line.seed()
    line.decide("flagship-v2", "flagship-v1")
    code, document = line.relgate("release", "flagship-v2", "--no-promote")
    assert (code, document["promoted"], line.serves()) == (0, False, "flagship-v1")
    code, document = line.relgate("release", "flagship-v2")
    assert (code, document["promoted"], document["recorded"], document["warnings"]) == (0, True, True, [])
    assert line.serves() == "flagship-v2"


def test_what_the_channel_serves_needs_no_incumbent(line: Line) -> None:
    line.seed()
    decision = line.decide("flagship-v2", "flagship-v1")
    line.relgate("release", "flagship-v2")
    before = line.workspace.registry.log()
    code, document = line.relgate("release", "flagship-v2")
    assert (code, document["decision"], document["recorded"], document["promoted"]) == (0, decision.digest, True, True)
    assert Path(document["reports"]["html"]).is_file()
    assert line.workspace.registry.log() == before
    line.decide("flagship-cheap", "flagship-v2")
    line.relgate("release", "flagship-cheap")
    line.relgate("registry", "rollback", "--reason", "slow")
    code, document = line.relgate("release", "flagship-v2")
    assert (code, document["decision"]) == (0, decision.digest)


def test_a_first_version_has_no_decision_to_return(line: Line) -> None:
    line.seed()
    assert "served already" in line.error("release", "flagship-v1")


def test_another_incumbent_is_compared_but_promotes_nothing(line: Line) -> None:
    line.seed()
    line.decide("flagship-v2", "flagship-cheap")
    code, document = line.relgate("release", "flagship-v2", "--incumbent", "flagship-cheap")
    assert (code, document["verdict"], document["promoted"]) == (0, "promote", False)
    (warning,) = document["warnings"]
    assert "flagship/production serves 'flagship-v1' and the comparison is with 'flagship-cheap'" in warning
    assert line.serves() == "flagship-v1"
    code, document = line.relgate("release", "flagship-v2", "--incumbent", "flagship-cheap", "--no-promote")
    assert (code, document["warnings"]) == (0, [])


def test_another_incumbent_is_told_before_anything_is_asked(line: Line) -> None:
    """The models are given addresses where nothing listens: the run ends where it would begin to ask."""
    line.seed()
    for name in NAMES:
        line.edit("^  kind: vllm$", "  kind: endpoints\n  version: x", f"candidates/{name}.yaml")
        line.edit("^    max_num_seqs: .*\n    env: .*$", "    urls: [http://127.0.0.1:9]", f"candidates/{name}.yaml")
        line.edit("^  args: .*$", "  args: {}", f"candidates/{name}.yaml")
    workspace = line.workspace
    candidate, incumbent = (workspace.project.candidate(n) for n in ("flagship-v2", "flagship-cheap"))

    async def go() -> None:
        async with Fleet(workspace.project.logs) as fleet:
            await release(workspace, candidate, incumbent, fleet=fleet, progress=Progress())

    line.capsys.readouterr()
    with pytest.raises(InfrastructureError):
        asyncio.run(go())
    assert "the comparison is with 'flagship-cheap': nothing can be promoted" in line.capsys.readouterr().err


def test_what_was_rolled_back_is_not_put_back_by_an_old_decision(line: Line) -> None:
    line.seed()
    line.decide("flagship-v2", "flagship-v1")
    line.relgate("release", "flagship-v2")
    line.relgate("registry", "rollback", "--reason", "leaks secrets")
    code, document = line.relgate("release", "flagship-v2")
    assert (code, document["verdict"], document["promoted"], line.serves()) == (0, "promote", False, "flagship-v1")
    (warning,) = document["warnings"]
    assert "leaks secrets" in warning
    assert "registry promote flagship-v2 --reason" in warning
    assert "leaks secrets" in line.error("registry", "promote", "flagship-v2")
    assert line.serves() == "flagship-v1"
    assert line.relgate("registry", "promote", "flagship-v2", "--reason", "fixed upstream")[0] == 0
    assert line.serves() == "flagship-v2"


def test_a_decision_made_after_the_rollback_counts(line: Line) -> None:
    line.seed()
    line.decide("flagship-v2", "flagship-v1")
    line.relgate("release", "flagship-v2")
    line.relgate("registry", "rollback", "--reason", "slow")
    line.edit("^line: .*$", "line: another", "relgate.yaml")
    line.decide("flagship-v2", "flagship-v1")
    code, document = line.relgate("release", "flagship-v2")
    assert (code, document["promoted"], document["warnings"], line.serves()) == (0, True, [], "flagship-v2")


def test_a_recorded_decision_that_moves_the_channel_is_mirrored(line: Line) -> None:
    from mlflow import MlflowClient

    line.edit("^mlflow: .*$", "mlflow: local")
    line.seed()
    decision = line.decide("flagship-v2", "flagship-v1")
    code, document = line.relgate("release", "flagship-v2")
    assert (code, document["recorded"], document["promoted"], document["warnings"]) == (0, True, True, [])
    version = MlflowClient(line.workspace.project.mlflow_uri).get_model_version_by_alias("flagship", "production")
    assert version.source == "relgate:" + decision.subject_digest
    assert version.tags["relgate.decision"] == decision.digest


# -- by hand -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verdict", ["block", "inconclusive"])
def test_the_newest_decision_counts_by_hand(line: Line, verdict: str) -> None:
    line.seed()
    passing = line.decide("flagship-v2", "flagship-v1")
    line.edit("^line: .*$", "line: another", "relgate.yaml")
    line.decide("flagship-v2", "flagship-v1", verdict)
    message = line.error("registry", "promote", "flagship-v2", "--reason", "please")
    assert "no passing decision" in message
    assert f"is {verdict}" in message
    assert line.serves() == "flagship-v1"
    line.relgate("registry", "promote", "flagship-v2", "--decision", passing.digest, "--reason", "the other line")
    assert line.serves() == "flagship-v2"


def test_without_any_decision_nothing_is_promoted_by_hand(line: Line) -> None:
    line.seed()
    line.workspace.registry.register_candidate(line.workspace.project.candidate("flagship-v2"))
    assert "no passing decision" in line.error("registry", "promote", "flagship-v2")


def test_rolling_back_twice_goes_further_back(line: Line) -> None:
    line.seed()
    for subject, incumbent in (("flagship-v2", "flagship-v1"), ("flagship-cheap", "flagship-v2")):
        line.decide(subject, incumbent)
        line.relgate("release", subject)
    assert line.serves() == "flagship-cheap"

    def back(*version: str) -> ChannelState:
        assert line.relgate("registry", "rollback", *version, "--reason", "slow")[0] == 0
        return line.workspace.current()

    assert back().name == "flagship-v2"
    assert back().name == "flagship-v1"
    assert "no earlier promotion" in line.error("registry", "rollback", "--reason", "slow")
    assert back("flagship-cheap").name == "flagship-cheap"  # forward again, by name
    assert back().name == "flagship-v1"
    assert line.workspace.registry.verify().problems == ()


# -- who the incumbent is ------------------------------------------------------------------------------------


def test_a_broken_candidate_file_stops_nobody_else(line: Line) -> None:
    line.seed()
    (line.directory / "candidates" / "aaa.yaml").write_text("name: [\n")
    (line.directory / "candidates" / "flagship-v1.yaml").rename(line.directory / "candidates" / "renamed.yaml")
    workspace = line.workspace
    incumbent = workspace.incumbent(None)
    assert incumbent is not None
    assert incumbent.digest == workspace.current().digest


def test_broken_candidate_files_are_named_when_nothing_fits(line: Line) -> None:
    line.seed()
    line.edit("^  temperature: .*$", "  temperature: 0.5", "candidates/flagship-v1.yaml")
    (line.directory / "candidates" / "broken.yaml").write_text("name: [\n")
    with pytest.raises(InputError, match=r"'flagship-v1'.*cannot be read: broken \(not valid YAML"):
        line.workspace.incumbent(None)
