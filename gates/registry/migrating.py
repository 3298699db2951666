"""Bringing a database up to the tables that this relgate works with: new, older, or already there.

All of it is one transaction, on both databases: a crash in between leaves what was there before. Of several processes
that start at once, one migrates and the others find it done.
"""

from __future__ import annotations

import io
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, Engine, inspect, text
from sqlalchemy.exc import DBAPIError

from evalharness.database import is_refused, write_transaction
from gates.registry import migrations
from gates.registry.migrations import HEAD, VERSION_TABLE
from golden_sets.errors import InfrastructureError, InputError

if TYPE_CHECKING:
    from alembic.config import Config

_ONE_AT_A_TIME = threading.Lock()  # Alembic keeps what it works on in a variable of its module


def revision(connection: Connection) -> str | None:
    """The revision that a database is at; None: it has no registry yet, or one from before revisions were counted."""
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    return connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar()  # noqa: S608 - a constant


def upgrade(engine: Engine) -> str | None:
    """Bring a database to :data:`HEAD`; returns the revision it was at.

    Raises:
        InputError: it was made by a newer relgate, or holds another program's tables of the same names.
        InfrastructureError: it may not be changed, or cannot be.
    """
    with _ONE_AT_A_TIME, write_transaction(engine) as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(hashtext('relgate.registry.schema'))"))
        found = revision(connection)
        if found != HEAD:
            _require_known(found, engine)
            _run(connection)
    return found


def upgrade_sql(engine: Engine) -> str:
    """The SQL that :func:`upgrade` would run on a database as it is now, to be read or run by hand; empty: nothing.

    Raises:
        InputError: it was made by a newer relgate.
    """
    with engine.connect() as connection:
        found = revision(connection)
    if found == HEAD:
        return ""
    _require_known(found, engine)
    from alembic import command

    output = io.StringIO()
    config = _config()
    config.attributes.update(dialect=engine.dialect.name, output=output)
    with _ONE_AT_A_TIME:
        command.upgrade(config, f"{found}:{HEAD}" if found else HEAD, sql=True)
    return output.getvalue()


def known_revisions() -> tuple[str, ...]:
    """Every revision that this relgate knows, oldest first."""
    from alembic.script import ScriptDirectory

    scripts = ScriptDirectory.from_config(_config()).walk_revisions()
    return tuple(reversed([script.revision for script in scripts]))


def _run(connection: Connection) -> None:
    from alembic import command

    config = _config()
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, HEAD)
    except DBAPIError as error:
        if not is_refused(error):
            raise
        raise InfrastructureError(
            "the registry's tables must be made or brought up to date, which this role may not do",
            where=connection.engine.url.render_as_string(),
            do="run relgate registry migrate as their owner",
        ) from error


def _require_known(found: str | None, engine: Engine) -> None:
    if found is not None and found not in known_revisions():
        raise InputError(
            f"the registry was made by a newer relgate: its tables are at revision {found}, this one knows {HEAD}",
            where=engine.url.render_as_string(),
            do="install the newer relgate",
        )


def _config() -> Config:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config
