"""Making the sample store's tables, or bringing those of an older version up to date; nothing they hold is changed."""

from __future__ import annotations

from sqlalchemy import Connection, Engine, inspect, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.schema import CreateTable

from evalharness.database import database_errors, write_transaction
from evalharness.samples.tables import LATER_COLUMNS, METADATA


def make_tables(engine: Engine) -> None:
    """Make what is missing. Where nothing is, nothing is written: the role need not be allowed to.

    Raises:
        InfrastructureError: the tables cannot be made.
    """
    if not tables_sql(engine):
        return
    try:
        _make(engine)
    except DBAPIError:
        _make(engine)  # two processes may make them at the same moment; the second try finds them


def tables_sql(engine: Engine) -> list[str]:
    """The statements that :func:`make_tables` would run now.

    Raises:
        InfrastructureError: the database cannot be read.
    """
    with database_errors(engine), engine.connect() as connection:
        return _missing(connection)


def _make(engine: Engine) -> None:
    with write_transaction(engine) as connection:
        for statement in _missing(connection):
            connection.execute(text(statement))


def _missing(connection: Connection) -> list[str]:
    inspector = inspect(connection)
    present = set(inspector.get_table_names())
    dialect = connection.dialect
    statements = [
        str(CreateTable(table, if_not_exists=True).compile(dialect=dialect)).strip()
        for table in METADATA.sorted_tables
        if table.name not in present
    ]
    for column in LATER_COLUMNS:
        table = column.table.name
        if table in present and column.name not in {c["name"] for c in inspector.get_columns(table)}:
            quoted = dialect.identifier_preparer
            statements.append(
                f"ALTER TABLE {quoted.quote(table)} ADD COLUMN {quoted.format_column(column)} "
                f"{column.type.compile(dialect)}"
            )
    return statements
