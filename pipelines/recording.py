"""Gating evidence files with a memory: the same evidence under the same policy is decided once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from evalharness.evidence_files import outcomes_path, plan_beside, read_evidence
from gates.decision import Decision
from gates.gate import Measured, gate
from gates.policy import PolicyFile
from gates.registry import Registry
from gates.staleness import Served, still_said
from golden_sets.digests import Digest, short
from golden_sets.errors import InputError
from pipelines.router_staleness import serving_models


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

    def decide(self, policy: PolicyFile, registry: Registry | None = None) -> Decision:
        """Apply a policy; see :func:`gates.gate.gate`.

        With a registry, a plan counts only if that registry's ledger held it before the run: who evaluates elsewhere,
        looks, and brings the result has committed to nothing here. A router's evidence is held against the models that
        the registry's channels serve.
        """
        incumbent, anchor = (None if file is None else file.measured for file in (self.incumbent, self.anchor))
        measured, unplanned = self.candidate.measured, None
        if registry is not None and measured.plan is not None:
            index = registry.planned_at(measured.plan.digest)
            if index is None or index != measured.evidence.plan_index:
                unplanned = "the plan was not in this registry's ledger before the run"
        return gate(
            policy.policy,
            measured,
            incumbent,
            anchor=anchor,
            unplanned=unplanned,
            serving=self._serving(registry),
            where=policy.where,
        )

    def recorded(self, registry: Registry, policy: PolicyFile) -> Decision | None:
        """The decision on exactly this evidence under this policy, where it is recorded and still holds.

        What was said of a router while other models were served holds no more.
        """
        found = registry.find_decision_on(
            self.candidate.digest,
            policy.policy.digest,
            incumbent_evidence_digest=None if self.incumbent is None else self.incumbent.digest,
            anchor_evidence_digest=None if self.anchor is None else self.anchor.digest,
        )
        if found is None or not self._is_router:
            return found
        evidence = self.candidate.measured.evidence
        return found if still_said(found.reason, evidence, self._serving(registry)) else None

    @property
    def _is_router(self) -> bool:
        return self.candidate.measured.evidence.subject_kind == "router"

    def _serving(self, registry: Registry | None) -> Mapping[str, Served] | None:
        return serving_models(registry, None) if registry is not None and self._is_router else None

    def record(self, registry: Registry, policy: PolicyFile, decision: Decision) -> None:
        """Record a decision with everything it rests on.

        Raises:
            InputError: the policy of a plan is not recorded here.
        """
        files = [file for file in (self.anchor, self.incumbent, self.candidate) if file is not None]
        for file in files:
            _require_policy(registry, policy, file)
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
