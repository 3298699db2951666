"""Several writers at once, and processes killed at the worst moment."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text

from evalharness.database import open_database
from gates.registry import Registry
from golden_sets.errors import InfrastructureError

if TYPE_CHECKING:
    from tests.gates.registry.conftest import Maker, Release

ROOT = Path(__file__).parents[3]

PROMOTE = """
import sys
from evalharness.database import open_database
from gates.registry import Registry
from golden_sets.errors import InputError
url, digest, decision, generation = sys.argv[1:]
registry = Registry(open_database(url))
print("ready", flush=True)
sys.stdin.readline()
try:
    registry.promote("flagship", "production", digest, decision_digest=decision, expected_generation=int(generation))
    print("won")
except InputError as error:
    print("lost", error)
"""

KILLED = """
import os, signal, sys
from sqlalchemy import event
from evalharness.database import open_database
from gates.registry import Registry
url, digest, decision, statement = sys.argv[1:]
engine = open_database(url)
registry = Registry(engine)

@event.listens_for(engine, "after_cursor_execute")
def die(connection, cursor, executed, *_):
    if executed.startswith(statement):
        os.kill(os.getpid(), signal.SIGKILL)

registry.promote("flagship", "production", digest, decision_digest=decision, expected_generation=1)
"""


def start(script: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", script, *arguments],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


@pytest.fixture
def releases(registry: Registry, make: Maker) -> list[Release]:
    """Two passing releases against the same incumbent."""
    incumbent = make.seed(registry)
    made = [make.release("left", incumbent), make.release("right", incumbent)]
    for release in made:
        make.record(registry, release)
    return made


def test_of_two_promotions_at_once_exactly_one_wins(url: str, registry: Registry, releases: list[Release]) -> None:
    processes = [start(PROMOTE, url, r.candidate.digest, r.decision.digest, "1") for r in releases]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    outcomes = [process.communicate(timeout=60)[0].split(maxsplit=1) for process in processes]
    assert sorted(words[0] for words in outcomes) == ["lost", "won"]
    (message,) = [words[1] for words in outcomes if words[0] == "lost"]
    assert "generation 2, not 1" in message
    state = registry.channel("flagship", "production")
    assert state.generation == 2
    assert state.name == releases[[words[0] for words in outcomes].index("won")].candidate.name
    assert registry.verify().problems == ()


@pytest.mark.parametrize("statement", ["UPDATE channels", "INSERT INTO ledger ", "UPDATE ledger_head SET size=%"])
def test_a_promotion_killed_half_way_leaves_nothing_and_can_be_repeated(
    url: str, registry: Registry, releases: list[Release], statement: str
) -> None:
    # With the placeholder of either driver: the last write of the transaction, the new head of the log.
    head = "UPDATE ledger_head SET size=?" if url.startswith("sqlite") else "UPDATE ledger_head SET size=%("
    release, before = releases[0], registry.log()
    arguments = (url, release.candidate.digest, release.decision.digest, head if "%" in statement else statement)
    killed = start(KILLED, *arguments)
    killed.communicate(timeout=60)
    assert killed.returncode == -signal.SIGKILL
    assert registry.log() == before
    assert registry.channel("flagship", "production").name == "v1"
    assert registry.verify().problems == ()
    state = registry.promote(
        "flagship",
        "production",
        release.candidate.digest,
        decision_digest=release.decision.digest,
        expected_generation=1,
    )
    assert (state.name, state.generation) == ("left", 2)


def test_many_writers_lose_nothing(registry: Registry, make: Maker) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda i: registry.register_candidate(make.candidate(f"candidate {i}")), range(40)))
    assert [e.position for e in registry.log()] == list(range(40))
    assert len({v.digest for v in registry.versions()}) == 40
    assert registry.verify().problems == ()


def test_several_processes_may_create_the_registry_at_once(url: str) -> None:
    script = "import sys; from evalharness.database import open_database; from gates.registry import Registry; "
    script += "print(Registry(open_database(sys.argv[1])).verify().problems)"
    processes = [start(script, url) for _ in range(4)]
    assert [process.communicate(timeout=60)[0] for process in processes] == ["()\n"] * 4


def test_a_full_disk_leaves_nothing_half_recorded(tmp_path: Path, make: Maker) -> None:
    engine = open_database(f"sqlite:///{tmp_path / 'small.db'}")
    registry = Registry(engine)
    release = make.release("v1", None)
    registry.record_policy(make.policy)
    registry.record_plan(release.plan)
    make.begin(registry, release)
    before = registry.log()
    outcomes = os.urandom(1_000_000)
    from golden_sets.digests import digest_bytes

    evidence = release.evidence.model_copy(update={"outcomes": digest_bytes(outcomes)})
    with engine.connect() as connection:
        pages = connection.execute(text("PRAGMA page_count")).scalar_one()
        connection.execute(text(f"PRAGMA max_page_count = {pages + 2}"))
    with pytest.raises(InfrastructureError, match="free space"):
        registry.record_evidence(evidence, outcomes)
    assert registry.log() == before
    assert registry.verify().problems == ()
    engine.dispose()


def test_a_database_held_by_somebody_else_is_named(tmp_path: Path, make: Maker) -> None:
    path = tmp_path / "held.db"
    engine = open_database(f"sqlite:///{path}")
    registry = Registry(engine)
    with engine.connect() as connection:
        connection.execute(text("PRAGMA busy_timeout = 100"))
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with pytest.raises(InfrastructureError, match="another process holds the database"):
        registry.register_candidate(make.candidate("v1"))
    assert registry.log() == []
    holder.execute("ROLLBACK")
    holder.close()
    registry.register_candidate(make.candidate("v1"))
    assert json.dumps(registry.show("v1").to_json())
    engine.dispose()
