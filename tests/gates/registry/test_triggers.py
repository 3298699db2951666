"""The guards: what they refuse on the tables that may change, and that a guard which guards nothing is found."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError

from gates.registry import Registry
from gates.registry.triggers import missing_triggers
from tests.support.recorded_releases import Maker


def execute(engine: Engine, *statements: str) -> None:
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement.replace(":", r"\:")))


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE channels SET stage = 'shadow'",
        "UPDATE channels SET stage = 'shadow', generation = generation + 1",
        "UPDATE channels SET generation = generation + 2",
        "INSERT INTO channels VALUES ('flagship', 'canary', 'sha256:0', 2)",
        "UPDATE ledger_head SET size = size + 2",
        "UPDATE ledger_head SET size = size - 1",
        "UPDATE ledger_head SET id = 2",
        "DELETE FROM ledger_head",
    ],
)
def test_channels_and_the_head_of_the_log_only_go_forward(registry: Registry, engine: Engine, statement: str) -> None:
    Maker().seed(registry)
    with pytest.raises(DBAPIError, match=r"at a time|never deleted|append-only"):
        execute(engine, statement)
    assert registry.verify().problems == ()


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    "statement",
    [
        "REPLACE INTO channels VALUES ('flagship', 'production', 'sha256:0', 1)",
        "REPLACE INTO channels (rowid, channel, stage, digest, generation) "
        "SELECT rowid, 'small', 'production', digest, 1 FROM channels",
        "UPDATE OR REPLACE channels SET channel = 'small', generation = 2",
        "REPLACE INTO ledger_head VALUES (1, 0, x'')",
        "INSERT INTO ledger_head VALUES (2, 0, x'')",
        "REPLACE INTO checkpoints VALUES ('sha256:1', 0, 'sha256:2', 'now', x'00')",
    ],
)
def test_replace_gets_past_no_guard(registry: Registry, engine: Engine, statement: str) -> None:
    Maker().seed(registry)
    execute(engine, "INSERT INTO checkpoints VALUES ('sha256:1', 0, 'sha256:2', 'now', x'')")
    with pytest.raises(DBAPIError, match=r"at a time|one head|append-only"):
        execute(engine, statement)


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
@pytest.mark.parametrize("table", ["channels", "ledger_head", "checkpoints"])
def test_truncate_is_refused(registry: Registry, engine: Engine, table: str) -> None:
    with pytest.raises(DBAPIError, match="append-only"):
        execute(engine, f"TRUNCATE {table}")


NO_GUARDS: dict[str, list[tuple[str, ...]]] = {
    "sqlite": [
        (
            "DROP TRIGGER ledger_no_update",
            "CREATE TRIGGER ledger_no_update BEFORE UPDATE ON ledger WHEN 0 BEGIN SELECT 1; END",
        ),
        ("DROP TRIGGER ledger_no_update",),
        (
            "DROP TRIGGER ledger_no_update",
            "CREATE TRIGGER ledger_no_update BEFORE UPDATE ON channels "
            "BEGIN SELECT RAISE(ABORT, 'ledger is append-only'); END",
        ),
    ],
    "postgresql": [
        ("ALTER TABLE ledger DISABLE TRIGGER ledger_no_change",),
        ("ALTER TABLE ledger ENABLE REPLICA TRIGGER ledger_no_change",),
        ("DROP TRIGGER ledger_no_change ON ledger",),
        (
            "CREATE OR REPLACE TRIGGER ledger_no_change BEFORE UPDATE OR DELETE ON ledger FOR EACH ROW "
            "WHEN (false) EXECUTE FUNCTION relgate_append_only()",
        ),
        (
            "CREATE OR REPLACE TRIGGER ledger_no_change BEFORE UPDATE OF actor OR DELETE ON ledger FOR EACH ROW "
            "EXECUTE FUNCTION relgate_append_only()",
        ),
        (
            "CREATE OR REPLACE TRIGGER ledger_no_change BEFORE DELETE ON ledger FOR EACH ROW "
            "EXECUTE FUNCTION relgate_append_only()",
        ),
        (
            "CREATE OR REPLACE FUNCTION relgate_append_only() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN RETURN NEW; END $$",
        ),
    ],
}


@pytest.mark.parametrize(("url", "statements"), [(k, s) for k, v in NO_GUARDS.items() for s in v], indirect=["url"])
def test_a_guard_that_guards_nothing_is_found(registry: Registry, engine: Engine, statements: tuple[str, ...]) -> None:
    assert registry.verify().problems == ()
    execute(engine, *statements)
    with engine.connect() as connection:
        missing = missing_triggers(connection)
    assert {"ledger_no_update", "ledger_no_change"} & set(missing)
    assert any("guarding trigger ledger_no_" in problem for problem in registry.verify().problems)
