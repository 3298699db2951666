"""Where a decision stands: who signed, what counts, what is missing, which thresholds changed."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine

from gates.decision import Status
from gates.policy import Policy
from gates.registry import Registry
from gates.reports import Standing
from pipelines.standing import standing_of
from tests.support.recorded_releases import Maker, Release, checked
from tests.support.signed_registry import POLICY, SignedRegistry


def with_threshold(policy: Policy, check: str, threshold: float) -> Policy:
    """The policy with another threshold of one check."""
    checks = tuple(c.model_copy(update={"threshold": threshold}) if c.id == check else c for c in policy.checks)
    return Policy.model_validate({**policy.model_dump(), "checks": checks, "version": "loose"})


@pytest.fixture
def signed(engine: Engine) -> SignedRegistry:
    return SignedRegistry(Registry(engine))


def read(signed: SignedRegistry, release: Release, stage: str = "production") -> Standing:
    found = standing_of(signed.registry, release.decision, "flagship", stage)
    assert found is not None
    return found


def test_a_decision_that_is_not_recorded_stands_nowhere(signed: SignedRegistry) -> None:
    release = signed.make.release("v2", None)
    assert standing_of(signed.registry, release.decision, "flagship", "production") is None


def test_what_is_missing_is_told_until_it_is_there(signed: SignedRegistry) -> None:
    release = signed.release("v2", signed.seed())
    before = read(signed, release)
    assert before.missing == (
        "no submitter has signed the decision",
        "1 of ml-owner must approve",
        "1 of safety-reviewer must approve",
    )
    assert before.pinned is None
    assert before.rules == (
        "Its policy asks for signatures of a submitter and 1 ml-owner, 1 safety-reviewer at stage production, "
        "on evidence of at most 720 hours.",
    )
    signed.people.sign_off(release.decision)
    after = read(signed, release)
    assert after.missing == ()
    assert [(s.person, s.role, s.place, s.counts) for s in after.signatures] == [
        ("sam", "submitter", None, True),
        ("max", "ml-owner", "flagship/production", True),
        ("sara", "safety-reviewer", "flagship/production", True),
    ]
    assert {s.note for s in after.signatures} == {"counts for flagship/production"}
    assert after.size == len(signed.registry.log())
    assert after.position < after.signatures[0].position < after.signatures[1].position
    assert after.log == signed.people.log


def test_after_the_move_the_signatures_say_what_they_counted_for(signed: SignedRegistry) -> None:
    release = signed.release("v2", signed.seed())
    signed.people.sign_off(release.decision)
    signed.promote(release)
    found = read(signed, release)
    move = signed.registry.log()[-1]
    assert found.missing == ()
    assert found.moves == (f"flagship/production (event {move.position})",)
    assert found.serves
    assert {s.note for s in found.signatures} == {f"counted for flagship/production (event {move.position})"}
    assert all(s.counts for s in found.signatures)


def test_why_a_signature_does_not_count(signed: SignedRegistry) -> None:
    release = signed.release("v2", signed.seed())
    people, decision = signed.people, release.decision
    people.submit(decision)
    people.submit(decision, "mia")
    people.approve(decision, "mia", "ml-owner")
    people.approve(decision, "sara")
    people.revoke("sara")
    people.approve(decision, "rita", "ml-owner")
    notes = {(s.person, s.role): s.note for s in read(signed, release).signatures}
    assert notes["sara", "safety-reviewer"] == "does not count: its key was revoked"
    assert notes["mia", "ml-owner"].startswith("does not count: whoever submitted")
    assert notes["rita", "ml-owner"].startswith("does not count: its signer does not hold the role")
    assert notes["sam", "submitter"] == "counts for flagship/production"


def test_an_approval_is_spent_when_the_stage_moves(signed: SignedRegistry) -> None:
    first = signed.seed()
    release, other = signed.release("v2", first), signed.release("v3", first)
    signed.people.sign_off(release.decision)
    signed.people.sign_off(other.decision)
    signed.promote(other)
    notes = {s.role: s.note for s in read(signed, release).signatures}
    assert notes["ml-owner"] == "does not count any more: flagship/production moved since"


def test_a_waiver_names_what_it_lifts(signed: SignedRegistry) -> None:
    reliability = POLICY.by_id["reliability"]
    others = tuple(checked(check) for check in POLICY.checks if check is not reliability)
    checks = (*others, checked(reliability, Status.FAIL, "a"), checked(reliability, Status.PASS, "b"))
    release = signed.release("v2", signed.seed(), verdict="block", checks=checks)
    signed.people.sign_off(release.decision)
    signed.people.waive(release.decision, "rita", "reliability", role="release-manager")
    signed.people.waive(release.decision, "max", "reliability", role="ml-owner")
    found = read(signed, release)
    ritas, maxs = found.waivers
    assert (ritas.lifts, ritas.counts, ritas.scope) == (("reliability/a",), True, "tenant a")
    assert not maxs.counts
    assert maxs.note == "does not count: its signer may not waive this, or it lifts nothing"
    assert found.waived("reliability/a") == (ritas,)
    assert found.waived("reliability/b") == ()
    assert found.missing == ()


def test_thresholds_are_compared_with_what_the_incumbent_was_promoted_under(signed: SignedRegistry) -> None:
    second = signed.release("v2", signed.seed())
    signed.people.sign_off(second.decision)
    signed.promote(second)
    signed.make = Maker(with_threshold(POLICY, "violations", 0.05))
    third = signed.release("v3", second.candidate)
    (since,) = read(signed, third).thresholds
    assert "under which 'v2' was promoted" in since.since
    assert [(c.check, c.field, c.before, c.after, c.owner, c.loosened) for c in since.changes] == [
        ("violations", "threshold", "0.02", "0.05", "safety-reviewer", True)
    ]
    assert since.loosened == 1


def test_thresholds_are_compared_with_the_policy_that_was_pinned_before(signed: SignedRegistry) -> None:
    first = signed.seed()
    signed.pin()
    tight = with_threshold(POLICY, "violations", 0.01)
    signed.pin(tight)
    release = signed.release("v2", first)
    found = read(signed, release)
    assert found.pinned is not None
    assert found.pinned.startswith("Channel flagship is pinned to policy enterprise version loose")
    assert any("pinned policy" in text for text in found.missing)
    assert found.thresholds == ()  # its own policy was the first that was pinned
    signed.pin()
    (since,) = read(signed, release).thresholds
    assert [(c.before, c.after, c.loosened) for c in since.changes] == [("0.01", "0.02", True)]
