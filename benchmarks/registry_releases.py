"""Releases for the registry's benchmarks: real records of an ordinary size, without a model behind them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Engine

from evalharness.candidate import Candidate, Manifest, Price
from evalharness.candidate import Engine as ServingEngine
from evalharness.database import open_database
from evalharness.evidence import Estimate, Evidence, Provenance
from evalharness.plan import Plan, PlannedSet, Stratum
from gates.decision import CheckResult, Decision, Status, Verdict
from gates.policy import Check, Policy
from gates.registry import ChannelState, Registry
from golden_sets.digests import digest_bytes
from golden_sets.records import SetKind

CHECKS = 12
POLICY = Policy(
    name="benchmark",
    version="1",
    alpha=0.05,
    primary="check-0",
    checks=tuple(
        Check(id=f"check-{i}", metric="pass_rate", test="floor", where={"set": "golden"}, threshold=0.8)
        for i in range(CHECKS)
    ),
)
CHANNEL, STAGE = "flagship", "production"
_SET = PlannedSet(
    kind=SetKind.GOLDEN,
    set_digest=digest_bytes(b"set"),
    strata=(Stratum(cell={}, weight=2.0, available=2, prompts=("a", "b")),),
)
_ESTIMATE = Estimate(
    metric="pass_rate", value=0.9, low=0.85, high=0.95, confidence=0.9, method="clopper-pearson", n=500
)
_RESULTS = tuple(
    CheckResult(
        id=check.id,
        check=check.id,
        metric=check.metric,
        test="floor",
        status=Status.PASS,
        limit=0.8,
        estimate=_ESTIMATE,
        reason="0.9 [0.85, 0.95] is at or above 0.8",
    )
    for check in POLICY.checks
)


@dataclass(frozen=True)
class Release:
    """All records of one passing release."""

    candidate: Candidate
    plan: Plan
    evidence: Evidence
    outcomes: bytes
    decision: Decision

    @property
    def steps(self) -> tuple[Callable[[Registry], Any], ...]:
        """What is recorded, in order; each step is a transaction and may be repeated."""
        plan, subject = self.plan, self.candidate
        return (
            lambda registry: registry.register_candidate(subject),
            lambda registry: registry.record_policy(POLICY),
            lambda registry: registry.record_plan(plan),
            lambda registry: registry.begin_attempt(
                plan.lineage, plan.set_digests, subject.digest, plan.digest, name=subject.name
            ),
            lambda registry: registry.record_evidence(self.evidence, self.outcomes),
            lambda registry: registry.record_decision(self.decision),
        )

    def record(self, registry: Registry) -> None:
        """Record everything up to the decision."""
        for step in self.steps:
            step(registry)

    def promote(self, registry: Registry, generation: int) -> ChannelState:
        """Move production to it."""
        return registry.promote(
            CHANNEL,
            STAGE,
            self.candidate.digest,
            decision_digest=self.decision.digest,
            expected_generation=generation,
            reason="better",
        )


def candidate(name: str) -> Candidate:
    """A candidate that differs from others in its weights."""
    manifest = Manifest(
        model={"model.safetensors": digest_bytes(name.encode())},
        engine=ServingEngine(kind="vllm"),
        system_prompt="You are a helpful assistant.",
    )
    price = Price(usd_per_gpu_hour=1.5)
    return Candidate(name=name, family="demo", price=price, directory=Path("/models") / name, manifest=manifest)


def release(
    subject: Candidate, incumbent: Candidate, *, lineage: str, attempt: int = 1, outcomes_bytes: int = 20_000
) -> Release:
    """A release of a candidate against what is served, planned, measured and passed."""
    outcomes = (subject.name.encode() + b" ") * (outcomes_bytes // (len(subject.name) + 1))
    plan = Plan(
        name=f"{subject.name} against {incumbent.name}",
        lineage=lineage,
        policy_digest=POLICY.digest,
        sets={"golden": _SET},
        incumbent_digest=incumbent.digest,
        judge_digest=None,
        alpha=0.05,
        attempt=attempt,
        joint_power=0.8,
        cells=(),
    )
    evidence = Evidence(
        subject_name=subject.name,
        subject_digest=subject.digest,
        incumbent_name=incumbent.name,
        incumbent_digest=incumbent.digest,
        set_digests=plan.set_digests,
        plan_digest=plan.digest,
        outcomes=digest_bytes(outcomes),
        outcome_rows=2,
        provenance=Provenance(
            relgate="0.1.0",
            python="3.11",
            platform="linux",
            started_at="2026-01-01T00:00:00Z",
            finished_at="2026-01-01T00:01:00Z",
        ),
    )
    decision = Decision(
        verdict=Verdict.PROMOTE,
        reason=f"all {CHECKS} checks passed",
        subject_name=subject.name,
        subject_digest=subject.digest,
        policy_name=POLICY.name,
        policy_version=POLICY.version,
        policy_digest=POLICY.digest,
        evidence_digest=evidence.digest,
        incumbent_name=incumbent.name,
        incumbent_digest=incumbent.digest,
        plan_digest=plan.digest,
        alpha=0.05,
        attempt=attempt,
        primary=POLICY.primary,
        checks=_RESULTS,
    )
    return Release(subject, plan, evidence, outcomes, decision)


def seed(registry: Registry, name: str) -> Candidate:
    """A first version in production."""
    first = candidate(name)
    digest = registry.register_candidate(first)
    registry.promote(CHANNEL, STAGE, digest, decision_digest=None, expected_generation=0, reason="the first version")
    return first


@contextmanager
def opened(url: str) -> Iterator[tuple[Registry, Engine]]:
    """The registry at an address, closed at the end: a process may fork between two of them."""
    engine = open_database(url)
    try:
        yield Registry(engine), engine
    finally:
        engine.dispose()
