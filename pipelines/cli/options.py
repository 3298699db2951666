"""Options that several commands share."""

from __future__ import annotations

import re
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
        "--incumbent",
        help="Candidate to compare with; default: what the stage serves, else production.",
        show_default=False,
    ),
]
LooksOption = Annotated[
    int | None,
    typer.Option("--looks", help="How often the run is looked at; default: the project's.", show_default=False, min=1),
]
BudgetOption = Annotated[
    float | None,
    typer.Option("--budget", help="USD that the run may cost, all arms together.", show_default=False, min=0),
]
DeadlineOption = Annotated[
    str | None,
    typer.Option("--deadline", help="Time that the run may take, all arms together: 2h, 90m, 600.", show_default=False),
]
_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0}


def seconds(text: str | None, option: str) -> float | None:
    """A time such as ``2h``, ``1h30m``, ``90m`` or ``600`` (seconds), in seconds.

    Raises:
        InputError: it is none, or nothing at all.
    """
    if text is None:
        return None
    if re.fullmatch(r"\d+(\.\d+)?", text):
        found = float(text)
    elif re.fullmatch(r"(\d+(\.\d+)?[hms])+", text):
        found = sum(float(n) * _UNITS[unit] for n, _, unit in re.findall(r"(\d+(\.\d+)?)([hms])", text))
    else:
        found = 0.0
    if not found > 0:
        raise InputError(f"{option} takes a time such as 2h, 90m or 600 (seconds), not '{text}'")
    return found


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
