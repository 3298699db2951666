"""``relgate registry verify``: recompute everything, and say what does not fit."""

from __future__ import annotations

from pathlib import Path

import typer

from pipelines.cli.options import ProjectOption, StoreOption
from pipelines.cli.output import Json, emit
from pipelines.cli.registry.common import open_workspace


def verify(*, project: ProjectOption = Path(), store: StoreOption = None, as_json: Json = False) -> None:
    """Recompute the whole log from its rows: exit 0 when nothing was changed, 1 otherwise."""
    found = open_workspace(project, store).registry.verify()
    problems = [str(p) for p in found.problems]
    if as_json:
        emit({"ok": not problems, "size": found.size, "root": found.root, "problems": problems})
    else:
        for problem in problems:
            print(problem)
        print(f"{found.size} events, root {found.root}: {'not as recorded' if problems else 'nothing was changed'}")
    raise typer.Exit(1 if problems else 0)
