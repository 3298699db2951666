"""Routers in the verified log: verdicts derived again with the models served then, and no move on stale evidence."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from gates.registry import Registry
from gates.staleness import STALE
from gates.verifier.bundle import verify_bundle
from golden_sets.digests import digest_json
from golden_sets.errors import InputError
from golden_sets.records import Record
from tests.support.forger import Forger
from tests.support.router_releases import RouterLine, scored, write_router_by_length


class Version(Record):
    """A manifest of a model."""

    revision: str


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("router") / "base"
    write_router_by_length(out)
    return out


@pytest.fixture
def line(tmp_path: Path, base: Path) -> RouterLine:
    shutil.copytree(base, tmp_path / "base")
    return RouterLine(tmp_path)


def serve(registry: Registry, channel: str, revision: str) -> str:
    """A first version in a channel."""
    digest = registry.register(f"{channel}-{revision}", Version(revision=revision))
    registry.promote(channel, "production", digest, decision_digest=None, expected_generation=0, reason="first")
    return digest


def test_a_router_s_verdict_is_derived_again_from_its_outcomes(line: RouterLine, tmp_path: Path) -> None:
    registry = line.place().registry
    flagship = serve(registry, "flagship", "1")
    router = line.router("first", flagship=flagship, small=digest_json("small"))
    assert line.release(router, scored()).promoted
    found = registry.verify(verdicts=True)
    assert (found.problems, found.verdicts) == ((), 1)
    registry.export(router.digest, tmp_path / "router.zip")
    bundle = verify_bundle(tmp_path / "router.zip")
    assert (bundle.log.problems, bundle.derived) == ((), True)


def test_no_router_moves_on_evidence_about_other_models_than_are_served(line: RouterLine) -> None:
    """The small model comes into production between the decision and the move: the registry itself refuses."""
    place = line.place()
    registry = place.registry
    flagship = serve(registry, "flagship", "1")
    router = line.router("first", flagship=flagship, small=digest_json("small"))
    decision = line.release(router, scored(), promote=False).decision
    default = decision.incumbent_digest
    assert default is not None
    seeded = registry.promote(
        "router", "production", default, decision_digest=None, expected_generation=0, reason="all to the flagship"
    )
    serve(registry, "small", "2")
    with pytest.raises(InputError, match=STALE):
        registry.promote(
            "router",
            "production",
            router.digest,
            decision_digest=decision.digest,
            expected_generation=seeded.generation,
        )
    Forger(registry._engine).append(
        "promoted",
        {
            "channel": "router",
            "stage": "production",
            "subject": router.digest,
            "name": "first",
            "previous": default,
            "generation": 2,
            "reason": "",
            "decision": decision.digest,
            "seed": False,
        },
    )
    assert any(f"was not allowed: {STALE}: the small is" in problem for problem in registry.verify().problems)
