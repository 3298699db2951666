"""Releases whose verdicts can be derived again: real plans, outcomes and decisions of the gate, signed, promoted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from evalharness.candidate import Candidate
from evalharness.evidence import Evidence
from gates.decision import Decision
from gates.gate import Measured, gate
from gates.policy import Check, Policy
from gates.registry import ChannelState, Registry
from golden_sets.digests import Digest, digest_json
from tests.support.plans import plan_of, prompt_set
from tests.support.plans import run as run_plan
from tests.support.recorded_releases import Maker
from tests.support.signed_registry import APPROVERS, RULES, People, now

SETS = (prompt_set(easy=240, hard=120),)
"""One set; every plan asks what it needs of it."""

POLICY = Policy(
    name="enterprise",
    version="7",
    alpha=0.05,
    primary="margin",
    require_plan=True,
    checks=(
        Check(id="floor", metric="pass_rate", test="floor", where={"set": "golden"}, threshold=0.8),
        Check(id="margin", metric="pass_rate", test="non_inferiority", where={"set": "golden"}, margin=0.1),
        Check(id="reliability", metric="request_success_rate", test="floor", threshold=0.9, owner="mia"),
    ),
    promotion=RULES,
)

Outcome = Callable[[str, str], float | None]
"""``outcome(arm, prompt id)``: 1.0, 0.0, or None for a failed request."""


def right(_arm: str, prompt: str) -> float:
    """Both answer all but every twentieth prompt."""
    return 0.0 if prompt.endswith("7") and prompt[-2:-1] in "13579" else 1.0


def wrong(arm: str, prompt: str) -> float:
    """The candidate fails every third prompt."""
    return 0.0 if arm == "candidate" and int(prompt.rpartition("-")[2]) % 3 == 0 else right(arm, prompt)


def unreachable(arm: str, prompt: str) -> float | None:
    """A fifth of the candidate's requests fail."""
    return None if arm == "candidate" and int(prompt.rpartition("-")[2]) % 5 == 0 else right(arm, prompt)


@dataclass(frozen=True)
class MeasuredRelease:
    """A release, recorded up to its decision."""

    candidate: Candidate
    measured: Measured
    decision: Decision

    @property
    def digest(self) -> Digest:
        """The version."""
        return self.candidate.digest


class MeasuredReleases:
    """A registry with people, in whose channel ``flagship`` releases are measured, signed and promoted.

    Args:
        registry: an empty one.
        policy: the policy of the releases.
    """

    def __init__(self, registry: Registry, policy: Policy = POLICY) -> None:
        self.registry = registry
        self.policy = policy
        self.people = People(registry)
        self.make = Maker(policy)

    def seed(self, name: str = "v1") -> Candidate:
        """A first version in production."""
        return self.make.seed(self.registry, name)

    def release(
        self,
        name: str,
        incumbent: Candidate | None,
        outcome: Outcome = right,
        *,
        policy: Policy | None = None,
        actor: str = "pipeline",
        lineage: str = "flagship/main",
        change: Callable[[Measured], Measured] | None = None,
    ) -> MeasuredRelease:
        """Plan, count, run, gate and record.

        Args:
            name: the version.
            incumbent: whom it is compared with.
            outcome: how each prompt is answered.
            policy: another policy.
            actor: who does it.
            lineage: the line of work.
            change: what is done to evidence and outcomes before they are gated.
        """
        registry, policy = self.registry, policy or self.policy
        candidate = self.make.candidate(name)
        sets, question = {s.name: s.digest for s in SETS}, digest_json(f"{name} under {policy.digest}")
        attempt = registry.begin_attempt(lineage, sets, candidate.digest, question, name=name, actor=actor)
        against = None if incumbent is None else incumbent.digest
        plan = plan_of(policy, SETS, incumbent_digest=against, lineage=lineage, attempt=attempt)
        registry.record_policy(policy, actor=actor)
        index = registry.record_plan(plan, actor=actor)
        arms = ("candidate",) if incumbent is None else ("candidate", "incumbent")
        found, _ = run_plan(policy, plan, SETS, lambda arm, _set, prompt, _dims: outcome(arm, prompt), arms=arms)
        evidence = found.evidence
        moment = {"started_at": now(), "finished_at": now()}
        said = {
            "subject_name": name,
            "subject_digest": candidate.digest,
            "incumbent_name": None if incumbent is None else incumbent.name,
            "plan_index": index,
            "provenance": evidence.provenance.model_copy(update=moment),
        }
        measured = Measured(evidence.model_copy(update=said), found.outcomes, plan)
        measured = measured if change is None else change(measured)
        decision = gate(policy, measured, require_plan=True)
        registry.register_candidate(candidate, actor=actor)
        registry.record_evidence(measured.evidence, measured.outcomes.to_parquet(), actor=actor)
        registry.record_decision(decision, actor=actor)
        return MeasuredRelease(candidate, measured, decision)

    def sign(self, release: MeasuredRelease, *, stage: str = "production") -> None:
        """Everything that the rules ask for a move to a stage."""
        self.people.sign_off(release.decision, stage=stage)

    def promote(self, release: MeasuredRelease, *, stage: str = "production") -> ChannelState:
        """Move a stage by a release's decision."""
        return self.registry.promote(
            "flagship",
            stage,
            release.digest,
            decision_digest=release.decision.digest,
            expected_generation=self.registry.channel("flagship", stage).generation,
            reason="better",
        )

    def promoted(self, name: str, incumbent: Candidate, outcome: Outcome = right) -> MeasuredRelease:
        """A release that is signed and promoted to production."""
        release = self.release(name, incumbent, outcome)
        self.sign(release)
        self.promote(release)
        return release


def evidence_with(measured: Measured, **fields: object) -> Measured:
    """Evidence with other fields, and the outcomes that are there."""
    evidence: Evidence = measured.evidence.model_copy(update=fields)
    return Measured(evidence, measured.outcomes, measured.plan)


__all__ = [
    "APPROVERS",
    "POLICY",
    "MeasuredRelease",
    "MeasuredReleases",
    "evidence_with",
    "right",
    "unreachable",
    "wrong",
]
