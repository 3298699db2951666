"""A file of answers to classify: CSV or JSONL, one row an answer.

Columns: ``text`` (the answer), and where they are there ``id`` and ``finish_reason`` (``length``: cut off by the
token limit).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from evalharness.text_rows import TextRows

COLUMNS = ("text", "id", "finish_reason")
"""Columns with a meaning."""
_CUT = "length"


@dataclass(frozen=True)
class Answers:
    """The chosen rows."""

    texts: tuple[str, ...]
    """The answers; empty where the file has nothing."""
    ids: tuple[str | None, ...]
    """What each is called; without the column, its number from 1."""
    truncated: tuple[bool, ...]
    """Whether each was cut off by the token limit; False without the column."""


def read_answers(
    path: Path, *, columns: Mapping[str, str] | None = None, where: Mapping[str, str] | None = None
) -> Answers:
    """Read the file.

    Args:
        path: CSV or JSONL.
        columns: ``our name: their column``.
        where: ``column: value``; only rows with these values are read.

    Raises:
        InputError: a missing column, no row.
        InfrastructureError: the file cannot be read.
    """
    rows = TextRows.of(path, where or {}, columns or {}, COLUMNS, required=(("text",),))
    texts = rows.texts("text").to_pylist()
    ids = rows.texts("id").to_pylist() if rows.has("id") else [str(number) for number in range(1, len(texts) + 1)]
    return Answers(
        texts=tuple(text or "" for text in texts),
        ids=tuple(ids),
        truncated=tuple(reason == _CUT for reason in rows.texts("finish_reason").to_pylist()),
    )
