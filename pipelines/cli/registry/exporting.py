"""``relgate registry export``: one release as a bundle that anyone can verify offline."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipelines.cli.options import ProjectOption, StoreOption
from pipelines.cli.output import Json, emit
from pipelines.cli.registry.common import open_workspace


def export(
    version: Annotated[str, typer.Argument(help="Name, digest or its beginning.", show_default=False)],
    *,
    output: Annotated[Path, typer.Option("--output", "-o", help="Bundle to write.", show_default=False)],
    channel: Annotated[
        str | None, typer.Option("--channel", help="Only its promotions on this channel.", show_default=False)
    ] = None,
    stage: Annotated[
        str | None, typer.Option("--stage", help="Only its promotions to this stage.", show_default=False)
    ] = None,
    key: Annotated[
        Path | None,
        typer.Option(
            "--key",
            help="Private key that signs a checkpoint of the log as it is now; default: the newest recorded one.",
            show_default=False,
        ),
    ] = None,
    project: ProjectOption = Path(),
    store: StoreOption = None,
    as_json: Json = False,
) -> None:
    """Write a bundle of a version's newest promotion: the whole log, what the release rests on, everything signed.

    Verify it anywhere with: relgate registry verify --offline BUNDLE
    """
    from gates.signing.keys import SigningKey

    registry = open_workspace(project, store).registry
    signer = None if key is None else SigningKey.load(key)
    about = registry.export(registry.resolve(version), output, channel=channel, stage=stage, key=signer)
    if as_json:
        emit({**about.to_json(), "bundle": str(output)})
        return
    where = f"{about.channel}/{about.stage}"
    what = f"promotion to {where}, event {about.move}" if about.move is not None else f"never promoted to {where}"
    print(f"{output}: '{about.name}' ({what}), {about.size} events, root {about.root}")
