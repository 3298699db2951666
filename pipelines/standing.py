"""Where a decision stands in the registry, in the words of its report."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from evalharness.evidence import Evidence
from evalharness.plan import Plan
from gates.decision import Decision
from gates.policy import Policy
from gates.policy_changes import PolicyChange, changes, pin_changes
from gates.registry import Registry
from gates.registry.channels import CHANNEL_NAMES, PRODUCTION, ROUTERS
from gates.registry.standing import DecisionStanding
from gates.reports import Signature, Standing, ThresholdsSince, WaiverGiven
from gates.signing.predicates import Approval, Sanction, Submission, Waiver
from gates.verifier.authority import Given
from gates.verifier.promotion import Case, counted, refusals
from golden_sets.digests import Digest, short
from pipelines.project import Project


def standing_of(registry: Registry, decision: Decision, channel: str, stage: str) -> Standing | None:
    """What the registry knows about a decision, for its report; None where it is not recorded.

    Args:
        registry: where it is recorded.
        decision: the decision.
        channel: what it is to move.
        stage: its stage.

    Raises:
        InputError: an unknown channel or stage.
        InfrastructureError: the database cannot be read.
    """
    found = registry.standing(decision, channel, stage)
    if found is None:
        return None
    policy = registry.policy(decision.policy_digest)
    counting = _counting(found)
    return Standing(
        channel=channel,
        stage=stage,
        position=found.position,
        log=found.log,
        size=found.checkpoint.size,
        root=found.checkpoint.root,
        pinned=_pinned(registry, found),
        moves=tuple(
            f"{event.payload['channel']}/{event.payload['stage']} (event {event.position})" for event in found.moves
        ),
        serves=found.case.served == decision.subject_digest,
        rules=tuple(_rules(policy, stage)),
        signatures=tuple(
            _signature(found, given, counting) for given in found.given if isinstance(given.act, (Submission, Approval))
        ),
        waivers=tuple(_waiver(found, given, counting) for given in found.given if isinstance(given.act, Waiver)),
        missing=() if found.moved and not found.withdrawn else tuple(one.text for one in refusals(found.case)),
        thresholds=tuple(_thresholds(registry, found, policy)),
    )


def place_of(
    evidence: Evidence,
    plan: Plan | None,
    *,
    channel: str | None = None,
    stage: str | None = None,
    project: Project | None = None,
) -> tuple[str, str]:
    """Channel and stage that a decision is for, where it is not told.

    The channel is that of the plan's lineage; else the project's. The stage is the project's, else production.
    """
    lineage = "" if plan is None else plan.lineage.partition("/")[0]
    file = None if project is None else project.file
    if evidence.subject_kind == "router":
        own = PRODUCTION if file is None or file.router is None else file.router.stage
        return channel or ROUTERS, stage or own
    known = lineage if lineage in CHANNEL_NAMES else CHANNEL_NAMES[0] if file is None else file.channel
    return channel or known, stage or (PRODUCTION if file is None else file.stage)


def changed_thresholds(standing: Standing | None) -> list[dict[str, Any]]:
    """Differences to the policies before, plain JSON data; without a registry: none."""
    found: list[dict[str, Any]] = [] if standing is None else standing.to_json()["changed_thresholds"]
    return found


# -- signatures and waivers ----------------------------------------------------------------------------------


def _counting(found: DecisionStanding) -> dict[Digest, str]:
    """What counts, by envelope, and for which move."""
    counts: dict[Digest, list[str]] = {}
    for event in found.moves:
        for envelope in event.payload.get("sanctions", ()):
            place = f"{event.payload['channel']}/{event.payload['stage']}"
            counts.setdefault(envelope, []).append(f"counted for {place} (event {event.position})")
    for (channel, stage), case in found.cases.items():
        if case.served != case.subject:
            for given in counted(case):
                counts.setdefault(given.envelope, []).append(f"counts for {channel}/{stage}")
    return {envelope: ", ".join(told) for envelope, told in counts.items()}


def _signature(found: DecisionStanding, given: Given, counting: dict[Digest, str]) -> Signature:
    act = given.act
    return Signature(
        person=act.person,
        role=act.role,
        place=f"{act.channel}/{act.stage}" if isinstance(act, Approval) else None,
        signed_at=given.time,
        position=given.position,
        key=given.key,
        expires=act.expires if isinstance(act, Approval) else None,
        comment=act.comment if isinstance(act, Approval) else "",
        counts=given.envelope in counting,
        note=counting.get(given.envelope) or _why_not(found, given),
    )


def _waiver(found: DecisionStanding, given: Given, counting: dict[Digest, str]) -> WaiverGiven:
    act = given.act
    assert isinstance(act, Waiver)  # noqa: S101 - the caller chose it
    return WaiverGiven(
        person=act.person,
        role=act.role,
        check=act.check,
        lifts=tuple(
            check.id
            for check in found.decision.checks
            if check.status.value != "pass" and act.check in (check.id, check.check)
        ),
        place=f"{act.channel}/{act.stage}",
        reason=act.reason,
        scope=act.scope,
        control=act.control,
        expires=act.expires,
        on_expiry=act.on_expiry,
        signed_at=given.time,
        position=given.position,
        key=given.key,
        counts=given.envelope in counting,
        note=counting.get(given.envelope) or _why_not(found, given),
    )


def _why_not(found: DecisionStanding, given: Given) -> str:
    """Why something that was signed does not count, as far as that can be told in a word."""
    act = given.act
    if given.envelope in found.revoked:
        return "does not count: its key was revoked"
    if not isinstance(act, Sanction):
        return "does not count: its signer may not submit under this policy"
    case = found.cases[act.channel, act.stage]
    if (act.generation, act.incumbent) != (case.generation, case.served):
        return f"does not count any more: {act.channel}/{act.stage} moved since"
    if act.expires <= case.now:
        return "does not count: it expired"
    if isinstance(act, Waiver):
        return "does not count: its signer may not waive this, or it lifts nothing"
    if _took_part(case, act.person):
        return "does not count: whoever submitted, registered, evaluated or decided does not approve"
    return "does not count: its signer does not hold the role, signed again later, or for too long"


def _took_part(case: Case, person: str) -> bool:
    return person in case.actors or any(
        isinstance(given.act, Submission) and given.act.person == person for given in case.given
    )


# -- policies ------------------------------------------------------------------------------------------------


def _rules(policy: Policy, stage: str) -> Iterator[str]:
    if policy.promotion is None:
        yield "Its policy asks for no signatures."
        return
    rules = policy.promotion.of(stage)
    wanted = ", ".join(f"{n} {role}" for role, n in rules.signatures.items())
    signed = f"signatures of a submitter and {wanted}" if wanted else "no signatures"
    after = "" if rules.after is None else f", after {rules.after}"
    fresh = f"on evidence of at most {policy.promotion.max_age_h:g} hours"
    yield f"Its policy asks for {signed} at stage {stage}{after}, {fresh}."


def _pinned(registry: Registry, found: DecisionStanding) -> str | None:
    pin = found.case.pin
    if pin is None:
        return None
    policy = registry.policy(pin.pin.policy)
    void = " The key it was signed with was revoked: nothing moves until an owner pins it again." if pin.void else ""
    return (
        f"Channel {found.place[0]} is pinned to policy {policy.name} version {policy.version} ({short(policy.digest)}) "
        f"by {pin.pin.person}, event {pin.position}: {pin.pin.reason}.{void}"
    )


def _thresholds(registry: Registry, found: DecisionStanding, policy: Policy) -> Iterator[ThresholdsSince]:
    """Differences to the policy that the incumbent was promoted under, and to the one that was pinned before."""
    told: set[Digest] = set()
    if found.incumbents is not None and found.incumbents.decision is not None:
        digest = registry.decision(found.incumbents.decision).policy_digest
        told.add(digest)
        what = f"under which '{found.incumbents.name}' was promoted"
        yield _since(registry.policy(digest), what, policy)
    mine = [i for i, pinned in enumerate(found.pins) if pinned.pin.policy == policy.digest]
    before = found.pins[: mine[-1] if mine else len(found.pins)]
    if not before:
        return
    repinned = pin_changes(before[-1].pin, found.pins[mine[-1]].pin) if mine else ()
    old = registry.policy(before[-1].pin.policy)
    if old.digest not in told or repinned:
        yield _since(old, "that the channel was pinned to before", policy, repinned)


def _since(old: Policy, what: str, new: Policy, repinned: tuple[PolicyChange, ...] = ()) -> ThresholdsSince:
    return ThresholdsSince(
        since=f"policy {old.name} version {old.version} ({short(old.digest)}), {what}",
        policy=old.digest,
        changes=(*changes(old, new), *repinned),
    )
