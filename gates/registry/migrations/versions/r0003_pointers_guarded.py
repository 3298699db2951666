"""Guards around the two tables that may change: channels, and the head of the log.

A channel begins at generation 1, keeps its name and moves one generation at a time; the log's head grows by at most
one event at a time. Neither is deleted, replaced or truncated.
"""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"

_SQLITE = (
    "DROP TRIGGER IF EXISTS channels_one_step",
    "CREATE TRIGGER channels_one_step BEFORE UPDATE ON channels "
    "WHEN NEW.generation IS NOT OLD.generation + 1 OR NEW.channel IS NOT OLD.channel OR NEW.stage IS NOT OLD.stage "
    "BEGIN SELECT RAISE(ABORT, 'a channel moves one generation at a time'); END",
    "CREATE TRIGGER channels_no_insert BEFORE INSERT ON channels "
    "WHEN NEW.generation IS NOT 1 OR EXISTS "
    "(SELECT 1 FROM channels WHERE (channel = NEW.channel AND stage = NEW.stage) OR rowid = NEW.rowid) "
    "BEGIN SELECT RAISE(ABORT, 'a channel moves one generation at a time'); END",
    "CREATE TRIGGER ledger_head_one_step BEFORE UPDATE ON ledger_head "
    "WHEN NEW.id IS NOT OLD.id OR NOT "
    "(NEW.size IS OLD.size + 1 OR (NEW.size IS OLD.size AND NEW.frontier IS OLD.frontier)) "
    "BEGIN SELECT RAISE(ABORT, 'the ledger grows one event at a time'); END",
    "CREATE TRIGGER ledger_head_no_insert BEFORE INSERT ON ledger_head WHEN EXISTS (SELECT 1 FROM ledger_head) "
    "BEGIN SELECT RAISE(ABORT, 'the ledger has one head'); END",
    "CREATE TRIGGER ledger_head_no_delete BEFORE DELETE ON ledger_head "
    "BEGIN SELECT RAISE(ABORT, 'ledger_head is never deleted'); END",
)

_POSTGRESQL = (
    "CREATE OR REPLACE FUNCTION relgate_one_step() RETURNS trigger LANGUAGE plpgsql AS "
    "$$ BEGIN IF TG_OP = 'INSERT' THEN IF NEW.generation = 1 THEN RETURN NEW; END IF; "
    "ELSIF (NEW.channel, NEW.stage, NEW.generation) = (OLD.channel, OLD.stage, OLD.generation + 1) THEN "
    "RETURN NEW; END IF; RAISE EXCEPTION 'a channel moves one generation at a time'; END $$",
    "CREATE OR REPLACE FUNCTION relgate_one_event() RETURNS trigger LANGUAGE plpgsql AS "
    "$$ BEGIN IF NEW.id = OLD.id AND (NEW.size = OLD.size + 1 OR (NEW.size, NEW.frontier) = (OLD.size, OLD.frontier)) "
    "THEN RETURN NEW; END IF; RAISE EXCEPTION 'the ledger grows one event at a time'; END $$",
    "CREATE OR REPLACE TRIGGER channels_one_step BEFORE INSERT OR UPDATE ON channels "
    "FOR EACH ROW EXECUTE FUNCTION relgate_one_step()",
    "CREATE OR REPLACE TRIGGER ledger_head_one_step BEFORE UPDATE ON ledger_head "
    "FOR EACH ROW EXECUTE FUNCTION relgate_one_event()",
    "CREATE OR REPLACE TRIGGER ledger_head_no_delete BEFORE DELETE ON ledger_head "
    "FOR EACH ROW EXECUTE FUNCTION relgate_append_only()",
    "CREATE OR REPLACE TRIGGER channels_no_truncate BEFORE TRUNCATE ON channels "
    "FOR EACH STATEMENT EXECUTE FUNCTION relgate_append_only()",
    "CREATE OR REPLACE TRIGGER ledger_head_no_truncate BEFORE TRUNCATE ON ledger_head "
    "FOR EACH STATEMENT EXECUTE FUNCTION relgate_append_only()",
)


def upgrade() -> None:
    """Put the guards in place."""
    for statement in _SQLITE if op.get_context().dialect.name == "sqlite" else _POSTGRESQL:
        op.execute(statement)
