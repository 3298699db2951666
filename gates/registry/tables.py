"""The registry's tables and the triggers that guard them, for SQLite and PostgreSQL alike.

Triggers are a seatbelt against mistakes, not the lock: whoever may write to the database may drop them. What was
done behind their back is found by :mod:`gates.registry.verification`.

On SQLite, ``INSERT OR REPLACE`` deletes the old row without firing DELETE triggers (unless ``recursive_triggers``
is on), so an INSERT trigger refuses every key, and every explicit rowid, that is already there.
"""

from __future__ import annotations

from sqlalchemy import (
    Column,
    Connection,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    insert,
    inspect,
    select,
    text,
)
from sqlalchemy.schema import CreateIndex, CreateTable

METADATA = MetaData()

BLOBS = Table(
    "blobs",
    METADATA,
    Column("digest", Text, primary_key=True),
    Column("media_type", Text, nullable=False),
    Column("size", Integer, nullable=False),
    Column("data", LargeBinary, nullable=False),
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
    Column("leaf_hash", LargeBinary, nullable=False),
)
"""Events in the order in which they happened, from 0."""

LEDGER_NODES = Table(
    "ledger_nodes",
    METADATA,
    Column("level", Integer, primary_key=True, autoincrement=False),
    Column("node", Integer, primary_key=True, autoincrement=False),
    Column("hash", LargeBinary, nullable=False),
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
    Column("frontier", LargeBinary, nullable=False),
)
"""One row: size of the log and its frontier. Writers queue on this row."""

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

_APPEND_ONLY = {
    "blobs": ("digest",),
    "ledger": ("position",),
    "ledger_nodes": ("level", "node"),
    "ledger_terms": ("field", "value", "position"),
}
"""Tables whose rows are never changed, with their keys."""


def create_tables(connection: Connection) -> None:
    """Create tables, triggers and the head row; repeatable after a crash, and safe when two processes do it at once."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(hashtext('relgate.registry.schema'))"))
    for table in METADATA.sorted_tables:
        connection.execute(CreateTable(table, if_not_exists=True))
    for index in INDEXES:
        connection.execute(CreateIndex(index, if_not_exists=True))
    for statement in _trigger_statements(connection.dialect.name):
        connection.execute(text(statement))
    # The head row comes last: where it exists, everything before it does.
    if connection.execute(select(LEDGER_HEAD.c.id)).first() is None:
        connection.execute(insert(LEDGER_HEAD).values(id=1, size=0, frontier=b""))


def is_created(connection: Connection) -> bool:
    """True where :func:`create_tables` has run to its end."""
    if not inspect(connection).has_table(LEDGER_HEAD.name):
        return False
    return connection.execute(select(LEDGER_HEAD.c.id)).first() is not None


def missing_triggers(connection: Connection) -> list[str]:
    """Names of the guarding triggers that are not there."""
    if connection.dialect.name == "sqlite":
        query = "SELECT name FROM sqlite_master WHERE type = 'trigger'"
    else:
        query = (
            "SELECT tgname FROM pg_trigger WHERE NOT tgisinternal AND tgenabled <> 'D' AND pg_table_is_visible(tgrelid)"
        )
    present = set(connection.execute(text(query)).scalars())
    return sorted(_trigger_names(connection.dialect.name) - present)


def _trigger_names(dialect: str) -> set[str]:
    actions = ("insert", "update", "delete") if dialect == "sqlite" else ("change", "truncate")
    names = {f"{table}_no_{action}" for table in _APPEND_ONLY for action in actions}
    return names | {"channels_no_delete", "channels_one_step"}


def _trigger_statements(dialect: str) -> list[str]:
    return _sqlite_triggers() if dialect == "sqlite" else _postgresql_triggers()


def _sqlite_triggers() -> list[str]:
    statements = []
    for table, keys in _APPEND_ONLY.items():
        same = " AND ".join(f"{key} = NEW.{key}" for key in keys)
        refuse = f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
        statements += [
            f"CREATE TRIGGER IF NOT EXISTS {table}_no_insert BEFORE INSERT ON {table} "  # noqa: S608 - constants
            f"WHEN EXISTS (SELECT 1 FROM {table} WHERE ({same}) OR rowid = NEW.rowid) {refuse}",
            f"CREATE TRIGGER IF NOT EXISTS {table}_no_update BEFORE UPDATE ON {table} {refuse}",
            f"CREATE TRIGGER IF NOT EXISTS {table}_no_delete BEFORE DELETE ON {table} {refuse}",
        ]
    statements += [
        "CREATE TRIGGER IF NOT EXISTS channels_no_delete BEFORE DELETE ON channels "
        "BEGIN SELECT RAISE(ABORT, 'a channel is never deleted'); END",
        "CREATE TRIGGER IF NOT EXISTS channels_one_step BEFORE UPDATE ON channels "
        "WHEN NEW.generation IS NOT OLD.generation + 1 "
        "BEGIN SELECT RAISE(ABORT, 'a channel moves one generation at a time'); END",
    ]
    return statements


def _postgresql_triggers() -> list[str]:
    statements = [
        "CREATE OR REPLACE FUNCTION relgate_append_only() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION '% is append-only', TG_TABLE_NAME; END $$",
        "CREATE OR REPLACE FUNCTION relgate_one_step() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN IF NEW.generation IS DISTINCT FROM OLD.generation + 1 THEN "
        "RAISE EXCEPTION 'a channel moves one generation at a time'; END IF; RETURN NEW; END $$",
        "CREATE OR REPLACE TRIGGER channels_no_delete BEFORE DELETE ON channels "
        "FOR EACH ROW EXECUTE FUNCTION relgate_append_only()",
        "CREATE OR REPLACE TRIGGER channels_one_step BEFORE UPDATE ON channels "
        "FOR EACH ROW EXECUTE FUNCTION relgate_one_step()",
    ]
    for table in _APPEND_ONLY:
        statements += [
            f"CREATE OR REPLACE TRIGGER {table}_no_change BEFORE UPDATE OR DELETE ON {table} "
            "FOR EACH ROW EXECUTE FUNCTION relgate_append_only()",
            f"CREATE OR REPLACE TRIGGER {table}_no_truncate BEFORE TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION relgate_append_only()",
        ]
    return statements
