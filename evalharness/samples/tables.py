"""The two tables of the sample store, and how records become rows and rows records."""

from __future__ import annotations

from dataclasses import fields
from operator import attrgetter
from typing import Any

from sqlalchemy import Column, Float, Integer, MetaData, RowMapping, String, Table, Text

from evalharness.generation_records import ErrorKind, Generation, Judgment, ParseStatus

METADATA = MetaData()

GENERATIONS = Table(
    "generations",
    METADATA,
    Column("candidate_digest", String(71), primary_key=True),
    Column("request_digest", String(71), primary_key=True),
    Column("repeat", Integer, primary_key=True),
    Column("run", String(200), primary_key=True),
    Column("text", Text, nullable=False),
    Column("finish_reason", String(64)),
    Column("error", String(32)),
    Column("error_detail", Text),
    Column("prompt_tokens", Integer),
    Column("output_tokens", Integer),
    Column("ttft_s", Float),
    Column("tpot_s", Float),
    Column("e2e_s", Float, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("started_at", Float, nullable=False),
    Column("ledger_index", Integer),
)
"""One row per (candidate, request, repeat, run)."""

JUDGMENTS = Table(
    "judgments",
    METADATA,
    Column("judge_digest", String(71), primary_key=True),
    Column("rubric_digest", String(71), primary_key=True),
    Column("input_digest", String(71), primary_key=True),
    Column("order", Integer, primary_key=True),
    Column("repeat", Integer, primary_key=True),
    Column("score", Float),
    Column("label", Text),
    Column("rationale", Text, nullable=False),
    Column("parse_status", String(16), nullable=False),
    Column("attempts", Integer, nullable=False),
)
"""One row per (judge, rubric, input, order, repeat)."""

LATER_COLUMNS = (GENERATIONS.c.ledger_index,)
"""Columns that older databases lack; all of them may be null."""

_GENERATION_NAMES = tuple(f.name for f in fields(Generation))
_JUDGMENT_NAMES = tuple(f.name for f in fields(Judgment))
_generation_values = attrgetter(*_GENERATION_NAMES)
_judgment_values = attrgetter(*_JUDGMENT_NAMES)


def generation_row(record: Generation) -> dict[str, Any]:
    """The row of a generation. Characters that a text column cannot hold (NUL, lone surrogates) are replaced."""
    row = dict(zip(_GENERATION_NAMES, _generation_values(record), strict=True))
    row["text"] = _storable(record.text)
    row["error"] = None if record.error is None else record.error.value
    row["error_detail"] = None if record.error_detail is None else _storable(record.error_detail)
    return row


def judgment_row(record: Judgment) -> dict[str, Any]:
    """The row of a judgment."""
    row = dict(zip(_JUDGMENT_NAMES, _judgment_values(record), strict=True))
    row["rationale"] = _storable(record.rationale)
    row["parse_status"] = record.parse_status.value
    return row


def generation_of(row: RowMapping) -> Generation:
    """The generation in a row."""
    values = dict(row)
    values["error"] = None if row["error"] is None else ErrorKind(row["error"])
    return Generation(**values)


def judgment_of(row: RowMapping) -> Judgment:
    """The judgment in a row."""
    values = dict(row)
    values["parse_status"] = ParseStatus(row["parse_status"])
    return Judgment(**values)


def _storable(text: str) -> str:
    """PostgreSQL refuses NUL in text, and no encoder accepts half a surrogate pair; a model may write either."""
    if text.isascii() and "\0" not in text:
        return text
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode("utf-8")
