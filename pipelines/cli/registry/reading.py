"""``relgate registry list|show|log``: what was recorded and what is served."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from golden_sets.digests import short
from pipelines.cli.options import ProjectOption, StoreOption
from pipelines.cli.output import Json, emit, line, show_thresholds, stdout, table
from pipelines.cli.registry.common import ChannelOption, StageOption, open_workspace
from pipelines.cli.registry.signing import promotion_command

if TYPE_CHECKING:
    from rich.console import Console

    from gates.reports import Standing
    from gates.verifier.authority import Pinned

ROUTERS = "router"


def list_(*, project: ProjectOption = Path(), store: StoreOption = None, as_json: Json = False) -> None:
    """List registered versions, newest first, where they are served, pinned policies and waivers that run out."""
    registry = open_workspace(project, store).registry
    versions, channels, due = registry.versions(), registry.channels(), registry.due()
    pins = registry.pins()
    if as_json:
        emit(
            {
                "versions": [
                    {
                        "name": v.name,
                        "digest": v.digest,
                        "kind": v.kind,
                        "registered_at": v.registered_at,
                        "serves": list(v.serves),
                    }
                    for v in versions
                ],
                "channels": [c.to_json() for c in channels],
                "pins": [_pin_json(pin) for pin in pins],
                "blocked": [waiver.to_json() for waiver in due if waiver.expired],
                "expiring": [waiver.to_json() for waiver in due if not waiver.expired],
            }
        )
        return
    rows = [(v.name, v.kind, v.digest[7:19], v.registered_at, ", ".join(v.serves)) for v in versions]
    console = stdout()
    console.print(table(None, ("name", "kind", "digest", "registered", "serves"), rows))
    for pin in pins:
        line(
            console,
            f"channel {pin.pin.channel} moves under policy {short(pin.pin.policy)} alone, "
            f"pinned by {pin.pin.person} at {pin.time} ({pin.pin.reason}); owned by {', '.join(pin.pin.owners)}",
        )
    for waiver in due:
        line(console, waiver.text)


def show(
    version: Annotated[str, typer.Argument(help="Name, digest or its beginning.", show_default=False)],
    *,
    channel: ChannelOption = None,
    stage: StageOption = None,
    project: ProjectOption = Path(),
    store: StoreOption = None,
    as_json: Json = False,
) -> None:
    """Show one version: where it is served, who signed its newest decision, and all that the log says about it.

    Signatures and what is missing are told for the channel and stage, by default the project's.
    """
    from pipelines.standing import standing_of

    workspace = open_workspace(project, store)
    registry, file = workspace.registry, workspace.project.file
    found = registry.show(version)
    decided = registry.decisions_about(found.digest)
    own = ROUTERS if found.kind == ROUTERS else file.channel
    decision = registry.decision(decided[0].payload["decision"]) if decided else None
    standing = None if decision is None else standing_of(registry, decision, channel or own, stage or file.stage)
    if as_json:
        emit({**found.to_json(), "standing": None if standing is None else standing.to_json()})
        return
    console = stdout()
    line(console, f"{found.name}  {found.digest}")
    line(console, f"serves: {', '.join(found.serves) or 'nowhere'}")
    if decision is None:
        line(console, "no decision about it is recorded")
    if decision is not None and standing is not None:
        compared = "nothing" if decision.incumbent_name is None else f"'{decision.incumbent_name}'"
        line(console, f"decision {short(decision.digest)}: {decision.verdict.value}, {decision.reason}")
        line(console, f"  compared with {compared}, under policy '{decision.policy_name}' {decision.policy_version}")
        show_thresholds(standing, console)
        _show_standing(console, standing)
        if not standing.missing and not standing.moves:
            line(console, f"nothing stands against {standing.place}")
            line(console, f"  {promotion_command(decision, standing.channel, standing.stage)}")
    rows = [(str(e.position), e.time, e.type, e.actor, _about(e.payload)) for e in found.events]
    console.print(table(None, ("#", "time", "event", "actor", "about"), rows))


def log(
    *,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the last events.", show_default=False)] = None,
    project: ProjectOption = Path(),
    store: StoreOption = None,
    as_json: Json = False,
) -> None:
    """Print the append-only event log, oldest first."""
    events = open_workspace(project, store).registry.log(limit)
    if as_json:
        emit({"events": [e.to_json() for e in events]})
        return
    rows = [(str(e.position), e.time, e.type, e.actor, _about(e.payload)) for e in events]
    stdout().print(table(None, ("#", "time", "event", "actor", "about"), rows))


def _show_standing(console: Console, standing: Standing) -> None:
    """Who signed the newest decision, what is waived, and what a move still lacks."""
    for signature in standing.signatures:
        where = "" if signature.place is None else f" for {signature.place}, until {signature.expires}"
        line(console, f"signed: {signature.person}, {signature.role}{where}: {signature.note}")
    for waiver in standing.waivers:
        told = f"{waiver.check} by {waiver.person}, {waiver.role}, until {waiver.expires} ({waiver.reason})"
        line(console, f"waived: {told}: {waiver.note}")
    for text in standing.missing:
        line(console, f"missing for {standing.place}: {text}")


def _pin_json(pin: Pinned) -> dict[str, Any]:
    return {**pin.pin.to_json(), "position": pin.position, "time": pin.time, "key": pin.key}


def _about(payload: object) -> str:
    if not isinstance(payload, dict):
        return ""
    wanted = (
        "name",
        "verdict",
        "channel",
        "stage",
        "person",
        "role",
        "check",
        "action",
        "reason",
        "version",
        "lineage",
        "number",
    )
    return "  ".join(f"{key}={payload[key]}" for key in wanted if payload.get(key))
