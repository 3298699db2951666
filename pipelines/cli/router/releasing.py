"""``relgate router release``: a router through the same gate as models."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipelines.cli.options import ProjectOption, StoreOption, pairs
from pipelines.cli.output import Json, emit, show_release
from pipelines.cli.router.options import (
    CacheOption,
    ColumnOption,
    DataOption,
    RouterArgument,
    WhereOption,
    cache_file,
    cores,
)


def release(
    router: RouterArgument,
    *,
    data: DataOption = None,
    column: ColumnOption = None,
    where: WhereOption = None,
    incumbent: Annotated[
        str | None,
        typer.Option(
            "--incumbent",
            metavar="DIR|always-flagship",
            help="Router to compare with; default: what channel 'router' serves, else always the flagship.",
            show_default=False,
        ),
    ] = None,
    policy: Annotated[
        Path | None,
        typer.Option("--policy", help="Policy file; default: the project's, else the demo's.", show_default=False),
    ] = None,
    name: Annotated[
        str | None, typer.Option("--name", help="Name to register; default: the directory's.", show_default=False)
    ] = None,
    small_usd: Annotated[
        float | None,
        typer.Option("--small-usd", help="USD per answer of the small model, where --data has none.", min=0),
    ] = None,
    flagship_usd: Annotated[
        float | None,
        typer.Option("--flagship-usd", help="USD per answer of the flagship, where --data has none.", min=0),
    ] = None,
    promote: Annotated[
        bool, typer.Option("--promote/--no-promote", help="Move channel 'router' when the decision allows it.")
    ] = True,
    project: ProjectOption = Path(),
    store: StoreOption = None,
    cache: CacheOption = None,
    as_json: Json = False,
) -> None:
    """Release a router: measure it on its frozen test, gate, register, report, promote.

    With --data, answers are the scores of a file, and no project is needed; without it, the project's two models answer
    the routing sets, and what the store holds is not asked again. Evidence that was measured with other models than are
    served is stale and blocks.
    """
    from pipelines.progress import Progress
    from pipelines.promotion import tell_expiries
    from pipelines.router_measuring import NamedRouter
    from pipelines.router_place import RouterPlace
    from pipelines.router_release import incumbent_of, release_router
    from pipelines.router_testing import Labels, Prices, measured_on
    from pipelines.standing import changed_thresholds, standing_of
    from router_training.router import Router

    progress = Progress()
    candidate = NamedRouter(name or router.resolve().name, Router.load(router))
    place = RouterPlace.open(project, store=store, policy=policy)
    tell_expiries(None if place.workspace is None else place.workspace.project, place.registry, progress)
    against = incumbent_of(place, incumbent)
    labels = Labels(
        files=tuple(data or ()),
        columns=pairs(column, "--column"),
        where=pairs(where, "--where"),
        prices=Prices(small_usd, flagship_usd),
    )
    test, evaluation = measured_on(
        place, candidate.router, labels, cache=cache_file(cache), workers=cores(), progress=progress
    )
    result = release_router(place, candidate, against, test, evaluation=evaluation, progress=progress, promote=promote)
    standing = standing_of(place.registry, result.decision, result.state.channel, result.state.stage)
    if as_json:
        emit({**result.to_json(), "changed_thresholds": changed_thresholds(standing)})
    else:
        show_release(result, "routers", standing)
    raise typer.Exit(result.exit_code)
