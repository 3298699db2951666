"""A router's evidence and the models that are served now."""

from __future__ import annotations

import json
from typing import Any

import pytest

from evalharness.evidence import Evidence
from gates.decision import Verdict
from gates.gate import Measured, gate
from gates.staleness import STALE, Served
from golden_sets.digests import digest_json, short
from tests.support.evidence import FLOOR, measured, policy, rows, table

SMALL, FLAGSHIP, OTHER = (digest_json(name) for name in ("small", "flagship", "other"))
ROUTES = {"small": SMALL, "flagship": FLAGSHIP}


def router(right: int = 490, **about: Any) -> Measured:
    found = measured(table(rows([1.0] * right + [0.0] * (500 - right))), name="router-1")
    told = {"subject_kind": "router", "routes": ROUTES, **about}
    return Measured(found.evidence.model_copy(update=told), found.outcomes)


def test_the_models_it_was_measured_with_are_no_reason_to_block() -> None:
    serving = {"small": Served(SMALL), "flagship": Served(FLAGSHIP)}
    decision = gate(policy(FLOOR), router(), serving=serving)
    assert decision.verdict is Verdict.PROMOTE
    assert not any("served" in note for note in decision.notes)


@pytest.mark.parametrize(("role", "was"), [("small", SMALL), ("flagship", FLAGSHIP)])
def test_another_version_of_either_model_blocks_and_is_named(role: Any, was: str) -> None:
    serving = {"small": Served(SMALL), "flagship": Served(FLAGSHIP), role: Served(OTHER, "next")}
    decision = gate(policy(FLOOR), router(), serving=serving)
    assert decision.verdict is Verdict.BLOCK
    assert decision.reason == (
        f"{STALE}: the {role} is 'next' ({short(OTHER)}) now, the router was measured with {short(was)}"
    )
    assert decision.verdict.exit_code == 1
    assert [check.status.value for check in decision.checks] == ["pass"]


def test_stale_evidence_that_fails_says_both() -> None:
    decision = gate(policy(FLOOR), router(right=300), serving={"small": Served(OTHER)})
    assert decision.reason.startswith(STALE)
    assert decision.reason.endswith("; besides, 1 check failed: floor")


def test_what_could_not_be_checked_is_said() -> None:
    assert any("small and the flagship" in note for note in gate(policy(FLOOR), router()).notes)
    partly = gate(policy(FLOOR), router(), serving={"small": Served(SMALL)})
    assert any("the flagship it was measured with" in note for note in partly.notes)
    assert any("name no models" in note for note in gate(policy(FLOOR), router(routes=None)).notes)


def test_a_model_has_no_routes_and_is_written_and_decided_as_before() -> None:
    found = measured(table(rows([1.0] * 490 + [0.0] * 10)))
    assert "routes" not in found.evidence.to_json()
    assert gate(policy(FLOOR), found, serving={"small": Served(OTHER)}) == gate(policy(FLOOR), found)


def test_routes_are_part_of_what_is_hashed_and_read_back() -> None:
    evidence = router().evidence
    assert evidence.digest != router(routes=None).evidence.digest
    back = Evidence.model_validate(json.loads(json.dumps(evidence.to_json())))
    assert back.digest == evidence.digest
    assert back.routes == ROUTES
