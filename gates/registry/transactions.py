"""Transactions of the registry: one writer at a time, and readers that see one state of the database.

Writers queue on the row of ``ledger_head``: on PostgreSQL it is locked first, so every later statement sees what the
last writer committed; on SQLite ``BEGIN IMMEDIATE`` has taken the database's one write lock already.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine, select

from evalharness.database import database_errors, write_transaction
from gates.registry.migrating import revision, upgrade
from gates.registry.migrations import HEAD
from gates.registry.tables import LEDGER_HEAD
from golden_sets.errors import InputError

_QUEUE = select(LEDGER_HEAD.c.id).with_for_update()


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """A serialised write transaction: committed as a whole at the end, rolled back as a whole on any error.

    Raises:
        InfrastructureError: the database is locked for too long, full or unreachable.
    """
    with write_transaction(engine) as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(_QUEUE)
        yield connection


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """A read transaction: all its queries see the same state, whatever others commit meanwhile.

    Raises:
        InfrastructureError: the database cannot be read.
    """
    with database_errors(engine), engine.connect() as connection:
        if engine.dialect.name == "sqlite":
            connection.exec_driver_sql("BEGIN")
        else:
            connection = connection.execution_options(isolation_level="REPEATABLE READ")
        yield connection


def prepare(engine: Engine) -> None:
    """Bring the registry's tables to what this relgate works with; where they are, that is one look.

    Raises:
        InputError: neither SQLite nor PostgreSQL, made by a newer relgate, or another program's tables.
        InfrastructureError: the database cannot be read or written.
    """
    if engine.dialect.name not in ("sqlite", "postgresql"):
        raise InputError(
            f"the registry does not run on {engine.dialect.name}",
            where=engine.url.render_as_string(),
            do="use a sqlite:/// or postgresql:// address for --store",
        )
    with reading(engine) as connection:
        current = revision(connection) == HEAD
    if not current:
        upgrade(engine)
