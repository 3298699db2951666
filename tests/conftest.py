"""For all tests: no time limits, and a fresh database of each kind (PostgreSQL where a server can be had)."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest
from hypothesis import settings
from sqlalchemy import Engine, text

from evalharness.database import open_database
from golden_sets.digests import digest_bytes

# How long an example takes says nothing on a busy machine.
settings.register_profile("relgate", deadline=None)
settings.load_profile("relgate")


@pytest.fixture(scope="session")
def postgresql_url() -> Iterator[str]:
    """Address of a server: ``RELGATE_TEST_POSTGRESQL`` (with a query, ``?...``), or one started here if possible."""
    if url := os.environ.get("RELGATE_TEST_POSTGRESQL"):
        yield url
        return
    pytest.importorskip("psycopg", reason="no PostgreSQL driver: pip install relgate[postgres]")
    if shutil.which("pg_ctl") is None or _initdb() is None:
        _missing("no PostgreSQL server: set RELGATE_TEST_POSTGRESQL or install one")
    # A short path of its own: the name of a socket may have 107 bytes.
    with tempfile.TemporaryDirectory(prefix="relgate-postgresql-") as directory:
        yield from _own_server(Path(directory))


def _missing(reason: str) -> NoReturn:
    """Skip, except where servers are required (continuous integration): there a missing one is a failure."""
    if os.environ.get("RELGATE_REQUIRE_SERVERS"):
        pytest.fail(reason)
    pytest.skip(reason)


def _initdb() -> str | None:
    control = shutil.which("pg_ctl")
    beside = None if control is None else Path(control).resolve().parent / "initdb"
    return shutil.which("initdb") or (str(beside) if beside is not None and beside.exists() else None)


def _own_server(directory: Path) -> Iterator[str]:
    """A throw-away cluster that listens on a socket in its own directory (never as root, which PostgreSQL refuses)."""
    data = directory / "data"
    as_user: list[str] = []
    if os.geteuid() == 0:
        if shutil.which("runuser") is None:
            _missing("PostgreSQL does not run as root, and there is no runuser")
        as_user = ["runuser", "-u", "postgres", "--"]
        shutil.chown(directory, "postgres")
    control = str(shutil.which("pg_ctl"))
    run = {"check": True, "capture_output": True, "cwd": directory, "timeout": 120}
    subprocess.run([*as_user, str(_initdb()), "-D", str(data), "-A", "trust", "-U", "relgate", "-N"], **run)  # type: ignore[call-overload]
    options = f"-c listen_addresses='' -c unix_socket_directories={directory} -c fsync=off"
    log = str(directory / "log")
    start = [*as_user, control, "-D", str(data), "-o", options, "-w", "-l", log, "start"]
    subprocess.run(start, check=True, cwd=directory, timeout=120, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield f"postgresql+psycopg://relgate@/postgres?host={directory}"
    finally:
        subprocess.run([*as_user, control, "-D", str(data), "-m", "immediate", "-w", "stop"], **run)  # type: ignore[call-overload]


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A fresh database on each of the two kinds."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'relgate.db'}"
        return
    server = request.getfixturevalue("postgresql_url")
    # A schema of its own: a new database would cost a checkpoint each.
    schema = "relgate_test_" + digest_bytes(str(tmp_path).encode())[7:19]
    admin = open_database(server)
    with admin.begin() as connection:
        connection.execute(text(f"CREATE SCHEMA {schema}"))
    yield f"{server}&options=-csearch_path%3D{schema}"
    with admin.begin() as connection:
        connection.execute(text(f"DROP SCHEMA {schema} CASCADE"))
    admin.dispose()


@pytest.fixture
def engine(url: str) -> Iterator[Engine]:
    engine = open_database(url)
    yield engine
    engine.dispose()
