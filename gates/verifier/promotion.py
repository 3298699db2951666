"""When a version may move to a stage: every condition, on plain facts, with no database and no clock.

The registry asks before it moves a pointer, and verification asks again for every move that the log tells of.
Moments are texts in UTC (ISO 8601 with microseconds), which sort as they happened.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Literal

from evalharness.evidence import Evidence
from evalharness.plan import Plan
from gates.decision import CheckResult, Decision, Status, Verdict
from gates.promotion_rules import PromotionRules
from gates.signing.predicates import Approval, Sanction, Submission, Waiver
from gates.signing.statements import says
from gates.staleness import Served, stale
from gates.verifier.authority import Given, Pinned
from gates.verifier.events import Event
from golden_sets.digests import Digest, short

if TYPE_CHECKING:
    from gates.policy import Policy

CLOCKS_DIFFER_S = 300.0
"""Seconds by which clocks of one installation may differ: evidence from further in the future is refused."""

Ground = Literal["decision", "policy", "evidence", "stage", "signatures"]


@dataclass(frozen=True)
class Refusal:
    """Why a version may not move."""

    ground: Ground
    """What is missing; where all are ``signatures`` the version passed and awaits them."""
    text: str
    """For people."""


@dataclass(frozen=True)
class Case:
    """The facts about one move, as the log tells them up to it."""

    channel: str
    stage: str
    subject: Digest
    name: str
    served: Digest | None
    """What the stage serves."""
    generation: int
    """The stage's generation before the move."""
    production: Digest | None
    """What the channel's production serves."""
    decision: Decision
    policy: Policy
    """The decision's."""
    evidence: Evidence
    """The decision's."""
    evaluated: str
    """When the evidence was recorded."""
    planned: int | None
    """Position of the evidence's plan in the log; None: not recorded."""
    attempted: bool
    """Whether the attempt that the decision says it was is counted."""
    actors: frozenset[str]
    """Who registered, evaluated and decided, and who ever submitted the decision (:func:`involved`)."""
    reached: frozenset[str]
    """Stages of the channel to which the version was promoted, and from which it was not taken back since."""
    pin: Pinned | None
    """The channel's pinned policy."""
    given: tuple[Given, ...]
    """Submissions, approvals and waivers about the decision whose keys were not revoked."""
    now: str
    """The latest moment that the log or the clock knows of: an expiry holds against either."""
    models: Mapping[str, Digest] = field(default_factory=dict)
    """What every channel's production serves, where it serves anything: of a router's models, those it would choose
    from now."""
    overtaken: Digest | None = None
    """A later decision about the same version against the same incumbent under the same policy that did not pass."""


def refusals(case: Case) -> list[Refusal]:
    """Everything that stands against a move; empty: it may be made."""
    return [
        *_about_decision(case),
        *_about_policy(case),
        *_about_evidence(case),
        *_about_stage(case),
        *_about_signatures(case),
    ]


def involved(actors: Iterable[str], given: Iterable[Given]) -> frozenset[str]:
    """Who is no approver: whoever made what is decided on, and whoever vouched for it, with a revoked key too.

    Args:
        actors: who registered, evaluated and decided.
        given: everything that was signed about the decision.
    """
    return frozenset({*actors, *(one.act.person for one in given if isinstance(one.act, Submission))})


def is_counted_attempt(plan: Plan, decision: Decision, channel: str) -> bool:
    """Whether a plan is of the channel's own line, and the attempt the decision says it was: a line of another channel
    counts its attempts for itself."""
    return plan.lineage.startswith(f"{channel}/") and decision.attempt == plan.attempt


def overtaken_by(decision: Decision, position: int, decided: Iterable[Event]) -> Digest | None:
    """The newest later decision on other evidence about the same comparison, where it did not pass.

    The same evidence gated again is no other try: what it found then (models that a router was not measured with are
    served) is asked about the move itself.

    Args:
        decision: the decision that is to move something.
        position: its place in the log.
        decided: events of decisions about the same version, newest first.
    """
    wanted = (decision.policy_digest, decision.incumbent_digest)
    for event in decided:
        said = event.payload
        if event.position <= position:
            return None
        if (said["policy"], said["incumbent"]) == wanted and said["evidence"] != decision.evidence_digest:
            return None if said["verdict"] == Verdict.PROMOTE.value else str(said["decision"])
    return None


def return_problem(*, expiries: Iterable[str], revoked: bool, withdrawn: bool, now: str) -> str | None:
    """Why a version that was promoted to a stage before may not be put back there; None: it may.

    What was approved once may be rolled back to at once: approvals do not run out for that. But a waiver that has
    expired lifts nothing any more; and a version that the stage was rolled back from comes back only if the keys that
    approved it still count.

    Args:
        expiries: when the waivers expire that its last promotion there rests on.
        revoked: whether a key was revoked that signed for that promotion.
        withdrawn: whether the stage was rolled back from it since.
        now: the latest moment that the log or the clock knows of.
    """
    over = min((moment for moment in expiries if moment <= now), default=None)
    if over is not None:
        return f"it rests on a waiver that expired at {over}"
    return (
        "a key that signed for it was revoked, and the stage was rolled back from it" if revoked and withdrawn else None
    )


def counted(case: Case) -> tuple[Given, ...]:
    """The submission, approvals and waivers that a move rests on, in the order of the log."""
    rests = [*_submissions(case), *_approvals(case), *(w for w in _waivers(case) if _lifts_any(w, case))]
    return tuple(sorted(rests, key=lambda given: given.position))


def allowed_incumbents(served: Digest | None, production: Digest | None) -> frozenset[Digest | None]:
    """Whom a version must have been compared with to be promoted to a stage.

    That is what the stage serves, or what production serves; a stage that serves nothing is measured against
    production, and a channel that serves nothing against nothing (None).
    """
    return frozenset({served, production} - {None} or {None})


def unlifted(case: Case) -> list[CheckResult]:
    """The checks that did not pass and that no waiver lifts."""
    waivers = _waivers(case)
    return [c for c in _unsettled(case.decision) if not any(_lifts(w, c, case.policy) for w in waivers)]


# -- the decision --------------------------------------------------------------------------------------------


def _about_decision(case: Case) -> Iterable[Refusal]:
    decision, which = case.decision, f"decision {short(case.decision.digest)}"
    if decision.subject_digest != case.subject:
        yield Refusal(
            "decision",
            f"{which} is about '{decision.subject_name}' "
            f"({short(decision.subject_digest)}), not about '{case.name}' ({short(case.subject)})",
        )
    if decision.incumbent_digest not in allowed_incumbents(case.served, case.production):
        compared = "nothing" if decision.incumbent_digest is None else f"'{decision.incumbent_name}'"
        yield Refusal(
            "decision",
            f"{which} compared '{case.name}' with {compared}, "
            "which is not what is served now: compare it with the version that is served now",
        )
    if absent := sorted(case.policy.by_id.keys() - {check.check for check in decision.checks}):
        yield Refusal("decision", f"{which} leaves out checks of its policy: {', '.join(absent)}")
    open_, said = _unsettled(decision), f"{which} does not allow it: {decision.verdict.value}, {decision.reason}"
    if decision.verdict is Verdict.PROMOTE:
        if against := [*(check.id for check in open_), *decision.refusals]:
            yield Refusal("decision", f"{which} says promote, against its own checks: {', '.join(against)}")
    elif decision.refusals or not open_:
        yield Refusal("decision", said)
    elif left := unlifted(case):
        yield Refusal("decision", f"{said}; not waived: {', '.join(check.id for check in left)}")


def _unsettled(decision: Decision) -> list[CheckResult]:
    return [check for check in decision.checks if check.status is not Status.PASS]


# -- policy and evidence -------------------------------------------------------------------------------------


def _about_policy(case: Case) -> Iterable[Refusal]:
    if case.pin is not None and case.pin.void:
        yield Refusal(
            "policy",
            f"the key that pinned the policy of channel '{case.channel}' was revoked since: let an owner pin it again",
        )
    if case.pin is not None and case.decision.policy_digest != case.pin.pin.policy:
        yield Refusal(
            "policy",
            f"channel '{case.channel}' moves under the pinned policy {short(case.pin.pin.policy)}, decision "
            f"{short(case.decision.digest)} was made under {short(case.decision.policy_digest)}: release it again",
        )


def _about_evidence(case: Case) -> Iterable[Refusal]:
    evidence, decision, rules = case.evidence, case.decision, case.policy.promotion
    outdated = stale(evidence, {channel: Served(digest) for channel, digest in case.models.items()})
    if outdated is not None:
        yield Refusal("evidence", outdated)
    if case.pin is None and rules is None:
        return
    if (evidence.subject_digest, evidence.plan_digest) != (decision.subject_digest, decision.plan_digest):
        yield Refusal("evidence", "its evidence is about something else")
    if decision.plan_digest is None or case.planned is None or evidence.plan_index != case.planned:
        yield Refusal("evidence", "its plan was not in this log before the run")
    elif not case.attempted:
        yield Refusal("evidence", "the attempt that it was is not counted in this log, for this channel")
    if case.overtaken is not None:
        yield Refusal("evidence", f"a later decision about it did not pass: {short(case.overtaken)}")
    if evidence.exploratory:
        yield Refusal("evidence", f"{evidence.exploratory} answers were there before its plan was made")
    apart = decision.incumbent_evidence_digest or decision.anchor_evidence_digest
    if apart is not None or evidence.incumbent_digest != decision.incumbent_digest:
        yield Refusal("evidence", "what it is compared with was not measured in the same run")
    if case.pin is not None:
        yield from _other_sets(case.pin, evidence)
    yield from _about_age(case, None if rules is None else rules.max_age_h)


def _about_age(case: Case, most_h: float | None) -> Iterable[Refusal]:
    told = case.evidence.provenance.finished_at
    try:
        finished = _moment(told)
    except (ValueError, OverflowError):
        yield Refusal("evidence", f"its evidence does not say when it was measured: '{told}' is no moment")
        return
    age_h = _seconds(min(case.evaluated, finished), case.now) / 3600
    if most_h is not None and age_h > most_h:
        yield Refusal("evidence", f"its evidence is {age_h:.1f} hours old, the policy takes at most {most_h:g}")
    if _seconds(case.now, max(case.evaluated, finished)) > CLOCKS_DIFFER_S:
        yield Refusal("evidence", f"its evidence is from the future ({told}): set the clock")


def _other_sets(pinned: Pinned, evidence: Evidence) -> Iterable[Refusal]:
    wanted = dict(pinned.pin.sets)
    if wanted and wanted != dict(evidence.set_digests):
        names = {*wanted, *evidence.set_digests}
        other = sorted(n for n in names if wanted.get(n) != evidence.set_digests.get(n))
        yield Refusal("evidence", f"its evidence rests on other sets than are pinned: {', '.join(other)}")
    if pinned.pin.judge is not None and pinned.pin.judge != evidence.judge_digest:
        yield Refusal("evidence", "its evidence was scored by another judge than is pinned")


# -- stage and signatures ------------------------------------------------------------------------------------


def _about_stage(case: Case) -> Iterable[Refusal]:
    after = _rules(case).of(case.stage).after
    if after is not None and after not in case.reached:
        yield Refusal("stage", f"'{case.name}' was not promoted to {case.channel}/{after}, which comes before")


def _about_signatures(case: Case) -> Iterable[Refusal]:
    wanted = _rules(case).of(case.stage).signatures
    if not wanted:
        return
    if not _submissions(case):
        yield Refusal("signatures", "no submitter has signed the decision")
    approvals = _approvals(case)
    for role, n in wanted.items():
        there = sorted(given.act.person for given in approvals if given.act.role == role)
        if len(there) < n:
            told = f", signed: {', '.join(there)}" if there else ""
            yield Refusal("signatures", f"{n} of {role} must approve{told}")


def _submissions(case: Case) -> list[Given]:
    """Who vouches for the decision: people whom the policy lets submit."""
    rules = _rules(case)
    return [
        given
        for given in case.given
        if isinstance(given.act, Submission)
        and rules.holds(given.act.person, "submitter")
        and _about(given.act, case)
        and says(given.act, case.decision)
    ]


def _approvals(case: Case) -> list[Given]:
    """One approval of each person who may give it: the last, in the role it names. No submitter is an approver."""
    rules, excluded = _rules(case), involved(case.actors, case.given)
    latest = {
        given.act.person: given
        for given in case.given
        if isinstance(given.act, Approval)
        and given.act.person not in excluded
        and rules.holds(given.act.person, given.act.role)
        and _holds_now(given, case, rules.approval_h)
    }
    by_key = {given.key: given for given in latest.values()}
    return list(by_key.values())


def _waivers(case: Case) -> list[Given]:
    """Waivers for this move, each in a role that its signer holds. No submitter lifts a check of their own."""
    rules, excluded = _rules(case), involved(case.actors, case.given)
    return [
        given
        for given in case.given
        if isinstance(given.act, Waiver)
        and given.act.person not in excluded
        and rules.holds(given.act.person, given.act.role)
        and _holds_now(given, case, rules.waiver_h)
    ]


def _lifts_any(given: Given, case: Case) -> bool:
    return any(_lifts(given, check, case.policy) for check in _unsettled(case.decision))


def _lifts(given: Given, result: CheckResult, policy: Policy) -> bool:
    """Whether a waiver is about a check, which may be waived, by whoever owns it."""
    act = given.act
    check = policy.by_id.get(result.check)
    return (
        isinstance(act, Waiver)
        and act.check in (result.id, result.check)
        and result.waivable
        and check is not None
        and policy.may_waive(check, act.person)
    )


def _holds_now(given: Given, case: Case, longest_h: float) -> bool:
    """Whether an approval or a waiver is for this very move, under the version's own name, and has not expired."""
    act = given.act
    if not isinstance(act, Sanction) or not _about(act, case) or act.name != case.decision.subject_name:
        return False
    bound = (act.channel, act.stage, act.incumbent, act.generation)
    if bound != (case.channel, case.stage, case.served, case.generation) or case.now >= act.expires:
        return False
    try:
        return _seconds(given.time, act.expires) <= longest_h * 3600
    except ValueError:  # it has the form of a moment and is none: the 31st of June
        return False


def _about(act: Submission | Sanction, case: Case) -> bool:
    decision = case.decision
    wanted = (case.subject, decision.evidence_digest, decision.digest, decision.policy_digest)
    return (act.subject, act.evidence, act.decision, act.policy) == wanted


def _rules(case: Case) -> PromotionRules:
    return case.policy.promotion or PromotionRules()


def awaits_signatures(found: Sequence[Refusal]) -> bool:
    """Whether nothing but signatures is missing."""
    return bool(found) and all(refusal.ground == "signatures" for refusal in found)


# -- moments -------------------------------------------------------------------------------------------------


def later(moment: str, *, hours: float) -> str:
    """A moment some hours later."""
    return (_parsed(moment) + timedelta(hours=hours)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _seconds(start: str, end: str) -> float:
    return (_parsed(end) - _parsed(start)).total_seconds()


def _moment(text: str) -> str:
    """A moment in the form that sorts."""
    return _parsed(text).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _parsed(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
