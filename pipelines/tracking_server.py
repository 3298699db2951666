"""MLflow at arm's length: quiet, without telemetry, never waited for long, and one process at a time on SQLite."""

from __future__ import annotations

import logging
import os
import sqlite3
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from filelock import FileLock

from golden_sets.errors import InputError

if TYPE_CHECKING:
    from mlflow import MlflowClient

_ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    # A tracking server that is down must not hold up a release for minutes.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
}
_LOCK_TIMEOUT_S = 120


@contextmanager
def connected(tracking_uri: str) -> Iterator[MlflowClient]:
    """A client of a tracking server; SQLite's file is made where it is missing.

    Raises:
        Exception: whatever MLflow, its database, server or disk raise.
    """
    with _quiet(), _one_at_a_time(tracking_uri):
        from mlflow import MlflowClient

        yield MlflowClient(tracking_uri=tracking_uri, registry_uri=tracking_uri)


def reason_of(error: Exception, tracking_uri: str) -> str:
    """The first line of what MLflow raised, without the address's password."""
    return without_password((str(error).strip().splitlines() or [type(error).__name__])[0], tracking_uri)


@contextmanager
def _quiet() -> Iterator[None]:
    """No telemetry, no migration messages, no deprecations of MLflow's own making."""
    for key, value in _ENVIRONMENT.items():
        os.environ.setdefault(key, value)
    loggers = [logging.getLogger(name) for name in ("mlflow", "alembic", "urllib3")]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import mlflow  # noqa: F401 - sets its own log levels, which are lowered below

        levels = [logger.level for logger in loggers]
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)


@contextmanager
def _one_at_a_time(tracking_uri: str) -> Iterator[None]:
    """Two processes must not create the same database, run or model version at once (SQLite only)."""
    database = database_of(tracking_uri)
    if database is None:
        yield
        return
    database.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{database}.lock", timeout=_LOCK_TIMEOUT_S):
        if not database.exists():
            _create_database(database)
        yield


def _create_database(database: Path) -> None:
    """Let MLflow run its migrations in memory where there is room, then put the file in place.

    They are some sixty transactions: on a busy disk that waits for each of them, this is several times faster, and
    a run that is killed meanwhile leaves no half-migrated database.
    """
    from mlflow import MlflowClient

    memory = Path("/dev/shm")  # noqa: S108 - a private directory is made in it
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else database.parent) as directory:
        made, placed = Path(directory) / "mlflow.db", database.with_name(database.name + ".new")
        MlflowClient(tracking_uri=f"sqlite:///{made}", registry_uri=f"sqlite:///{made}")
        with closing(sqlite3.connect(made)) as source, closing(sqlite3.connect(placed)) as target:
            source.backup(target)
        placed.replace(database)


def database_of(tracking_uri: str) -> Path | None:
    """The file behind an SQLite address; None: another kind of address.

    Raises:
        InputError: the address names no file.
    """
    if not tracking_uri.startswith("sqlite:"):
        return None
    name = tracking_uri.removeprefix("sqlite:///").partition("?")[0]
    if name in ("", ":memory:") or name.startswith("sqlite:"):
        raise InputError("the address names no file", where="mlflow", do="write sqlite:///FILE")
    return Path(name).resolve()


def without_password(text: str, uri: str) -> str:
    """A text without the password that an address holds."""
    password = urlsplit(uri).password
    return text if not password else text.replace(f":{password}@", ":***@")
