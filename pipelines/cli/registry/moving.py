"""``relgate registry promote|rollback``: moving a channel by hand."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from golden_sets.digests import Digest, short
from golden_sets.errors import InputError
from pipelines.cli.options import ProjectOption, StoreOption
from pipelines.cli.output import Json, emit
from pipelines.cli.registry.common import ChannelOption, StageOption, open_workspace

if TYPE_CHECKING:
    from gates.registry import ChannelState, Registry
    from pipelines.workspace import Workspace

Reason = Annotated[str, typer.Option("--reason", help="Why, for the log.", show_default=False)]


def promote(
    version: Annotated[str, typer.Argument(help="Name of a candidate or of a version.", show_default=False)],
    *,
    reason: Reason = "",
    decision: Annotated[
        str | None,
        typer.Option("--decision", help="Passing decision; default: the newest, which must pass.", show_default=False),
    ] = None,
    seed: Annotated[
        bool, typer.Option("--seed", help="First version of an empty channel: needs a reason and no decision.")
    ] = False,
    channel: ChannelOption = None,
    stage: StageOption = None,
    project: ProjectOption = Path(),
    store: StoreOption = None,
    as_json: Json = False,
) -> None:
    """Move a channel to a version that a passing decision allows, or seed an empty channel.

    A version from which the channel was rolled back after the decision needs a reason. A decision that did not pass and
    whose open checks are waived is named with --decision. Exit 5 where nothing but signatures is missing.
    """
    from pipelines.progress import Progress
    from pipelines.promotion import tell_expiries
    from pipelines.weights import require_weights

    workspace = open_workspace(project, store)
    registry, file = workspace.registry, workspace.project.file
    tell_expiries(workspace.project, registry, Progress())
    before = registry.channel(channel or file.channel, stage or file.stage)
    if seed:
        digest = registry.register_candidate(workspace.project.candidate(version))
        allowed = None
    else:
        digest = registry.resolve(version)
        allowed = _allowed_by(workspace, before, digest, version, decision, reason)
        _require_sound_router(workspace, digest, allowed)
        _require_signatures(registry, before, digest, allowed, as_json=as_json)
    unread = require_weights(workspace, digest, version)
    state = registry.promote(
        before.channel,
        before.stage,
        digest,
        decision_digest=allowed,
        expected_generation=before.generation,
        reason=reason,
    )
    _moved(workspace, state, as_json=as_json, warnings=unread)


def rollback(
    version: Annotated[
        str | None, typer.Argument(help="Version to go back to; default: the one before.", show_default=False)
    ] = None,
    *,
    reason: Reason,
    channel: ChannelOption = None,
    stage: StageOption = None,
    project: ProjectOption = Path(),
    store: StoreOption = None,
    as_json: Json = False,
) -> None:
    """Move a channel back to a version that was promoted there before.

    Without a version it goes back one promotion; once more, one further. A router goes back only if its files are
    whole; that it was measured with other models than are served is told, and forbids nothing.
    """
    workspace = open_workspace(project, store)
    registry, file = workspace.registry, workspace.project.file
    before = registry.channel(channel or file.channel, stage or file.stage)
    digest = registry.resolve(version) if version is not None else _previous(before)
    _require_whole_router(workspace, digest)
    state = registry.rollback(
        before.channel, before.stage, digest, expected_generation=before.generation, reason=reason
    )
    _moved(workspace, state, as_json=as_json)


def _moved(workspace: Workspace, state: ChannelState, *, as_json: bool, warnings: tuple[str, ...] = ()) -> None:
    from pipelines.promotion import mirror_move
    from pipelines.router_staleness import outdated_routers

    if not as_json:  # at once: the mirror takes seconds, and somebody waits to hear that the pointer moved
        print(f"{state.where} serves {state.name} (generation {state.generation})", flush=True)
    warnings = (*warnings, *outdated_routers(workspace.registry, state), *mirror_move(workspace.project, state))
    if as_json:
        emit({**state.to_json(), "warnings": list(warnings)})
        return
    for warning in warnings:
        print(f"warning: {warning}")


def _previous(state: ChannelState) -> Digest:
    from gates.registry.history import one_back

    earlier = one_back(state.history)
    if earlier is None:
        raise InputError(f"{state.where} has no earlier promotion to go back to", do="name a version")
    return earlier.digest


def _allowed_by(
    workspace: Workspace, state: ChannelState, digest: Digest, name: str, decision: Digest | None, reason: str
) -> Digest:
    """The decision to promote with: the one that is named, or the newest, which must have passed."""
    from pipelines.release_rules import newest_passing, withdrawn

    decided = workspace.registry.decisions_about(digest)
    chosen = workspace.registry.recorded_decision(decision).digest if decision else newest_passing(decided, name)
    gone = withdrawn(state, digest, decided, chosen)
    if gone is not None and not reason.strip():
        raise InputError(f"'{name}': {gone}", where=state.where, do='say why it may come back: --reason "..."')
    return chosen


def _require_signatures(
    registry: Registry, before: ChannelState, digest: Digest, decision: Digest, *, as_json: bool
) -> None:
    """Nothing moves where only signatures are missing: exit code 5 says so."""
    from gates.verifier.promotion import awaits_signatures, refusals
    from pipelines.released import AWAITING

    if before.digest == digest:
        return
    found = refusals(registry.case(before.channel, before.stage, decision))
    if not awaits_signatures(found):
        return  # what else stands against it, the registry says
    awaiting = [refusal.text for refusal in found]
    if as_json:
        emit({**before.to_json(), "decision": decision, "awaiting": awaiting})
    else:
        print(f"{before.where} awaits signatures: {'; '.join(awaiting)}")
        place = f"--channel {before.channel} --stage {before.stage}"
        print(f"  let them sign: relgate registry sign {short(digest)} --role ROLE --key KEY {place}")
    raise typer.Exit(AWAITING)


def _require_sound_router(workspace: Workspace, digest: Digest, decision: Digest) -> None:
    """A router's files must be what its manifest says, and its evidence must speak of the models that are served."""
    if not _require_whole_router(workspace, digest):
        return
    from pipelines.router_staleness import require_fresh, serving_models

    registry = workspace.registry
    evidence = registry.evidence(registry.recorded_decision(decision).evidence_digest)
    require_fresh(evidence, serving_models(registry, workspace.project))


def _require_whole_router(workspace: Workspace, digest: Digest) -> bool:
    """Whether a version is a router; its files must be what its manifest says."""
    version = workspace.registry.show(digest)
    if version.kind != "router":
        return False
    from pipelines.router_archive import RouterArchive

    RouterArchive.of(workspace.project.data).load(digest, version.name)
    return True
