"""Acts in the registry: what people signed is recorded here, and the facts about a move are gathered from the log."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Connection

from evalharness.evidence import Evidence
from evalharness.plan import Plan
from gates.decision import Decision
from gates.registry import attempts, ledger
from gates.registry.blobs import get_blob, put_blob, read_record
from gates.registry.history import Move, last_promotion, moves, taken_back
from gates.signing.envelopes import ENVELOPE_MEDIA_TYPE, open_envelope
from gates.signing.predicates import PolicyPin
from gates.verifier.authority import ACT_EVENTS, Authority, act_of, payload_of
from gates.verifier.events import Event
from gates.verifier.footing import Footing
from gates.verifier.promotion import Case, involved, is_counted_attempt, overtaken_by
from golden_sets.digests import Digest, short
from golden_sets.errors import InfrastructureError, InputError

_ABOUT_EVERYTHING = ("key_enrolled", "key_revoked", "policy_pinned")
_ABOUT_DECISIONS = ("signed", "waived")
_ANEW = "whose keys sign, relgate registry key list tells; what was signed for another state is to be prepared anew"


def load_authority(connection: Connection, *, decision: Digest | None = None) -> Authority:
    """Keys and pinned policies now, and what was signed about one decision.

    Raises:
        InfrastructureError: the log holds an act that is not in order.
    """
    events = ledger.find_events(connection, _ABOUT_EVERYTHING, {})
    if decision is not None:
        events += ledger.find_events(connection, _ABOUT_DECISIONS, {"decision": decision})
    first = ledger.log_id(connection)
    authority = Authority()
    for event in sorted(events, key=lambda event: event.position):
        authority.log = first if event.position else None
        problem = authority.apply(event, get_blob(connection, event.payload["envelope"]))
        if problem is not None:
            raise InfrastructureError(
                f"event {event.position} ({event.type}) should not be in the log: {problem}",
                do="run relgate registry verify",
            )
    authority.log = first
    return authority


def record_act(connection: Connection, envelope: bytes, *, actor: str) -> Event:
    """Append an act inside the caller's write transaction.

    Args:
        connection: the transaction.
        envelope: what was signed, from :func:`gates.signing.envelopes.seal_act`.
        actor: who brings it.

    Raises:
        InputError: no envelope, an act that its signer may not do, or one that was recorded before.
    """
    opened = open_envelope(envelope)
    act = act_of(opened)
    authority = load_authority(connection)
    used = ledger.find_events(connection, ACT_EVENTS, {"nonce": act.nonce})
    authority.nonces.update(event.payload["nonce"] for event in used)
    problem = authority.problem_of(act, opened)
    if problem is not None:
        raise InputError(f"this {act.kind.partition('/')[0]} is refused: {problem}", do=_ANEW)
    if isinstance(act, PolicyPin) and ledger.first_event(connection, "policy_recorded", "policy", act.policy) is None:
        raise InputError(
            f"the policy {short(act.policy)} that is to be pinned is not recorded here: nothing could move under it",
            do="run relgate registry pin with its file",
        )
    put_blob(connection, envelope, media_type=ENVELOPE_MEDIA_TYPE)
    return ledger.append(connection, act.event, actor, payload_of(act, envelope), time=ledger.now(connection))


def case_of(
    connection: Connection,
    *,
    channel: str,
    stage: str,
    subject: Digest,
    name: str,
    served: Digest | None,
    generation: int,
    models: Mapping[str, Digest],
    decision: Digest,
) -> Case:
    """The facts about a move by a recorded decision; ``models`` is what every channel's production serves.

    Raises:
        InputError: the decision, its policy or its evidence is not recorded.
    """
    from gates.policy import Policy  # brings the metrics with it: a rollback must not wait for those

    decided = ledger.find_events(connection, ("decided",), {"decision": decision})
    if not decided:
        raise InputError(f"decision {decision} is not recorded here", do="run relgate gate first")
    said = read_record(connection, decision, Decision)
    evidence = read_record(connection, said.evidence_digest, Evidence)
    evaluated = ledger.find_events(connection, ("evaluated",), {"evidence": said.evidence_digest})[-1]
    registered = ledger.find_events(connection, ("registered",), {"subject": subject})
    planned = ledger.find_events(connection, ("planned",), {"plan": said.plan_digest}) if said.plan_digest else []
    plan = read_record(connection, said.plan_digest, Plan) if planned and said.plan_digest else None
    authority = load_authority(connection, decision=decision)
    given = authority.given.get(decision, [])
    now = ledger.now(connection)
    return Case(
        channel=channel,
        stage=stage,
        subject=subject,
        name=name,
        served=served,
        generation=generation,
        production=models.get(channel),
        models=models,
        decision=said,
        policy=read_record(connection, said.policy_digest, Policy),
        evidence=evidence,
        evaluated=evaluated.time,
        planned=planned[-1].position if planned else None,
        attempted=plan is not None
        and is_counted_attempt(plan, said, channel)
        and attempts.has_begun(connection, plan, said.subject_digest),
        actors=involved((event.actor for event in (*registered, evaluated, *decided)), given),
        reached=_reached_stages(connection, channel, subject, now),
        pin=authority.pinned(channel),
        given=tuple(one for one in given if authority.counts(one)),
        now=now,
        overtaken=overtaken_by(
            said, decided[-1].position, ledger.find_events(connection, ("decided",), {"subject": said.subject_digest})
        ),
    )


def footing_of(connection: Connection, move: Move) -> Footing:
    """What was signed for a promotion."""
    if move.decision is None or not move.sanctions:
        return Footing()
    return Footing.of(load_authority(connection, decision=move.decision), move.decision, move.sanctions)


def _reached_stages(connection: Connection, channel: str, subject: Digest, now: str) -> frozenset[str]:
    """Stages to which a version was promoted by a decision, from which it was not taken back since, and where
    everything that was signed for it still counts."""
    events = ledger.find_events(connection, ("promoted", "rolled_back"), {"channel": channel})
    return frozenset(
        stage
        for stage in {event.payload["stage"] for event in events if event.payload["subject"] == subject}
        if _stands(connection, moves(events, stage), subject, now)
    )


def _stands(connection: Connection, history: tuple[Move, ...], subject: Digest, now: str) -> bool:
    promoted = last_promotion(history, subject)
    if promoted is None or promoted.decision is None or taken_back(history, promoted):
        return False
    return footing_of(connection, promoted).counts(now)
