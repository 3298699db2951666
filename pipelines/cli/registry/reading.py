"""``relgate registry list|show|log``: what was recorded and what is served."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipelines.cli.options import ProjectOption, StoreOption
from pipelines.cli.output import Json, emit, line, stdout, table
from pipelines.cli.registry.common import open_workspace


def list_(*, project: ProjectOption = Path(), store: StoreOption = None, as_json: Json = False) -> None:
    """List registered versions, newest first, and where they are served."""
    registry = open_workspace(project, store).registry
    versions, channels = registry.versions(), registry.channels()
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
            }
        )
        return
    rows = [(v.name, v.kind, v.digest[7:19], v.registered_at, ", ".join(v.serves)) for v in versions]
    stdout().print(table(None, ("name", "kind", "digest", "registered", "serves"), rows))


def show(
    version: Annotated[str, typer.Argument(help="Name, digest or its beginning.", show_default=False)],
    *,
    project: ProjectOption = Path(),
    store: StoreOption = None,
    as_json: Json = False,
) -> None:
    """Show one version: manifest, where it is served, and everything the log says about it."""
    found = open_workspace(project, store).registry.show(version)
    if as_json:
        emit(found.to_json())
        return
    console = stdout()
    line(console, f"{found.name}  {found.digest}")
    line(console, f"serves: {', '.join(found.serves) or 'nowhere'}")
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


def _about(payload: object) -> str:
    if not isinstance(payload, dict):
        return ""
    wanted = ("name", "verdict", "channel", "stage", "reason", "version", "lineage", "number")
    return "  ".join(f"{key}={payload[key]}" for key in wanted if payload.get(key))
