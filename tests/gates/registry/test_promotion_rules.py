"""Moves under rules: who must sign what, what must be fresh, and what is refused."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine

from gates.decision import Status, Verdict
from gates.policy import Policy
from gates.promotion_rules import PromotionRules, StageRules
from gates.registry import Registry
from gates.signing.checkpoints import sign_checkpoint
from gates.signing.keys import SigningKey
from gates.signing.predicates import PolicyPin
from gates.verifier.promotion import awaits_signatures, later, refusals
from golden_sets.digests import digest_bytes
from golden_sets.errors import InputError
from tests.support.recorded_releases import Release, checked
from tests.support.signed_registry import OWNER, POLICY, RULES, SignedRegistry, now

OTHER = digest_bytes(b"another")


@pytest.fixture
def signed(engine: Engine) -> SignedRegistry:
    return SignedRegistry(Registry(engine))


@pytest.fixture
def release(signed: SignedRegistry) -> Release:
    """A passing release against the version in production; nobody signed it."""
    return signed.release("v2", signed.seed())


def refused(signed: SignedRegistry, release: Release, match: str, **where: Any) -> None:
    """The move is refused and leaves no trace."""
    before = (signed.registry.log(), signed.registry.channels())
    with pytest.raises(InputError, match=match) as caught:
        signed.promote(release, **where)
    assert caught.value.do
    assert (signed.registry.log(), signed.registry.channels()) == before


def missing(signed: SignedRegistry, release: Release, stage: str = "production") -> list[str]:
    return [one.text for one in refusals(signed.registry.case("flagship", stage, release.decision.digest))]


def changed(policy: Policy = POLICY, *, stages: Any = None, roles: Any = None, **fields: Any) -> Policy:
    """The policy with other rules."""
    rules = {"roles": {**RULES.roles, **(roles or {})}, "stages": {**RULES.stages, **(stages or {})}, **fields}
    return policy.model_copy(update={"promotion": PromotionRules(**rules)})


# -- signatures ----------------------------------------------------------------------------------------------


def test_a_signed_release_moves_the_stage(signed: SignedRegistry, release: Release) -> None:
    assert missing(signed, release) == [
        "no submitter has signed the decision",
        "1 of ml-owner must approve",
        "1 of safety-reviewer must approve",
    ]
    signed.people.sign_off(release.decision)
    assert missing(signed, release) == []
    assert signed.promote(release).name == "v2"
    moved = signed.registry.log()[-1]
    signatures = [e.payload["envelope"] for e in signed.registry.log() if e.type == "signed"]
    assert moved.payload["sanctions"] == signatures
    assert len(signatures) == 3
    assert signed.registry.verify().problems == ()


def test_nothing_but_signatures_missing_is_told_apart(signed: SignedRegistry, release: Release) -> None:
    case = signed.registry.case("flagship", "production", release.decision.digest)
    assert awaits_signatures(refusals(case))
    blocked = signed.release("v3", signed.make.candidate("v1"), verdict="block")
    case = signed.registry.case("flagship", "production", blocked.decision.digest)
    assert not awaits_signatures(refusals(case))
    assert not awaits_signatures([])


@pytest.mark.parametrize("person", ["sam", "max", "sara"])
def test_every_signature_is_needed(signed: SignedRegistry, release: Release, person: str) -> None:
    people = signed.people
    signatures: dict[str, Callable[[], object]] = {
        "sam": lambda: people.submit(release.decision),
        "max": lambda: people.approve(release.decision, "max"),
        "sara": lambda: people.approve(release.decision, "sara"),
    }
    for other, sign in signatures.items():
        if other != person:
            sign()
    refused(signed, release, "no submitter" if person == "sam" else "must approve")
    signatures[person]()
    assert signed.promote(release).generation == 2


def test_each_stage_asks_for_its_own(signed: SignedRegistry, release: Release) -> None:
    people = signed.people
    assert signed.promote(release, stage="shadow").name == "v2", "shadow asks for nothing"
    people.submit(release.decision)
    people.approve(release.decision, "max", stage="canary")
    refused(signed, release, "1 of ml-owner must approve; 1 of safety-reviewer")
    assert signed.promote(release, stage="canary").name == "v2"


def test_n_of_m_are_distinct_people(engine: Engine) -> None:
    two = changed(stages={"production": StageRules(signatures={"ml-owner": 2})})
    signed = SignedRegistry(Registry(engine), two)
    release = signed.release("v2", signed.seed())
    people = signed.people
    people.submit(release.decision)
    for _ in range(3):
        people.approve(release.decision, "max", "ml-owner")
    refused(signed, release, "2 of ml-owner must approve, signed: max")
    old = people.keys["max"]
    people.enrol("max", key=SigningKey.generate())
    people.approve(release.decision, "max", "ml-owner")
    refused(signed, release, "2 of ml-owner must approve, signed: max")
    people.record(people.approval(release.decision, "max", "ml-owner"), old)
    refused(signed, release, "2 of ml-owner must approve, signed: max")
    people.approve(release.decision, "mia", "ml-owner")
    assert signed.promote(release).name == "v2"


def test_one_person_does_not_fill_two_roles(signed: SignedRegistry, release: Release) -> None:
    signed.people.submit(release.decision)
    signed.people.approve(release.decision, "mia", "ml-owner")
    signed.people.approve(release.decision, "mia", "safety-reviewer")
    refused(signed, release, "1 of ml-owner must approve$|1 of ml-owner must approve -")
    signed.people.approve(release.decision, "max", "ml-owner")
    assert signed.promote(release).name == "v2"


def test_a_key_is_one_persons(signed: SignedRegistry) -> None:
    with pytest.raises(InputError, match="enrolled already"):
        signed.people.enrol("eve", key=signed.people.keys["max"])


def test_a_role_that_is_not_held_does_not_count(signed: SignedRegistry, release: Release) -> None:
    signed.people.submit(release.decision)
    signed.people.approve(release.decision, "sara")
    signed.people.approve(release.decision, "rita", "ml-owner")
    refused(signed, release, "1 of ml-owner must approve")


def test_somebody_elses_key_is_not_enough(signed: SignedRegistry, release: Release) -> None:
    act = signed.people.approval(release.decision, "max")
    with pytest.raises(InputError, match="not signed with a key of 'max'"):
        signed.people.record(act, "sara")
    with pytest.raises(InputError, match="not signed with a key of 'max'"):
        signed.people.record(act, SigningKey.generate())


# -- who is no approver --------------------------------------------------------------------------------------


def test_the_submitter_does_not_approve(signed: SignedRegistry, release: Release) -> None:
    signed.people.submit(release.decision, "sam")
    signed.people.approve(release.decision, "sam", "ml-owner")
    signed.people.approve(release.decision, "sara")
    refused(signed, release, "1 of ml-owner must approve")


def test_neither_does_one_of_two_submitters(signed: SignedRegistry, release: Release) -> None:
    signed.people.submit(release.decision, "sam")
    signed.people.submit(release.decision, "mia")
    signed.people.approve(release.decision, "mia", "ml-owner")
    signed.people.approve(release.decision, "sara")
    refused(signed, release, "1 of ml-owner must approve")


def test_nor_a_submitter_who_revoked_the_key_they_submitted_with(signed: SignedRegistry, release: Release) -> None:
    """Revoking a key takes the signature back, not the fact that it was given."""
    people = signed.people
    people.submit(release.decision, "mia")
    people.submit(release.decision, "sam")
    people.revoke("sam")
    people.enrol("sam")
    people.approve(release.decision, "sam", "ml-owner")
    people.approve(release.decision, "sara")
    refused(signed, release, "1 of ml-owner must approve")


def test_whoever_registered_evaluated_or_decided_does_not_approve(signed: SignedRegistry) -> None:
    release = signed.release("v2", signed.seed(), actor="max")
    signed.people.sign_off(release.decision)
    refused(signed, release, "1 of ml-owner must approve")


def test_who_may_not_submit_does_not(signed: SignedRegistry, release: Release) -> None:
    signed.people.submit(release.decision, "rita")
    signed.people.approve(release.decision, "max")
    signed.people.approve(release.decision, "sara")
    refused(signed, release, "no submitter has signed")


# -- what a signature is bound to ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fields",
    [
        {"stage": "canary"},
        {"channel": "small"},
        {"generation": 0},
        {"generation": 2},
        {"incumbent": OTHER},
        {"incumbent": None},
        {"subject": OTHER},
        {"evidence": OTHER},
        {"policy": OTHER},
        {"name": "v2-harmless"},
        {"expires": "2020-01-01T00:00:00.000000Z"},
        {"expires": later(now(), hours=169)},
    ],
    ids=str,
)
def test_an_approval_is_for_one_move(signed: SignedRegistry, release: Release, fields: dict[str, Any]) -> None:
    people = signed.people
    people.submit(release.decision)
    people.approve(release.decision, "max")
    people.record(people.approval(release.decision, "sara").model_copy(update=fields))
    refused(signed, release, "1 of safety-reviewer must approve")
    people.approve(release.decision, "sara")
    assert signed.promote(release).name == "v2"


@pytest.mark.parametrize(
    "fields",
    [
        {"verdict": "block"},
        {"incumbent": None},
        {"evidence": OTHER},
        {"attempt": 2},
        {"plan": OTHER},
        {"inference": ()},
    ],
    ids=str,
)
def test_a_submission_says_what_the_decision_says(
    signed: SignedRegistry, release: Release, fields: dict[str, Any]
) -> None:
    for person in ("max", "sara"):
        signed.people.approve(release.decision, person)
    signed.people.record(signed.people.submission(release.decision).model_copy(update=fields))
    refused(signed, release, "no submitter has signed")


def test_an_approval_serves_once(signed: SignedRegistry, release: Release) -> None:
    """Back and forth: the generation has moved, so what was approved for the first move does not allow the third."""
    signed.people.sign_off(release.decision)
    signed.promote(release)
    state = signed.registry.channel("flagship", "production")
    first = state.history[0].digest
    signed.registry.rollback("flagship", "production", first, expected_generation=2, reason="slow")
    refused(signed, release, "1 of ml-owner must approve; 1 of safety-reviewer must approve")


def test_an_approval_does_not_follow_to_other_evidence(signed: SignedRegistry, release: Release) -> None:
    signed.people.sign_off(release.decision)
    again = signed.release("v2", signed.make.candidate("v1"), attempt=2)
    assert again.candidate == release.candidate
    refused(signed, again, "no submitter has signed the decision; 1 of ml-owner must approve")


def test_an_approval_does_not_survive_another_incumbent(signed: SignedRegistry, release: Release) -> None:
    signed.people.sign_off(release.decision)
    other = signed.release("v3", signed.make.candidate("v1"))
    signed.people.sign_off(other.decision)
    signed.promote(other)
    refused(signed, release, "which is not what is served now")


def test_an_approval_expires(signed: SignedRegistry, release: Release) -> None:
    signed.people.submit(release.decision)
    signed.people.approve(release.decision, "max")
    expires = later(now(), hours=0.5 / 3600)
    signed.people.approve(release.decision, "sara", expires=expires)
    assert missing(signed, release) == []
    while now() <= expires:
        time.sleep(0.05)
    refused(signed, release, "1 of safety-reviewer must approve")


def test_what_a_revoked_key_signed_counts_no_more(signed: SignedRegistry, release: Release) -> None:
    signed.people.sign_off(release.decision)
    signed.people.revoke("sara")
    refused(signed, release, "1 of safety-reviewer must approve")
    with pytest.raises(InputError, match="was revoked"):
        signed.people.approve(release.decision, "sara")


# -- evidence ------------------------------------------------------------------------------------------------


def test_evidence_ages(engine: Engine) -> None:
    signed = SignedRegistry(Registry(engine), changed(max_age_h=24))
    old = (datetime.now(UTC) - timedelta(hours=25)).strftime("%Y-%m-%dT%H:%M:%SZ")
    stale = signed.release("v2", signed.seed(), finished_at=old)
    signed.people.sign_off(stale.decision)
    refused(signed, stale, "25.0 hours old, the policy takes at most 24")


@pytest.mark.parametrize(
    ("fields", "match"),
    [
        ({"plan_index": None}, "was not in this log before the run"),
        ({"plan_index": 0}, "was not in this log before the run"),
        ({"exploratory": 3}, "3 answers were there before"),
        ({"incumbent_digest": OTHER}, "not measured in the same run"),
    ],
    ids=str,
)
def test_evidence_is_planned_fresh_and_of_one_run(signed: SignedRegistry, fields: dict[str, Any], match: str) -> None:
    release = signed.release("v2", signed.seed(), evidence=fields)
    signed.people.sign_off(release.decision)
    refused(signed, release, match)


@pytest.mark.parametrize(
    ("finished_at", "match"), [("2999-01-01T00:00:00Z", "from the future"), ("yesterday", "no moment")]
)
def test_evidence_says_when_it_was_measured(signed: SignedRegistry, finished_at: str, match: str) -> None:
    release = signed.release("v2", signed.seed(), finished_at=finished_at)
    signed.people.sign_off(release.decision)
    refused(signed, release, match)


def test_a_comparison_measured_apart_is_not_fresh(signed: SignedRegistry) -> None:
    release = signed.release("v2", signed.seed(), decision={"incumbent_evidence_digest": OTHER})
    signed.people.sign_off(release.decision)
    refused(signed, release, "not measured in the same run")


def test_a_line_of_another_channel_has_its_own_attempts(signed: SignedRegistry) -> None:
    release = signed.release("v2", signed.seed(), lineage="small/main")
    signed.people.sign_off(release.decision)
    refused(signed, release, "is not counted in this log, for this channel")


def test_a_later_decision_that_did_not_pass_overtakes(signed: SignedRegistry, release: Release) -> None:
    """Who tries until one passes must not promote on that one and forget the rest."""
    signed.people.sign_off(release.decision)
    later_one = signed.release("v2", signed.make.candidate("v1"), attempt=2, verdict="inconclusive")
    assert later_one.candidate == release.candidate
    refused(signed, release, "a later decision about it did not pass")
    passing = signed.release("v2", signed.make.candidate("v1"), attempt=3)
    assert missing(signed, passing)[0] == "no submitter has signed the decision"


# -- decisions -----------------------------------------------------------------------------------------------


def test_a_decision_against_its_own_checks_is_refused(signed: SignedRegistry) -> None:
    failing = tuple(checked(c, Status.FAIL if c.id == "violations" else Status.PASS) for c in POLICY.checks)
    release = signed.release("v2", signed.seed(), checks=failing)
    assert release.decision.verdict.value == "promote"
    signed.people.sign_off(release.decision)
    refused(signed, release, "says promote, against its own checks: violations")


def test_a_decision_that_leaves_a_check_out_is_refused(signed: SignedRegistry) -> None:
    release = signed.release("v2", signed.seed(), checks=tuple(checked(c) for c in POLICY.checks[:-1]))
    signed.people.sign_off(release.decision)
    refused(signed, release, "leaves out checks of its policy: violations")


def test_a_decision_with_refusals_does_not_promote(signed: SignedRegistry) -> None:
    release = signed.release("v2", signed.seed(), decision={"refusals": ("exploratory",)})
    signed.people.sign_off(release.decision)
    refused(signed, release, "against its own checks: exploratory")


# -- stages --------------------------------------------------------------------------------------------------


@pytest.fixture
def staged(engine: Engine) -> SignedRegistry:
    """Canary before production, and no signatures."""
    policy = changed(stages={"canary": StageRules(), "production": StageRules(after="canary")})
    return SignedRegistry(Registry(engine), policy)


def test_stages_come_in_their_order(staged: SignedRegistry) -> None:
    release = staged.release("v2", staged.seed())
    refused(staged, release, "was not promoted to flagship/canary, which comes before")
    staged.promote(release, stage="canary")
    assert staged.promote(release).name == "v2"


def test_a_version_that_was_taken_back_starts_again(staged: SignedRegistry) -> None:
    first = staged.release("v2", staged.seed())
    second = staged.release("v3", staged.make.candidate("v1"))
    staged.promote(first, stage="canary")
    staged.promote(second, stage="canary")
    staged.registry.rollback("flagship", "canary", first.candidate.digest, expected_generation=2, reason="slow")
    refused(staged, second, "was not promoted to flagship/canary")
    assert staged.promote(first).name == "v2"


def test_a_version_put_into_a_stage_without_a_decision_has_not_passed_it(staged: SignedRegistry) -> None:
    release = staged.release("v2", None)
    staged.registry.promote(
        "flagship", "canary", release.candidate.digest, decision_digest=None, expected_generation=0, reason="first"
    )
    refused(staged, release, "was not promoted to flagship/canary")


# -- pinned policies -----------------------------------------------------------------------------------------


def test_a_pinned_channel_moves_under_its_policy_alone(signed: SignedRegistry) -> None:
    v1 = signed.seed()
    signed.pin()
    strict = signed.make.policy
    signed.make.policy = POLICY.model_copy(update={"version": "5", "promotion": None})
    loose = signed.release("v2", v1)
    refused(signed, loose, "moves under the pinned policy")
    signed.pin(signed.make.policy)
    assert signed.promote(loose).name == "v2"
    pins = [e.payload for e in signed.registry.log() if e.type == "policy_pinned"]
    assert [p["policy"] for p in pins] == [strict.digest, signed.make.policy.digest]


def test_only_an_owner_pins_the_next_policy(signed: SignedRegistry) -> None:
    signed.pin(owners=("sara",))
    looser = POLICY.model_copy(update={"version": "5", "promotion": None})
    with pytest.raises(InputError, match="does not own the policy"):
        signed.pin(looser)
    with pytest.raises(InputError, match="does not own the policy"):
        signed.pin(looser, by="max")
    signed.people.pin(looser, by="sara")


def test_approvals_under_a_policy_end_with_it(signed: SignedRegistry, release: Release) -> None:
    signed.pin()
    signed.people.sign_off(release.decision)
    signed.pin(POLICY.model_copy(update={"version": "5"}))
    refused(signed, release, "moves under the pinned policy")


def test_pinned_sets_are_the_ones_measured(signed: SignedRegistry, release: Release) -> None:
    signed.people.sign_off(release.decision)
    measured = dict(release.evidence.set_digests)
    signed.pin(sets={"golden": OTHER})
    refused(signed, release, "rests on other sets than are pinned: golden")
    signed.pin(sets={**measured, "hard": OTHER})
    refused(signed, release, "rests on other sets than are pinned: hard")
    signed.pin(sets=measured, judge=OTHER)
    refused(signed, release, "another judge")
    signed.pin(sets=measured)
    assert signed.promote(release).name == "v2"


def test_a_pinned_channel_without_rules_still_wants_a_plan(engine: Engine) -> None:
    bare = POLICY.model_copy(update={"promotion": None})
    signed = SignedRegistry(Registry(engine), bare)
    v1 = signed.seed()
    signed.pin()
    explored = signed.release("v2", v1, evidence={"exploratory": 1})
    refused(signed, explored, "1 answers were there before")
    assert signed.promote(signed.release("v3", v1)).name == "v3"


def test_a_policy_that_nobody_can_read_is_not_pinned(signed: SignedRegistry) -> None:
    pin = PolicyPin(
        **signed.people.about(OWNER), channel="flagship", policy=OTHER, previous=None, owners=(OWNER,), reason="mine"
    )
    with pytest.raises(InputError, match="is not recorded here"):
        signed.people.record(pin)


def test_a_pinned_channel_takes_no_seed(signed: SignedRegistry) -> None:
    signed.pin()
    candidate = signed.make.candidate("v1")
    digest = signed.registry.register_candidate(candidate)
    with pytest.raises(InputError, match="takes no version without a decision"):
        signed.registry.promote(
            "flagship", "production", digest, decision_digest=None, expected_generation=0, reason="first"
        )


# -- clocks --------------------------------------------------------------------------------------------------


def shifted(hours: float) -> Callable[[], str]:
    return lambda: (datetime.now(UTC) + timedelta(hours=hours)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def test_a_clock_a_day_behind_revives_nothing(
    signed: SignedRegistry, release: Release, monkeypatch: pytest.MonkeyPatch
) -> None:
    signed.people.submit(release.decision)
    signed.people.approve(release.decision, "max")
    expires = later(now(), hours=0.5 / 3600)
    signed.people.approve(release.decision, "sara", expires=expires)
    while now() <= expires:
        time.sleep(0.05)
    signed.people.enrol("later")  # the log knows that it is later
    monkeypatch.setattr("gates.registry.ledger.utc_now", shifted(-24))
    refused(signed, release, "1 of safety-reviewer must approve")


def test_a_clock_a_day_ahead_ends_what_is_short(
    signed: SignedRegistry, release: Release, monkeypatch: pytest.MonkeyPatch
) -> None:
    signed.people.sign_off(release.decision, expires=later(now(), hours=12))
    monkeypatch.setattr("gates.registry.ledger.utc_now", shifted(24))
    refused(signed, release, "1 of ml-owner must approve; 1 of safety-reviewer must approve")
    signed.people.enrol("now")
    monkeypatch.undo()
    refused(signed, release, "1 of ml-owner must approve; 1 of safety-reviewer must approve")


def test_a_signed_checkpoint_bears_witness_to_the_time(signed: SignedRegistry, release: Release) -> None:
    """However the database's clock is set: who signed a checkpoint on another machine knew that it was later."""
    signed.people.sign_off(release.decision, expires=later(now(), hours=12))
    state = signed.registry.log_state().model_copy(update={"time": later(now(), hours=13)})
    signed.registry.record_checkpoint(sign_checkpoint(state, [signed.people.keys["rita"]]))
    refused(signed, release, "1 of ml-owner must approve; 1 of safety-reviewer must approve")


# -- at once -------------------------------------------------------------------------------------------------


def race(*moves: Callable[[], object]) -> list[Exception | None]:
    """What became of each of several moves that start together."""
    barrier = threading.Barrier(len(moves))
    found: list[Exception | None] = [None for _ in moves]

    def run(index: int, move: Callable[[], object]) -> None:
        barrier.wait()
        try:
            move()
        except InputError as error:
            found[index] = error

    threads = [threading.Thread(target=run, args=pair) for pair in enumerate(moves)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def move(signed: SignedRegistry, release: Release, generation: int) -> Callable[[], object]:
    return lambda: signed.registry.promote(
        "flagship",
        "production",
        release.candidate.digest,
        decision_digest=release.decision.digest,
        expected_generation=generation,
    )


def test_of_two_promotions_at_once_one_wins(signed: SignedRegistry, release: Release) -> None:
    other = signed.release("v3", signed.make.candidate("v1"))
    for one in (release, other):
        signed.people.sign_off(one.decision)
    found = race(move(signed, release, 1), move(signed, other, 1))
    assert sum(error is None for error in found) == 1
    assert "moved meanwhile" in str(next(error for error in found if error is not None))
    assert signed.registry.channel("flagship", "production").generation == 2
    assert signed.registry.verify().problems == ()


def test_of_a_promotion_and_a_rollback_at_once_one_wins(signed: SignedRegistry, release: Release) -> None:
    signed.people.sign_off(release.decision)
    signed.promote(release)
    other = signed.release("v3", release.candidate)
    signed.people.sign_off(other.decision)
    first = signed.registry.channel("flagship", "production").history[0].digest
    found = race(
        move(signed, other, 2),
        lambda: signed.registry.rollback("flagship", "production", first, expected_generation=2, reason="slow"),
    )
    assert sum(error is None for error in found) == 1
    assert signed.registry.channel("flagship", "production").generation == 3
    assert signed.registry.verify().problems == ()


# -- going back ----------------------------------------------------------------------------------------------


def test_a_rollback_needs_no_signature(signed: SignedRegistry, release: Release) -> None:
    signed.people.sign_off(release.decision)
    signed.promote(release)
    newer = signed.release("v3", release.candidate)
    signed.people.sign_off(newer.decision)
    signed.promote(newer)
    signed.people.revoke("sara")
    state = signed.registry.rollback(
        "flagship", "production", release.candidate.digest, expected_generation=3, reason="slow", actor=OWNER
    )
    assert state.name == "v2", "what was served before comes back at once, whoever left since"


def test_what_a_forger_promoted_does_not_come_back(signed: SignedRegistry, release: Release) -> None:
    """Rolled back from, and the key that approved it revoked: a rollback to it would be a promotion without one."""
    signed.people.sign_off(release.decision)
    signed.promote(release)
    first = signed.registry.channel("flagship", "production").history[0].digest
    signed.registry.rollback("flagship", "production", first, expected_generation=2, reason="forged")
    signed.people.revoke("sara")
    with pytest.raises(InputError, match="key that signed for it was revoked"):
        signed.registry.rollback(
            "flagship", "production", release.candidate.digest, expected_generation=3, reason="again"
        )


def test_gating_the_same_evidence_again_overtakes_nothing(signed: SignedRegistry, release: Release) -> None:
    """A router is gated again on its evidence when models change, and may be outdated for a while."""
    signed.people.sign_off(release.decision)
    outdated = release.decision.model_copy(update={"verdict": Verdict.BLOCK, "refusals": ("outdated",)})
    signed.registry.record_decision(outdated)
    assert signed.promote(release).name == "v2"
