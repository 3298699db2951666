"""Export: one release as a bundle that can be verified with no database."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import Connection, select

from gates.decision import Decision
from gates.registry import channels, ledger
from gates.registry.blobs import get_blob
from gates.registry.tables import CHECKPOINTS
from gates.registry.versions import name_of
from gates.signing.checkpoints import sign_checkpoint
from gates.signing.keys import SigningKey
from gates.signing.predicates import LogState
from gates.verifier.authority import ACT_EVENTS
from gates.verifier.bundle_files import About, write_bundle
from gates.verifier.contents import Contents
from gates.verifier.events import Event
from golden_sets.digests import Digest, short
from golden_sets.errors import InputError


def export_release(
    connection: Connection,
    subject: Digest,
    path: Path,
    *,
    channel: str | None = None,
    stage: str | None = None,
    key: SigningKey | None = None,
) -> About:
    """Write everything that a version's release rests on, and the whole log around it.

    Without channel and stage it is the version's newest promotion; where it was never promoted, its newest decision.

    Args:
        connection: a read transaction.
        subject: the version.
        path: the file to write.
        channel: only promotions on this channel.
        stage: only promotions to this stage.
        key: who signs a checkpoint of the log as it is now; None: the newest signed one that is recorded, if any.

    Raises:
        InputError: nothing was ever decided about the version, contents are missing, or an unknown channel or stage.
        InfrastructureError: the file cannot be written.
    """
    channels.require_known(channel or channels.CHANNEL_NAMES[0], stage or channels.PRODUCTION)
    events = ledger.all_events(connection)
    about = _about(connection, subject, events, channel, stage)

    def fetch(digest: Digest) -> bytes:
        return get_blob(connection, digest)

    blobs = dict.fromkeys(_needed(about, events, Contents(fetch)))
    write_bundle(path, about, events, blobs, fetch, _checkpoint(connection, about, key))
    return about


def _about(
    connection: Connection, subject: Digest, events: list[Event], channel: str | None, stage: str | None
) -> About:
    promotions = [
        event
        for event in events
        if event.type == "promoted"
        and event.payload["subject"] == subject
        and channel in (None, event.payload["channel"])
        and stage in (None, event.payload["stage"])
    ]
    decided = [event for event in events if event.type == "decided" and event.payload["subject"] == subject]
    name = name_of(connection, subject)
    if not promotions and not decided:
        raise InputError(f"nothing was decided about '{name}' ({short(subject)})", do="see relgate registry show")
    head = ledger.checkpoint(connection)
    move = promotions[-1] if promotions else None
    if move is None and (channel is None or stage is None):
        (registered,) = ledger.find_events(connection, ("registered",), {"subject": subject})
        fallback = channels.ROUTERS if registered.payload["kind"] == channels.ROUTERS else channels.CHANNEL_NAMES[0]
        channel, stage = channel or fallback, stage or channels.PRODUCTION
    return About(
        subject=subject,
        name=name,
        channel=move.payload["channel"] if move else channel,
        stage=move.payload["stage"] if move else stage,
        decision=move.payload["decision"] if move else decided[-1].payload["decision"],
        move=move.position if move else None,
        size=head.size,
        root=head.root,
    )


def _needed(about: About, events: list[Event], contents: Contents) -> Iterator[Digest]:
    """What this release rests on with its outcomes, what every move of its channel rests on without, and all acts."""
    from gates.verifier.verdicts import rests_on  # brings statistics with it: a rollback must not wait for those

    yield about.subject
    if about.decision is not None:
        yield about.decision
        yield from rests_on(contents.record(about.decision, Decision), contents).values()
    for event in events:
        payload = event.payload
        if event.type in ACT_EVENTS:
            yield payload["envelope"]
        elif event.type == "promoted" and payload["channel"] == about.channel and payload["decision"] is not None:
            decision = contents.record(payload["decision"], Decision)
            yield from (payload["decision"], decision.policy_digest, decision.evidence_digest)
            if decision.plan_digest is not None:
                yield decision.plan_digest


def _checkpoint(connection: Connection, about: About, key: SigningKey | None) -> bytes | None:
    if key is not None:
        now = ledger.checkpoint(connection).time
        state = LogState(log=ledger.log_id(connection), size=about.size, root=about.root, time=now)
        return sign_checkpoint(state, [key])
    newest = select(CHECKPOINTS.c.envelope).order_by(CHECKPOINTS.c.size.desc(), CHECKPOINTS.c.time.desc()).limit(1)
    found = connection.execute(newest).scalar()
    return None if found is None else bytes(found)
