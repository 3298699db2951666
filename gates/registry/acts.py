"""Acts in the registry: what people signed is recorded here, and the facts about a move are gathered from the log."""

from __future__ import annotations

from sqlalchemy import Connection

from evalharness.evidence import Evidence
from evalharness.plan import Plan
from gates.decision import Decision
from gates.registry import attempts, ledger
from gates.registry.blobs import get_blob, put_blob, read_record
from gates.registry.history import Move, last_promotion, last_withdrawal, moves
from gates.signing.envelopes import ENVELOPE_MEDIA_TYPE, open_envelope
from gates.verifier.authority import Authority, act_of, payload_of
from gates.verifier.events import Event
from gates.verifier.promotion import Case
from golden_sets.digests import Digest
from golden_sets.errors import InfrastructureError, InputError

_ABOUT_EVERYTHING = ("key_enrolled", "key_revoked", "policy_pinned")
_ABOUT_DECISIONS = ("signed", "waived")


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
    used = ledger.find_events(connection, (act.event,), {"nonce": act.nonce})
    authority.nonces.update(event.payload["nonce"] for event in used)
    problem = authority.problem_of(act, opened)
    if problem is not None:
        raise InputError(f"this {act.kind.partition('/')[0]} is refused: {problem}", do="see relgate registry key list")
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
    production: Digest | None,
    decision: Digest,
) -> Case:
    """The facts about a move by a recorded decision.

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
    channel_moves = ledger.find_events(connection, ("promoted", "rolled_back"), {"channel": channel})
    return Case(
        channel=channel,
        stage=stage,
        subject=subject,
        name=name,
        served=served,
        generation=generation,
        production=production,
        decision=said,
        policy=read_record(connection, said.policy_digest, Policy),
        evidence=evidence,
        evaluated=evaluated.time,
        planned=planned[-1].position if planned else None,
        attempted=plan is not None
        and said.attempt == plan.attempt
        and attempts.has_begun(connection, plan, said.subject_digest),
        actors=frozenset(event.actor for event in (*registered, evaluated, *decided)),
        reached=reached_stages(channel_moves, subject),
        pin=authority.pinned(channel),
        given=tuple(given for given in authority.given.get(decision, []) if authority.counts(given)),
        now=ledger.now(connection),
    )


def reached_stages(channel_moves: list[Event], subject: Digest) -> frozenset[str]:
    """Stages to which a version was promoted and from which it was not taken back since.

    Args:
        channel_moves: all moves of the channel, newest first.
        subject: the version.
    """
    stages = {event.payload["stage"] for event in channel_moves}
    return frozenset(stage for stage in stages if _stands(moves(channel_moves, stage), subject))


def _stands(history: tuple[Move, ...], subject: Digest) -> bool:
    promoted, withdrawn = last_promotion(history, subject), last_withdrawal(history, subject)
    return promoted is not None and (withdrawn is None or withdrawn.position < promoted.position)
