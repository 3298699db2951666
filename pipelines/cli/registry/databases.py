"""``relgate registry migrate|grant``: the registry's tables, and who may do what with them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipelines.cli.options import ProjectOption, StoreOption
from pipelines.cli.output import Json, emit

if TYPE_CHECKING:
    from sqlalchemy import Engine

OnlySql = Annotated[bool, typer.Option("--sql", help="Print the SQL instead of running it.")]


def migrate(
    *,
    sql: OnlySql = False,
    project: ProjectOption = Path(),
    store: StoreOption = None,
    as_json: Json = False,
) -> None:
    """Make the store's tables, or bring them up to date; nothing they hold is changed.

    Every command does this by itself where it may. Run it as the tables' owner where releases run as a role that may
    not (relgate registry grant).
    """
    from evalharness.samples.making import make_tables, tables_sql
    from gates.registry.migrating import upgrade, upgrade_sql
    from gates.registry.migrations import HEAD

    with _opened(project, store) as engine:
        if sql:
            script = "".join(f"{statement};\n\n" for statement in tables_sql(engine)) + upgrade_sql(engine)
        else:
            make_tables(engine)
            before = upgrade(engine)
    if sql and as_json:
        emit({"sql": script})
    elif sql:
        print(script, end="")
    elif as_json:
        emit({"from": before, "to": HEAD})
    elif before == HEAD:
        print(f"the tables are at revision {HEAD} already")
    else:
        print(f"the tables are at revision {HEAD} now (before: {before or 'no revision'})")


def grant(
    role: Annotated[str, typer.Argument(help="An existing role of the PostgreSQL server.", show_default=False)],
    *,
    sql: OnlySql = False,
    project: ProjectOption = Path(),
    store: StoreOption = None,
    as_json: Json = False,
) -> None:
    """Let a PostgreSQL role release and promote, but only add to the ledger: no UPDATE, no DELETE, no triggers.

    Run it as the tables' owner, and give relgate that role in --store from then on.
    """
    from evalharness.samples.making import make_tables
    from gates.registry import grants
    from gates.registry.transactions import prepare

    with _opened(project, store) as engine:
        if sql:
            statements = grants.grant_sql(engine, role)
        else:
            make_tables(engine)
            prepare(engine)
            statements = grants.grant(engine, role)
    if as_json:
        emit({"role": role, "granted": not sql, "sql": statements})
    elif sql:
        print("".join(f"{statement};\n" for statement in statements), end="")
    else:
        print(f"'{role}' may add to the ledger, read it and move channels forward; it may change and remove nothing")


@contextmanager
def _opened(project: Path, store: str | None) -> Iterator[Engine]:
    from evalharness.database import open_database
    from pipelines.project import Project

    # Who looks after the database need not have the project.
    engine = open_database(store if store is not None else Project.load(project).store_url)
    try:
        yield engine
    finally:
        engine.dispose()
