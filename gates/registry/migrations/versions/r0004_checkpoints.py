"""Signed checkpoints, kept beside the log they are about: append-only like the log itself."""

# ruff: noqa: S608 - every part of these statements is a constant
from __future__ import annotations

from alembic import op
from sqlalchemy import Column, Integer, LargeBinary, MetaData, Table, Text
from sqlalchemy.schema import CreateTable

revision = "0004"
down_revision = "0003"

_CHECKPOINTS = Table(
    "checkpoints",
    MetaData(),
    Column("digest", Text, primary_key=True),
    Column("size", Integer, nullable=False),
    Column("root", Text, nullable=False),
    Column("time", Text, nullable=False),
    Column("envelope", LargeBinary, nullable=False),
)

_REFUSE = "BEGIN SELECT RAISE(ABORT, 'checkpoints is append-only'); END"
_SQLITE = (
    "CREATE TRIGGER checkpoints_no_insert BEFORE INSERT ON checkpoints "
    f"WHEN EXISTS (SELECT 1 FROM checkpoints WHERE (digest = NEW.digest) OR rowid = NEW.rowid) {_REFUSE}",
    f"CREATE TRIGGER checkpoints_no_update BEFORE UPDATE ON checkpoints {_REFUSE}",
    f"CREATE TRIGGER checkpoints_no_delete BEFORE DELETE ON checkpoints {_REFUSE}",
)
_POSTGRESQL = (
    "CREATE OR REPLACE TRIGGER checkpoints_no_change BEFORE UPDATE OR DELETE ON checkpoints "
    "FOR EACH ROW EXECUTE FUNCTION relgate_append_only()",
    "CREATE OR REPLACE TRIGGER checkpoints_no_truncate BEFORE TRUNCATE ON checkpoints "
    "FOR EACH STATEMENT EXECUTE FUNCTION relgate_append_only()",
)


def upgrade() -> None:
    """Make the table with its guards."""
    op.execute(CreateTable(_CHECKPOINTS))
    for statement in _SQLITE if op.get_context().dialect.name == "sqlite" else _POSTGRESQL:
        op.execute(statement)
