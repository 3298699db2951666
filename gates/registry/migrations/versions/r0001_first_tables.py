"""The tables, the index and the triggers of the first published registry.

Databases of that time say no version: whatever is there already is kept as it is, the rest is made.
"""

from __future__ import annotations

from alembic import op
from sqlalchemy import Column, Integer, LargeBinary, MetaData, Table, Text, inspect
from sqlalchemy.schema import CreateTable

from golden_sets.errors import InputError

revision = "0001"
down_revision = None

_TABLES = MetaData()
Table(
    "blobs",
    _TABLES,
    Column("digest", Text, primary_key=True),
    Column("media_type", Text, nullable=False),
    Column("size", Integer, nullable=False),
    Column("data", LargeBinary, nullable=False),
)
Table(
    "ledger",
    _TABLES,
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("time", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("payload", Text, nullable=False),
    Column("leaf_hash", LargeBinary, nullable=False),
)
Table(
    "ledger_nodes",
    _TABLES,
    Column("level", Integer, primary_key=True, autoincrement=False),
    Column("node", Integer, primary_key=True, autoincrement=False),
    Column("hash", LargeBinary, nullable=False),
)
Table(
    "ledger_terms",
    _TABLES,
    Column("field", Text, primary_key=True),
    Column("value", Text, primary_key=True),
    Column("position", Integer, primary_key=True, autoincrement=False),
)
Table(
    "ledger_head",
    _TABLES,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("size", Integer, nullable=False),
    Column("frontier", LargeBinary, nullable=False),
)
Table(
    "channels",
    _TABLES,
    Column("channel", Text, primary_key=True),
    Column("stage", Text, primary_key=True),
    Column("digest", Text, nullable=False),
    Column("generation", Integer, nullable=False),
)

_APPEND_ONLY = {
    "blobs": ("digest",),
    "ledger": ("position",),
    "ledger_nodes": ("level", "node"),
    "ledger_terms": ("field", "value", "position"),
}


def upgrade() -> None:
    """Make what is missing."""
    dialect = op.get_context().dialect.name
    if not op.get_context().as_sql:
        _require_own_tables()
    for table in _TABLES.sorted_tables:
        op.execute(CreateTable(table, if_not_exists=True))
    op.execute("CREATE INDEX IF NOT EXISTS ledger_by_type ON ledger (type, position)")
    for statement in _sqlite_triggers() if dialect == "sqlite" else _postgresql_triggers():
        op.execute(statement)
    binary = "BLOB" if dialect == "sqlite" else "BYTEA"
    op.execute(
        f"INSERT INTO ledger_head (id, size, frontier) SELECT 1, 0, CAST('' AS {binary}) "  # noqa: S608 - constants
        "WHERE NOT EXISTS (SELECT 1 FROM ledger_head)"
    )


def _require_own_tables() -> None:
    """Refuse a database in which somebody else's table has the name of one of ours."""
    inspector = inspect(op.get_bind())
    present = set(inspector.get_table_names())
    for table in _TABLES.sorted_tables:
        if table.name in present and {c["name"] for c in inspector.get_columns(table.name)} != set(table.c.keys()):
            raise InputError(
                f"the database holds another program's table '{table.name}'",
                do="give relgate a database or a schema of its own (--store)",
            )


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
    return [
        *statements,
        "CREATE TRIGGER IF NOT EXISTS channels_no_delete BEFORE DELETE ON channels "
        "BEGIN SELECT RAISE(ABORT, 'a channel is never deleted'); END",
        "CREATE TRIGGER IF NOT EXISTS channels_one_step BEFORE UPDATE ON channels "
        "WHEN NEW.generation IS NOT OLD.generation + 1 "
        "BEGIN SELECT RAISE(ABORT, 'a channel moves one generation at a time'); END",
    ]


def _postgresql_triggers() -> list[str]:
    statements = [
        "CREATE OR REPLACE FUNCTION relgate_append_only() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION USING MESSAGE = TG_TABLE_NAME || ' is append-only'; END $$",
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
