"""Backups are taken while the registry is written to; what is restored verifies, and an old one is found out."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Engine, make_url, text

from evalharness.database import open_database
from gates.registry import Registry
from golden_sets.errors import InputError
from tests.support.recorded_releases import Maker

Backup = Callable[[Path], None]
Restore = Callable[[Path], str]


@pytest.fixture
def backup(url: str, engine: Engine) -> Backup:
    """Copies the database to a path, as docs/registry.md says."""
    if engine.dialect.name == "sqlite":
        file = url.removeprefix("sqlite:///")
        return lambda to: copy_sqlite(file, to)
    address = make_url(url)
    with engine.connect() as connection:
        schema = connection.execute(text("SELECT current_schema()")).scalar_one()
    return lambda to: call("pg_dump", "-Fc", "-n", schema, *client(address), "-f", str(to))


@pytest.fixture
def restore(url: str, engine: Engine, tmp_path: Path) -> Iterator[Restore]:
    """Puts a copy in the place of the database, which is lost; gives the address of what was restored."""
    if engine.dialect.name == "sqlite":

        def put_back(copy: Path) -> str:
            place = tmp_path / "restored.db"
            shutil.copyfile(copy, place)
            return f"sqlite:///{place}"

        yield put_back
        return
    address = make_url(url)

    def load(copy: Path) -> str:
        with engine.begin() as connection:
            schema = connection.execute(text("SELECT current_schema()")).scalar_one()
            connection.execute(text(f"DROP SCHEMA {schema} CASCADE"))
        call("pg_restore", "--exit-on-error", *client(address), str(copy))
        return url

    yield load


def client(address: object) -> list[str]:
    url = make_url(str(address))
    return ["-h", str(url.query["host"]), "-U", str(url.username), "-d", str(url.database)]


def copy_sqlite(file: str, to: Path) -> None:
    """What ``sqlite3 FILE ".backup COPY"`` does."""
    with closing(sqlite3.connect(file)) as source, closing(sqlite3.connect(to)) as copy:
        source.backup(copy, pages=20)


def call(*words: str) -> None:
    if shutil.which(words[0]) is None:
        if os.environ.get("RELGATE_REQUIRE_SERVERS"):
            pytest.fail(f"{words[0]} is not installed")
        pytest.skip(f"{words[0]} is not installed")
    subprocess.run(words, check=True, capture_output=True, text=True, timeout=120)


@contextmanager
def writing_on(registry: Registry, make: Maker) -> Iterator[None]:
    """Versions are registered all the while."""
    stop = threading.Event()

    def write() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            registry.register_candidate(make.candidate(f"meanwhile {number}"))

    writer = threading.Thread(target=write)
    writer.start()
    try:
        yield
    finally:
        stop.set()
        writer.join()


@pytest.fixture
def production(registry: Registry, make: Maker) -> str:
    """A channel that was moved twice; the digest it serves."""
    release = make.release("v2", make.seed(registry))
    digest = make.record(registry, release)
    registry.promote("flagship", "production", digest, decision_digest=release.decision.digest, expected_generation=1)
    return digest


def test_a_backup_taken_while_others_write_is_a_whole_registry(
    registry: Registry, make: Maker, production: str, backup: Backup, restore: Restore, tmp_path: Path
) -> None:
    checkpoint = registry.checkpoint()
    with writing_on(registry, make):
        backup(tmp_path / "copy")
    size = registry.checkpoint().size
    engine = open_database(restore(tmp_path / "copy"))
    restored = Registry(engine)
    assert restored.verify(checkpoint=checkpoint).problems == ()
    assert checkpoint.size <= restored.checkpoint().size <= size
    state = restored.channel("flagship", "production")
    assert (state.digest, state.generation) == (production, 2)
    restored.register_candidate(make.candidate("afterwards"))
    assert restored.verify(checkpoint=checkpoint).problems == ()
    engine.dispose()


def test_an_old_backup_is_found_out_by_a_newer_checkpoint(
    registry: Registry, make: Maker, production: str, backup: Backup, restore: Restore, tmp_path: Path
) -> None:
    backup(tmp_path / "copy")
    registry.rollback(
        "flagship", "production", registry.show("v1").digest, expected_generation=2, reason="it insults people"
    )
    newer = registry.checkpoint()
    engine = open_database(restore(tmp_path / "copy"))
    restored = Registry(engine)
    assert restored.verify().problems == ()  # by itself it is a good log: only the checkpoint tells
    (problem,) = restored.verify(checkpoint=newer).problems
    assert f"had {newer.size}: its end was removed" in problem
    with pytest.raises(InputError):
        restored.consistency_proof(newer.size, newer.size)
    # Going on from there does not hide it either.
    restored.register_candidate(make.candidate("another history"))
    restored.register_candidate(make.candidate("and longer"))
    assert any("the log was rewritten" in problem for problem in restored.verify(checkpoint=newer).problems)
    engine.dispose()
