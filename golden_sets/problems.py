"""Problems found in files: collected first, then raised together, so that one run names everything to repair."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from golden_sets.errors import InputError

SHOWN = 10
"""Problems that an error message spells out; the rest are counted."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong, or odd, in a file."""

    severity: Literal["error", "warning"]
    """Errors stop the run; warnings are shown."""
    where: str
    """``file:line``, or the record."""
    what: str
    """What is wrong, in one sentence."""
    do: str | None = None
    """What the reader can do about it."""

    def __str__(self) -> str:
        return f"{self.where}: {self.what}" + (f" - {self.do}" if self.do else "")


def raise_errors(problems: Iterable[Problem]) -> None:
    """Raise one error that names the problems of severity ``error``; return where there are none.

    Raises:
        InputError: the single problem as it is, or the first ten of several, a line each, and how many more.
    """
    errors = [p for p in problems if p.severity == "error"]
    if not errors:
        return
    if len(errors) == 1:
        raise InputError(errors[0].what, where=errors[0].where, do=errors[0].do)
    lines = [f"{len(errors)} problems", *(str(p) for p in errors[:SHOWN])]
    if len(errors) > SHOWN:
        lines.append(f"... and {len(errors) - SHOWN} more")
    raise InputError("\n  ".join(lines))
