"""``relgate registry weights``: is what lies here the version that was registered?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipelines.cli.options import ProjectOption, StoreOption
from pipelines.cli.output import Json, emit, line, stdout
from pipelines.cli.registry.common import open_workspace


def weights(
    version: Annotated[str, typer.Argument(help="Name, digest or its beginning.", show_default=False)],
    place: Annotated[
        Path, typer.Argument(help="A model directory, or a candidate file with all it names.", show_default=False)
    ],
    *,
    adapter: Annotated[
        Path | None, typer.Option("--adapter", help="Adapter beside a model directory.", show_default=False)
    ] = None,
    project: ProjectOption = Path(),
    store: StoreOption = None,
    as_json: Json = False,
) -> None:
    """Read files whole and compare them with a registered version: exit 0 when they are it, 1 otherwise.

    For gateways and deployments, before they load a model. Of a directory the files are compared; of a candidate file
    the system prompt, the sampling parameters and the engine, too.
    """
    from pipelines.weights import differences_at

    found = open_workspace(project, store).registry.show(version)
    differences = differences_at(found, place, adapter=adapter)
    if as_json:
        emit({"ok": not differences, "version": found.digest, "name": found.name, "differences": differences})
    else:
        console = stdout()
        for difference in differences:
            line(console, difference)
        line(console, f"{place} {'is not' if differences else 'is'} {found.name} ({found.digest})")
    raise typer.Exit(1 if differences else 0)
