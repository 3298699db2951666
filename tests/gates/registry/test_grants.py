"""The application's role on PostgreSQL: everything a release needs, and nothing that changes what happened."""

# ruff: noqa: S608 - every part of these statements is a constant
from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError

from evalharness.database import is_refused, open_database
from evalharness.generation_records import ErrorKind
from evalharness.samples import SampleStore
from gates.registry import Registry
from gates.registry.grants import grant, grant_sql
from gates.registry.migrating import upgrade
from gates.registry.triggers import APPEND_ONLY
from golden_sets.errors import InfrastructureError, InputError
from tests.support.generations import ANSWER
from tests.support.recorded_releases import Maker
from tests.support.signed_registry import SignedRegistry

pytestmark = pytest.mark.parametrize("url", ["postgresql"], indirect=True)


@pytest.fixture
def role(url: str, engine: Engine) -> Iterator[str]:
    """A plain role of the server that may nothing yet."""
    with engine.begin() as connection:
        name = f"app_{connection.execute(text('SELECT current_schema()')).scalar_one()}"
        connection.execute(text(f"CREATE ROLE {name} LOGIN"))
    yield name
    with engine.begin() as connection:
        connection.execute(text(f"DROP OWNED BY {name}"))
        connection.execute(text(f"DROP ROLE {name}"))


@pytest.fixture
def application(url: str, engine: Engine, role: str) -> Iterator[Engine]:
    """The database as the role sees it, after the owner made the tables and granted what it needs."""
    SampleStore(engine)
    Registry(engine)
    grant(engine, role)
    opened = open_database(url.replace("relgate@", f"{role}@"))
    yield opened
    opened.dispose()


def test_releases_promotions_rollbacks_and_verification_work_as_the_role(application: Engine) -> None:
    registry, make = Registry(application), Maker()
    first = make.seed(registry)
    release = make.release("v2", first)
    digest = make.record(registry, release)
    before = registry.checkpoint()
    registry.promote("flagship", "production", digest, decision_digest=release.decision.digest, expected_generation=1)
    registry.rollback("flagship", "production", first.digest, expected_generation=2, reason="too slow")
    assert registry.channel("flagship", "production").name == "v1"
    assert registry.verify(checkpoint=before).problems == ()


def test_a_signed_release_goes_to_production_as_the_role(application: Engine) -> None:
    signed = SignedRegistry(Registry(application))
    release = signed.release("v2", signed.seed())
    signed.people.sign_off(release.decision)
    assert signed.promote(release).name == "v2"
    assert signed.registry.verify().problems == ()


def test_samples_are_written_and_failed_ones_replaced_as_the_role(application: Engine) -> None:
    store = SampleStore(application)
    for generation in (replace(ANSWER, text="", error=ErrorKind.TIMEOUT), ANSWER):
        store.write([generation])
    (stored,) = store.generations("sha256:c", ["sha256:r"]).values()
    assert (stored.text, stored.error) == ("the answer", None)


def test_an_auditor_who_may_only_read_verifies_everything(
    application: Engine, engine: Engine, url: str, role: str
) -> None:
    Maker().seed(Registry(application))
    schema = role.removeprefix("app_")
    with engine.begin() as connection:
        connection.execute(text(f"CREATE ROLE audit_{schema} LOGIN"))
        connection.execute(text(f"GRANT USAGE ON SCHEMA {schema} TO audit_{schema}"))
        connection.execute(text(f"GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO audit_{schema}"))
    try:
        auditor = open_database(url.replace("relgate@", f"audit_{schema}@"))
        SampleStore(auditor)
        assert Registry(auditor).verify(checkpoint=Registry(application).checkpoint()).problems == ()
        assert_refused(auditor, "INSERT INTO blobs VALUES ('sha256:0', 'x', 0, '')")
        with pytest.raises(InfrastructureError, match="let the tables' owner run relgate registry grant"):
            Registry(auditor).register_candidate(Maker().candidate("v9"))
        auditor.dispose()
    finally:
        with engine.begin() as connection:
            connection.execute(text(f"DROP OWNED BY audit_{schema}"))
            connection.execute(text(f"DROP ROLE audit_{schema}"))


@pytest.mark.parametrize("table", [*APPEND_ONLY, "ledger_head", "channels"])
@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM {table}",
        "TRUNCATE {table}",
        "ALTER TABLE {table} DISABLE TRIGGER ALL",
        "ALTER TABLE {table} ADD COLUMN more TEXT",
        "DROP TABLE {table}",
        "CREATE TRIGGER mine BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION relgate_append_only()",
        "CREATE RULE mine AS ON INSERT TO {table} DO INSTEAD NOTHING",
        "ALTER TABLE {table} OWNER TO CURRENT_USER",
    ],
)
def test_the_role_may_not_touch_what_guards_the_tables(application: Engine, statement: str, table: str) -> None:
    assert_refused(application, statement.format(table=table))


@pytest.mark.parametrize(
    "statement",
    [
        *(f"UPDATE {table} SET {keys[0]} = {keys[0]}" for table, keys in APPEND_ONLY.items()),
        *(f"SELECT * FROM {table} FOR UPDATE" for table in APPEND_ONLY),
        "INSERT INTO blobs VALUES ('sha256:0', 'x', 0, '') ON CONFLICT (digest) DO UPDATE SET data = 'evil'",
        "UPDATE channels SET channel = 'small'",
        "UPDATE ledger_head SET id = 2",
        "INSERT INTO ledger_head VALUES (2, 0, '')",
        "UPDATE relgate_registry_version SET version_num = '0'",
        "DROP TRIGGER ledger_no_change ON ledger",
        "CREATE OR REPLACE FUNCTION relgate_append_only() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RETURN NEW; END $$",
        "DROP FUNCTION relgate_append_only() CASCADE",
        "SET session_replication_role = replica",
        "CREATE TABLE mine (id INTEGER)",
        "ALTER TABLE ledger RENAME TO old_ledger",
    ],
)
def test_the_role_may_neither_rewrite_the_ledger_nor_get_past_its_triggers(application: Engine, statement: str) -> None:
    Maker().seed(Registry(application))
    assert_refused(application, statement)
    assert Registry(application).verify().problems == ()


def assert_refused(engine: Engine, statement: str) -> None:
    """By the server's rights, not by a trigger."""
    with pytest.raises(DBAPIError) as caught, engine.begin() as connection:
        connection.execute(text(statement.replace(":", r"\:")))
    assert is_refused(caught.value), caught.value


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ("UPDATE channels SET digest = 'sha256:0'", "one generation at a time"),
        ("UPDATE channels SET generation = generation - 1", "one generation at a time"),
        ("INSERT INTO channels VALUES ('small', 'production', 'sha256:0', 7)", "one generation at a time"),
        ("UPDATE ledger_head SET size = 0, frontier = ''", "one event at a time"),
        ("UPDATE ledger_head SET frontier = ''", "one event at a time"),
    ],
)
def test_what_the_role_may_update_only_goes_forward(application: Engine, statement: str, reason: str) -> None:
    registry = Registry(application)
    Maker().seed(registry)
    with pytest.raises(DBAPIError, match=reason), application.begin() as connection:
        connection.execute(text(statement.replace(":", r"\:")))
    assert registry.verify().problems == ()


def test_granting_again_takes_away_what_was_given_by_hand(application: Engine, engine: Engine, role: str) -> None:
    with engine.begin() as connection:
        connection.execute(text(f"GRANT ALL ON ledger, channels TO {role}"))
        connection.execute(text(f"GRANT UPDATE (payload) ON ledger TO {role}"))
    grant(engine, role)
    for statement in ("DELETE FROM channels", "UPDATE ledger SET payload = ''", "TRUNCATE ledger"):
        assert_refused(application, statement)


@pytest.mark.parametrize(
    ("before", "message"),
    [
        ("ALTER ROLE {role} SUPERUSER", "is a superuser"),
        ("GRANT relgate TO {role}", "may become relgate, who owns the tables"),
        ("ALTER TABLE ledger OWNER TO {role}", "is or may become .*owns the tables"),
        ("GRANT DELETE ON ledger TO PUBLIC", "could still DELETE ledger"),
        ("GRANT UPDATE (payload) ON ledger TO PUBLIC", "could still UPDATE ledger"),
        ("GRANT CREATE ON SCHEMA {schema} TO PUBLIC", "could still CREATE tables in the schema"),
    ],
)
def test_a_role_that_could_do_more_is_refused(engine: Engine, role: str, before: str, message: str) -> None:
    SampleStore(engine)
    upgrade(engine)
    with engine.begin() as connection:
        connection.execute(text(before.format(role=role, schema=role.removeprefix("app_"))))
    with pytest.raises(InputError, match=message):
        grant(engine, role)
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE ledger OWNER TO relgate"))
        given = "SELECT count(*) FROM information_schema.role_table_grants WHERE grantee = :role"
        assert connection.execute(text(given), {"role": role}).scalar_one() == 0


def test_an_unknown_role_and_a_name_with_quotes(engine: Engine) -> None:
    with pytest.raises(InputError, match=r'there is no role \'x"; DROP.*CREATE ROLE "x""; DROP'):
        grant(engine, 'x"; DROP TABLE ledger; --')


def test_the_printed_statements_give_the_same_rights(url: str, engine: Engine, role: str) -> None:
    SampleStore(engine)
    upgrade(engine)
    statements = grant_sql(engine, role)
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement))
    application = open_database(url.replace("relgate@", f"{role}@"))
    Maker().seed(Registry(application))
    assert_refused(application, "DELETE FROM ledger")
    application.dispose()
