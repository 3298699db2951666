"""Gating evidence files with a memory: the same evidence under the same policy is decided once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from evalharness.evidence_files import outcomes_path, plan_beside, read_evidence
from evalharness.plan import Plan
from gates.decision import Decision
from gates.gate import Measured, gate
from gates.policy import PolicyFile
from gates.registry import Registry
from golden_sets.digests import Digest, short
from golden_sets.errors import InputError


@dataclass(frozen=True)
class EvidenceFile:
    """Evidence on disk, read when it is asked for."""

    path: Path
    """The evidence; its outcomes and its plan lie beside it."""

    @cached_property
    def measured(self) -> Measured:
        """The evidence with its outcomes and its plan.

        Raises:
            InputError: unreadable, changed after it was written, or without the plan it names.
        """
        evidence, outcomes = read_evidence(self.path)
        return Measured(evidence, outcomes, plan_beside(evidence, self.path))

    @property
    def digest(self) -> Digest:
        """Digest of the evidence."""
        return self.measured.evidence.digest


@dataclass(frozen=True)
class GateFiles:
    """What is gated: the candidate's evidence, and that of others where they were measured apart."""

    candidate: EvidenceFile
    incumbent: EvidenceFile | None = None
    anchor: EvidenceFile | None = None

    def decide(self, policy: PolicyFile) -> Decision:
        """Apply a policy; see :func:`gates.gate.gate`."""
        incumbent, anchor = (None if file is None else file.measured for file in (self.incumbent, self.anchor))
        return gate(policy.policy, self.candidate.measured, incumbent, anchor=anchor, where=policy.where)

    def recorded(self, registry: Registry, policy: PolicyFile) -> Decision | None:
        """The decision on exactly this evidence under this policy, where it is recorded."""
        return registry.find_decision_on(
            self.candidate.digest,
            policy.policy.digest,
            incumbent_evidence_digest=None if self.incumbent is None else self.incumbent.digest,
            anchor_evidence_digest=None if self.anchor is None else self.anchor.digest,
        )

    def record(self, registry: Registry, policy: PolicyFile, decision: Decision) -> None:
        """Record a decision with everything it rests on, counting the attempt where it is planned.

        Raises:
            InputError: the plan's attempt is another one in this registry, or its policy is not recorded here.
        """
        files = [file for file in (self.anchor, self.incumbent, self.candidate) if file is not None]
        for file in files:
            _require_policy(registry, policy, file)
        plan = self.candidate.measured.plan
        if plan is not None and decision.attempt is not None:
            _count(registry, plan, decision)
        registry.record_policy(policy.policy)
        for file in files:
            _record_evidence(registry, file)
        registry.record_decision(decision)


def _require_policy(registry: Registry, policy: PolicyFile, file: EvidenceFile) -> None:
    plan = file.measured.plan
    if plan is None or plan.policy_digest == policy.policy.digest or registry.holds(plan.policy_digest):
        return
    raise InputError(
        f"its plan was made for policy {short(plan.policy_digest)}, which is not recorded in this registry",
        where=file.path,
        do="use the registry of the evaluation as --store, or evaluate again under this policy",
    )


def _record_evidence(registry: Registry, file: EvidenceFile) -> None:
    if file.measured.plan is not None:
        registry.record_plan(file.measured.plan)
    registry.record_evidence(file.measured.evidence, outcomes_path(file.path).read_bytes())


def _count(registry: Registry, plan: Plan, decision: Decision) -> None:
    """Count the attempt of evidence that was measured with another registry, or with none."""
    subject, name = decision.subject_digest, decision.subject_name
    if registry.has_begun(plan, subject):
        return
    number = registry.attempt_number(plan.lineage, plan.set_digests, subject, plan.digest)
    if number != plan.attempt:
        raise InputError(
            f"the plan of the evidence about '{name}' is made for attempt {plan.attempt} of {plan.lineage}; here it is "
            f"attempt {number}",
            do="evaluate it again with this registry as its --store",
        )
    registry.begin_attempt(plan.lineage, plan.set_digests, subject, plan.digest, name=name)
