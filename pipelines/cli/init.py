"""``relgate init``: a project directory in which the next command works."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from pipelines.cli.output import Json, emit

STARTERS = ("flagship-v1", "flagship-v2", "small")


def init(
    directory: Annotated[Path, typer.Argument(help="Directory to make (or an empty one).")] = Path(),
    *,
    as_json: Json = False,
) -> None:
    """Make a working project: relgate.yaml, policy, judge, prompt sets and candidates to replace by your own."""
    from pipelines.scaffold import scaffold

    made = scaffold(directory, STARTERS, name=directory.resolve().name or "project")
    if as_json:
        emit({"directory": str(directory.resolve()), "files": [str(path) for path in made]})
        return
    for path in made:
        print(f"  {path}")
    print("\nnext:")
    if directory != Path():
        print(f"  cd {shlex.quote(str(directory))}")
    print("  relgate plan")
    print("  relgate registry promote flagship-v1 --seed --reason 'first version'")
    print("  relgate release flagship-v2")
