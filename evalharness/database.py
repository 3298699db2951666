"""The database behind ``--store``: one SQLAlchemy engine for the sample store and the registry.

SQLite runs in WAL mode with ``synchronous=FULL``: a commit is on the disk when it returns, also for samples. Samples
are committed in batches, so that costs a few ``fsync`` calls per second and no throughput.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError

from golden_sets.errors import InfrastructureError, InputError

BUSY_TIMEOUT_S = 30
"""How long a writer waits for another process's transaction before it gives up."""

_INSUFFICIENT_PRIVILEGE = "42501"
_POSTGRESQL_NAMES = ("postgres", "postgresql")


def open_database(url: str) -> Engine:
    """Open (SQLite: create, with its parent directories) the database at ``url``.

    Args:
        url: ``sqlite:///relative/path.db``, ``sqlite:////absolute/path.db`` or ``postgresql://user@host/name``
            (served by psycopg 3).

    Raises:
        InputError: not a database address, an in-memory SQLite database, or a driver that is not installed.
        InfrastructureError: the database cannot be opened.
    """
    address = _parse(url)
    is_sqlite = address.get_backend_name() == "sqlite"
    if is_sqlite:
        _make_parent(address, url)
    try:
        if is_sqlite:
            engine = create_engine(address, connect_args={"timeout": BUSY_TIMEOUT_S})
            event.listen(engine, "connect", _prepare_sqlite)
        else:
            engine = create_engine(address, pool_pre_ping=True)
    except (ModuleNotFoundError, NoSuchModuleError) as error:
        raise InputError(
            f"no driver for this kind of database ({error})",
            where=address.render_as_string(),
            do="use sqlite:///FILE, or postgresql://... after 'pip install relgate[postgres]'",
        ) from error
    with database_errors(engine), engine.connect():
        pass
    return engine


@contextmanager
def write_transaction(engine: Engine) -> Iterator[Connection]:
    """One serialised writing transaction: committed at the end, rolled back on any exception.

    On SQLite the write lock is taken at once (``BEGIN IMMEDIATE``), so that what the transaction reads cannot change
    before it writes.

    Raises:
        InfrastructureError: the disk is full, the database stays locked, is read-only or damaged.
    """
    with database_errors(engine), engine.connect() as connection, connection.begin():
        if engine.dialect.name == "sqlite":
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        yield connection


@contextmanager
def database_errors(engine: Engine) -> Iterator[None]:
    """Turn the driver's errors into one clear :class:`InfrastructureError`.

    Constraint violations and programming errors pass through unchanged: they are bugs or are handled by the caller.
    """
    try:
        yield
    except DBAPIError as error:
        advice = _advice(error)
        if advice is None:
            raise
        raise InfrastructureError(
            f"the database failed: {str(error.orig).strip().splitlines()[0]}",
            where=engine.url.render_as_string(),
            do=advice,
        ) from error


def is_refused(error: DBAPIError) -> bool:
    """True where PostgreSQL refused a statement because the role may not run it."""
    return getattr(error.orig, "sqlstate", None) == _INSUFFICIENT_PRIVILEGE


def _parse(url: str) -> URL:
    try:
        address = make_url(url)
    except ArgumentError as error:
        raise InputError("not a database address", do="write for example sqlite:///.relgate/relgate.db") from error
    if address.drivername in _POSTGRESQL_NAMES:
        address = address.set(drivername="postgresql+psycopg")
    if address.get_backend_name() == "sqlite" and address.database in (None, "", ":memory:"):
        raise InputError(
            "an in-memory database cannot hold samples or a registry", where=url, do="write sqlite:///FILE"
        )
    return address


def _make_parent(address: URL, url: str) -> None:
    parent = Path(str(address.database)).parent
    try:
        parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InfrastructureError(
            f"cannot make the directory {parent}: {error.strerror}", where=url, do="choose another --store"
        ) from error


def _text(cell: bytes) -> str:
    """A text as SQLite holds it: bytes that are no UTF-8 somebody put there by hand; they must be seen, not fatal."""
    return cell.decode(errors="backslashreplace")


def _prepare_sqlite(connection: Any, _record: object) -> None:
    connection.text_factory = _text
    cursor = connection.cursor()
    try:
        cursor.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_S * 1000}")
        _write_ahead(cursor)
        cursor.execute("PRAGMA synchronous = FULL")
        cursor.execute("PRAGMA foreign_keys = ON")
    finally:
        cursor.close()


def _write_ahead(cursor: Any) -> None:
    """Switch to WAL. SQLite does not wait for that, where another process is about to do the same to a new file."""
    give_up = time.monotonic() + BUSY_TIMEOUT_S
    while True:
        try:
            cursor.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > give_up:
                raise
            time.sleep(0.01)
        else:
            return


_SQLITE_ADVICE = {
    "SQLITE_FULL": "free space on the disk and run again: everything committed is kept",
    "SQLITE_BUSY": "another process holds the database; wait for it or end it, then run again",
    "SQLITE_LOCKED": "another process holds the database; wait for it or end it, then run again",
    "SQLITE_READONLY": "make the file and its directory writable",
    "SQLITE_CANTOPEN": "check that the path is a file that can be opened and that its directory is writable",
    "SQLITE_NOTADB": "the file is not a SQLite database; choose another --store",
    "SQLITE_CORRUPT": "the file is damaged; restore it from a backup",
    "SQLITE_IOERR": "check the disk, then run again: everything committed is kept",
}


def _advice(error: DBAPIError) -> str | None:
    original = error.orig
    if isinstance(original, sqlite3.Error):
        name = getattr(original, "sqlite_errorname", None) or ""
        return next((advice for prefix, advice in _SQLITE_ADVICE.items() if name.startswith(prefix)), None)
    if is_refused(error):
        return "let the tables' owner run relgate registry grant ROLE, or use a role that may do this"
    if error.connection_invalidated or type(original).__name__ in ("OperationalError", "DiskFull"):
        return "check that the server is up, reachable and has space, then run again: everything committed is kept"
    return None
