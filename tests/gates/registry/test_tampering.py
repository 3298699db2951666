"""What the triggers refuse, and what verification finds once they are gone."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError

from gates.registry import Checkpoint, Registry
from gates.registry.triggers import missing_triggers
from gates.verifier import merkle
from golden_sets.digests import digest_bytes
from golden_sets.errors import InfrastructureError, InputError

if TYPE_CHECKING:
    from tests.gates.registry.conftest import Maker

APPEND_ONLY = ("blobs", "ledger", "ledger_nodes", "ledger_terms")


@pytest.fixture
def digest(registry: Registry, make: Maker) -> str:
    """A channel with two versions behind it; the digest of the second."""
    release = make.release("v2", make.seed(registry))
    digest = make.record(registry, release)
    registry.promote("flagship", "production", digest, decision_digest=release.decision.digest, expected_generation=1)
    assert registry.verify().problems == ()
    return digest


def execute(engine: Engine, *statements: str) -> None:
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement.replace(":", "\\:")))


def drop_triggers(engine: Engine) -> None:
    with engine.begin() as connection:
        if engine.dialect.name == "sqlite":
            for name in connection.execute(text("SELECT name FROM sqlite_master WHERE type = 'trigger'")).scalars():
                connection.execute(text(f"DROP TRIGGER {name}"))
        else:
            for table in (*APPEND_ONLY, "channels", "ledger_head"):
                connection.execute(text(f"ALTER TABLE {table} DISABLE TRIGGER ALL"))


STATEMENTS = [
    "UPDATE blobs SET data = data",
    "UPDATE ledger SET actor = 'nobody'",
    "UPDATE ledger_nodes SET hash = hash",
    "UPDATE ledger_terms SET value = 'x'",
    "DELETE FROM blobs",
    "DELETE FROM ledger",
    "DELETE FROM ledger_nodes",
    "DELETE FROM ledger_terms",
    "DELETE FROM channels",
    "UPDATE channels SET digest = 'sha256:0'",
    "UPDATE channels SET generation = 1",
]


@pytest.mark.parametrize("statement", STATEMENTS)
def test_triggers_refuse_to_change_or_delete(registry: Registry, engine: Engine, digest: str, statement: str) -> None:
    before = registry.log()
    with pytest.raises(DBAPIError, match=r"append-only|never deleted|one generation"):
        execute(engine, statement)
    assert registry.log() == before
    assert registry.verify().problems == ()


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT OR REPLACE INTO ledger SELECT position, time, type, 'nobody', payload, leaf_hash FROM ledger LIMIT 1",
        "INSERT OR REPLACE INTO blobs SELECT digest, media_type, size, x'00' FROM blobs LIMIT 1",
        "INSERT OR REPLACE INTO blobs (rowid, digest, media_type, size, data) "
        "SELECT rowid, 'sha256:0', media_type, size, data FROM blobs LIMIT 1",
        "INSERT OR REPLACE INTO ledger_nodes SELECT level, node, x'00' FROM ledger_nodes LIMIT 1",
        "INSERT OR REPLACE INTO ledger_terms (rowid, field, value, position) "
        "SELECT rowid, 'name', 'x', 0 FROM ledger_terms LIMIT 1",
        "UPDATE OR REPLACE ledger SET position = 0 WHERE position = 1",
        "REPLACE INTO ledger SELECT * FROM ledger",
    ],
)
def test_replace_is_refused_on_sqlite(registry: Registry, engine: Engine, digest: str, statement: str) -> None:
    if engine.dialect.name != "sqlite":
        with pytest.raises(DBAPIError, match="syntax error"):  # PostgreSQL knows no REPLACE
            execute(engine, statement)
        return
    with pytest.raises(DBAPIError, match="append-only"):
        execute(engine, statement)
    assert registry.verify().problems == ()


@pytest.mark.parametrize("table", APPEND_ONLY)
def test_truncate_is_refused_on_postgresql(registry: Registry, engine: Engine, table: str) -> None:
    refused = "append-only" if engine.dialect.name == "postgresql" else "syntax error"  # SQLite knows no TRUNCATE
    with pytest.raises(DBAPIError, match=refused):
        execute(engine, f"TRUNCATE {table}")


FINDINGS = {
    "UPDATE ledger SET actor = 'nobody' WHERE position = 1": "event 1 was changed",
    "UPDATE ledger SET time = '2020-01-01T00:00:00Z' WHERE position = 0": "event 0 was changed",
    "UPDATE ledger SET payload = replace(payload, 'v1', 'v9') WHERE position = 0": "event 0 was changed",
    "UPDATE ledger SET payload = payload || ' ' WHERE position = 0": "event 0 was changed",
    "UPDATE ledger SET payload = '[' WHERE position = 2": "event 2 does not hold readable JSON",
    "DELETE FROM ledger WHERE position = 3": "event 3 is missing",
    "DELETE FROM ledger WHERE position = 8": "8 events, its head says 9",
    "DELETE FROM ledger_terms WHERE field = 'decision'": "entries of the log's index do not fit",
    "DELETE FROM ledger_nodes WHERE level = 3": "stored hashes of the log do not fit",
    "UPDATE channels SET generation = 1": "channel flagship/production serves",
    "DELETE FROM channels": "channel flagship/production serves nothing",
    "UPDATE channels SET digest = 'sha256:0'": "channel flagship/production serves",
    "DELETE FROM blobs WHERE size > 1000": "named by event",
    "UPDATE ledger_head SET size = 10": "its head says 10",
    "DELETE FROM ledger_head": "the head of the log is missing",
}


@pytest.mark.parametrize(("statement", "finding"), FINDINGS.items())
def test_what_is_done_without_triggers_is_found(
    registry: Registry, engine: Engine, digest: str, statement: str, finding: str
) -> None:
    drop_triggers(engine)
    execute(engine, statement)
    problems = registry.verify().problems
    assert any(finding in problem for problem in problems), problems
    assert any("trigger" in problem for problem in problems)


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        ("UPDATE ledger SET leaf_hash = 'text' WHERE position = 2", "event 2 was changed"),
        ("UPDATE ledger SET payload = X'ff00' WHERE position = 2", "event 2 does not hold readable JSON"),
        (
            "UPDATE ledger SET payload = CAST(X'ff00ff' AS TEXT) WHERE position = 2",
            "event 2 does not hold readable JSON",
        ),
        ("UPDATE ledger SET actor = CAST(X'ff' AS TEXT) WHERE position = 2", "event 2 was changed"),
        ("UPDATE ledger SET leaf_hash = 5, type = X'00' WHERE position = 2", "event 2 does not hold readable JSON"),
        ("UPDATE ledger_nodes SET hash = 'text', level = 'one' WHERE level = 1", "stored hashes of the log do not fit"),
        (
            "UPDATE ledger_terms SET value = X'00' WHERE position = 0 AND field = 'subject'",
            "entries of the log's index do not fit",
        ),
        ("UPDATE ledger_head SET frontier = 'text'", "the head of the log does not fit"),
        ("UPDATE ledger_head SET size = 'many'", "its head says many"),
        ("UPDATE channels SET digest = X'00', generation = 'x'", "at generation x, the log says"),
        (
            "INSERT INTO channels (channel, stage, digest, generation) VALUES (X'00', 5, 7, 8)",
            "serves 7 at generation 8",
        ),
        ("UPDATE blobs SET data = 'text', size = 'x'", "were changed"),
        (
            "INSERT INTO checkpoints (digest, size, root, time, envelope) VALUES ('d', 'x', X'00', 'now', 'text')",
            "the recorded checkpoint of now: is no DSSE envelope",
        ),
    ],
)
def test_cells_of_another_kind_are_found_and_stop_nothing(
    registry: Registry, engine: Engine, digest: str, statement: str, found: str
) -> None:
    """SQLite keeps in a column what is written to it, of whatever type; PostgreSQL refuses most by its type."""
    drop_triggers(engine)
    try:
        execute(engine, statement)
    except DBAPIError:
        assert engine.dialect.name == "postgresql"
        return
    assert any(found in problem for problem in registry.verify().problems), registry.verify().problems


def test_swapped_contents_are_found_and_never_handed_out(
    registry: Registry, engine: Engine, digest: str, make: Maker
) -> None:
    drop_triggers(engine)
    other = json.dumps(make.candidate("evil").manifest.to_json()).encode()
    with engine.begin() as connection:
        connection.execute(text("UPDATE blobs SET data = :d WHERE digest = :k"), {"d": other, "k": digest})
    assert any(f"stored under {digest} were changed" in problem for problem in registry.verify().problems)
    with pytest.raises(InfrastructureError, match="were changed"):
        registry.show("v2")


def test_dropped_triggers_are_found(registry: Registry, engine: Engine) -> None:
    with engine.connect() as connection:
        assert missing_triggers(connection) == []
    drop_triggers(engine)
    problems = registry.verify().problems
    assert problems
    assert all("guarding trigger" in problem for problem in problems)


def test_a_promotion_without_a_decision_written_by_hand_is_found(
    registry: Registry, engine: Engine, digest: str, make: Maker
) -> None:
    """Somebody who can write to the database appends a well-formed event and moves the pointer: only the rules tell."""
    from gates.registry import ledger
    from gates.registry.transactions import writing

    evil = registry.register_candidate(make.candidate("evil"))
    payload = {
        "channel": "flagship",
        "stage": "production",
        "subject": evil,
        "name": "evil",
        "previous": digest,
        "generation": 3,
        "reason": "",
        "decision": None,
        "seed": True,
    }
    with writing(engine) as connection:
        ledger.append(connection, "promoted", "mallory", payload)
        connection.execute(
            text("UPDATE channels SET digest = :d, generation = 3 WHERE stage = 'production'"), {"d": evil}
        )
    assert [p for p in registry.verify().problems if "needed a decision" in p]


def test_an_event_that_lies_about_its_decision_is_found(registry: Registry, engine: Engine, make: Maker) -> None:
    from gates.registry import ledger
    from gates.registry.transactions import writing

    release = make.release("bad", None, "block")
    make.record(registry, release)
    payload = {**registry.log(1)[0].payload, "verdict": "promote"}
    with writing(engine) as connection:
        ledger.append(connection, "decided", "mallory", payload)
    assert any("does not say what the decision says" in problem for problem in registry.verify().problems)
    with pytest.raises(InputError, match="does not allow it: block"):
        registry.promote(
            "small",
            "production",
            release.candidate.digest,
            decision_digest=release.decision.digest,
            expected_generation=0,
        )


def test_a_checkpoint_shows_a_cut_tail_and_a_rewritten_log(
    registry: Registry, engine: Engine, make: Maker, tmp_path_factory: pytest.TempPathFactory
) -> None:
    from evalharness.database import open_database

    make.seed(registry)
    early = registry.checkpoint()
    registry.register_candidate(make.candidate("v2"))
    kept = registry.checkpoint()
    assert registry.verify(checkpoint=early).ok
    assert registry.verify(checkpoint=kept).ok

    other = open_database(f"sqlite:///{tmp_path_factory.mktemp('other') / 'other.db'}")
    rewritten = Registry(other)
    make.seed(rewritten)
    assert rewritten.verify().ok  # a whole log, only not this one
    assert any("end was removed" in p for p in rewritten.verify(checkpoint=kept).problems)
    rewritten.register_candidate(make.candidate("v2"))
    rewritten.register_candidate(make.candidate("v3"))
    assert any("was rewritten" in p for p in rewritten.verify(checkpoint=kept).problems)
    other.dispose()


def test_checkpoints_survive_a_file(registry: Registry, make: Maker) -> None:
    make.seed(registry)
    checkpoint = registry.checkpoint()
    assert Checkpoint.from_json(json.loads(json.dumps(checkpoint.to_json()))) == checkpoint
    assert checkpoint.root == registry.verify().root
    not_checkpoints: tuple[object, ...] = (
        {},
        [],
        None,
        {**checkpoint.to_json(), "size": -1},
        {**checkpoint.to_json(), "size": True},
    )
    for broken in not_checkpoints:
        with pytest.raises(InputError, match="not a checkpoint"):
            Checkpoint.from_json(broken)


def test_proofs_hold_against_checkpoints_alone(registry: Registry, make: Maker) -> None:
    checkpoints = [registry.checkpoint()]
    for i in range(20):
        registry.register_candidate(make.candidate(f"candidate {i}"))
        checkpoints.append(registry.checkpoint())
    roots = [bytes.fromhex(c.root.removeprefix("sha256:")) for c in checkpoints]
    events = registry.log()
    for size in (1, 7, 8, 13, 20):
        for event in events[:size]:
            proof = registry.inclusion_proof(event.position, size)
            assert merkle.verify_inclusion(event.leaf_hash, event.position, size, proof, roots[size])
        for old in range(size + 1):
            assert merkle.verify_consistency(old, roots[old], size, roots[size], registry.consistency_proof(old, size))
    with pytest.raises(InputError, match="no event 5"):
        registry.inclusion_proof(5, 5)
    with pytest.raises(InputError, match="20 events, 21 were asked for"):
        registry.consistency_proof(3, 21)
    assert digest_bytes(b"") == checkpoints[0].root
