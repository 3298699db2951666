"""What people are asked to sign, made from what the registry holds: submissions, approvals, waivers, pinned policies.

Each is checked here before anybody signs it, so that a person learns at once that their signature would not count; what
counts in the end the rules of promotion decide (:mod:`gates.verifier.promotion`).
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, cast

from gates.decision import Decision, Status
from gates.policy import Policy
from gates.promotion_rules import APPROVERS, PromotionRules, Role, Stage
from gates.registry import Event, Registry
from gates.registry.channels import require_known
from gates.signing.envelopes import seal_act
from gates.signing.keys import SigningKey
from gates.signing.predicates import Act, Approval, PolicyPin, Submission, Waiver
from gates.signing.statements import new_nonce, seal_submission, submission_of
from gates.verifier.promotion import Case, later
from golden_sets.digests import Digest, short
from golden_sets.errors import InputError

SUBMITTER: Role = "submitter"
KEY_VARIABLE = "RELGATE_KEY"
"""Environment variable that names the key file with which commands sign."""
DEFAULT_H = 72.0
"""Life of an approval where none is named, hours; less where the policy wants less."""
_LONGEST_H = 100 * 365.25 * 24
_HOURS = {"d": 24.0, "h": 1.0, "m": 1 / 60}


def hours(text: str) -> float:
    """A time such as ``72h``, ``30d``, ``1d12h`` or ``90m``, in hours.

    Raises:
        InputError: it is none, or nothing at all.
    """
    found = 0.0
    if re.fullmatch(r"(\d+(\.\d+)?[dhm])+", text):
        found = sum(float(n) * _HOURS[unit] for n, _, unit in re.findall(r"(\d+(\.\d+)?)([dhm])", text))
    if not found > 0:
        raise InputError(f"a time is written as 72h, 30d or 90m, not '{text}'")
    if found > _LONGEST_H:
        raise InputError(f"'{text}' is longer than a hundred years", do="name a shorter time")
    return found


def person_of(registry: Registry, key: SigningKey) -> str:
    """Whose a key is.

    Raises:
        InputError: it is not enrolled, or signs no more.
    """
    enrolled = registry.authority().keys.get(key.public.id)
    if enrolled is None or not enrolled.signs:
        what = "not enrolled" if enrolled is None else "revoked" if enrolled.revoked is not None else "replaced"
        raise InputError(
            f"the key {key.public.id[:12]} is {what} in this registry", do="see relgate registry key list and enrol"
        )
    return enrolled.person


def decision_behind(registry: Registry, reference: str) -> Decision:
    """The newest decision about a version, or the decision whose digest begins so.

    Raises:
        InputError: neither.
    """
    try:
        version = registry.resolve(reference)
    except InputError:
        return registry.recorded_decision(reference)
    decided = registry.decisions_about(version)
    if not decided:
        raise InputError(f"there is no decision about '{reference}'", do="release or gate it first")
    return registry.decision(decided[0].payload["decision"])


def prepare_submission(registry: Registry, decision: Decision, person: str) -> Submission:
    """What a submitter signs.

    Raises:
        InputError: the policy does not let the person submit.
    """
    _require_role(_rules(registry.policy(decision.policy_digest)), person, SUBMITTER)
    return submission_of(decision, log=_log(registry), person=person)


def submit(registry: Registry, decision: Decision) -> tuple[str, ...]:
    """Sign a decision as its submitter with the key of ``RELGATE_KEY``, where its policy wants signatures; once.

    Returns:
        Warnings: why it was not signed.
    """
    named = os.environ.get(KEY_VARIABLE, "").strip()
    rules = registry.policy(decision.policy_digest).promotion
    if not named or rules is None or not any(stage.signatures for stage in rules.stages.values()):
        return ()
    try:
        key = SigningKey.load(Path(named))
        person = person_of(registry, key)
        authority = registry.authority(decision.digest)
        given = [one for one in authority.given.get(decision.digest, []) if authority.counts(one)]
        if any(isinstance(one.act, Submission) and one.act.person == person for one in given):
            return ()
        record_signed(registry, prepare_submission(registry, decision, person), key)
    except InputError as error:
        return (f"not signed as submitter: {error.message()}",)
    return ()


def prepare_approval(
    registry: Registry,
    decision: Decision,
    *,
    person: str,
    role: str,
    channel: str,
    stage: str,
    life_h: float | None = None,
    comment: str = "",
) -> Approval:
    """What an approver signs: consent to the one move that the decision would make now.

    Args:
        registry: where the decision is recorded.
        decision: the decision.
        person: who is to sign.
        role: in which role.
        channel: what is to be moved.
        stage: its stage.
        life_h: hours until it expires; default: 72, or as many as the policy allows.
        comment: in the words of who signs.

    Raises:
        InputError: a person who may not approve it, or for longer than the policy allows.
    """
    case, rules = _case(registry, decision, channel, stage)
    if role not in APPROVERS:
        raise InputError(f"role '{role}' does not approve", do=f"name {', '.join((SUBMITTER, *APPROVERS))}")
    _require_outsider(case, person, "approve")
    _require_role(rules, person, role)
    return Approval(
        **_about(registry, decision, person),
        **_move(case, role, _life(life_h, rules.approval_h, "approval")),
        comment=comment,
    )


def prepare_waiver(
    registry: Registry,
    decision: Decision,
    *,
    person: str,
    check: str,
    reason: str,
    scope: str,
    control: str,
    channel: str,
    stage: str,
    life_h: float,
    on_expiry: Literal["demote", "block"] = "demote",
) -> Waiver:
    """What lifts one check of a decision, for the one move that it would make now.

    Args:
        registry: where the decision is recorded.
        decision: a decision that did not pass.
        person: who is to sign: whoever owns the check.
        check: id of the check with its cell, or of the policy's check.
        reason: why.
        scope: for whom or what it holds.
        control: what makes up for the check meanwhile.
        channel: what is to be moved.
        stage: its stage.
        life_h: hours until it expires.
        on_expiry: what the first check after that does.

    Raises:
        InputError: a check that passed, that is none or may not be waived, a person who does not own it, nothing said
            about why, for whom or what makes up for it, or for longer than the policy allows.
    """
    case, rules = _case(registry, decision, channel, stage)
    open_ = [one for one in decision.checks if one.status is not Status.PASS]
    lifted = [one for one in open_ if check in (one.id, one.check)]
    if not lifted:
        raise InputError(
            f"'{check}' is no check of decision {short(decision.digest)} that did not pass",
            do=f"name one of: {', '.join(one.id for one in open_) or 'none'}",
        )
    named = case.policy.by_id[lifted[0].check]
    if not named.waivable or not all(one.waivable for one in lifted):
        raise InputError(f"check '{check}' may not be waived by anybody: its policy says so", do="repair the model")
    if decision.refusals:
        raise InputError(f"no waiver lifts why this decision did not pass: {'; '.join(decision.refusals)}")
    _require_outsider(case, person, "waive a check of")
    if not case.policy.may_waive(named, person):
        people = sorted({one for holders in rules.roles.values() for one in holders})
        owners = [one for one in people if case.policy.may_waive(named, one)]
        told = ", ".join(owners) or "nobody holds the role: name people in the policy"
        raise InputError(f"'{person}' does not own check '{named.id}'", do=f"let one of its owners sign: {told}")
    for what, said in (("reason", reason), ("scope", scope), ("control", control)):
        if not said.strip():
            raise InputError(f"a waiver needs a {what}", do=f'add --{what} "..."')
    roles = [role for role, people in rules.roles.items() if person in people]
    role = named.owner if named.owner in roles else roles[0]
    return Waiver(
        **_about(registry, decision, person),
        **_move(case, str(role), _life(life_h, rules.waiver_h, "waiver")),
        check=check,
        reason=reason,
        scope=scope,
        control=control,
        on_expiry=on_expiry,
    )


def prepare_pin(
    registry: Registry,
    policy: Policy,
    *,
    person: str,
    channel: str,
    owners: Sequence[str],
    reason: str,
    sets: Mapping[str, Digest] | None = None,
    judge: Digest | None = None,
) -> PolicyPin:
    """What an owner signs: from now on a channel moves under this policy alone.

    Args:
        registry: where the policy is recorded.
        policy: the policy.
        person: who is to sign.
        channel: the channel.
        owners: who may pin the next; empty: the owners until now, else whoever signs.
        reason: why.
        sets: digests of the sets that evidence must rest on, by name; none: not pinned.
        judge: the judge that evidence must rest on; None: not pinned.

    Raises:
        InputError: an unknown channel, no reason, an owner's name that is none, the policy that is pinned already, or a
            person who does not own it.
    """
    require_known(channel, "production")
    for owner in owners:
        if owner != owner.strip() or not owner.isprintable() or not 0 < len(owner) <= 200:
            raise InputError(f"'{owner}' cannot be a person's name", do="one line of text, with no spaces around it")
    if not reason.strip():
        raise InputError("a pinned policy needs a reason", where=channel, do='add --reason "..."')
    authority = registry.authority()
    now = authority.pinned(channel)
    owned = authority.owners(channel)
    if not owned and not any(key.root for key in authority.keys_of(person)):
        raise InputError(
            f"the first policy of channel '{channel}' is pinned with a root key, which '{person}' does not hold",
            do="see relgate registry key list",
        )
    if owned and person not in owned:
        raise InputError(
            f"'{person}' does not own the policy of channel '{channel}'", do=f"let {' or '.join(owned)} sign"
        )
    pin = PolicyPin(
        **_act(registry, person),
        channel=cast("Any", channel),
        policy=policy.digest,
        previous=None if now is None else now.pin.policy,
        owners=tuple(owners) or owned or (person,),
        sets=dict(sets or {}),
        judge=judge,
        reason=reason,
    )
    if now is not None and not now.void and _pinned(now.pin) == _pinned(pin):
        raise InputError(f"channel '{channel}' is pinned to this very policy already")
    return pin


def record_signed(registry: Registry, act: Act, key: SigningKey) -> Event:
    """Sign an act and record it.

    Raises:
        InputError: it is refused.
    """
    return registry.record_act(sealed(act, key, time=registry.now()), actor=act.person)


def sealed(act: Act, key: SigningKey, *, time: str) -> bytes:
    """An act as a signed envelope; a submission with its SLSA verification summary.

    Args:
        act: what is signed.
        key: who signs.
        time: now, UTC.
    """
    return seal_submission(act, key, time=time) if isinstance(act, Submission) else seal_act(act, [key])


# -- parts ---------------------------------------------------------------------------------------------------


def _case(registry: Registry, decision: Decision, channel: str, stage: str) -> tuple[Case, PromotionRules]:
    case = registry.case(channel, stage, decision.digest)
    if case.served == case.subject:
        raise InputError(f"'{case.name}' is what {channel}/{stage} serves already")
    return case, _rules(case.policy)


def _rules(policy: Policy) -> PromotionRules:
    if policy.promotion is None:
        raise InputError(
            f"policy '{policy.name}' version {policy.version} asks for no signatures",
            do="name people and stages under its key 'promotion'",
        )
    return policy.promotion


def _require_role(rules: PromotionRules, person: str, role: str) -> None:
    if not rules.holds(person, role):
        people = next((people for named, people in rules.roles.items() if named == role), ())
        raise InputError(
            f"'{person}' does not hold the role '{role}' under this policy",
            do=f"let one of them sign: {', '.join(people) or 'nobody holds it'}",
        )


def _require_outsider(case: Case, person: str, what: str) -> None:
    if person in case.actors:
        raise InputError(
            f"'{person}' may not {what} what they submitted, registered, evaluated or decided", do="let another sign"
        )


def _life(wanted: float | None, most: float, what: str) -> float:
    if wanted is not None and wanted > most:
        raise InputError(f"the policy's longest {what} is {most:g} hours, not {wanted:g}", do="shorten --expires")
    return min(DEFAULT_H, most) if wanted is None else wanted


def _move(case: Case, role: str, life_h: float) -> dict[str, Any]:
    return {
        "name": case.decision.subject_name,
        "channel": case.channel,
        "stage": cast("Stage", case.stage),
        "incumbent": case.served,
        "generation": case.generation,
        "expires": later(case.now, hours=life_h),
        "role": cast("Role", role),
    }


def _about(registry: Registry, decision: Decision, person: str) -> dict[str, Any]:
    return {
        **_act(registry, person),
        "subject": decision.subject_digest,
        "evidence": decision.evidence_digest,
        "decision": decision.digest,
        "policy": decision.policy_digest,
    }


def _act(registry: Registry, person: str) -> dict[str, Any]:
    return {"log": _log(registry), "person": person, "nonce": new_nonce()}


def _log(registry: Registry) -> Digest:
    log = registry.authority().log
    if log is None:
        raise InputError("this registry is empty", do="enrol a key first: relgate registry key enrol")
    return log


def _pinned(pin: PolicyPin) -> tuple[object, ...]:
    return (pin.policy, pin.owners, dict(pin.sets), pin.judge)
