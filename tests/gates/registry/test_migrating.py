"""Databases of every age come to the tables of today, and keep all they hold."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from alembic.migration import MigrationContext
from sqlalchemy import Connection, Engine, insert, inspect, select, text

from evalharness.database import open_database
from gates.registry import Checkpoint, Registry
from gates.registry.migrating import known_revisions, revision, upgrade, upgrade_sql
from gates.registry.migrations import HEAD, VERSION_TABLE
from gates.registry.tables import METADATA
from gates.registry.triggers import missing_triggers
from golden_sets.errors import InfrastructureError, InputError
from tests.support.recorded_releases import Maker

PUBLISHED = Path(__file__).parent / "published"
"""The first published registry: the statements that made its tables, and the rows of a small one."""
ROOT = Path(__file__).parents[3]


def make_published(engine: Engine) -> Checkpoint:
    """Make the tables as the first published version did, with its rows in them; returns its checkpoint."""
    found = json.loads((PUBLISHED / "rows.json").read_text())
    with engine.begin() as connection:
        for statement in (PUBLISHED / f"{engine.dialect.name}.sql").read_text().split(";;\n"):
            if statement.strip():
                connection.execute(text(statement))
        for name, rows in found["tables"].items():
            connection.execute(insert(METADATA.tables[name]), [_row(row) for row in rows])
    return Checkpoint.from_json(found["checkpoint"])


def _row(row: dict[str, Any]) -> dict[str, Any]:
    return {k: bytes.fromhex(v["hex"]) if isinstance(v, dict) else v for k, v in row.items()}


def contents(engine: Engine, names: list[str]) -> dict[str, list[tuple[Any, ...]]]:
    with engine.connect() as connection:
        return {n: sorted(tuple(row) for row in connection.execute(select(METADATA.tables[n]))) for n in names}


def at(engine: Engine) -> str | None:
    with engine.connect() as connection:
        return revision(connection)


def differences(connection: Connection) -> list[Any]:
    """What Alembic finds different between the database and the tables as the code names them."""
    from alembic.autogenerate import compare_metadata

    def ours(_object: Any, name: str | None, type_: str, _reflected: bool, _to: Any) -> bool:
        return type_ != "table" or name in METADATA.tables

    options = {"include_object": ours, "version_table": VERSION_TABLE}
    return list(compare_metadata(MigrationContext.configure(connection, opts=options), METADATA))


def test_the_newest_revision_is_the_one_the_code_works_with() -> None:
    assert known_revisions()[-1] == HEAD
    assert len(set(known_revisions())) == len(known_revisions())


def test_a_new_database_gets_the_tables_that_the_code_names(engine: Engine) -> None:
    assert upgrade(engine) is None
    with engine.connect() as connection:
        assert revision(connection) == HEAD
        assert set(METADATA.tables) <= set(inspect(connection).get_table_names())
        assert differences(connection) == []
        assert missing_triggers(connection) == []
    assert Registry(engine).verify().problems == ()


def test_a_published_registry_is_brought_up_to_date_and_keeps_everything(engine: Engine) -> None:
    checkpoint = make_published(engine)
    names = sorted(json.loads((PUBLISHED / "rows.json").read_text())["tables"])
    before = contents(engine, names)
    registry = Registry(engine)
    assert contents(engine, names) == before
    assert at(engine) == HEAD
    with engine.connect() as connection:
        assert differences(connection) == []
    assert registry.verify(checkpoint=checkpoint).problems == ()
    state = registry.channel("flagship", "production")
    assert (state.name, state.generation) == ("v1", 3)
    maker = Maker()
    (second,) = [version for version in registry.versions() if version.name == "v2"]
    registry.rollback("flagship", "production", second.digest, expected_generation=3, reason="it was not slow")
    registry.register_candidate(maker.candidate("v3"))
    assert registry.verify(checkpoint=checkpoint).problems == ()


@pytest.mark.parametrize("lost", ["DROP INDEX ledger_by_type", "DELETE FROM ledger_head"])
def test_what_an_unversioned_database_lacks_is_made(engine: Engine, lost: str) -> None:
    with engine.begin() as connection:
        for statement in (PUBLISHED / f"{engine.dialect.name}.sql").read_text().split(";;\n"):
            if statement.strip():
                connection.execute(text(statement))
        connection.exec_driver_sql(lost)
    registry = Registry(engine)
    with engine.connect() as connection:
        assert differences(connection) == []
    assert registry.verify().problems == ()


@pytest.mark.parametrize("start", known_revisions()[:-1])
def test_every_revision_leads_to_the_newest(engine: Engine, start: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as older:
        older.setattr("gates.registry.migrating.HEAD", start)
        upgrade(engine)
    assert at(engine) == start
    assert upgrade(engine) == start
    with engine.connect() as connection:
        assert differences(connection) == []
        assert missing_triggers(connection) == []


def test_a_database_of_a_newer_relgate_is_refused_and_left_alone(engine: Engine) -> None:
    upgrade(engine)
    with engine.begin() as connection:
        connection.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = '9999'"))  # noqa: S608
    with pytest.raises(InputError, match=r"newer relgate.*revision 9999.*install the newer"):
        Registry(engine)
    with pytest.raises(InputError, match="newer relgate"):
        upgrade_sql(engine)
    assert at(engine) == "9999"


def test_another_programs_table_is_not_taken_over(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE channels (id INTEGER PRIMARY KEY, frequency INTEGER)"))
    with pytest.raises(InputError, match="another program's table 'channels'"):
        Registry(engine)
    with engine.connect() as connection:
        assert inspect(connection).get_table_names() == ["channels"]


def test_opening_a_current_registry_writes_nothing_and_loads_no_alembic(url: str, engine: Engine) -> None:
    Registry(engine)
    script = (
        "import sys\n"
        "from sqlalchemy import event\n"
        "from evalharness.database import open_database\n"
        "from gates.registry import Registry\n"
        "engine, run = open_database(sys.argv[1]), []\n"
        "event.listen(engine, 'before_cursor_execute', lambda c, k, statement, *rest: run.append(statement))\n"
        "Registry(engine)\n"
        "writing = [s for s in run if s.split()[0] not in ('SELECT', 'PRAGMA', 'BEGIN')]\n"
        "print(writing, sum('version_num' in s for s in run), 'alembic' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, url], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[] 1 False\n"


KILLED = """
import os, signal, sys
from sqlalchemy import event
from evalharness.database import open_database
from gates.registry import Registry
engine, statement = open_database(sys.argv[1]), sys.argv[2]

@event.listens_for(engine, "after_cursor_execute")
def die(connection, cursor, executed, *_):
    if statement in executed:
        os.kill(os.getpid(), signal.SIGKILL)

Registry(engine)
"""


@pytest.mark.parametrize("old", [True, False], ids=["published", "new"])
@pytest.mark.parametrize("statement", ["ledger_by_time", "TRIGGER channels_one_step", f"UPDATE {VERSION_TABLE}"])
def test_a_migration_killed_half_way_leaves_what_was_there(url: str, engine: Engine, statement: str, old: bool) -> None:
    if old:
        make_published(engine)
    names = sorted(inspect(engine).get_table_names())
    killed = subprocess.run([sys.executable, "-c", KILLED, url, statement], cwd=ROOT, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert sorted(inspect(engine).get_table_names()) == names
    assert at(engine) is None
    assert Registry(engine).verify().problems == ()
    assert at(engine) == HEAD


def test_of_several_processes_one_migrates_and_all_go_on(url: str, engine: Engine) -> None:
    checkpoint = make_published(engine)
    script = "import sys; from evalharness.database import open_database; from gates.registry import Registry; "
    script += "print(Registry(open_database(sys.argv[1])).verify().problems)"
    started = [
        subprocess.Popen([sys.executable, "-c", script, url], cwd=ROOT, stdout=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    assert [process.communicate(timeout=60)[0] for process in started] == ["()\n"] * 4
    assert Registry(engine).verify(checkpoint=checkpoint).problems == ()


def test_the_printed_sql_does_what_the_migration_does(engine: Engine) -> None:
    checkpoint = make_published(engine)
    script = upgrade_sql(engine)
    assert at(engine) is None  # nothing was done yet
    driver = engine.raw_connection()
    if engine.dialect.name == "sqlite":
        driver.driver_connection.executescript(script)  # type: ignore[union-attr]
    else:
        driver.driver_connection.autocommit = True  # type: ignore[union-attr]
        driver.driver_connection.execute(script)  # type: ignore[union-attr]
        driver.driver_connection.autocommit = False  # type: ignore[union-attr]
    driver.close()
    assert at(engine) == HEAD
    assert upgrade_sql(engine) == ""
    with engine.connect() as connection:
        assert differences(connection) == []
    assert Registry(engine).verify(checkpoint=checkpoint).problems == ()


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
def test_a_role_that_may_not_make_tables_is_told_who_can(url: str) -> None:
    admin = open_database(url)
    with admin.begin() as connection:
        schema = connection.execute(text("SELECT current_schema()")).scalar_one()
        connection.execute(text(f"CREATE ROLE {schema}_guest LOGIN"))
        connection.execute(text(f"GRANT USAGE ON SCHEMA {schema} TO {schema}_guest"))
    try:
        guest = open_database(url.replace("relgate@", f"{schema}_guest@"))
        with pytest.raises(InfrastructureError, match=r"may not do.*registry migrate as their owner"):
            Registry(guest)
        guest.dispose()
    finally:
        with admin.begin() as connection:
            connection.execute(text(f"DROP OWNED BY {schema}_guest"))
            connection.execute(text(f"DROP ROLE {schema}_guest"))
        admin.dispose()
