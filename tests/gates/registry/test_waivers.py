"""Waivers: what they lift, who gives them, and what happens when they run out."""

from __future__ import annotations

import time
from typing import Any

import pytest
from sqlalchemy import Engine

from gates.decision import CheckResult, Status
from gates.promotion_rules import PromotionRules, StageRules
from gates.registry import Registry
from gates.verifier.promotion import counted, later, refusals
from golden_sets.errors import InputError
from tests.support.recorded_releases import Release, checked
from tests.support.signed_registry import POLICY, RULES, SignedRegistry, now

SHORT_H = 1.5 / 3600
"""An expiry that a test can wait for, hours."""


@pytest.fixture
def signed(engine: Engine) -> SignedRegistry:
    """A policy whose stages ask for no signatures, so that waivers stand alone; canary before production."""
    stages = {"production": StageRules(after="canary")}
    policy = POLICY.model_copy(update={"promotion": PromotionRules(roles=RULES.roles, stages=stages, waiver_h=48)})
    return SignedRegistry(Registry(engine), policy)


def results(*failed: str, status: Status = Status.FAIL) -> tuple[CheckResult, ...]:
    """Every check of the policy, the golden floor in two cells; those that are named did not pass."""
    found = []
    for check in POLICY.checks:
        for cell in ("easy", "hard") if check.id == "golden-floor" else ("",):
            one = checked(check, cell=cell)
            found.append(one.model_copy(update={"status": status}) if one.id in failed else one)
    return tuple(found)


def blocked(signed: SignedRegistry, *failed: str, name: str = "v2", **fields: Any) -> Release:
    """A release that failed some checks, against the version in production."""
    served = signed.registry.channel("flagship", "production").name
    incumbent = signed.seed() if served is None else signed.make.candidate(served)
    return signed.release(name, incumbent, verdict="block", checks=results(*failed), **fields)


def missing(signed: SignedRegistry, release: Release, stage: str = "canary") -> str:
    return "; ".join(o.text for o in refusals(signed.registry.case("flagship", stage, release.decision.digest)))


def wait_until(moment: str) -> None:
    while now() <= moment:
        time.sleep(0.05)


# -- what a waiver lifts -------------------------------------------------------------------------------------


def test_a_waived_check_lets_a_blocked_version_move(signed: SignedRegistry) -> None:
    release = blocked(signed, "golden-floor/hard")
    assert "not waived: golden-floor/hard" in missing(signed, release)
    waived = signed.people.waive(release.decision, "max", "golden-floor/hard", stage="canary")
    assert signed.promote(release, stage="canary").name == "v2"
    assert signed.registry.log()[-1].payload["sanctions"] == [waived.payload["envelope"]]
    assert signed.registry.verify().problems == ()


def test_an_inconclusive_check_can_be_waived_too(signed: SignedRegistry) -> None:
    checks = results("golden-floor/hard", status=Status.INCONCLUSIVE)
    release = signed.release("v2", signed.seed(), verdict="inconclusive", checks=checks)
    signed.people.waive(release.decision, "max", "golden-floor/hard", stage="canary")
    assert signed.promote(release, stage="canary").name == "v2"


def test_a_waiver_lifts_its_cell_or_all_cells_of_its_check(signed: SignedRegistry) -> None:
    release = blocked(signed, "golden-floor/easy", "golden-floor/hard")
    signed.people.waive(release.decision, "max", "golden-floor/hard", stage="canary")
    assert missing(signed, release).endswith("not waived: golden-floor/easy")
    signed.people.waive(release.decision, "max", "golden-floor", stage="canary")
    assert missing(signed, release) == ""


def test_every_failed_check_needs_its_waiver(signed: SignedRegistry) -> None:
    release = blocked(signed, "golden-floor/hard", "reliability")
    signed.people.waive(release.decision, "max", "golden-floor", stage="canary")
    assert missing(signed, release).endswith("not waived: reliability")
    signed.people.waive(release.decision, "rita", "reliability", stage="canary")
    assert missing(signed, release) == ""


def test_nobody_waives_what_is_not_waivable(signed: SignedRegistry) -> None:
    release = blocked(signed, "violations")
    for person in ("olga", "mia", "max", "sara", "rita"):
        signed.people.waive(release.decision, person, "violations", stage="canary")
    assert missing(signed, release).endswith("not waived: violations")


def test_a_result_that_calls_itself_waivable_is_not_believed(signed: SignedRegistry) -> None:
    checks = tuple(c.model_copy(update={"waivable": True}) for c in results("violations"))
    release = signed.release("v2", signed.seed(), verdict="block", checks=checks)
    signed.people.waive(release.decision, "sara", "violations", stage="canary")
    assert missing(signed, release).endswith("not waived: violations")


@pytest.mark.parametrize(
    ("check", "owners"),
    [
        ("golden-floor/easy", {"mia", "max"}),
        ("reliability", {"rita"}),
        ("price", {"max"}),
        ("false-refusals", {"sara", "mia"}),
    ],
)
def test_a_check_is_waived_by_its_owner(signed: SignedRegistry, check: str, owners: set[str]) -> None:
    """An owner is a person, a role, or by default the safety reviewers or the ML owners; sam submitted."""
    release = blocked(signed, check)
    signed.people.submit(release.decision, "sam")
    lifting: set[str] = set()
    for person in ("sam", "mia", "max", "sara", "rita"):
        for role in [role for role, people in RULES.roles.items() if person in people and role != "submitter"]:
            waived = signed.people.waive(release.decision, person, check, stage="canary", role=role)
            rests = counted(signed.registry.case("flagship", "canary", release.decision.digest))
            lifting.update(one.act.person for one in rests if one.envelope == waived.payload["envelope"])
    assert lifting == owners


def test_the_submitter_waives_nothing_of_their_own(signed: SignedRegistry) -> None:
    release = blocked(signed, "golden-floor/hard")
    signed.people.submit(release.decision, "mia")
    signed.people.waive(release.decision, "mia", "golden-floor", stage="canary", role="ml-owner")
    assert "not waived" in missing(signed, release)
    signed.people.waive(release.decision, "max", "golden-floor", stage="canary")
    assert missing(signed, release) == ""


def test_whoever_evaluated_waives_nothing_of_their_own(signed: SignedRegistry) -> None:
    release = blocked(signed, "golden-floor/hard", actor="max")
    signed.people.waive(release.decision, "max", "golden-floor", stage="canary")
    assert "not waived" in missing(signed, release)


def test_a_role_must_be_held(signed: SignedRegistry) -> None:
    release = blocked(signed, "golden-floor/hard")
    signed.people.waive(release.decision, "max", "golden-floor", stage="canary", role="safety-reviewer")
    assert "not waived" in missing(signed, release)


def test_refusals_are_lifted_by_nobody(signed: SignedRegistry) -> None:
    release = blocked(signed, "golden-floor/hard", decision={"refusals": ("exploratory answers",)})
    signed.people.waive(release.decision, "max", "golden-floor", stage="canary")
    assert "does not allow it: block" in missing(signed, release)


def test_a_waiver_is_no_longer_than_the_policy_allows(signed: SignedRegistry) -> None:
    release = blocked(signed, "golden-floor/hard")
    signed.people.waive(release.decision, "max", "golden-floor", stage="canary", expires=later(now(), hours=49))
    assert "not waived" in missing(signed, release)


def test_a_waiver_is_for_one_stage(signed: SignedRegistry) -> None:
    release = blocked(signed, "golden-floor/hard")
    signed.people.waive(release.decision, "max", "golden-floor", stage="canary")
    signed.promote(release, stage="canary")
    assert missing(signed, release, "production").endswith("not waived: golden-floor/hard")
    signed.people.waive(release.decision, "max", "golden-floor", stage="production")
    assert signed.promote(release).name == "v2"


def test_a_waiver_whose_key_was_revoked_lifts_nothing(signed: SignedRegistry) -> None:
    release = blocked(signed, "golden-floor/hard")
    signed.people.waive(release.decision, "max", "golden-floor", stage="canary")
    signed.people.revoke("max")
    assert "not waived" in missing(signed, release)


# -- expiry --------------------------------------------------------------------------------------------------


def canary_on_waiver(signed: SignedRegistry, *, name: str = "v2", **fields: Any) -> tuple[Release, str]:
    """A version in canary by a waiver that soon expires, and when it does."""
    release = blocked(signed, "golden-floor/hard", name=name)
    expires = later(now(), hours=SHORT_H)
    signed.people.waive(release.decision, "max", "golden-floor", stage="canary", expires=expires, **fields)
    signed.promote(release, stage="canary")
    return release, expires


def passing_canary(signed: SignedRegistry, name: str = "v0") -> Release:
    """A version that passed, in canary."""
    release = signed.release(name, signed.seed())
    signed.promote(release, stage="canary")
    return release


def test_what_will_expire_is_announced(signed: SignedRegistry) -> None:
    release, expires = canary_on_waiver(signed)
    (waiver,) = signed.registry.due()
    assert (waiver.where, waiver.name, waiver.check, waiver.person) == ("flagship/canary", "v2", "golden-floor", "max")
    assert (waiver.expires, waiver.expired, waiver.subject) == (expires, False, release.candidate.digest)
    assert expires in waiver.text
    assert signed.registry.due(within_h=0) == []
    assert signed.registry.due("small") == []
    assert signed.registry.expire() == []


def test_an_expired_waiver_demotes(signed: SignedRegistry) -> None:
    before = passing_canary(signed)
    release, expires = canary_on_waiver(signed)
    wait_until(expires)
    (expiry,) = signed.registry.expire(actor="clock")
    assert (expiry.action, expiry.state.name, expiry.state.generation) == ("demote", "v0", 3)
    assert "golden-floor" in expiry.text
    told, back = signed.registry.log()[-2:]
    assert told.type == "expired"
    assert told.payload == {
        "envelope": expiry.waivers[0].envelope,
        "channel": "flagship",
        "stage": "canary",
        "subject": release.candidate.digest,
        "action": "demote",
    }
    assert (back.type, back.actor, back.payload["subject"]) == ("rolled_back", "clock", before.candidate.digest)
    assert "golden-floor" in back.payload["reason"]
    assert signed.registry.expire() == [], "once"
    assert signed.registry.due() == []
    assert signed.registry.verify().problems == ()


def test_an_expired_waiver_blocks_where_it_says_so(signed: SignedRegistry) -> None:
    passing_canary(signed)
    release, expires = canary_on_waiver(signed, on_expiry="block")
    signed.people.waive(release.decision, "max", "golden-floor", stage="production")
    assert missing(signed, release, "production") == ""
    wait_until(expires)
    assert "was not promoted to flagship/canary" in missing(signed, release, "production"), "before anybody looked"
    (expiry,) = signed.registry.expire()
    assert (expiry.action, expiry.state.name) == ("block", "v2")
    assert signed.registry.log()[-1].type == "expired"
    assert signed.registry.expire() == [], "once"
    (waiver,) = signed.registry.due(within_h=0)
    assert (waiver.expired, waiver.told) == (True, True)
    assert "blocked" in waiver.text
    assert "was not promoted to flagship/canary" in missing(signed, release, "production")
    assert signed.registry.verify().problems == ()


def test_with_nothing_to_go_back_to_it_is_blocked(signed: SignedRegistry) -> None:
    _, expires = canary_on_waiver(signed)
    wait_until(expires)
    (expiry,) = signed.registry.expire()
    assert (expiry.action, expiry.state.name) == ("block", "v2")
    assert signed.registry.log()[-1].payload["action"] == "block"
    assert signed.registry.verify().problems == ()


def test_it_does_not_go_back_to_another_expired_waiver(signed: SignedRegistry) -> None:
    passing_canary(signed)
    canary_on_waiver(signed, name="v2", on_expiry="block")
    second, expires = canary_on_waiver(signed, name="v3")
    wait_until(expires)
    (expiry,) = signed.registry.expire()
    assert expiry.waivers[0].subject == second.candidate.digest
    assert expiry.state.name == "v0"


def test_a_version_on_an_expired_waiver_is_not_rolled_back_to(signed: SignedRegistry) -> None:
    """Neither back nor forward: a rollback would be a promotion that nothing allows any more."""
    passing_canary(signed)
    release, expires = canary_on_waiver(signed)
    wait_until(expires)
    signed.registry.expire()
    generation = signed.registry.channel("flagship", "canary").generation
    with pytest.raises(InputError, match="rests on a waiver that expired"):
        signed.registry.rollback(
            "flagship", "canary", release.candidate.digest, expected_generation=generation, reason="please"
        )


def test_a_replacement_ends_what_hung_on_the_waiver(signed: SignedRegistry) -> None:
    _, expires = canary_on_waiver(signed)
    fixed = signed.release("v3", signed.make.candidate("v1"))
    signed.promote(fixed, stage="canary")
    wait_until(expires)
    assert signed.registry.due() == []
    assert signed.registry.expire() == []
