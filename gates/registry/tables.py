"""The registry's tables as they are now, for SQLite and PostgreSQL alike.

They are made by :mod:`gates.registry.migrations`, never from here: a change here needs a migration that makes it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import Column, Dialect, Index, Integer, LargeBinary, MetaData, Table, Text


class Bytes(LargeBinary):
    """Bytes, whatever a cell holds: SQLite keeps what was written by hand, and verification must be able to read it."""

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], Any] | None:
        """How a cell is read: text and numbers as the bytes of their text, which are not what belongs there."""
        if dialect.name != "sqlite":
            return super().result_processor(dialect, coltype)  # type: ignore[no-any-return,no-untyped-call]
        return _as_bytes


def _as_bytes(cell: Any) -> bytes | None:
    return cell if cell is None or isinstance(cell, bytes) else str(cell).encode(errors="surrogatepass")


METADATA = MetaData()

BLOBS = Table(
    "blobs",
    METADATA,
    Column("digest", Text, primary_key=True),
    Column("media_type", Text, nullable=False),
    Column("size", Integer, nullable=False),
    Column("data", Bytes, nullable=False),
)
"""Contents by digest."""

LEDGER = Table(
    "ledger",
    METADATA,
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("time", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("payload", Text, nullable=False),
    Column("leaf_hash", Bytes, nullable=False),
)
"""Events in the order in which they happened, from 0."""

LEDGER_NODES = Table(
    "ledger_nodes",
    METADATA,
    Column("level", Integer, primary_key=True, autoincrement=False),
    Column("node", Integer, primary_key=True, autoincrement=False),
    Column("hash", Bytes, nullable=False),
)
"""Hashes of the complete subtrees of level 1 and up: what proofs are read from."""

LEDGER_TERMS = Table(
    "ledger_terms",
    METADATA,
    Column("field", Text, primary_key=True),
    Column("value", Text, primary_key=True),
    Column("position", Integer, primary_key=True, autoincrement=False),
)
"""Inverted index over the payloads: which events speak of a digest, a name, a channel."""

LEDGER_HEAD = Table(
    "ledger_head",
    METADATA,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("size", Integer, nullable=False),
    Column("frontier", Bytes, nullable=False),
)
"""One row: size of the log and its frontier. Writers queue on this row."""

CHECKPOINTS = Table(
    "checkpoints",
    METADATA,
    Column("digest", Text, primary_key=True),
    Column("size", Integer, nullable=False),
    Column("root", Text, nullable=False),
    Column("time", Text, nullable=False),
    Column("envelope", Bytes, nullable=False),
)
"""Signed checkpoints by the digest of their envelope, with what they say: size, root and time of the log."""

CHANNELS = Table(
    "channels",
    METADATA,
    Column("channel", Text, primary_key=True),
    Column("stage", Text, primary_key=True),
    Column("digest", Text, nullable=False),
    Column("generation", Integer, nullable=False),
)
"""The pointers: which version a stage serves now. Derivable from the ledger."""

INDEXES = (
    Index("ledger_by_type", LEDGER.c.type, LEDGER.c.position),
    Index("ledger_by_time", LEDGER.c.time),
)
