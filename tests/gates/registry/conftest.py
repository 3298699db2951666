"""A registry on each database, and small real records to put into it."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NoReturn

import pytest
from sqlalchemy import Engine, text

from evalharness.candidate import Candidate, Manifest, Price
from evalharness.candidate import Engine as ServingEngine
from evalharness.database import open_database
from evalharness.evidence import Estimate, Evidence, Provenance
from evalharness.plan import Plan, PlannedSet, Stratum
from gates.decision import CheckResult, Decision, Status, Verdict
from gates.policy import Check, Policy
from gates.registry import Registry
from golden_sets.digests import Digest, digest_bytes
from golden_sets.records import SetKind

POLICY = Policy(
    name="enterprise",
    version="3",
    alpha=0.05,
    primary="golden-floor",
    checks=(Check(id="golden-floor", metric="pass_rate", test="floor", where={"set": "golden"}, threshold=0.8),),
)

GOLDEN = PlannedSet(
    kind=SetKind.GOLDEN,
    set_digest=digest_bytes(b"set"),
    strata=(Stratum(cell={}, weight=2.0, available=2, prompts=("a", "b")),),
)


@dataclass(frozen=True)
class Release:
    """Everything one release records."""

    candidate: Candidate
    plan: Plan
    evidence: Evidence
    outcomes: bytes
    decision: Decision


class Maker:
    """Makes candidates and releases that fit together."""

    policy = POLICY

    def candidate(self, name: str, weights: str | None = None) -> Candidate:
        return Candidate(
            name=name,
            family="demo",
            price=Price(usd_per_gpu_hour=1.5),
            directory=Path("/somewhere/else") / name,
            manifest=Manifest(
                model={"model.safetensors": digest_bytes((weights or name).encode())}, engine=ServingEngine(kind="vllm")
            ),
        )

    def release(
        self,
        name: str,
        incumbent: Candidate | None,
        verdict: Literal["promote", "block", "inconclusive"] = "promote",
        weights: str | None = None,
        lineage: str | None = None,
        attempt: int = 1,
    ) -> Release:
        candidate = self.candidate(name, weights)
        outcomes = b"outcomes of " + name.encode()
        plan = Plan(
            name=f"plan for {name}",
            lineage=lineage or f"flagship/{name}",
            policy_digest=self.policy.digest,
            sets={"golden": GOLDEN},
            incumbent_digest=None if incumbent is None else incumbent.digest,
            judge_digest=None,
            alpha=0.05,
            attempt=attempt,
            joint_power=0.8,
            cells=(),
        )
        evidence = Evidence(
            subject_name=name,
            subject_digest=candidate.digest,
            incumbent_name=None if incumbent is None else incumbent.name,
            incumbent_digest=None if incumbent is None else incumbent.digest,
            set_digests=plan.set_digests,
            plan_digest=plan.digest,
            outcomes=digest_bytes(outcomes),
            outcome_rows=2,
            provenance=Provenance(
                relgate="0.1.0",
                python="3.11",
                platform="linux",
                started_at="2026-01-01T00:00:00Z",
                finished_at="2026-01-01T00:01:00Z",
            ),
        )
        status = {"promote": Status.PASS, "block": Status.FAIL, "inconclusive": Status.INCONCLUSIVE}[verdict]
        estimate = Estimate(
            metric="pass_rate", value=0.9, low=0.85, high=0.95, confidence=0.9, method="clopper-pearson", n=500
        )
        decision = Decision(
            verdict=Verdict(verdict),
            reason="made for a test",
            subject_name=name,
            subject_digest=candidate.digest,
            policy_name=self.policy.name,
            policy_version=self.policy.version,
            policy_digest=self.policy.digest,
            evidence_digest=evidence.digest,
            incumbent_name=None if incumbent is None else incumbent.name,
            incumbent_digest=None if incumbent is None else incumbent.digest,
            plan_digest=plan.digest,
            alpha=0.05,
            primary="golden-floor",
            checks=(
                CheckResult(
                    id="golden-floor",
                    check="golden-floor",
                    metric="pass_rate",
                    test="floor",
                    status=status,
                    limit=0.8,
                    estimate=estimate,
                    reason="made for a test",
                ),
            ),
        )
        return Release(candidate, plan, evidence, outcomes, decision)

    def begin(self, registry: Registry, release: Release) -> int:
        """Begin the attempt that a release's plan names."""
        plan, subject = release.plan, release.candidate
        return registry.begin_attempt(plan.lineage, plan.set_digests, subject.digest, plan.digest, name=subject.name)

    def record(self, registry: Registry, release: Release) -> Digest:
        """Record everything up to the decision; returns the version's digest."""
        digest = registry.register_candidate(release.candidate)
        registry.record_policy(self.policy)
        registry.record_plan(release.plan)
        self.begin(registry, release)
        registry.record_evidence(release.evidence, release.outcomes)
        registry.record_decision(release.decision)
        return digest

    def seed(self, registry: Registry, name: str = "v1") -> Candidate:
        """Register a first version and put it into production."""
        candidate = self.candidate(name)
        digest = registry.register_candidate(candidate)
        registry.promote(
            "flagship", "production", digest, decision_digest=None, expected_generation=0, reason="the first version"
        )
        return candidate


@pytest.fixture
def make() -> Maker:
    return Maker()


@pytest.fixture(scope="session")
def postgresql_url() -> Iterator[str]:
    """Address of a server: ``RELGATE_TEST_POSTGRESQL`` (with a query, ``?...``), or one started here if possible."""
    if url := os.environ.get("RELGATE_TEST_POSTGRESQL"):
        yield url
        return
    pytest.importorskip("psycopg", reason="no PostgreSQL driver: pip install relgate[postgres]")
    if shutil.which("pg_ctl") is None or _initdb() is None:
        _missing("no PostgreSQL server: set RELGATE_TEST_POSTGRESQL or install one")
    # A short path of its own: the name of a socket may have 107 bytes.
    with tempfile.TemporaryDirectory(prefix="relgate-postgresql-") as directory:
        yield from _own_server(Path(directory))


def _missing(reason: str) -> NoReturn:
    """Skip, except where servers are required (continuous integration): there a missing one is a failure."""
    if os.environ.get("RELGATE_REQUIRE_SERVERS"):
        pytest.fail(reason)
    pytest.skip(reason)


def _initdb() -> str | None:
    control = shutil.which("pg_ctl")
    beside = None if control is None else Path(control).resolve().parent / "initdb"
    return shutil.which("initdb") or (str(beside) if beside is not None and beside.exists() else None)


def _own_server(directory: Path) -> Iterator[str]:
    """A throw-away cluster that listens on a socket in its own directory (never as root, which PostgreSQL refuses)."""
    data = directory / "data"
    as_user: list[str] = []
    if os.geteuid() == 0:
        if shutil.which("runuser") is None:
            _missing("PostgreSQL does not run as root, and there is no runuser")
        as_user = ["runuser", "-u", "postgres", "--"]
        shutil.chown(directory, "postgres")
    control = str(shutil.which("pg_ctl"))
    run = {"check": True, "capture_output": True, "cwd": directory, "timeout": 120}
    subprocess.run([*as_user, str(_initdb()), "-D", str(data), "-A", "trust", "-U", "relgate", "-N"], **run)  # type: ignore[call-overload]
    options = f"-c listen_addresses='' -c unix_socket_directories={directory} -c fsync=off"
    log = str(directory / "log")
    start = [*as_user, control, "-D", str(data), "-o", options, "-w", "-l", log, "start"]
    subprocess.run(start, check=True, cwd=directory, timeout=120, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield f"postgresql+psycopg://relgate@/postgres?host={directory}"
    finally:
        subprocess.run([*as_user, control, "-D", str(data), "-m", "immediate", "-w", "stop"], **run)  # type: ignore[call-overload]


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A fresh database on each of the two kinds."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'relgate.db'}"
        return
    server = request.getfixturevalue("postgresql_url")
    # A schema of its own: a new database would cost a checkpoint each.
    schema = "relgate_test_" + digest_bytes(str(tmp_path).encode())[7:19]
    admin = open_database(server)
    with admin.begin() as connection:
        connection.execute(text(f"CREATE SCHEMA {schema}"))
    yield f"{server}&options=-csearch_path%3D{schema}"
    with admin.begin() as connection:
        connection.execute(text(f"DROP SCHEMA {schema} CASCADE"))
    admin.dispose()


@pytest.fixture
def engine(url: str) -> Iterator[Engine]:
    engine = open_database(url)
    yield engine
    engine.dispose()


@pytest.fixture
def registry(engine: Engine) -> Registry:
    return Registry(engine)
