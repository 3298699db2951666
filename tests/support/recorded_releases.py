"""Small real records of releases, to put into a registry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from evalharness.candidate import Candidate, Manifest, Price
from evalharness.candidate import Engine as ServingEngine
from evalharness.evidence import Estimate, Evidence, Provenance
from evalharness.plan import Plan, PlannedSet, Stratum
from gates.decision import CheckResult, Decision, Status, Verdict
from gates.policy import Check, Policy
from gates.registry import Registry
from golden_sets.digests import Digest, digest_bytes
from golden_sets.records import SetKind

POLICY = Policy(
    name="enterprise",
    version="3",
    alpha=0.05,
    primary="golden-floor",
    checks=(Check(id="golden-floor", metric="pass_rate", test="floor", where={"set": "golden"}, threshold=0.8),),
)

GOLDEN = PlannedSet(
    kind=SetKind.GOLDEN,
    set_digest=digest_bytes(b"set"),
    strata=(Stratum(cell={}, weight=2.0, available=2, prompts=("a", "b")),),
)


@dataclass(frozen=True)
class Release:
    """Everything one release records."""

    candidate: Candidate
    plan: Plan
    evidence: Evidence
    outcomes: bytes
    decision: Decision


def checked(check: Check, status: Status = Status.PASS, cell: str = "") -> CheckResult:
    """The result of one check of a policy, in one cell where it has any."""
    return CheckResult(
        id=f"{check.id}/{cell}" if cell else check.id,
        check=check.id,
        metric=check.metric,
        test=check.test,
        cell={"tier": cell} if cell else {},
        status=status,
        limit=check.limit,
        estimate=Estimate(
            metric=check.metric, value=0.9, low=0.85, high=0.95, confidence=0.9, method="clopper-pearson", n=500
        ),
        safety=check.is_safety,
        waivable=check.waivable,
        owner=check.owner,
        reason="made for a test",
    )


class Maker:
    """Makes candidates and releases that fit together."""

    def __init__(self, policy: Policy = POLICY) -> None:
        self.policy = policy

    def candidate(self, name: str, weights: str | None = None) -> Candidate:
        return Candidate(
            name=name,
            family="demo",
            price=Price(usd_per_gpu_hour=1.5),
            directory=Path("/somewhere/else") / name,
            manifest=Manifest(
                model={"model.safetensors": digest_bytes((weights or name).encode())}, engine=ServingEngine(kind="vllm")
            ),
        )

    def release(
        self,
        name: str,
        incumbent: Candidate | None,
        verdict: Literal["promote", "block", "inconclusive"] = "promote",
        weights: str | None = None,
        lineage: str | None = None,
        attempt: int = 1,
        plan_index: int | None = None,
        finished_at: str = "2026-01-01T00:01:00Z",
        checks: tuple[CheckResult, ...] | None = None,
        evidence: Mapping[str, Any] | None = None,
        decision: Mapping[str, Any] | None = None,
    ) -> Release:
        """A release.

        Args:
            name: the version.
            incumbent: whom it is compared with.
            verdict: the verdict, and the status of the primary check.
            weights: what its weights are made from; default: its name.
            lineage: default: a line of its own in channel ``flagship``.
            attempt: which attempt of the lineage its plan says it is.
            plan_index: where the evidence says that its plan was recorded.
            finished_at: when the evidence says that it was measured.
            checks: results; default: the policy's, all but the primary one passing.
            evidence: other fields of the evidence.
            decision: other fields of the decision.
        """
        candidate = self.candidate(name, weights)
        outcomes = b"outcomes of " + name.encode()
        plan = Plan(
            name=f"plan for {name}",
            lineage=lineage or f"flagship/{name}",
            policy_digest=self.policy.digest,
            sets={"golden": GOLDEN},
            incumbent_digest=None if incumbent is None else incumbent.digest,
            judge_digest=None,
            alpha=0.05,
            attempt=attempt,
            joint_power=0.8,
            cells=(),
        )
        measured = Evidence(
            subject_name=name,
            subject_digest=candidate.digest,
            incumbent_name=None if incumbent is None else incumbent.name,
            incumbent_digest=None if incumbent is None else incumbent.digest,
            set_digests=plan.set_digests,
            plan_digest=plan.digest,
            plan_index=plan_index,
            outcomes=digest_bytes(outcomes),
            outcome_rows=2,
            provenance=Provenance(
                relgate="0.1.0",
                python="3.11",
                platform="linux",
                started_at="2026-01-01T00:00:00Z",
                finished_at=finished_at,
            ),
        )
        measured = measured.model_copy(update=evidence)
        status = {"promote": Status.PASS, "block": Status.FAIL, "inconclusive": Status.INCONCLUSIVE}[verdict]
        decided = Decision(
            verdict=Verdict(verdict),
            reason="made for a test",
            subject_name=name,
            subject_digest=candidate.digest,
            policy_name=self.policy.name,
            policy_version=self.policy.version,
            policy_digest=self.policy.digest,
            evidence_digest=measured.digest,
            incumbent_name=None if incumbent is None else incumbent.name,
            incumbent_digest=None if incumbent is None else incumbent.digest,
            plan_digest=plan.digest,
            alpha=0.05,
            attempt=plan.attempt,
            primary="golden-floor",
            checks=checks
            or tuple(checked(c, status if c.id == self.policy.primary else Status.PASS) for c in self.policy.checks),
        )
        return Release(candidate, plan, measured, outcomes, decided.model_copy(update=decision))

    def begin(self, registry: Registry, release: Release) -> int:
        """Begin the attempt that a release's plan names."""
        plan, subject = release.plan, release.candidate
        return registry.begin_attempt(plan.lineage, plan.set_digests, subject.digest, plan.digest, name=subject.name)

    def record(self, registry: Registry, release: Release) -> Digest:
        """Record everything up to the decision; returns the version's digest."""
        digest = registry.register_candidate(release.candidate)
        registry.record_policy(self.policy)
        registry.record_plan(release.plan)
        self.begin(registry, release)
        registry.record_evidence(release.evidence, release.outcomes)
        registry.record_decision(release.decision)
        return digest

    def seed(self, registry: Registry, name: str = "v1") -> Candidate:
        """Register a first version and put it into production."""
        candidate = self.candidate(name)
        digest = registry.register_candidate(candidate)
        registry.promote(
            "flagship", "production", digest, decision_digest=None, expected_generation=0, reason="the first version"
        )
        return candidate
