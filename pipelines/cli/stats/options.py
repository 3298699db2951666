"""What the questions of ``relgate stats`` share: options, which may be combined, and where an error was made."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated, Any, Literal

import typer

from golden_sets.errors import InputError

SideName = Literal["two-sided", "lower", "upper"]
ProportionMethodName = Literal["wilson", "clopper-pearson", "jeffreys"]

INCONCLUSIVE = 3
"""Exit code where the numbers answer nothing (docs/command-line.md)."""
LARGEST_COUNT = 10**12
"""Counts above this are typing errors: they would also exceed what the bounds resolve in double precision."""

Confidence = Annotated[
    float, typer.Option("--confidence", help="In (0, 1); a one-sided bound holds at exactly this level.")
]
SideOption = Annotated[
    SideName, typer.Option("--side", help="Both bounds, or one: lower (at least) or upper (at most).")
]


def option(name: str, text: str) -> typer.models.OptionInfo:
    """An option without a default that is worth showing."""
    found: typer.models.OptionInfo = typer.Option(name, help=text, show_default=False)
    return found


@contextmanager
def question(name: str) -> Iterator[None]:
    """Say in which command bad input was found, and where its options are described.

    Raises:
        InputError: the one raised inside, with what it lacked.
    """
    try:
        yield
    except InputError as error:
        where = error.where or f"stats {name}"
        do = error.do or f"see 'relgate stats {name} --help'"
        raise InputError(error.what, where=where, do=do) from error


def only(asked: str, allowed: tuple[str, ...], given: Mapping[str, Any]) -> None:
    """Refuse options that belong to another question than the one that is asked.

    Raises:
        InputError: an option is given (not None) that ``asked`` does not use.
    """
    foreign = [name for name, value in given.items() if value is not None and name not in allowed]
    if foreign:
        raise InputError(
            f"{' and '.join(foreign)} cannot be combined with {asked}",
            do=f"{asked} takes {', '.join(name for name in allowed if name != asked)}",
        )


def required(asked: str, needed: str, value: float | None) -> float:
    """The value of an option without which the question cannot be answered.

    Raises:
        InputError: it is not given.
    """
    if value is None:
        raise InputError(f"{asked} needs {needed}", do=f"add {needed}")
    return value


def counts(named: Mapping[str, int], n: int | None) -> None:
    """Refuse counts that cannot be, by the names a person typed; ``n`` must be at least 1.

    Raises:
        InputError: a negative count, no trials, or more than a trillion.
    """
    at_least_one = {} if n is None else {"--n": n}
    for name, count in {**named, **at_least_one}.items():
        least = 1 if name in at_least_one else 0
        if not least <= count <= LARGEST_COUNT:
            raise InputError(f"{name} must lie between {least} and {LARGEST_COUNT}, got {count}")
