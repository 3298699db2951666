"""``relgate gate --store``: the same evidence under the same policy is decided once, and attempts are counted."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from evalharness.database import open_database
from evalharness.evidence_files import plan_path, write_evidence
from gates.gate import Measured
from gates.policy import load_policy
from gates.registry import Registry
from golden_sets.digests import digest_json
from pipelines.cli.app import run
from tests.support.evidence import measured, rows, table
from tests.support.plans import plan_of, prompt_set
from tests.support.plans import run as run_plan

FLOOR = """\
name: p
version: {version}
alpha: 0.05
primary: floor
attempts: {attempts}
checks:
  - {{id: floor, metric: pass_rate, test: floor, threshold: {threshold}}}
"""
SETS = (prompt_set(easy=200),)


@dataclass
class Gating:
    """A folder with policies and evidence, and a registry beside them."""

    directory: Path
    capsys: pytest.CaptureFixture[str]

    @property
    def store(self) -> str:
        return f"sqlite:///{self.directory / 'registry.db'}"

    @property
    def registry(self) -> Registry:
        return Registry(open_database(self.store))

    @property
    def events(self) -> list[str]:
        return [event.type for event in self.registry.log()]

    def policy(self, name: str = "policy", *, version: int = 1, threshold: float = 0.8, rule: str = "constant") -> Path:
        path = self.directory / f"{name}.yaml"
        path.write_text(FLOOR.format(version=version, threshold=threshold, attempts=rule))
        return path

    def write(self, found: Measured, name: str) -> Path:
        path = self.directory / f"{name}.json"
        write_evidence(found.evidence, found.outcomes.to_parquet(), path, found.plan)
        return path

    def imported(self, name: str, right: int = 190) -> Path:
        """Unplanned evidence about 200 prompts."""
        return self.write(measured(table(rows([1.0] * right + [0.0] * (200 - right))), name=name), name)

    def planned(self, name: str, policy: Path, attempt: int = 1, *, here: bool = False) -> Path:
        """Evidence about a subject that passes everything, made under a plan for this attempt.

        ``here``: the attempt and the plan were recorded in this registry before the run.
        """
        made = load_policy(policy).policy
        plan = plan_of(made, SETS, attempt=attempt, alpha=made.alpha_of(attempt), incumbent_digest=None)
        about: dict[str, Any] = {"subject_name": name, "subject_digest": digest_json(name)}
        if here:
            self.registry.begin_attempt(plan.lineage, plan.set_digests, digest_json(name), plan.digest, name=name)
            self.registry.record_policy(made)
            about["plan_index"] = self.registry.record_plan(plan)
        found, _ = run_plan(made, plan, SETS, lambda *_: 1.0, arms=("candidate",))
        return self.write(replace(found, evidence=found.evidence.model_copy(update=about)), name)

    def gate(self, evidence: Path, policy: Path, *options: str, store: bool = True) -> tuple[int, Any]:
        self.capsys.readouterr()
        where = ["--store", self.store] if store else []
        code = run(["gate", str(evidence), "--policy", str(policy), *where, *options, "--json"])
        return code, json.loads(self.capsys.readouterr().out)


@pytest.fixture
def gating(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Gating:
    return Gating(tmp_path, capsys)


def test_without_a_store_nothing_is_remembered(gating: Gating) -> None:
    evidence, policy = gating.imported("v2"), gating.policy()
    before = sorted(gating.directory.rglob("*"))
    code, document = gating.gate(evidence, policy, store=False)
    assert (code, document["verdict"], document["recorded"]) == (0, "promote", False)
    assert sorted(gating.directory.rglob("*")) == before


@pytest.mark.parametrize(("right", "code"), [(190, 0), (100, 1), (160, 3)])
def test_the_same_evidence_under_the_same_policy_returns_the_recorded_decision(
    gating: Gating, right: int, code: int
) -> None:
    evidence, policy = gating.imported("v2", right), gating.policy()
    first, document = gating.gate(evidence, policy)
    assert (first, document["recorded"]) == (code, False)
    assert gating.events == ["policy_recorded", "evaluated", "decided"]
    before = gating.registry.log()
    again, repeated = gating.gate(evidence, policy)
    assert (again, repeated["recorded"], repeated["decision"]) == (code, True, document["decision"])
    assert gating.registry.log() == before
    recorded = gating.registry.decision(document["decision"])
    assert gating.registry.outcomes(gating.registry.evidence(recorded.evidence_digest)) is not None
    assert gating.registry.verify().problems == ()


def test_what_is_recorded_wins_over_what_would_be_decided_now(gating: Gating) -> None:
    """A later version of the gate may reason otherwise: the decision that was made stands."""
    evidence, policy = gating.imported("v2"), gating.policy()
    _, document = gating.gate(evidence, policy, store=False)
    registry, file = gating.registry, load_policy(policy)
    registry.record_policy(file.policy)
    found = measured(table(rows([1.0] * 190 + [0.0] * 10)), name="v2")
    registry.record_evidence(found.evidence, found.outcomes.to_parquet())
    from gates.gate import gate as decide

    other = decide(file.policy, found).model_copy(update={"notes": ("decided by an earlier version",)})
    registry.record_decision(other)
    code, recorded = gating.gate(evidence, policy)
    assert (code, recorded["decision"], recorded["notes"]) == (0, other.digest, ["decided by an earlier version"])
    assert recorded["decision"] != document["decision"]


def test_another_policy_or_incumbent_is_another_decision(gating: Gating) -> None:
    evidence, policy = gating.imported("v2"), gating.policy()
    decisions = [gating.gate(evidence, policy)[1]]
    decisions.append(gating.gate(evidence, gating.policy("stricter", version=2, threshold=0.9))[1])
    decisions.append(gating.gate(evidence, policy, "--incumbent", str(gating.imported("v1", 180)))[1])
    assert [d["recorded"] for d in decisions] == [False] * 3
    assert len({d["decision"] for d in decisions}) == 3
    assert gating.gate(evidence, policy)[1]["decision"] == decisions[0]["decision"]
    compared = gating.registry.decision(decisions[2]["decision"])
    assert gating.registry.evidence(compared.incumbent_evidence_digest or "").subject_name == "v1"
    assert gating.registry.verify().problems == ()


def test_exposure_is_told(gating: Gating) -> None:
    policy = gating.policy()
    evidence = [gating.imported(name, right) for name, right in (("a", 190), ("b", 191))]
    seen = [gating.gate(file, policy)[1]["exposures"] for file in evidence]
    assert seen == [{"golden-set": 1}, {"golden-set": 2}]
    assert gating.gate(evidence[0], policy)[1]["exposures"] == {"golden-set": 2}


def test_planned_evidence_from_elsewhere_is_unplanned_here(gating: Gating) -> None:
    """Who evaluates elsewhere, looks, and brings the winner has committed to nothing in this ledger."""
    policy = gating.policy()
    code, document = gating.gate(gating.planned("v2", policy), policy)
    assert (code, document["verdict"], document["attempt"]) == (0, "promote", None)
    assert any("was not in this registry's ledger before the run" in note for note in document["notes"])
    policy.write_text(policy.read_text() + "require_plan: true\n")
    strict = gating.planned("v3", policy)
    assert gating.gate(strict, policy)[0] == 3
    assert gating.gate(strict, policy, store=False)[0] == 0
    assert gating.registry.verify().problems == ()


def test_a_plan_recorded_after_the_run_is_no_plan(gating: Gating) -> None:
    policy = gating.policy()
    evidence = gating.planned("v2", policy)
    made = load_policy(policy).policy
    gating.registry.record_policy(made)
    gating.registry.record_policy(load_policy(gating.policy("other", version=2)).policy)
    gating.registry.record_plan(plan_of(made, SETS, incumbent_digest=None))
    code, document = gating.gate(evidence, policy)
    assert (code, document["attempt"]) == (0, None)


def test_evidence_that_was_planned_in_this_registry_is_the_attempt_that_was_counted(gating: Gating) -> None:
    policy = gating.policy(rule="spend")
    for attempt, name in ((1, "v2"), (2, "v3")):
        code, document = gating.gate(gating.planned(name, policy, attempt, here=True), policy)
        assert (code, document["attempt"]) == (0, attempt)
    assert gating.registry.decision(document["decision"]).alpha == pytest.approx(0.05 * 6 / 3.141592653589793**2 / 4)
    assert gating.events.count("attempted") == 2
    assert gating.registry.verify().problems == ()


def test_another_incumbent_than_the_planned_one_makes_evidence_unplanned(gating: Gating) -> None:
    policy = gating.policy()
    evidence, incumbent = gating.planned("v2", policy, here=True), gating.imported("v1")
    code, document = gating.gate(evidence, policy)
    assert (code, document["attempt"]) == (0, 1)
    code, document = gating.gate(evidence, policy, "--incumbent", str(incumbent), store=False)
    assert code in (0, 2)
    assert document.get("attempt") is None


def test_evidence_planned_for_a_policy_that_is_not_here_is_refused(gating: Gating) -> None:
    evidence = gating.planned("v2", gating.policy())
    code, document = gating.gate(evidence, gating.policy("other", version=2))
    assert code == 2
    assert "is not recorded in this registry" in document["error"]["what"]
    assert gating.events == []
    assert gating.gate(evidence, gating.policy("other", version=2), store=False)[1]["attempt"] is None


def test_a_missing_plan_is_named(gating: Gating) -> None:
    policy = gating.policy()
    evidence = gating.planned("v2", policy)
    plan_path(evidence).unlink()
    code, document = gating.gate(evidence, policy, store=False)
    assert code == 2
    assert document["error"]["where"].endswith(plan_path(evidence).name)


def test_a_report_of_a_planned_decision_tells_attempt_and_exposure(gating: Gating) -> None:
    policy = gating.policy()
    evidence = gating.planned("v2", policy, here=True)
    _, document = gating.gate(evidence, policy, "--report", str(gating.directory / "out"), "-o", str(evidence) + ".d")
    summary = Path(document["reports"]["markdown"]).read_text()
    assert "Attempt 1 of its lineage." in summary
    assert "Versions measured on each set so far: golden-set 1." in summary
    assert run(["report", str(evidence) + ".d", "-o", str(gating.directory / "again"), "--json"]) == 0
    again = json.loads(gating.capsys.readouterr().out)["reports"]
    assert "Attempt 1 of its lineage." in Path(again["markdown"]).read_text()
