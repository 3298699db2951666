"""A PostgreSQL server of one's own for a benchmark: with its ordinary settings, fsync included, gone afterwards."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def own_postgresql() -> Iterator[str]:
    """Start a throw-away cluster that listens on a socket of its own; gives the address of an empty database.

    Raises:
        FileNotFoundError: PostgreSQL's programs are not installed.
    """
    control = shutil.which("pg_ctl")
    if control is None:
        raise FileNotFoundError("pg_ctl is not on the PATH: install PostgreSQL, or leave it out (--only)")
    initdb = str(Path(control).resolve().parent / "initdb")
    # PostgreSQL refuses to run as root.
    as_user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    with tempfile.TemporaryDirectory(prefix="relgate-postgresql-") as name:
        directory = Path(name)
        if as_user:
            shutil.chown(directory, "postgres")
        data = str(directory / "data")

        def call(*words: str) -> None:
            subprocess.run([*as_user, *words], check=True, cwd=directory, stdout=subprocess.DEVNULL, timeout=120)

        call(initdb, "-D", data, "-A", "trust", "-U", "relgate")
        options = f"-c listen_addresses='' -c unix_socket_directories={directory}"
        call(control, "-D", data, "-o", options, "-w", "-l", str(directory / "log"), "start")
        try:
            yield f"postgresql+psycopg://relgate@/postgres?host={directory}"
        finally:
            call(control, "-D", data, "-m", "immediate", "-w", "stop")
