"""How long work tells how far it is, to whoever shows it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

Advance = Callable[[int, int], None]
"""``advance(done, total)``"""


class Progress(Protocol):
    """Shows steps and bars."""

    def bar(self, text: str, total: int | None) -> AbstractContextManager[Advance]:
        """Something that takes a while; the count is told as it goes, if there is one."""
        ...


class Silent:
    """Shows nothing."""

    def bar(self, text: str, total: int | None) -> AbstractContextManager[Advance]:  # noqa: ARG002 - as `Progress` has it
        """Nothing is shown."""
        return nullcontext(_ignore)


def _ignore(_done: int, _total: int) -> None:
    """Nobody is told."""
