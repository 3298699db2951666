"""What does the registry cost, and what does it survive?

* ``log``: a log of 100,000 events of ordinary releases on SQLite: appends per second with fsync, full verification,
  proofs. The log is filled through the registry's own methods without fsync, the last events are appended with it.
* ``promotions``: 16 processes promote at once on one channel, 1,000 attempts, on each database.
* ``kills``: SIGKILL at 200 random moments of recording and promoting a release, on each database.

    python benchmarks/registry.py --json
    python benchmarks/registry.py --only log --events 20000
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import resource
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import rich
from sqlalchemy import Engine

from benchmarks import registry_kills, registry_promotions
from benchmarks.own_postgresql import own_postgresql
from benchmarks.registry_releases import CHANNEL, STAGE, candidate, opened, release, seed
from gates.registry import Registry, ledger
from gates.registry.transactions import writing

RESULTS = Path(__file__).parent / "results" / "registry.json"
PARTS = ("log", "promotions", "kills")
PROMOTED_EVERY = 20
"""One release in so many is promoted."""
ATTEMPTS_PER_LINE = 50


def measure_log(directory: Path, events: int, *, appends: int = 2000, proofs: int = 500) -> dict[str, Any]:
    """Fill a log, then time what people wait for."""
    path = directory / "log.db"
    with opened(f"sqlite:///{path}") as (registry, engine):
        filled = _timed(lambda: _fill(registry, engine, events - appends))
        bare = _bare_commits(directory / "bare.db", appends)
        appended = _timed(lambda: _append(engine, appends))
        size = registry.checkpoint().size
        included = [_milliseconds(lambda: _prove_inclusion(registry, size)) for _ in range(proofs)]
        consistent = [_milliseconds(lambda: _prove_consistency(registry, size)) for _ in range(proofs)]
    with opened(f"sqlite:///{path}") as (registry, _):
        started = time.process_time()
        verified = _timed(lambda: _verify(registry))
        verified_cpu = time.process_time() - started
    return {
        "events": size,
        "file_mb": round(path.stat().st_size / 1e6, 1),
        "filled_per_s_without_fsync": round((events - appends) / filled),
        "appends": appends,
        "appends_per_s": round(appends / appended),
        "bare_commits_per_s": round(bare),
        "verify_s": round(verified, 2),
        "verify_cpu_s": round(verified_cpu, 2),
        "verify_peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "inclusion_proof_ms": _spread(included),
        "consistency_proof_ms": _spread(consistent),
    }


def _fill(registry: Registry, engine: Engine, events: int) -> None:
    """Record releases, some of them promoted, until the log has so many events."""
    with engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA synchronous = OFF")
    served, number = seed(registry, "version 0"), 0
    while (size := registry.checkpoint().size) < events - 10:
        number += 1
        line, before = divmod(number - 1, ATTEMPTS_PER_LINE)
        one = release(
            candidate(f"version {number}"),
            served,
            lineage=f"{CHANNEL}/line {line}",
            attempt=before + 1,
            outcomes_bytes=2000,
        )
        one.record(registry)
        if number % PROMOTED_EVERY == 0:
            one.promote(registry, registry.channel(CHANNEL, STAGE).generation)
            served = one.candidate
        if number % 1000 == 0:
            print(f"{size} events", file=sys.stderr)
    with engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA synchronous = FULL")
    _append(engine, events - registry.checkpoint().size)


def _append(engine: Engine, events: int) -> None:
    """Append events, each in a transaction of its own."""
    for i in range(events):
        with writing(engine) as connection:
            subject = f"sha256:{random.getrandbits(256):064x}"
            ledger.append(connection, "named", "benchmark", {"subject": subject, "name": f"name {i}"})


def _bare_commits(path: Path, commits: int) -> float:
    """Commits per second of a bare SQLite loop on this disk now: one row of an event's size, WAL, fsync."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("CREATE TABLE rows (id INTEGER PRIMARY KEY, data TEXT)")
    started = time.perf_counter()
    for _ in range(commits):
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("INSERT INTO rows (data) VALUES (?)", ("x" * 300,))
        connection.execute("COMMIT")
    rate = commits / (time.perf_counter() - started)
    connection.close()
    return rate


def _verify(registry: Registry) -> None:
    found = registry.verify()
    assert found.problems == (), found.problems[:3]


def _prove_inclusion(registry: Registry, size: int) -> None:
    registry.inclusion_proof(random.randrange(size), size)


def _prove_consistency(registry: Registry, size: int) -> None:
    registry.consistency_proof(random.randrange(1, size), size)


def _timed(work: Callable[[], None]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _milliseconds(work: Callable[[], None]) -> float:
    return 1000 * _timed(work)


def _spread(values: list[float]) -> dict[str, float]:
    ordered = sorted(values)
    return {
        "median": round(ordered[len(ordered) // 2], 2),
        "p99": round(ordered[int(0.99 * len(ordered))], 2),
        "max": round(ordered[-1], 2),
    }


def _machine() -> dict[str, Any]:
    return {
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "cores": os.cpu_count(),
        "load_before": round(os.getloadavg()[0], 1),
    }


@contextmanager
def _databases(directory: Path, part: str) -> Iterator[dict[str, str]]:
    """An empty database of each kind."""
    with own_postgresql() as server:
        yield {"sqlite": f"sqlite:///{directory / part}.db", "postgresql": server}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=PARTS, help="one part of it")
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--processes", type=int, default=16)
    parser.add_argument("--attempts", type=int, default=1000)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--dir", type=Path, default=None, help="where the databases lie while it runs")
    parser.add_argument("--json", action="store_true", help="print the results as JSON")
    parser.add_argument("--write", action="store_true", help=f"add them to {RESULTS.name}")
    arguments = parser.parse_args()
    random.seed(arguments.seed)
    found: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory(dir=arguments.dir, prefix="relgate-registry-") as name:
        directory = Path(name)
        if arguments.only in (None, "log"):
            found["log"] = {"machine": _machine(), **measure_log(directory, arguments.events)}
        if arguments.only in (None, "promotions"):
            with _databases(directory, "promotions") as urls:
                found["promotions"] = {"machine": _machine()} | {
                    kind: registry_promotions.measure(url, processes=arguments.processes, attempts=arguments.attempts)
                    for kind, url in urls.items()
                }
        if arguments.only in (None, "kills"):
            with _databases(directory, "kills") as urls:
                found["kills"] = {"machine": _machine()} | {
                    kind: registry_kills.measure(url, kills=arguments.kills, random_seed=arguments.seed)
                    for kind, url in urls.items()
                }
    if arguments.write:
        before = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
        RESULTS.write_text(json.dumps({**before, **found}, indent=2) + "\n")
    if arguments.json:
        print(json.dumps(found, indent=2))
    else:
        rich.print(found)


if __name__ == "__main__":
    main()
