"""Moving a channel by a decision, and mirroring what was moved."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from evalharness.candidate import Candidate
from evalharness.evidence import Evidence
from gates.decision import Decision, Verdict
from gates.registry import ChannelState, Registry
from gates.registry.channels import PRODUCTION
from gates.registry.waivers import Expiry
from gates.verifier.promotion import Refusal, awaits_signatures, refusals
from golden_sets.digests import short
from pipelines.progress import Progress
from pipelines.project import Project
from pipelines.release_rules import against_another, withdrawn
from pipelines.router_staleness import outdated_routers
from pipelines.tracking import mirror_alias, mirror_release
from pipelines.workspace import Workspace


@dataclass(frozen=True)
class Promotion:
    """What became of the channel."""

    state: ChannelState
    """The stage afterwards."""
    promoted: bool
    """Whether it serves the decision's subject, by a passing decision."""
    moved: bool
    """Whether it was moved now."""
    warnings: tuple[str, ...] = ()
    """Why a passing decision moved nothing, and what a move means for others."""
    refused: tuple[Refusal, ...] = ()
    """What stands against the move by the rules of promotion; where all are signatures, it awaits those."""

    @property
    def awaiting(self) -> tuple[str, ...]:
        """The signatures that are missing, in words."""
        return tuple(refusal.text for refusal in self.refused if refusal.ground == "signatures")


def promotion_obstacle(
    workspace: Workspace, state: ChannelState, candidate: Candidate, incumbent: Candidate | None
) -> str | None:
    """Why a release against this incumbent cannot move the project's channel, known before anything is asked."""
    pinned = workspace.registry.authority().pinned(state.channel)
    if pinned is not None and pinned.pin.policy != workspace.project.policy.policy.digest:
        return (
            f"channel '{state.channel}' is pinned to policy {short(pinned.pin.policy)}, which is not the project's: "
            "nothing can be promoted on it"
        )
    return against_another(
        state,
        workspace.registry.channel(state.channel, PRODUCTION).digest,
        subject=candidate.digest,
        incumbent=None if incumbent is None else incumbent.digest,
        incumbent_name=None if incumbent is None else incumbent.name,
    )


def promote(registry: Registry, decision: Decision, before: ChannelState, *, wanted: bool) -> Promotion:
    """Move the channel when the decision allows it, or say why a passing decision does not.

    Args:
        registry: where the decision is recorded.
        decision: a recorded decision.
        before: the stage as it was when the release began.
        wanted: False: leave the channel where it is.

    Raises:
        InputError: the channel moved meanwhile.
    """
    passed = decision.verdict is Verdict.PROMOTE
    if before.digest == decision.subject_digest:
        return Promotion(before, promoted=passed, moved=False)
    if not wanted or not passed:
        return Promotion(before, promoted=False, moved=False)
    reason = against_another(
        before,
        registry.channel(before.channel, PRODUCTION).digest,
        subject=decision.subject_digest,
        incumbent=decision.incumbent_digest,
        incumbent_name=decision.incumbent_name,
    )
    if reason is not None:
        return Promotion(before, promoted=False, moved=False, warnings=(f"not promoted: {reason}",))
    decided = registry.decisions_about(decision.subject_digest)
    reason = withdrawn(before, decision.subject_digest, decided, decision.digest)
    if reason is not None:
        advice = (
            "evaluate it again under a new plan (other prompts, seed or policy), or put it back by hand: "
            f"relgate registry promote {decision.subject_name} --reason '...'"
        )
        return Promotion(before, promoted=False, moved=False, warnings=(f"not promoted: {reason}; {advice}",))
    refused = tuple(refusals(registry.case(before.channel, before.stage, decision.digest)))
    if refused:
        told = [] if awaits_signatures(refused) else [f"not promoted: {'; '.join(r.text for r in refused)}"]
        if any(refusal.ground == "stage" for refusal in refused):
            told.append(f"a release moves the project's stage, {before.stage}: name the one before it in relgate.yaml")
        return Promotion(before, promoted=False, moved=False, warnings=tuple(told), refused=refused)
    state = registry.promote(
        before.channel,
        before.stage,
        decision.subject_digest,
        decision_digest=decision.digest,
        expected_generation=before.generation,
        reason=decision.reason,
    )
    return Promotion(state, promoted=True, moved=True, warnings=outdated_routers(registry, state))


def serve_first(registry: Registry, channel: str, stage: str, candidate: Candidate, *, reason: str) -> bool:
    """Let a stage that never served anything begin with a version, without a decision.

    Returns:
        Whether it began now; False where it has a history.
    """
    if registry.channel(channel, stage).generation:
        return False
    digest = registry.register_candidate(candidate)
    registry.promote(channel, stage, digest, decision_digest=None, expected_generation=0, reason=reason)
    return True


def tell_expiries(project: Project | None, registry: Registry, progress: Progress) -> None:
    """Before a release or a promotion: do what expired waivers ask for, and announce those that run out soon."""
    expiries, warnings = expire(project, registry)
    for text in (*(one.text for one in expiries), *warnings, *(waiver.text for waiver in registry.due())):
        progress.say(f"  {text}")


def expire(
    project: Project | None, registry: Registry, channel: str | None = None
) -> tuple[list[Expiry], tuple[str, ...]]:
    """Demote or block what rests on expired waivers, and mirror what moved.

    Returns:
        What was done, and warnings of the mirror.
    """
    expiries = registry.expire(channel)
    moved = [one.state for one in expiries if one.action == "demote" and project is not None]
    return expiries, tuple(warning for state in moved if project for warning in mirror_move(project, state))


def mirror(
    project: Project,
    candidate: Candidate,
    decision: Decision,
    evidence: Evidence,
    report_dir: Path,
    promotion: Promotion,
) -> tuple[str, ...]:
    """Copy a release to MLflow, where the project has one; a failure there is a warning and nothing more."""
    uri = project.mlflow_uri
    if uri is None:
        return ()
    mirrored = mirror_release(
        uri,
        candidate=candidate,
        decision=decision,
        evidence=evidence,
        report_dir=report_dir,
        channel=project.file.channel,
    )
    warnings = () if mirrored.warning is None else (mirrored.warning,)
    return warnings + mirror_move(project, promotion.state) if promotion.promoted else warnings


def mirror_move(project: Project, state: ChannelState) -> tuple[str, ...]:
    """Point MLflow's alias of a stage to what the stage serves; a failure is a warning."""
    if project.mlflow_uri is None or state.digest is None or state.name is None:
        return ()
    moved = mirror_alias(
        project.mlflow_uri, channel=state.channel, stage=state.stage, digest=state.digest, name=state.name
    )
    return () if moved.warning is None else (moved.warning,)
