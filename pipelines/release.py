"""A release: plan -> evaluate -> gate -> register -> report -> promote, each step recorded before the next."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evalharness.candidate import Candidate
from evalharness.database import open_database
from evalharness.evidence import Evidence
from evalharness.plan import Plan
from evalharness.samples import SampleStore
from gates.decision import Decision, Status, Verdict
from gates.gate import Measured, gate
from gates.registry import ChannelState, Registry
from gates.reports import ReportPaths
from golden_sets.digests import Digest
from golden_sets.errors import InputError
from pipelines.evaluate import Arms, Evaluation, evaluate
from pipelines.fleet import Fleet
from pipelines.planning import plan_for
from pipelines.progress import Progress
from pipelines.project import Project
from pipelines.reporting import report, report_paths
from pipelines.tracking import mirror_alias, mirror_release


@dataclass(frozen=True)
class Workspace:
    """A project with its opened store and registry."""

    project: Project
    store: SampleStore
    registry: Registry

    @classmethod
    def open(cls, project: Project) -> Workspace:
        """Open the project's database.

        Raises:
            InputError: a bad store URL.
            InfrastructureError: the database cannot be opened.
        """
        engine = open_database(project.store_url)
        return cls(project, SampleStore(engine), Registry(engine))

    def current(self) -> ChannelState:
        """What the project's channel serves now."""
        return self.registry.channel(self.project.file.channel, self.project.file.stage)

    def incumbent(self, name: str | None) -> Candidate | None:
        """The incumbent as something that can be served: by name, else what the channel holds.

        Raises:
            InputError: the channel's version is not among the project's candidates.
        """
        if name is not None:
            return self.project.candidate(name)
        state = self.current()
        if state.digest is None:
            return None
        for known in self.project.candidate_names():
            candidate = self.project.candidate(known)
            if candidate.digest == state.digest:
                return candidate
        raise InputError(
            f"the incumbent '{state.name}' ({state.digest}) is no candidate of this project, or its files changed",
            where=self.project.at(self.project.file.candidates),
            do="restore its files, or name the incumbent with --incumbent",
        )

    def known_evidence(self, subject: Digest) -> Evidence | None:
        """The newest recorded evidence about a subject."""
        return self.registry.newest_evidence(subject)


@dataclass(frozen=True)
class Release:
    """What came of a release."""

    decision: Decision
    plan: Plan
    reports: ReportPaths
    state: ChannelState
    promoted: bool
    """Whether the channel serves the candidate now."""
    recorded: bool
    """True when the decision was there already and nothing was spent."""
    generated: int
    judged: int
    warnings: tuple[str, ...]

    @property
    def exit_code(self) -> int:
        """0 promoted, 1 blocked, 3 inconclusive."""
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
            "reports": paths_json(self.reports),
            "warnings": list(self.warnings),
        }


def paths_json(paths: ReportPaths) -> dict[str, str]:
    """Where a report's files lie."""
    return {
        "html": str(paths.html),
        "markdown": str(paths.markdown),
        "junit": str(paths.junit),
        "json": str(paths.json),
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

    Raises:
        InputError: bad files, or a channel that moved meanwhile.
        InfrastructureError: a model, the disk or the database failed; everything finished is kept.
    """
    project, registry = workspace.project, workspace.registry
    policy = project.policy.policy
    before = workspace.current()
    known = None if incumbent is None else workspace.known_evidence(incumbent.digest)
    plan = plan_for(project, incumbent, known)
    decision = registry.find_decision(
        subject_digest=candidate.digest,
        plan_digest=plan.digest,
        policy_digest=policy.digest,
        incumbent_digest=plan.incumbent_digest,
    )
    evaluation: Evaluation | None = None
    if decision is None or _left_incomplete(decision):
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
    state, promoted = _promote(workspace, decision, before, wanted=promote)
    warnings = () if evaluation is None else tuple(evaluation.evidence.provenance.details["warnings"])
    if evaluation is not None:
        warnings += _mirror(workspace, candidate, decision, evaluation.evidence, paths, promoted=promoted)
    return Release(
        decision=decision,
        plan=plan,
        reports=paths,
        state=state,
        promoted=promoted,
        recorded=evaluation is None,
        generated=0 if evaluation is None else evaluation.generated,
        judged=0 if evaluation is None else evaluation.judged,
        warnings=warnings,
    )


def _left_incomplete(decision: Decision) -> bool:
    """Whether failed requests kept a decision open: asking those again is a repair, no new attempt."""
    unsettled = [c for c in decision.checks if c.status is Status.INCONCLUSIVE]
    return decision.verdict is Verdict.INCONCLUSIVE and any(c.estimate.errors for c in unsettled)


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
    if all(path.exists() for path in (found.html, found.markdown, found.junit, found.json)):
        return found
    return report(
        decision,
        evidence,
        registry.policy(decision.policy_digest),
        directory,
        outcomes=registry.outcomes(evidence),
        plan=plan,
    )


def _promote(
    workspace: Workspace, decision: Decision, before: ChannelState, *, wanted: bool
) -> tuple[ChannelState, bool]:
    """Move the channel when the decision allows it, or say that it is there already."""
    if before.digest == decision.subject_digest:
        return before, decision.verdict is Verdict.PROMOTE
    if not wanted or decision.verdict is not Verdict.PROMOTE:
        return before, False
    file = workspace.project.file
    state = workspace.registry.promote(
        file.channel,
        file.stage,
        decision.subject_digest,
        decision_digest=decision.digest,
        expected_generation=before.generation,
        reason=decision.reason,
    )
    return state, True


def _mirror(
    workspace: Workspace,
    candidate: Candidate,
    decision: Decision,
    evidence: Evidence,
    paths: ReportPaths,
    *,
    promoted: bool,
) -> tuple[str, ...]:
    """Copy the release to MLflow, where the project has one; a failure there is a warning and nothing more."""
    uri = workspace.project.mlflow_uri
    if uri is None:
        return ()
    file = workspace.project.file
    warnings: list[str] = []
    mirrored = mirror_release(
        uri,
        candidate=candidate,
        decision=decision,
        evidence=evidence,
        report_dir=paths.html.parent,
        policy_name=decision.policy_name,
        channel=file.channel,
    )
    if mirrored.warning is not None:
        warnings.append(mirrored.warning)
    if promoted:
        warnings += mirror_move(workspace.project, workspace.current())
    return tuple(warnings)


def mirror_move(project: Project, state: ChannelState) -> tuple[str, ...]:
    """Point MLflow's alias of a stage to what the stage serves; a failure is a warning."""
    if project.mlflow_uri is None or state.digest is None or state.name is None:
        return ()
    moved = mirror_alias(
        project.mlflow_uri, channel=state.channel, stage=state.stage, digest=state.digest, name=state.name
    )
    return () if moved.warning is None else (moved.warning,)


def describe_state(state: ChannelState) -> Mapping[str, Any]:
    """A channel's stage as plain JSON data."""
    return {
        "channel": state.channel,
        "stage": state.stage,
        "digest": state.digest,
        "name": state.name,
        "generation": state.generation,
    }
