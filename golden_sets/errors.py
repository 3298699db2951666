"""The errors a person meets: each says what is wrong, where, and what to do.

They live on the lowest floor because every room raises them; the command line maps them to exit codes.
"""

from __future__ import annotations

from pathlib import Path


class RelgateError(Exception):
    """Base of every error that relgate raises on purpose.

    Args:
        what: what is wrong, in one sentence.
        where: the file (and line), or the record, in which it was found.
        do: what the reader can do about it.
    """

    exit_code = 4

    def __init__(self, what: str, *, where: str | Path | None = None, do: str | None = None) -> None:
        self.what = what
        self.where = None if where is None else str(where)
        self.do = do
        super().__init__(self.message())

    def message(self) -> str:
        """The error on one line: ``where: what - what to do``."""
        text = self.what if self.where is None else f"{self.where}: {self.what}"
        return text if self.do is None else f"{text} - {self.do}"


class InputError(RelgateError):
    """Bad usage or bad input: exit code 2, nothing was written."""

    exit_code = 2


class InfrastructureError(RelgateError):
    """A server, database or disk failed: exit code 4, everything finished is kept."""

    exit_code = 4
