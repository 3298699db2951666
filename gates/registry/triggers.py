"""The triggers that guard the tables, as they must be now; verification compares them with what the database has.

Triggers are a seatbelt against mistakes, not the lock: whoever owns the tables may drop them. What was done behind
their back is found by :mod:`gates.registry.verification`.

On SQLite, ``INSERT OR REPLACE`` deletes the old row without firing DELETE triggers (unless ``recursive_triggers``
is on), so an INSERT trigger refuses every key, and every explicit rowid, that is already there.
"""

# ruff: noqa: S608 - every part of these statements is a constant
from __future__ import annotations

import re
from typing import NamedTuple

from sqlalchemy import Connection, text

APPEND_ONLY = {
    "blobs": ("digest",),
    "ledger": ("position",),
    "ledger_nodes": ("level", "node"),
    "ledger_terms": ("field", "value", "position"),
    "checkpoints": ("digest",),
}
"""Tables whose rows are never changed, with their keys."""


def missing_triggers(connection: Connection) -> list[str]:
    """Names of the guarding triggers that are not there, are switched off, or do not do what they should."""
    if connection.dialect.name == "sqlite":
        rows = connection.execute(text("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'"))
        present = {row.name: _normal(row.sql) for row in rows}
        wanted = {name: _normal(f"CREATE TRIGGER {name} {body}") for name, body in _sqlite_triggers().items()}
        return sorted(name for name, sql in wanted.items() if present.get(name) != sql)
    found = {row.name: _Guard(*row[1:]) for row in connection.execute(text(_POSTGRESQL_TRIGGERS))}
    return sorted(name for name, guard in _postgresql_triggers().items() if found.get(name) != guard)


# -- SQLite --------------------------------------------------------------------------------------------------


def _sqlite_triggers() -> dict[str, str]:
    step = "BEGIN SELECT RAISE(ABORT, 'a channel moves one generation at a time'); END"
    triggers = {
        "channels_no_delete": "BEFORE DELETE ON channels BEGIN SELECT RAISE(ABORT, 'a channel is never deleted'); END",
        "channels_one_step": "BEFORE UPDATE ON channels WHEN NEW.generation IS NOT OLD.generation + 1 "
        f"OR NEW.channel IS NOT OLD.channel OR NEW.stage IS NOT OLD.stage {step}",
        "channels_no_insert": "BEFORE INSERT ON channels WHEN NEW.generation IS NOT 1 OR EXISTS "
        f"(SELECT 1 FROM channels WHERE (channel = NEW.channel AND stage = NEW.stage) OR rowid = NEW.rowid) {step}",
        "ledger_head_one_step": "BEFORE UPDATE ON ledger_head WHEN NEW.id IS NOT OLD.id OR NOT "
        "(NEW.size IS OLD.size + 1 OR (NEW.size IS OLD.size AND NEW.frontier IS OLD.frontier)) "
        "BEGIN SELECT RAISE(ABORT, 'the ledger grows one event at a time'); END",
        "ledger_head_no_insert": "BEFORE INSERT ON ledger_head WHEN EXISTS (SELECT 1 FROM ledger_head) "
        "BEGIN SELECT RAISE(ABORT, 'the ledger has one head'); END",
        "ledger_head_no_delete": "BEFORE DELETE ON ledger_head "
        "BEGIN SELECT RAISE(ABORT, 'ledger_head is never deleted'); END",
    }
    for table, keys in APPEND_ONLY.items():
        same = " AND ".join(f"{key} = NEW.{key}" for key in keys)
        refuse = f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
        triggers[f"{table}_no_insert"] = (
            f"BEFORE INSERT ON {table} WHEN EXISTS (SELECT 1 FROM {table} WHERE ({same}) OR rowid = NEW.rowid) {refuse}"
        )
        triggers[f"{table}_no_update"] = f"BEFORE UPDATE ON {table} {refuse}"
        triggers[f"{table}_no_delete"] = f"BEFORE DELETE ON {table} {refuse}"
    return triggers


def _normal(sql: str) -> str:
    """A definition without what makes no difference."""
    return re.sub(r"\s+", " ", sql.strip())


# -- PostgreSQL ----------------------------------------------------------------------------------------------


class _Guard(NamedTuple):
    """What a trigger does on PostgreSQL."""

    table: str
    kind: int
    """``pg_trigger.tgtype``: when it fires, for which statements."""
    unconditional: bool
    """Neither WHEN nor a list of columns keeps it from firing."""
    source: str
    """Body of its function."""


_POSTGRESQL_TRIGGERS = """
SELECT tgname AS name, relname, tgtype, tgqual IS NULL AND tgattr = '' AS unconditional, prosrc
FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid JOIN pg_proc ON pg_proc.oid = tgfoid
WHERE NOT tgisinternal AND tgenabled IN ('O', 'A') AND pg_table_is_visible(tgrelid)
"""
_ROW, _BEFORE, _INSERT, _DELETE, _UPDATE, _TRUNCATE = 1, 2, 4, 8, 16, 32

_APPEND_ONLY_SOURCE = " BEGIN RAISE EXCEPTION USING MESSAGE = TG_TABLE_NAME || ' is append-only'; END "
_ONE_STEP_SOURCE = (
    " BEGIN IF TG_OP = 'INSERT' THEN IF NEW.generation = 1 THEN RETURN NEW; END IF; "
    "ELSIF (NEW.channel, NEW.stage, NEW.generation) = (OLD.channel, OLD.stage, OLD.generation + 1) THEN "
    "RETURN NEW; END IF; RAISE EXCEPTION 'a channel moves one generation at a time'; END "
)
_ONE_EVENT_SOURCE = (
    " BEGIN IF NEW.id = OLD.id AND (NEW.size = OLD.size + 1 OR (NEW.size, NEW.frontier) = (OLD.size, OLD.frontier)) "
    "THEN RETURN NEW; END IF; RAISE EXCEPTION 'the ledger grows one event at a time'; END "
)


def _postgresql_triggers() -> dict[str, _Guard]:
    before, refuse = _ROW | _BEFORE, _APPEND_ONLY_SOURCE
    triggers = {
        "channels_one_step": _Guard("channels", before | _INSERT | _UPDATE, True, _ONE_STEP_SOURCE),
        "ledger_head_one_step": _Guard("ledger_head", before | _UPDATE, True, _ONE_EVENT_SOURCE),
    }
    for table in ("channels", "ledger_head"):
        triggers[f"{table}_no_delete"] = _Guard(table, before | _DELETE, True, refuse)
    for table in APPEND_ONLY:
        triggers[f"{table}_no_change"] = _Guard(table, before | _UPDATE | _DELETE, True, refuse)
    for table in (*APPEND_ONLY, "channels", "ledger_head"):
        triggers[f"{table}_no_truncate"] = _Guard(table, _BEFORE | _TRUNCATE, True, refuse)
    return triggers
