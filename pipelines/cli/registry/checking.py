"""``relgate registry check``: what waivers ran out, and what is done about it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipelines.cli.options import ProjectOption, StoreOption
from pipelines.cli.output import Json, emit
from pipelines.cli.registry.common import open_workspace


def check(
    *,
    channel: Annotated[
        str | None, typer.Option("--channel", help="Only this channel; default: all.", show_default=False)
    ] = None,
    within: Annotated[str, typer.Option("--within", help="Announce waivers that expire within this time.")] = "7d",
    project: ProjectOption = Path(),
    store: StoreOption = None,
    as_json: Json = False,
) -> None:
    """Demote or block what rests on expired waivers, and announce those that run out soon.

    Exit 1 where something has expired, 0 otherwise. Run it daily; release and promote run it too.
    """
    from pipelines.promotion import expire
    from pipelines.signing import hours

    workspace = open_workspace(project, store)
    within_h = hours(within)
    expiries, warnings = expire(workspace.project, workspace.registry, channel)
    standing = workspace.registry.due(channel, within_h=within_h)
    bad = bool(expiries) or any(waiver.expired for waiver in standing)
    if as_json:
        emit(
            {
                "expired": [one.to_json() for one in expiries],
                "blocked": [waiver.to_json() for waiver in standing if waiver.expired],
                "expiring": [waiver.to_json() for waiver in standing if not waiver.expired],
                "warnings": list(warnings),
            }
        )
    else:
        for text in (*(one.text for one in expiries), *(waiver.text for waiver in standing)):
            print(text)
        for warning in warnings:
            print(f"warning: {warning}")
        if not expiries and not standing:
            print(f"no waiver that anything served rests on expires within {within}")
    raise typer.Exit(1 if bad else 0)
