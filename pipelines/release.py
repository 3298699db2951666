"""A release: plan -> evaluate -> gate -> register -> report -> promote, each step recorded before the next."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evalharness.candidate import Candidate
from evalharness.plan import Plan
from gates.decision import Decision
from gates.gate import Measured, gate
from gates.registry import ChannelState, Registry
from gates.registry.history import last_promotion
from gates.reports import ReportPaths
from golden_sets.errors import InputError
from pipelines.evaluate import Arms, Evaluation, evaluate
from pipelines.fleet import Fleet
from pipelines.planning import plan_for
from pipelines.progress import Progress
from pipelines.promotion import mirror, promotion_obstacle
from pipelines.promotion import promote as move_channel
from pipelines.release_rules import is_repairable
from pipelines.reporting import report, report_paths
from pipelines.workspace import Workspace

__all__ = ["Release", "existing_report", "release", "served_already"]


@dataclass(frozen=True)
class Release:
    """What came of a release."""

    decision: Decision
    reports: ReportPaths
    state: ChannelState
    promoted: bool
    """Whether the channel serves the candidate now, by a passing decision."""
    recorded: bool
    """True when the decision was there already and nothing was spent."""
    generated: int
    judged: int
    warnings: tuple[str, ...]

    @property
    def exit_code(self) -> int:
        """By the verdict alone: 0 promote, 1 block, 3 inconclusive. ``promoted`` says whether the channel moved."""
        return self.decision.verdict.exit_code

    def to_json(self) -> dict[str, Any]:
        """The ``--json`` document of ``relgate release``."""
        return {
            **self.decision.summary(),
            "promoted": self.promoted,
            "recorded": self.recorded,
            "generated": self.generated,
            "judged": self.judged,
            "channel": {
                "channel": self.state.channel,
                "stage": self.state.stage,
                "generation": self.state.generation,
                "serves": self.state.name,
            },
            "reports": self.reports.to_json(),
            "warnings": list(self.warnings),
        }


async def release(
    workspace: Workspace,
    candidate: Candidate,
    incumbent: Candidate | None,
    *,
    fleet: Fleet,
    progress: Progress,
    promote: bool = True,
) -> Release:
    """Release a candidate against an incumbent; a decision that is recorded already is returned and spends nothing.

    Evaluated again is only what failed requests of safety sets left open. An incumbent that the channel does not serve
    is compared with all the same; then nothing is promoted, and a warning says so.

    Raises:
        InputError: bad files, or a channel that moved meanwhile.
        InfrastructureError: a model, the disk or the database failed; everything finished is kept.
    """
    project, registry = workspace.project, workspace.registry
    policy = project.policy.policy
    before = workspace.current()
    known = None if incumbent is None else workspace.known_evidence(incumbent.digest)
    plan = plan_for(project, incumbent, known, candidate=candidate)
    decision = registry.find_decision(
        subject_digest=candidate.digest,
        plan_digest=plan.digest,
        policy_digest=policy.digest,
        incumbent_digest=plan.incumbent_digest,
    )
    evaluation: Evaluation | None = None
    if decision is None or is_repairable(decision):
        obstacle = promotion_obstacle(workspace, before, candidate, incumbent) if promote else None
        if obstacle is not None:
            progress.say(f"  {candidate.name}: {obstacle}")
        registry.record_policy(policy)
        registry.record_plan(plan)
        arms = Arms(candidate, incumbent)
        evaluation = await evaluate(project, plan, arms, store=workspace.store, fleet=fleet, progress=progress)
        evidence = evaluation.evidence
        decision = gate(policy, Measured(evidence, evaluation.outcomes), require_plan=True, where=project.policy.where)
        for arm in (incumbent, candidate):
            if arm is not None:
                registry.register_candidate(arm)
        registry.record_evidence(evidence, evaluation.blob)
        registry.record_decision(decision)
    else:
        progress.say(f"  {candidate.name}: this decision is recorded already; nothing is asked again")
    paths = _report(workspace, decision, plan, evaluation)
    promotion = move_channel(workspace, decision, before, wanted=promote)
    warnings = promotion.warnings
    if evaluation is not None:
        warnings = (*evaluation.evidence.provenance.details["warnings"], *warnings)
    if evaluation is not None or promotion.moved:
        evidence = registry.evidence(decision.evidence_digest) if evaluation is None else evaluation.evidence
        warnings += mirror(project, candidate, decision, evidence, paths.html.parent, promotion)
    return Release(
        decision=decision,
        reports=paths,
        state=promotion.state,
        promoted=promotion.promoted,
        recorded=evaluation is None,
        generated=0 if evaluation is None else evaluation.generated,
        judged=0 if evaluation is None else evaluation.judged,
        warnings=warnings,
    )


def served_already(workspace: Workspace, candidate: Candidate) -> Release | None:
    """The release by which the channel came to serve a candidate; None where it serves something else.

    There is nobody to compare such a candidate with, so what is returned is the decision it was promoted by.

    Raises:
        InputError: it is served as the first version, without a decision.
    """
    registry, state = workspace.registry, workspace.current()
    if state.digest != candidate.digest:
        return None
    move = last_promotion(state.history, candidate.digest)
    if move is None or move.decision is None:
        raise InputError(
            f"'{candidate.name}' is served already, without a decision",
            where=state.where,
            do="name the version to compare it with by --incumbent",
        )
    decision = registry.decision(move.decision)
    plan = None if decision.plan_digest is None else registry.plan(decision.plan_digest)
    return Release(
        decision=decision,
        reports=existing_report(registry, decision, workspace.project.reports, plan),
        state=state,
        promoted=True,
        recorded=True,
        generated=0,
        judged=0,
        warnings=(),
    )


def _report(workspace: Workspace, decision: Decision, plan: Plan, evaluation: Evaluation | None) -> ReportPaths:
    """Write the report; for a recorded decision only where it is missing."""
    project = workspace.project
    directory = project.reports
    if evaluation is None:
        return existing_report(workspace.registry, decision, directory, plan)
    return report(
        decision,
        evaluation.evidence,
        project.policy.policy,
        directory,
        outcomes=evaluation.outcomes,
        plan=plan,
        answers=evaluation.answers,
    )


def existing_report(registry: Registry, decision: Decision, directory: Path, plan: Plan | None) -> ReportPaths:
    """The report of a recorded decision, written again from the registry where its files are gone."""
    evidence = registry.evidence(decision.evidence_digest)
    found = report_paths(decision, directory)
    if found.exist():
        return found
    return report(
        decision,
        evidence,
        registry.policy(decision.policy_digest),
        directory,
        outcomes=registry.outcomes(evidence),
        plan=plan,
    )
