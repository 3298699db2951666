"""Progress for people, on stderr: steps and bars; silent when asked to be."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars

Advance = Callable[[int, int], None]
"""``advance(done, total)``"""


class Progress:
    """Reports steps and bars to a console. On a terminal they move; elsewhere each is one line when it ends."""

    def __init__(self, console: Console | None = None, *, quiet: bool = False) -> None:
        self.console = console or Console(stderr=True, emoji=False)
        self._quiet = quiet

    def say(self, text: str) -> None:
        """One line."""
        if not self._quiet:
            self._line(text)

    @contextmanager
    def step(self, text: str) -> Iterator[None]:
        """Something that takes a while and has no count."""
        with self.bar(text, None):
            yield

    @contextmanager
    def bar(self, text: str, total: int | None) -> Iterator[Advance]:
        """Something that takes a while and can be counted."""
        began = time.monotonic()
        if self._quiet:
            yield lambda _done, _total: None
            return
        if not self.console.is_terminal:
            counted = 0

            def count(done: int, _whole: int) -> None:
                nonlocal counted
                counted = done

            yield count
            self._ended(text, counted, began)
            return
        columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn())
        with Bars(*columns, TimeElapsedColumn(), console=self.console, transient=True) as bars:
            task = bars.add_task(text, total=total)

            def advance(done: int, whole: int) -> None:
                bars.update(task, completed=done, total=whole)

            yield advance
            counted = int(bars.tasks[0].completed)
        self._ended(text, counted, began)

    def _ended(self, text: str, counted: int, began: float) -> None:
        tail = f", {counted}" if counted else ""
        self._line(f"  {text}{tail} ({time.monotonic() - began:.1f} s)")

    def _line(self, text: str) -> None:
        """Text as it is: names and reasons are no markup; only a terminal wraps."""
        self.console.print(text, markup=False, highlight=False, emoji=False, soft_wrap=not self.console.is_terminal)
