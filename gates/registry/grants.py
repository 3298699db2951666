"""What the application's role may do on PostgreSQL: add to the ledger and read it, never change or remove.

The role that releases run as is not the tables' owner, so it can neither drop nor disable a trigger. Of two tables it
may change rows: the head of the log and the channels' pointers, whose triggers let them go forward only and which
verification recomputes from the log.
"""

from __future__ import annotations

from sqlalchemy import Connection, Engine, func, select, text
from sqlalchemy.sql import quoted_name

from evalharness.database import database_errors, write_transaction
from evalharness.samples.tables import METADATA as SAMPLES
from gates.registry.migrations import VERSION_TABLE
from gates.registry.triggers import APPEND_ONLY
from golden_sets.errors import InputError

_RIGHTS = {
    **dict.fromkeys(APPEND_ONLY, "SELECT, INSERT"),
    "ledger_head": "SELECT, UPDATE (size, frontier)",
    "channels": "SELECT, INSERT, UPDATE (digest, generation)",
    VERSION_TABLE: "SELECT",
    **dict.fromkeys((table.name for table in SAMPLES.sorted_tables), "SELECT, INSERT, UPDATE"),
}
"""What the role may do with each table, and nothing else."""

_ASKED = {
    "SELECT": func.has_table_privilege,
    "INSERT": func.has_table_privilege,
    "UPDATE": func.has_any_column_privilege,  # a right on any single column counts as one
    "DELETE": func.has_table_privilege,
    "TRUNCATE": func.has_table_privilege,
    "REFERENCES": func.has_any_column_privilege,
    "TRIGGER": func.has_table_privilege,
}
"""Every right on a table, and what tells whether a role has it."""


def grant_sql(engine: Engine, role: str) -> list[str]:
    """The statements that give a role the rights it needs, and take any others on these tables from it.

    Raises:
        InputError: the database is not PostgreSQL.
        InfrastructureError: it cannot be read.
    """
    _require_postgresql(engine)
    with database_errors(engine), engine.connect() as connection:
        return _statements(connection, role)


def grant(engine: Engine, role: str) -> list[str]:
    """Give a role what :func:`grant_sql` says, all of it or nothing; returns the statements that were run.

    Raises:
        InputError: not PostgreSQL, no such role, or a role that may do more than that whatever is granted: a
            superuser, the tables' owner, or one that got rights through PUBLIC or another role.
        InfrastructureError: who asks may not grant it, or the database fails.
    """
    _require_postgresql(engine)
    with write_transaction(engine) as connection:
        _require_plain_role(connection, role)
        statements = _statements(connection, role)
        for statement in statements:
            connection.execute(text(statement.replace(":", r"\:")))  # a role may have any name
        if lacking := _rights(connection, role, missing=True):
            raise InputError(
                f"role '{role}' still may not {', '.join(lacking)}",
                where=engine.url.render_as_string(),
                do="run this as the tables' owner; nothing was granted",
            )
        if excess := _rights(connection, role, missing=False):
            raise InputError(
                f"role '{role}' could still {', '.join(excess)}",
                where=engine.url.render_as_string(),
                do="revoke that from PUBLIC and from the roles it is a member of; nothing was granted",
            )
    return statements


def _require_postgresql(engine: Engine) -> None:
    if engine.dialect.name != "postgresql":
        raise InputError(
            f"{engine.dialect.name} has no roles: whoever may write the file may write all of it",
            where=engine.url.render_as_string(),
            do="use PostgreSQL, or keep signed checkpoints where its users cannot write",
        )


def _require_plain_role(connection: Connection, role: str) -> None:
    found = connection.execute(text("SELECT rolsuper FROM pg_roles WHERE rolname = :role"), {"role": role}).first()
    if found is None:
        raise InputError(
            f"there is no role '{role}'", do=f"make it first: CREATE ROLE {_quoted(connection, role)} LOGIN"
        )
    if found.rolsuper:
        raise InputError(f"role '{role}' is a superuser, who may do everything", do="use an ordinary role")
    owners = connection.execute(
        text(
            "SELECT DISTINCT pg_get_userbyid(relowner) FROM pg_class WHERE relname = ANY(:tables) "
            "AND pg_table_is_visible(oid) AND pg_has_role(:role, relowner, 'MEMBER')"
        ),
        {"tables": list(_RIGHTS), "role": role},
    ).scalars()
    if names := sorted(owners):
        raise InputError(
            f"role '{role}' is or may become {', '.join(names)}, who owns the tables and may drop their triggers",
            do="let another role own them (ALTER TABLE ... OWNER TO ...), or grant to another",
        )


def _statements(connection: Connection, role: str) -> list[str]:
    schema = _quoted(connection, connection.execute(select(func.current_schema())).scalar_one())
    who = _quoted(connection, role)
    statements = [f"REVOKE CREATE ON SCHEMA {schema} FROM {who}", f"GRANT USAGE ON SCHEMA {schema} TO {who}"]
    for table, rights in _RIGHTS.items():
        statements += [f"REVOKE ALL ON {schema}.{table} FROM {who}", f"GRANT {rights} ON {schema}.{table} TO {who}"]
    return statements


def _rights(connection: Connection, role: str, *, missing: bool) -> list[str]:
    """What a role may not do that it should, or what it may do beyond: by itself, through PUBLIC or other roles."""
    found = [
        f"{right} {table}"
        for table, rights in _RIGHTS.items()
        for right, asked in _ASKED.items()
        if (right in rights) is missing
        and connection.execute(select(asked(role, table, right))).scalar() is not missing
    ]
    creates = select(func.has_schema_privilege(role, func.current_schema(), "CREATE"))
    if not missing and connection.execute(creates).scalar():
        found.append("CREATE tables in the schema")
    return found


def _quoted(connection: Connection, name: str) -> str:
    return connection.dialect.identifier_preparer.quote_identifier(quoted_name(name, quote=True))
