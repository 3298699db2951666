from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import text

from evalharness.database import open_database, write_transaction
from golden_sets.errors import InfrastructureError, InputError


def test_sqlite_is_created_with_its_directories_in_wal_mode(tmp_path: Path) -> None:
    engine = open_database(f"sqlite:///{tmp_path}/a/b/relgate.db")
    with engine.connect() as connection:
        assert connection.execute(text("PRAGMA journal_mode")).scalar_one() == "wal"
        assert connection.execute(text("PRAGMA synchronous")).scalar_one() == 2
        assert connection.execute(text("PRAGMA foreign_keys")).scalar_one() == 1
    assert (tmp_path / "a/b/relgate.db").is_file()


@pytest.mark.parametrize("url", ["relgate.db", "", "sqlite://", "sqlite:///:memory:", "nosuch://host/db"])
def test_a_bad_address_is_an_input_error(url: str) -> None:
    with pytest.raises(InputError):
        open_database(url)


def test_a_password_never_shows_in_an_error() -> None:
    with pytest.raises((InputError, InfrastructureError)) as caught:
        open_database("postgresql://user:hunter2@127.0.0.1:1/db")
    assert "hunter2" not in str(caught.value)


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    path.write_bytes(b"this is not a database" * 100)
    with pytest.raises(InfrastructureError, match="not a SQLite database"):
        open_database(f"sqlite:///{path}")


def test_a_path_that_is_a_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InfrastructureError, match="check that the path is a file"):
        open_database(f"sqlite:///{tmp_path}")


def test_a_parent_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(InfrastructureError, match="cannot make the directory"):
        open_database(f"sqlite:///{tmp_path}/file/sub/x.db")


def test_a_write_transaction_commits_all_or_nothing(tmp_path: Path) -> None:
    engine = open_database(f"sqlite:///{tmp_path}/x.db")
    with write_transaction(engine) as connection:
        connection.execute(text("CREATE TABLE t (x INTEGER)"))
        connection.execute(text("INSERT INTO t VALUES (1)"))
    with pytest.raises(RuntimeError, match="half-way"), write_transaction(engine) as connection:  # noqa: PT012
        connection.execute(text("INSERT INTO t VALUES (2)"))
        raise RuntimeError("half-way")
    with engine.connect() as connection:
        assert connection.execute(text("SELECT x FROM t")).scalars().all() == [1]


def test_a_write_transaction_excludes_other_writers_from_its_start(tmp_path: Path) -> None:
    engine = open_database(f"sqlite:///{tmp_path}/x.db")
    other = open_database(f"sqlite:///{tmp_path}/x.db")
    with other.connect() as connection:
        connection.exec_driver_sql("PRAGMA busy_timeout = 20")
    with (
        write_transaction(engine),
        pytest.raises(InfrastructureError, match="another process holds the database"),
        write_transaction(other),
    ):
        pass
