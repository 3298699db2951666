"""A release: plan -> evaluate -> gate -> register -> report -> promote, each step recorded before the next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evalharness.candidate import Candidate
from evalharness.freshness import Freshness
from evalharness.judging.to_label import write_to_label
from gates.decision import Decision, Verdict
from gates.gate import Measured, gate
from gates.registry import ChannelState, Registry
from gates.reports import ReportPaths
from gates.reports.sections import Section
from golden_sets.errors import InputError
from pipelines.attempts import AttemptPlans, PlanOptions, attempt_plans, exposures_of
from pipelines.evaluate import Arms, Evaluation, evaluate
from pipelines.fleet import Fleet
from pipelines.planning import require_power
from pipelines.progress import Progress
from pipelines.promotion import mirror, promotion_obstacle
from pipelines.promotion import promote as move_channel
from pipelines.release_rules import is_repairable, was_exploration
from pipelines.released import Released, promoting_decision
from pipelines.reporting import report, report_paths
from pipelines.router_sections import router_sections
from pipelines.signing import submit
from pipelines.standing import place_of, standing_of
from pipelines.weights import require_weights
from pipelines.workspace import Workspace

__all__ = ["Release", "existing_report", "release", "renewed_report", "served_already"]


@dataclass(frozen=True)
class Release(Released):
    """What came of the release of a model."""

    generated: int
    judged: int

    @property
    def own(self) -> dict[str, Any]:
        """How many answers and verdicts were asked for, plain JSON data."""
        return {"generated": self.generated, "judged": self.judged}


async def release(
    workspace: Workspace,
    candidate: Candidate,
    incumbent: Candidate | None,
    *,
    fleet: Fleet,
    progress: Progress,
    promote: bool = True,
    accept_power: bool = False,
    options: PlanOptions | None = None,
) -> Release:
    """Release a candidate against an incumbent; a decision that is recorded already is returned and spends nothing.

    Evaluated again is only what failed requests of safety sets, or answers older than the plan, left open. Anything
    else that is evaluated is another attempt of the lineage, counted before a model is started, and rests on answers
    asked after its plan was recorded. An incumbent that the channel does not serve is compared with all the same; then
    nothing is promoted, and a warning says so.

    Args:
        workspace: project, store and registry.
        candidate: who is to be released.
        incumbent: whom it is compared with.
        fleet: who serves them.
        progress: who is told.
        promote: move the channel when the decision allows it.
        accept_power: run a plan whose power is below the policy's, too.
        options: what is asked of the plan.

    Raises:
        InputError: bad files, a plan below the policy's power, or a channel that moved meanwhile.
        InfrastructureError: a model, the disk or the database failed; everything finished is kept.
    """
    project, registry = workspace.project, workspace.registry
    policy = project.policy.policy
    before = workspace.current()
    anchor = workspace.anchor()
    attempt = attempt_plans(workspace, candidate, (incumbent, anchor), options)
    plan = attempt.next()
    decision = registry.find_decision(
        subject_digest=candidate.digest,
        plan_digest=plan.digest,
        policy_digest=policy.digest,
        incumbent_digest=plan.incumbent_digest,
    )
    evaluation: Evaluation | None = None
    if decision is None or _is_open(registry, decision):
        obstacle = promotion_obstacle(workspace, before, candidate, incumbent) if promote else None
        if obstacle is not None:
            progress.say(f"  {candidate.name}: {obstacle}")
        if decision is None and not accept_power:
            require_power(plan, policy)
        arms = Arms(candidate, incumbent, anchor)
        decision, evaluation = await _decide(workspace, attempt, arms, fleet=fleet, progress=progress)
    else:
        progress.say(f"  {candidate.name}: this decision is recorded already; nothing is asked again")
    exposures = exposures_of(registry, plan.set_digests)
    if evaluation is not None:
        _new_report(workspace, decision, evaluation, exposures)
    told = submit(registry, decision)
    if evaluation is None and promote and decision.verdict is Verdict.PROMOTE:
        told += require_weights(workspace, candidate.digest, candidate.name, candidate=candidate)
    promotion = move_channel(registry, decision, before, wanted=promote)
    paths = renewed_report(registry, decision, project.reports, promotion.state)
    warnings = (*told, *promotion.warnings)
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
        exposures=exposures,
        warnings=warnings,
        refused=promotion.refused,
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
    decision = promoting_decision(registry, state, candidate.digest)
    if decision is None:
        raise InputError(
            f"'{candidate.name}' is served already, without a decision",
            where=state.where,
            do="name the version to compare it with by --incumbent",
        )
    return Release(
        decision=decision,
        reports=renewed_report(registry, decision, workspace.project.reports, state),
        state=state,
        promoted=True,
        recorded=True,
        generated=0,
        judged=0,
        exposures=exposures_of(registry, registry.evidence(decision.evidence_digest).set_digests),
        warnings=(),
    )


def _is_open(registry: Registry, decision: Decision) -> bool:
    """Whether running the same plan again may settle a recorded decision."""
    return is_repairable(decision) or was_exploration(decision, registry.evidence(decision.evidence_digest))


async def _decide(
    workspace: Workspace, attempt: AttemptPlans, arms: Arms, *, fleet: Fleet, progress: Progress
) -> tuple[Decision, Evaluation]:
    """Count the attempt, run its plan and gate what came of it; each step is recorded before the next."""
    project, registry = workspace.project, workspace.registry
    policy = project.policy.policy
    plan = attempt.begin()
    if plan.attempt > 1:
        progress.say(f"  {arms.candidate.name}: attempt {plan.attempt} of {plan.lineage}, alpha {plan.alpha:.3g}")
    registry.record_policy(policy)
    place = registry.record_plan(plan)
    size = registry.checkpoint().size
    evaluation = await evaluate(
        project,
        plan,
        arms,
        store=workspace.store,
        fleet=fleet,
        progress=progress,
        plan_index=place,
        freshness=Freshness.under(
            plan.digest,
            plan_index=place,
            ledger_index=size,
            reuse_older=False,
            completed=registry.was_measured(plan.digest, arms.candidate.digest),
        ),
    )
    write_to_label(project.to_label(arms.candidate.name), evaluation.to_label, criteria=project.criteria)
    measured = Measured(evaluation.evidence, evaluation.outcomes, plan)
    decision = gate(policy, measured, require_plan=True, where=project.policy.where)
    for arm in (arms.anchor, arms.incumbent, arms.candidate):
        if arm is not None:
            registry.register_candidate(arm)
    registry.record_evidence(evaluation.evidence, evaluation.blob)
    registry.record_decision(decision)
    return decision, evaluation


def existing_report(registry: Registry, decision: Decision, directory: Path) -> ReportPaths:
    """The report of a recorded decision as it lies there; made from the registry where its files are gone."""
    found = report_paths(decision, directory)
    if found.exist():
        return found
    evidence = registry.evidence(decision.evidence_digest)
    plan = None if decision.plan_digest is None else registry.plan(decision.plan_digest)
    channel, stage = place_of(evidence, plan)
    state = registry.channel(channel, stage)
    return renewed_report(registry, decision, directory, state, sections=router_sections(evidence))


def renewed_report(
    registry: Registry, decision: Decision, directory: Path, state: ChannelState, *, sections: Sequence[Section] = ()
) -> ReportPaths:
    """The report of a recorded decision, made again from the registry: who signed, and what moved, may have changed.

    Args:
        registry: where it is recorded.
        decision: the decision.
        directory: where the reports of all decisions lie.
        state: the stage that it is to move.
        sections: what else the report is to tell.
    """
    evidence = registry.evidence(decision.evidence_digest)
    return report(
        decision,
        evidence,
        registry.policy(decision.policy_digest),
        directory,
        outcomes=registry.outcomes(evidence),
        plan=None if decision.plan_digest is None else registry.plan(decision.plan_digest),
        exposures=exposures_of(registry, evidence.set_digests),
        sections=sections,
        standing=standing_of(registry, decision, state.channel, state.stage),
    )


def _new_report(
    workspace: Workspace, decision: Decision, evaluation: Evaluation, exposures: Mapping[str, int]
) -> ReportPaths:
    return report(
        decision,
        evaluation.evidence,
        workspace.project.policy.policy,
        workspace.project.reports,
        outcomes=evaluation.outcomes,
        plan=evaluation.plan,
        answers=evaluation.answers,
        exposures=exposures,
    )
