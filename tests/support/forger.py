"""Somebody with every right on the database, who leaves triggers, hashes, indexes and pointers as they should be."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Engine, text

from gates.registry import ledger
from gates.registry.blobs import put_blob
from gates.registry.transactions import writing
from gates.verifier.events import Event
from golden_sets.digests import Digest, canonical_json
from golden_sets.records import Record

TABLES = ("blobs", "ledger", "ledger_nodes", "ledger_terms", "ledger_head", "channels", "checkpoints")
MOVES = ("promoted", "rolled_back")


class Forger:
    """What can be done to a registry behind its back. The chain of hashes is always valid afterwards.

    Args:
        engine: the registry's database.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def execute(self, statement: str, **values: Any) -> None:
        """One statement, with the triggers out of the way and put back afterwards."""
        with self._unguarded() as connection:
            connection.execute(text(statement), values)

    def append(
        self, type_: str, payload: Mapping[str, Any], *, actor: str = "mallory", time: str | None = None
    ) -> Event:
        """An event written past the registry, with the pointer that it moves."""
        with self._unguarded() as connection:
            event = ledger.append(connection, type_, actor, payload, time=time)
            if type_ in MOVES:
                _point(connection, payload)
        return event

    def put(self, record: Record | bytes) -> Digest:
        """Contents written past the registry."""
        data = record if isinstance(record, bytes) else canonical_json(record.to_json())
        with writing(self._engine) as connection:
            return put_blob(connection, data, media_type="application/json")

    def rewrite(self, events: Sequence[Event]) -> None:
        """The whole log anew: these events, at new positions, and everything that follows from them."""
        with self._unguarded() as connection:
            for table in ("ledger", "ledger_nodes", "ledger_terms", "channels", "checkpoints"):
                connection.execute(text(f"DELETE FROM {table}"))  # noqa: S608 - constants
            connection.execute(text("UPDATE ledger_head SET size = 0, frontier = :none"), {"none": b""})
            for event in events:
                ledger.append(connection, event.type, event.actor, event.payload, time=event.time)
                if event.type in MOVES:
                    _point(connection, event.payload)

    def change(self, events: Sequence[Event], change: Callable[[Event], Event | None]) -> None:
        """Rewrite the log with each event changed, or left out where None is made of it."""
        self.rewrite([changed for event in events if (changed := change(event)) is not None])

    @contextmanager
    def _unguarded(self) -> Iterator[Connection]:
        sqlite = self._engine.dialect.name == "sqlite"
        with self._engine.begin() as connection:
            triggers = _triggers(connection) if sqlite else {}
            for name in triggers:
                connection.execute(text(f"DROP TRIGGER {name}"))
            for table in () if sqlite else TABLES:
                connection.execute(text(f"ALTER TABLE {table} DISABLE TRIGGER ALL"))
            yield connection
            for sql in triggers.values():
                connection.exec_driver_sql(sql)
            for table in () if sqlite else TABLES:
                connection.execute(text(f"ALTER TABLE {table} ENABLE TRIGGER ALL"))


def with_payload(event: Event, **fields: Any) -> Event:
    """An event that says something else."""
    return Event(event.position, event.time, event.type, event.actor, {**event.payload, **fields})


def _triggers(connection: Connection) -> dict[str, str]:
    rows = connection.execute(text("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'"))
    return {row.name: row.sql for row in rows}


def _point(connection: Connection, payload: Mapping[str, Any]) -> None:
    place = {"channel": payload["channel"], "stage": payload["stage"]}
    connection.execute(text("DELETE FROM channels WHERE channel = :channel AND stage = :stage"), place)
    connection.execute(
        text(
            "INSERT INTO channels (channel, stage, digest, generation) VALUES (:channel, :stage, :digest, :generation)"
        ),
        {**place, "digest": payload["subject"], "generation": payload["generation"]},
    )
