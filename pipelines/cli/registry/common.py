"""What the commands of ``relgate registry`` share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from pipelines.workspace import Workspace

ChannelOption = Annotated[
    str | None, typer.Option("--channel", help="Channel; default: the project's.", show_default=False)
]
StageOption = Annotated[str | None, typer.Option("--stage", help="Stage; default: the project's.", show_default=False)]


def open_workspace(project: Path, store: str | None) -> Workspace:
    """The project with its store and registry."""
    from pipelines.project import Project
    from pipelines.workspace import Workspace

    return Workspace.open(Project.load(project, store=store))
