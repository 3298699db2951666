"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from golden_sets.errors import InputError

ProjectOption = Annotated[
    Path,
    typer.Option("--project", "-p", help="Project directory, or its relgate.yaml.", show_default="current directory"),
]
StoreOption = Annotated[
    str | None,
    typer.Option("--store", help="SQLAlchemy URL of samples and registry; default: the project's.", show_default=False),
]
IncumbentOption = Annotated[
    str | None,
    typer.Option(
        "--incumbent", help="Candidate to compare with; default: what the channel serves.", show_default=False
    ),
]
LooksOption = Annotated[
    int | None,
    typer.Option("--looks", help="How often the run is looked at; default: the project's.", show_default=False, min=1),
]


def pairs(values: list[str] | None, option: str) -> dict[str, str]:
    """``name=value`` options as a mapping.

    Raises:
        InputError: one without an equals sign, or one name twice.
    """
    found: dict[str, str] = {}
    for value in values or []:
        name, equals, rest = value.partition("=")
        if not equals or not name:
            raise InputError(f"{option} takes NAME=VALUE, not '{value}'")
        if name in found:
            raise InputError(f"{option} names '{name}' twice")
        found[name] = rest
    return found
