"""Somebody with every right on the database: what they write is well-formed, and verification finds it all the same.

What only a checkpoint that was kept elsewhere, or a key that the reader knows, can find is shown as such.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from sqlalchemy import Engine

from evalharness.outcomes import OutcomeTable
from evalharness.plan import LatencyLoad
from gates.decision import Decision, Status, Verdict
from gates.gate import Measured, gate
from gates.policy import Check, Policy
from gates.registry import Event, Registry, ledger
from gates.registry.transactions import writing
from gates.signing.checkpoints import open_checkpoint, sign_checkpoint
from gates.signing.envelopes import seal_act
from gates.signing.keys import SigningKey
from gates.signing.predicates import Act, KeyEnrolment, LogState, PolicyPin
from gates.verifier.authority import payload_of
from gates.verifier.promotion import later
from golden_sets.digests import Digest, digest_bytes
from golden_sets.errors import InfrastructureError, InputError
from tests.support.forger import Forger, with_payload
from tests.support.measured_releases import (
    APPROVERS,
    POLICY,
    SETS,
    MeasuredRelease,
    MeasuredReleases,
    evidence_with,
    right,
    unreachable,
    wrong,
)
from tests.support.plans import plan_of
from tests.support.plans import run as run_plan


@pytest.fixture
def line(engine: Engine) -> MeasuredReleases:
    """Version 1 was seeded, then the policy was pinned."""
    line = MeasuredReleases(Registry(engine))
    line.seed()
    line.people.pin(line.policy)
    return line


@pytest.fixture
def forger(engine: Engine) -> Forger:
    return Forger(engine)


def passed(line: MeasuredReleases, name: str = "v2", **options: Any) -> MeasuredRelease:
    """A release of a good version against version 1, not signed yet."""
    return line.release(name, line.make.candidate("v1"), **options)


def problems(line: MeasuredReleases, **options: Any) -> str:
    """Everything that verification finds, one a line."""
    return "\n".join(line.registry.verify(verdicts=True, **options).problems)


def move_of(line: MeasuredReleases, release: MeasuredRelease, **fields: Any) -> dict[str, Any]:
    """What the event of a release's promotion to production would say."""
    state = line.registry.channel("flagship", "production")
    return {
        "channel": "flagship",
        "stage": "production",
        "subject": release.digest,
        "name": release.candidate.name,
        "previous": state.digest,
        "generation": state.generation + 1,
        "reason": "",
        "decision": release.decision.digest,
        "seed": False,
        **fields,
    }


def sanctions(line: MeasuredReleases, release: MeasuredRelease) -> list[Digest]:
    """Everything that was signed about a release."""
    return [
        event.payload["envelope"]
        for event in line.registry.log()
        if event.type in ("signed", "waived") and event.payload["decision"] == release.decision.digest
    ]


def write_act(forger: Forger, act: Act, *keys: SigningKey, **fields: Any) -> Event:
    """An act written past the registry."""
    envelope = seal_act(act, keys)
    forger.put(envelope)
    return forger.append(act.event, {**payload_of(act, envelope), **fields}, actor=act.person)


def test_an_honest_line_verifies(line: MeasuredReleases, forger: Forger) -> None:
    release = passed(line)
    line.sign(release)
    line.promote(release)
    found = line.registry.verify(verdicts=True)
    assert (found.problems, found.verdicts) == ((), 1)
    forger.rewrite(line.registry.log())  # the same log again: that the forger leaves no traces of their own
    assert line.registry.verify(verdicts=True).problems == ()


# -- moves ---------------------------------------------------------------------------------------------------


def test_a_promotion_without_signatures(line: MeasuredReleases, forger: Forger) -> None:
    release = passed(line)
    forger.append("promoted", move_of(line, release))
    assert "was not allowed: no submitter has signed the decision; 1 of ml-owner must approve" in problems(line)


def test_a_promotion_without_a_decision_under_a_pin(line: MeasuredReleases, forger: Forger) -> None:
    release = passed(line)
    forger.append("promoted", move_of(line, release, decision=None, seed=True))
    assert "needed a decision" in problems(line)


def test_a_second_seed_into_an_empty_stage_under_a_pin(line: MeasuredReleases, forger: Forger) -> None:
    release = passed(line)
    seed = {"decision": None, "seed": True, "stage": "canary", "previous": None, "generation": 1}
    forger.append("promoted", move_of(line, release, **seed))
    assert "(promoted flagship/canary) needed a decision" in problems(line)


def test_a_promotion_on_the_signatures_of_another_release(line: MeasuredReleases, forger: Forger) -> None:
    signed, other = passed(line), passed(line, "v3")
    line.sign(signed)
    forger.append("promoted", move_of(line, other, sanctions=sanctions(line, signed)))
    found = problems(line)
    assert "was not allowed: no submitter has signed" in found
    assert "does not name the signatures and waivers that it rests on" in found


def test_a_promotion_that_hides_what_it_rests_on(line: MeasuredReleases, forger: Forger) -> None:
    release = passed(line)
    line.sign(release)
    forger.append("promoted", move_of(line, release))
    assert "does not name the signatures and waivers that it rests on" in problems(line)


def test_the_same_approvals_for_a_second_move(line: MeasuredReleases, forger: Forger) -> None:
    release = passed(line)
    line.sign(release)
    line.promote(release)
    back = line.make.candidate("v1").digest
    line.registry.rollback("flagship", "production", back, expected_generation=2, reason="slow")
    forger.append("promoted", move_of(line, release, sanctions=sanctions(line, release)))
    assert "event 20 (promoted flagship/production) was not allowed: 1 of ml-owner must approve" in problems(line)


def test_a_blocked_version(line: MeasuredReleases, forger: Forger) -> None:
    release = passed(line, "bad", outcome=wrong)
    assert release.decision.verdict is Verdict.BLOCK
    line.sign(release)
    forger.append("promoted", move_of(line, release, sanctions=sanctions(line, release)))
    assert "does not allow it: block" in problems(line)


def test_a_version_that_nobody_registered(line: MeasuredReleases, forger: Forger) -> None:
    release = passed(line)
    stranger = digest_bytes(b"stranger")
    forger.append("promoted", move_of(line, release, subject=stranger))
    found = problems(line)
    assert "which is not registered for channel 'flagship'" in found
    assert f"the contents {stranger}" in found


def test_a_promotion_under_the_name_of_another_version(line: MeasuredReleases, forger: Forger) -> None:
    release = passed(line)
    line.sign(release)
    forger.append("promoted", move_of(line, release, name="v1", sanctions=sanctions(line, release)))
    assert "under another name than it has" in problems(line)


def test_a_model_in_the_channel_of_routers(line: MeasuredReleases, forger: Forger) -> None:
    release = passed(line)
    place = {"channel": "router", "previous": None, "generation": 1, "decision": None, "seed": True}
    forger.append("promoted", move_of(line, release, **place))
    assert "which is not registered for channel 'router'" in problems(line)


@pytest.mark.parametrize("place", [{"channel": "Flagship"}, {"channel": "flagship "}, {"stage": "production "}])
def test_a_move_of_a_channel_that_only_looks_like_one(
    line: MeasuredReleases, forger: Forger, place: dict[str, str]
) -> None:
    """No pin holds there, and a gateway or a reader may take it for the other."""
    release = passed(line, "bad", outcome=wrong)
    seed = {"decision": None, "seed": True, "previous": None, "generation": 1, **place}
    forger.append("promoted", move_of(line, release, **seed))
    assert "moves a channel or stage that there is not" in problems(line)


def test_a_rollback_under_the_name_of_another_version(line: MeasuredReleases, forger: Forger) -> None:
    release = passed(line)
    line.sign(release)
    line.promote(release)
    forger.append("rolled_back", move_of(line, release, subject=line.make.candidate("v1").digest, name="v2"))
    assert "under another name than it was promoted with" in problems(line)


def test_a_rollback_to_what_was_never_there_and_a_generation_used_twice(line: MeasuredReleases, forger: Forger) -> None:
    release = passed(line)
    forger.append("rolled_back", move_of(line, release))
    forger.append("rolled_back", move_of(line, release, generation=2))
    found = problems(line)
    assert "goes to a version that was never promoted there" in found
    assert "does not follow from generation 2" in found


# -- policies ------------------------------------------------------------------------------------------------


def loosened(policy: Policy) -> Policy:
    """A policy that asks for less, under the same name and version."""
    floor, *others = policy.checks
    return policy.model_copy(update={"checks": (floor.model_copy(update={"threshold": 0.1}), *others)})


def test_a_policy_that_was_loosened_and_promoted_under(line: MeasuredReleases, forger: Forger) -> None:
    release = passed(line, policy=loosened(line.policy))
    line.sign(release)
    with pytest.raises(InputError, match="moves under the pinned policy"):
        line.promote(release)
    forger.append("promoted", move_of(line, release, sanctions=sanctions(line, release)))
    assert "moves under the pinned policy" in problems(line)


def test_a_pin_that_its_owner_did_not_sign(line: MeasuredReleases, forger: Forger) -> None:
    policy, mallory = loosened(line.policy), SigningKey.generate()
    line.registry.record_policy(policy)
    pin = line.people.pin(line.policy.model_copy(update={"version": "8"})).payload
    forged = {**{k: v for k, v in pin.items() if k not in ("envelope", "nonce")}, "policy": policy.digest}
    act = PolicyPin.model_validate({**forged, "nonce": "0" * 32, "previous": pin["policy"]})
    event = write_act(forger, act, mallory)
    assert (
        f"event {event.position} (policy_pinned) should not be in the log: it is not signed with a key of 'olga'"
        in (problems(line))
    )
    with pytest.raises(InfrastructureError, match="should not be in the log"):
        line.promote(passed(line))


# -- acts ----------------------------------------------------------------------------------------------------


def test_an_approval_signed_with_a_key_of_ones_own(line: MeasuredReleases, forger: Forger) -> None:
    release, mallory = passed(line), SigningKey.generate()
    line.people.submit(release.decision)
    for person in APPROVERS:
        write_act(forger, line.people.approval(release.decision, person), mallory)
    forger.append("promoted", move_of(line, release, sanctions=sanctions(line, release)))
    found = problems(line)
    assert "should not be in the log: it is not signed with a key of 'max'" in found
    assert "was not allowed: 1 of ml-owner must approve" in found


def test_an_event_that_says_something_else_than_was_signed(line: MeasuredReleases, forger: Forger) -> None:
    release = passed(line)
    act = line.people.approval(release.decision, "max")
    write_act(forger, act, line.people.keys["max"], role="safety-reviewer")
    assert "the event does not say what was signed" in problems(line)


def test_a_key_that_no_root_enrolled(line: MeasuredReleases, forger: Forger) -> None:
    mallory = SigningKey.generate()
    key = {"key": mallory.public.id, "public": mallory.public}
    write_act(forger, KeyEnrolment(**line.people.about("max"), **key), mallory)
    assert "(key_enrolled) should not be in the log: no root key signed it" in problems(line)


def test_an_approval_that_is_recorded_twice(line: MeasuredReleases, forger: Forger) -> None:
    event = line.people.approve(passed(line).decision, "max")
    forger.append(event.type, event.payload)
    assert "it was recorded before: its nonce is used" in problems(line)


def test_a_promotion_on_a_revoked_key(line: MeasuredReleases, forger: Forger) -> None:
    release = passed(line)
    line.sign(release)
    line.people.revoke("max")
    forger.append("promoted", move_of(line, release, sanctions=sanctions(line, release)))
    assert "was not allowed: 1 of ml-owner must approve" in problems(line)


def test_a_revocation_that_is_taken_out_of_the_log_is_found_with_a_checkpoint(
    line: MeasuredReleases, forger: Forger
) -> None:
    release = passed(line)
    line.sign(release)
    line.people.revoke("max")
    kept = line.registry.checkpoint()
    events = line.registry.log()
    forger.change(events, lambda event: None if event.type == "key_revoked" else event)
    line.promote(release)
    assert problems(line) == ""
    assert "the log was rewritten" in problems(line, checkpoint=kept)


def test_envelopes_that_are_gone(line: MeasuredReleases, forger: Forger) -> None:
    event = line.people.submit(passed(line).decision)
    forger.execute("DELETE FROM blobs WHERE digest = :d", d=event.payload["envelope"])
    assert f"the contents {event.payload['envelope']} are missing" in problems(line)


# -- waivers and time ----------------------------------------------------------------------------------------


def waived(line: MeasuredReleases, **fields: Any) -> MeasuredRelease:
    """A release that failed only its reliability, which its owner waives, and that is signed."""
    policy = line.policy
    kept = tuple(check for check in policy.checks if check.id != "margin")
    line.policy = policy.model_copy(update={"checks": kept, "primary": "floor", "version": "8"})
    line.people.pin(line.policy)
    release = passed(line, "shaky", outcome=lambda arm, p: None if arm == "candidate" and p.endswith("3") else 1.0)
    unsettled = [c.id for c in release.decision.checks if c.status is not Status.PASS]
    assert unsettled == ["reliability"]
    line.sign(release)
    line.people.waive(release.decision, "mia", "reliability", **fields)
    return release


def test_a_waiver_lifts_its_check_and_the_verdict_stays_what_it_was(line: MeasuredReleases) -> None:
    line.promote(waived(line))
    assert problems(line) == ""


def test_a_promotion_on_an_expired_waiver_whatever_the_clock_was_set_to(line: MeasuredReleases, forger: Forger) -> None:
    release = waived(line)
    expires = line.registry.log(1)[0].payload["expires"]
    forger.append("named", {"subject": release.digest, "name": "shaky-2"}, time=later(expires, hours=1))
    move = move_of(line, release, sanctions=sanctions(line, release))
    forger.append("promoted", move, time=later(expires, hours=-12))
    found = line.registry.verify()
    assert any("not waived: reliability" in problem for problem in found.problems)
    assert any("the clock went back at event" in notice for notice in found.notices)


def test_an_expired_approval_with_every_time_of_the_log_set_back_is_found_with_a_checkpoint(
    line: MeasuredReleases, forger: Forger
) -> None:
    """The log's own clock says that it is in time; a checkpoint taken after the expiry, and before the move, knows."""
    release = passed(line)
    line.sign(release)
    state = state_of(line)
    expires = max(e.payload["expires"] for e in line.registry.log() if "expires" in e.payload)
    witness = sign_checkpoint(state.model_copy(update={"time": later(expires, hours=1)}), [line.people.keys["olga"]])
    forger.append("promoted", move_of(line, release, sanctions=sanctions(line, release)))
    assert problems(line) == ""
    assert "was not allowed: 1 of ml-owner must approve" in problems(line, kept=[open_checkpoint(witness)])


def test_a_checkpoint_that_covers_a_promotion_does_not_make_it_late(line: MeasuredReleases) -> None:
    """Taken right behind the last event, after its approvals ran out: the event came before it all the same."""
    release = passed(line)
    line.sign(release)
    line.promote(release)
    state = state_of(line)
    expires = max(e.payload["expires"] for e in line.registry.log() if "expires" in e.payload)
    witness = sign_checkpoint(state.model_copy(update={"time": later(expires, hours=1)}), [line.people.keys["olga"]])
    found = line.registry.verify(kept=[open_checkpoint(witness)])
    assert found.problems == ()
    assert not any("the clock went back" in notice for notice in found.notices)


def test_a_waiver_that_ran_out_while_its_version_is_served_is_told(line: MeasuredReleases, forger: Forger) -> None:
    line.promote(waived(line))
    assert not any("on a waiver" in notice for notice in line.registry.verify().notices)
    expires = next(e for e in line.registry.log() if e.type == "waived").payload["expires"]
    forger.append("named", {"subject": line.make.candidate("v1").digest, "name": "one"}, time=later(expires, hours=1))
    found = line.registry.verify()
    assert found.problems == ()
    assert f"flagship/production serves 'shaky' on a waiver that expired at {expires}" in found.notices
    line.registry.expire(actor="clock")
    assert not any("on a waiver" in notice for notice in line.registry.verify().notices)
    assert line.registry.verify().problems == ()


@pytest.mark.parametrize("action", ["demote", "block"])
def test_an_expiry_that_is_told_and_not_acted_on(line: MeasuredReleases, forger: Forger, action: str) -> None:
    """One row more, and no command would demote the version any more: verification goes on saying what is served."""
    release = waived(line, on_expiry=action)
    line.promote(release)
    expires = next(e for e in line.registry.log() if e.type == "waived").payload["expires"]
    about = {"channel": "flagship", "stage": "production", "subject": release.digest, "action": "demote"}
    forger.append("expired", {**about, "envelope": sanctions(line, release)[-1]}, time=later(expires, hours=1))
    assert line.registry.expire(actor="clock") == []
    found = problems(line)
    assert "says that flagship/production goes back, and it did not" in found
    assert ("tells of another action than was signed" in found) is (action == "block")


def test_a_version_that_stays_although_its_waiver_ran_out_is_told_by_every_verification(
    line: MeasuredReleases, forger: Forger
) -> None:
    line.promote(waived(line, on_expiry="block"))
    expires = next(e for e in line.registry.log() if e.type == "waived").payload["expires"]
    forger.append("named", {"subject": line.make.candidate("v1").digest, "name": "one"}, time=later(expires, hours=1))
    assert [one.action for one in line.registry.expire(actor="clock")] == ["block"]
    found = line.registry.verify()
    assert found.problems == ()
    told = f"flagship/production serves 'shaky' on a waiver that expired at {expires}: blocked"
    assert any(told in notice for notice in found.notices)


def test_an_expiry_before_its_time_and_one_of_nothing(line: MeasuredReleases, forger: Forger) -> None:
    release = waived(line)
    line.promote(release)
    waiver = sanctions(line, release)[-1]
    about = {"channel": "flagship", "stage": "production", "subject": release.digest, "action": "block"}
    forger.append("expired", {**about, "envelope": waiver})
    forger.append("expired", {**about, "envelope": waiver, "stage": "canary"})
    found = problems(line)
    assert "(expired flagship/production) speaks of what had not expired" in found
    assert "(expired flagship/canary) speaks of a waiver on which nothing rests" in found


def test_times_that_are_none(line: MeasuredReleases, forger: Forger) -> None:
    forger.append("named", {"subject": line.make.candidate("v1").digest, "name": "one"}, time="tomorrow")
    assert "has no moment of time: 'tomorrow'" in problems(line)


# -- evidence and decisions ----------------------------------------------------------------------------------


def without_failures(measured: Measured) -> Measured:
    """The candidate's failed requests are taken out of the outcomes, the incumbent's to the same prompts as well."""
    frame = measured.outcomes.frame
    failed = set(frame.loc[frame["error"].notna(), "prompt_id"])
    table = OutcomeTable.from_frame(frame[~frame["prompt_id"].isin(failed)].drop(columns="error"))
    said = {"outcomes": digest_bytes(table.to_parquet()), "outcome_rows": len(table)}
    return Measured(measured.evidence.model_copy(update=said), table, measured.plan)


def test_failed_items_that_are_left_out_of_the_evidence_are_refused(line: MeasuredReleases) -> None:
    with pytest.raises(InputError, match=r"records look 1 of stage 1 \(margin: fail\), its outcomes show .*nothing"):
        passed(line, outcome=unreachable, change=without_failures)


def test_failed_items_that_are_left_out_of_the_record_as_well_promote_nothing(line: MeasuredReleases) -> None:
    """The plan names the prompts: what was not answered is not passed."""

    def change(measured: Measured) -> Measured:
        looks = tuple(look.model_copy(update={"settled": {}}) for look in measured.evidence.looks)
        return evidence_with(without_failures(measured), looks=looks)

    release = passed(line, outcome=unreachable, change=change)
    assert release.decision.verdict is Verdict.INCONCLUSIVE
    lacking = ("72 of the 360 prompts", "21 of the 82 prompts")
    assert all(any(text in check.reason for text in lacking) for check in release.decision.checks)


def test_failed_items_that_only_reliability_is_about_are_missed_too() -> None:
    policy = POLICY.model_copy(update={"checks": POLICY.checks[2:], "primary": "reliability", "promotion": None})
    plan = plan_of(policy, SETS, incumbent_digest=None)
    found, _ = run_plan(policy, plan, SETS, lambda arm, _set, p, _dims: unreachable(arm, p), arms=("candidate",))
    assert gate(policy, found).verdict is Verdict.BLOCK
    decision = gate(policy, without_failures(found))
    assert decision.verdict is Verdict.INCONCLUSIVE
    assert "prompts that the plan asks are not there" in decision.checks[0].reason


def test_failed_requests_that_are_left_out_of_the_latency_pass_are_missed() -> None:
    """A request that failed counts as infinitely late: whoever takes it out makes the pass too small."""
    checks = (Check(id="ttft", metric="ttft_s", quantile=0.95, test="ceiling", threshold=0.5), *POLICY.checks[:1])
    policy = POLICY.model_copy(update={"checks": checks, "primary": "floor", "promotion": None})
    plan = plan_of(policy, SETS, incumbent_digest=None, latency=LatencyLoad(rate=5.0, requests_per_bucket=100))
    assert plan.latency is not None
    wanted = plan.latency.requests_per_bucket
    found, _ = run_plan(policy, plan, SETS, lambda arm, _set, p, _dims: right(arm, p), arms=("candidate",))
    one = {**found.outcomes.frame.iloc[0].to_dict(), "phase": "latency", "outcome": None, "ttft_s": 0.1, "e2e_s": 0.2}
    failed = {**one, "ttft_s": None, "e2e_s": None, "error": "timeout"}
    asked = [{**(failed if i % 10 == 0 else one), "prompt_id": f"l{i}"} for i in range(2 * wanted)]
    asked = [{**row, "dim.length_bucket": "short" if i < wanted else "long"} for i, row in enumerate(asked)]

    def decide(latency: list[dict[str, Any]]) -> dict[str, str]:
        table = OutcomeTable.from_rows([*found.outcomes.frame.to_dict("records"), *latency])
        decision = gate(policy, Measured(found.evidence, table, plan))
        return {check.id: f"{check.status.value} {check.reason}" for check in decision.checks}

    assert decide(asked)["ttft"].startswith("fail")
    kept = [row for row in asked if row["ttft_s"] is not None]
    assert f"of the candidate's {wanted} requests of a length bucket are not there" in decide(kept)["ttft"]
    assert decide(kept)["ttft"].startswith("inconclusive")
    good = [{**row, **{k: one[k] for k in ("ttft_s", "e2e_s")}, "error": None} for row in asked]
    assert decide(good)["ttft"].startswith("pass")


def test_a_verdict_that_the_outcomes_do_not_bear_out(line: MeasuredReleases) -> None:
    """The decision is forged before people sign it: what they sign is in order, only the outcomes tell."""
    good, bad = passed(line), passed(line, "bad", outcome=wrong)
    lie = {
        **{name: getattr(good.decision, name) for name in ("verdict", "reason", "checks", "superior")},
        "notes": ("",),
    }
    forged = bad.decision.model_copy(update=lie)
    line.registry.record_decision(forged)
    release = MeasuredRelease(bad.candidate, bad.measured, forged)
    line.sign(release)
    line.promote(release)
    assert line.registry.verify(verdicts=False).problems == ()
    found = problems(line)
    assert f"the verdict of decision {release.decision.digest[7:19]} is not what its outcomes show" in found
    assert "verdict: recorded promote, derived block" in found


@pytest.mark.parametrize("number", [1, 2, 5])
def test_one_number_of_a_signed_decision_that_was_made_up(line: MeasuredReleases, number: int) -> None:
    release = passed(line)
    checks = list(release.decision.checks)
    estimate = checks[0].estimate.model_copy(update={"low": round(checks[0].estimate.low or 0.0, number)})
    checks[0] = checks[0].model_copy(update={"estimate": estimate})
    forged = release.decision.model_copy(update={"checks": tuple(checks)})
    line.registry.record_decision(forged)
    other = MeasuredRelease(release.candidate, release.measured, forged)
    line.sign(other)
    line.promote(other)
    assert "check floor: estimate.low: recorded 0.9" in problems(line)


def test_a_decision_written_twice_into_one_record(line: MeasuredReleases, forger: Forger) -> None:
    """JSON takes a key twice, and readers differ in which one they see: such contents are no record."""
    release = passed(line)
    text = Decision.model_dump_json(release.decision).encode()
    data = text[:-1] + b',"verdict":"promote"}'
    digest = forger.put(data)
    decided = next(e for e in line.registry.log() if e.type == "decided")
    forger.append("decided", {**decided.payload, "decision": digest})
    forger.append("promoted", move_of(line, release, decision=digest))
    assert "cannot be judged" in problems(line)


@pytest.mark.parametrize(
    ("type_", "field"),
    [("planned", "lineage"), ("evaluated", "subject"), ("decided", "incumbent"), ("evaluated", "sets")],
)
def test_events_that_say_something_else_than_their_records(
    line: MeasuredReleases, forger: Forger, type_: str, field: str
) -> None:
    passed(line)
    lie = {"sets": {"golden-set": digest_bytes(b"other")}}.get(field, digest_bytes(b"other"))
    event = next(e for e in line.registry.log() if e.type == type_)
    forger.append(type_, {**event.payload, field: lie})
    assert "does not say what the" in problems(line)


def test_swapped_contents(line: MeasuredReleases, forger: Forger) -> None:
    release, other = passed(line), passed(line, "v3")
    line.sign(release)
    line.promote(release)
    for ours, theirs in ((release.measured.evidence.digest, other.measured.evidence.digest),):
        swap = "UPDATE blobs SET data = (SELECT data FROM blobs WHERE digest = :theirs) WHERE digest = :ours"
        forger.execute(swap, ours=ours, theirs=theirs)
        found = problems(line)
        assert f"cannot be judged: the contents stored under {ours} were changed" in found


# -- attempts ------------------------------------------------------------------------------------------------


def attempts_of(line: MeasuredReleases) -> Sequence[Event]:
    return [event for event in line.registry.log() if event.type == "attempted"]


def test_attempts_that_are_taken_out_of_the_log(line: MeasuredReleases, forger: Forger) -> None:
    """Two candidates fail, the third passes: the log shall tell of the third alone."""
    for name in ("a", "b"):
        passed(line, name, outcome=wrong)
    third = passed(line, "c")
    line.sign(third)
    line.promote(third)
    assert [event.payload["number"] for event in attempts_of(line)] == [1, 2, 3]
    gone = {line.make.candidate(name).digest for name in ("a", "b")}
    events = line.registry.log()

    def is_gone(event: Event) -> bool:
        return event.type == "attempted" and event.payload["subject"] in gone

    forger.change(events, lambda event: None if is_gone(event) else event)
    assert "counts attempt 3, it is attempt 1" in problems(line)

    # Something else in their places, so that no event moves, and the third told as the first:
    other = {"subject": line.make.candidate("v1").digest, "name": "v1"}
    renamed = [Event(e.position, e.time, "named", e.actor, other) if is_gone(e) else e for e in events]
    forger.change(renamed, lambda event: with_payload(event, number=1) if event.type == "attempted" else event)
    assert "the attempt that it was is not counted in this log" in problems(line)


def test_rerun_until_green(line: MeasuredReleases) -> None:
    """The same version once more is another attempt, and the decision that did not pass stays in the way."""
    first = passed(line, outcome=wrong)
    assert first.decision.verdict is Verdict.BLOCK
    assert len(attempts_of(line)) == 1
    other = line.policy.model_copy(update={"version": "8"})
    again = passed(line, policy=other)
    assert [event.payload["number"] for event in attempts_of(line)] == [1, 2]
    line.sign(again)
    with pytest.raises(InputError, match="moves under the pinned policy"):
        line.promote(again)


def test_attempts_of_a_line_that_was_declared_anew_are_told(line: MeasuredReleases) -> None:
    """Two fail on one line, the third begins to count on another: no rule is broken, and every verification says it."""
    for name in ("a", "b"):
        passed(line, name, outcome=wrong)
    release = passed(line, "c", lineage="flagship/fresh")
    line.sign(release)
    line.promote(release)
    assert [event.payload["number"] for event in attempts_of(line)] == [1, 2, 1]
    found = line.registry.verify()
    assert found.problems == ()
    told = "attempts on the sets of 'flagship/fresh' that it does not count, being of other lines: 2 on 'flagship/main'"
    assert told in found.notices


# -- the log as a whole --------------------------------------------------------------------------------------


def test_a_cut_tail_with_everything_that_followed_from_it(line: MeasuredReleases, forger: Forger) -> None:
    passed(line, outcome=wrong)
    kept = line.registry.checkpoint()
    signed = open_checkpoint(sign_checkpoint(state_of(line), [line.people.keys["olga"]]))
    forger.rewrite(line.registry.log()[:-3])
    assert problems(line) == ""
    assert "its end was removed" in problems(line, checkpoint=kept)
    assert "its end was removed" in problems(line, kept=[signed])


def state_of(line: MeasuredReleases) -> LogState:
    now = line.registry.checkpoint()
    return LogState(log=line.people.log, size=now.size, root=now.root, time=now.time)


def test_another_log_made_up_as_a_whole(line: MeasuredReleases, forger: Forger, engine: Engine) -> None:
    """Every name and every rule is kept, only the keys are others: who knows a key, or kept a checkpoint, sees it."""
    olga = line.people.keys["olga"].public
    release = passed(line)
    line.sign(release)
    line.promote(release)
    kept = line.registry.checkpoint()
    assert line.registry.verify(trust=[olga]).trusted is True

    forger.rewrite([])
    other = MeasuredReleases(line.registry)
    other.seed()
    other.people.pin(other.policy)
    fake = other.release("bad", other.make.candidate("v1"), right)
    other.sign(fake)
    other.promote(fake)
    assert problems(line) == ""
    found = line.registry.verify(trust=[olga])
    assert found.trusted is False
    assert any("no key that you trust vouches for this log" in problem for problem in found.problems)
    assert "the log was rewritten" in problems(line, checkpoint=kept)


def test_a_rewritten_beginning_makes_every_signature_one_for_another_log(
    line: MeasuredReleases, forger: Forger
) -> None:
    """Acts name the log by its first leaf: whoever changes that event has to sign all the others anew."""
    release = passed(line)
    line.sign(release)
    first, *rest = line.registry.log()
    forger.rewrite([Event(0, first.time, first.type, "mallory", first.payload), *rest])
    found = problems(line)
    assert found.count("it was signed for another log") == len([e for e in rest if "envelope" in e.payload])


@pytest.mark.parametrize("position", [0, 7, 9, 11, -1])
def test_an_event_that_is_left_out_of_a_rewritten_log(line: MeasuredReleases, forger: Forger, position: int) -> None:
    """Left out alone, each event of this line is missed by the rules, even where nobody kept a checkpoint."""
    release = passed(line)
    line.sign(release)
    line.promote(release)
    events = line.registry.log()
    del events[position if position >= 0 else len(events) + position - 1]
    forger.rewrite(events)
    assert problems(line) != ""


def test_a_checkpoint_of_the_database_that_was_tampered_with(line: MeasuredReleases, forger: Forger) -> None:
    statement = "INSERT INTO checkpoints (digest, size, root, time, envelope) VALUES (:digest, :size, :root, :time, :e)"
    state = state_of(line)
    mallory, olga = SigningKey.generate(), line.people.keys["olga"]

    def write(envelope: bytes, **said: Any) -> str:
        row = {"digest": digest_bytes(envelope), "size": state.size, "root": state.root, "time": state.time, **said}
        forger.execute(statement, **row, e=envelope)
        found = problems(line)
        forger.execute("DELETE FROM checkpoints")
        return found

    assert write(sign_checkpoint(state, [olga])) == ""
    assert "is signed by no key that counted then" in write(sign_checkpoint(state, [mallory]))
    assert "is signed by no key that counted then" in write(sign_checkpoint(state, []))
    assert "is not what was signed" in write(sign_checkpoint(state, [olga]), size=3)
    assert "no canonical" in write(b"{}") or "is no DSSE envelope" in write(b"{}")
    other = state.model_copy(update={"log": digest_bytes(b"other")})
    assert "is one of another log" in write(sign_checkpoint(other, [olga]))
    wrong_root = state.model_copy(update={"root": digest_bytes(b"other")})
    assert "the log was rewritten" in write(sign_checkpoint(wrong_root, [olga]), root=wrong_root.root)


@pytest.mark.parametrize(
    "fields",
    [{"channel": 5}, {"channel": None}, {"stage": True}, {"decision": [1]}, {"sanctions": 5}, {"sanctions": [None]}],
)
def test_moves_of_any_shape_are_found_and_stop_nothing(
    line: MeasuredReleases, engine: Engine, fields: dict[str, Any]
) -> None:
    """What the replay keeps of an event is read again after the last one: sorted, joined, looked up."""
    release = passed(line)
    line.sign(release)
    move = {**move_of(line, release, sanctions=sanctions(line, release)), **fields}
    with writing(engine) as connection:
        event = ledger.append(connection, "promoted", "mallory", move)
    found = line.registry.verify().problems
    (field,) = fields
    assert any(f"event {event.position} (promoted" in one and f"has no {field} that could be" in one for one in found)


@pytest.mark.parametrize(
    "payload",
    [
        {},
        {"channel": [], "stage": {}, "subject": None, "previous": 1, "generation": "x"},
        {"channel": "flagship", "stage": "production", "subject": 7, "envelope": [], "action": 0},
        {"lineage": [], "sets": 3, "subject": None, "question": 1, "number": 1, "decision": []},
    ],
)
@pytest.mark.parametrize("type_", ["promoted", "rolled_back", "expired", "signed", "attempted", "decided", "evaluated"])
def test_events_of_any_shape_are_found_and_stop_nothing(
    line: MeasuredReleases, engine: Engine, type_: str, payload: dict[str, Any]
) -> None:
    with writing(engine) as connection, pytest.MonkeyPatch.context() as patch:
        patch.setattr("gates.registry.ledger.event_terms", lambda _event: [])
        event = ledger.append(connection, type_, "mallory", payload)
    found = line.registry.verify().problems
    assert any(f"event {event.position} ({type_}" in problem for problem in found), found
