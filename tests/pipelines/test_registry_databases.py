"""``relgate registry migrate|grant``: the tables, and who may do what with them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from evalharness.database import open_database
from gates.registry import Registry
from gates.registry.migrations import HEAD
from pipelines.cli.app import run
from tests.support.projects import write_project
from tests.support.recorded_releases import Maker

Ask = Callable[..., tuple[int, Any]]


@pytest.fixture
def ask(capsys: pytest.CaptureFixture[str]) -> Ask:
    """Run ``relgate registry ... --json``; gives the exit code and what was printed."""

    def asked(*words: str) -> tuple[int, Any]:
        code = run(["registry", *words, "--json"])
        printed = capsys.readouterr().out
        return code, json.loads(printed) if printed else None

    return asked


def test_migrate_makes_the_tables_once_and_needs_no_project(url: str, ask: Ask) -> None:
    assert ask("migrate", "--store", url) == (0, {"from": None, "to": HEAD})
    assert ask("migrate", "--store", url) == (0, {"from": HEAD, "to": HEAD})


def test_migrate_prints_sql_and_runs_none_of_it(url: str, ask: Ask) -> None:
    code, found = ask("migrate", "--sql", "--store", url)
    assert code == 0
    for table in ("ledger", "checkpoints", "generations", "relgate_registry_version"):
        assert f"CREATE TABLE {table}" in found["sql"].replace("IF NOT EXISTS ", "")
    assert ask("migrate", "--store", url)[1]["from"] is None
    assert ask("migrate", "--sql", "--store", url) == (0, {"sql": ""})


def test_migrate_takes_the_projects_store(tmp_path: Path, ask: Ask) -> None:
    write_project(tmp_path, prompts=3)
    assert ask("migrate", "--project", str(tmp_path)) == (0, {"from": None, "to": HEAD})
    assert (tmp_path / ".relgate/relgate.db").is_file()


def test_a_newer_database_is_bad_input(url: str, ask: Ask, capsys: pytest.CaptureFixture[str]) -> None:
    ask("migrate", "--store", url)
    engine = open_database(url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE relgate_registry_version SET version_num = '9999'"))
    engine.dispose()
    assert run(["registry", "migrate", "--store", url]) == 2
    assert "install the newer relgate" in " ".join(capsys.readouterr().err.split())


def test_grant_on_sqlite_is_bad_input(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["registry", "grant", "app", "--store", f"sqlite:///{tmp_path}/x.db"]) == 2
    assert "sqlite has no roles" in " ".join(capsys.readouterr().err.split())


def command(*words: str) -> subprocess.CompletedProcess[str]:
    """A command in a process of its own, as people run it."""
    started = [sys.executable, "-c", "from pipelines.cli import main; main()", "registry", *words]
    return subprocess.run(started, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
def test_commands_work_as_the_granted_role_and_say_what_it_may_not(url: str, tmp_path: Path, ask: Ask) -> None:
    admin = open_database(url)
    with admin.begin() as connection:
        role = f"app_{connection.execute(text('SELECT current_schema()')).scalar_one()}"
        connection.execute(text(f"CREATE ROLE {role} LOGIN"))
    try:
        code, said = ask("grant", role, "--store", url)
        assert (code, said["granted"]) == (0, True)
        assert ask("grant", role, "--sql", "--store", url) == (0, {**said, "granted": False})
        as_role = url.replace("relgate@", f"{role}@")
        engine = open_database(as_role)
        registry, make = Registry(engine), Maker()
        release = make.release("v2", make.seed(registry))
        digest = make.record(registry, release)
        decision = release.decision.digest
        registry.promote("flagship", "production", digest, decision_digest=decision, expected_generation=1)
        common = ("--project", str(write_project(tmp_path, prompts=3)), "--store", as_role)
        assert command("rollback", "v1", "--reason", "too slow", *common).returncode == 0
        assert registry.channel("flagship", "production").name == "v1"
        assert command("verify", "--no-verdicts", *common).returncode == 0
        with admin.begin() as connection:
            connection.execute(text(f"REVOKE INSERT ON checkpoints FROM {role}"))
        refused = command("grant", role, "--store", as_role)
        assert refused.returncode == 2
        assert "still may not INSERT checkpoints" in " ".join(refused.stderr.split())
        engine.dispose()
    finally:
        with admin.begin() as connection:
            connection.execute(text(f"DROP OWNED BY {role}"))
            connection.execute(text(f"DROP ROLE {role}"))
        admin.dispose()
