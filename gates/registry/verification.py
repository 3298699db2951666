"""Verification of the registry in its database: the log is replayed, and everything kept beside it must follow from it.

What it finds without help: an event, hash, index entry, pointer, checkpoint or blob that was edited, deleted, added or
replaced, also after the triggers were dropped; an act nobody signed; a move that the rules did not allow; an attempt
that was counted wrongly; a verdict that the outcomes do not bear out. What it cannot find alone is a log rewritten as a
whole, or cut at its end together with everything derived from it: for that it takes a checkpoint that was kept
elsewhere, or a key that the reader trusts.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any

from sqlalchemy import Connection, Row, select

from gates.registry import ledger
from gates.registry.blobs import blob_digests, damaged_blobs, stored_bytes
from gates.registry.tables import CHANNELS, CHECKPOINTS, LEDGER_HEAD, LEDGER_NODES, LEDGER_TERMS
from gates.registry.triggers import missing_triggers
from gates.signing.checkpoints import SignedCheckpoint, open_checkpoint
from gates.signing.predicates import PublicKey
from gates.verifier import events, merkle
from gates.verifier.contents import Contents
from gates.verifier.events import Event
from gates.verifier.findings import Advance, Verification, conclude, verdict_problems
from gates.verifier.replay import Kept, Replay
from golden_sets.digests import Digest, digest_bytes, short
from golden_sets.errors import InputError

__all__ = ["Verification", "verify"]


def verify(
    connection: Connection,
    *,
    kept: Sequence[Kept] = (),
    trust: Collection[PublicKey] = (),
    verdicts: bool = False,
    advance: Advance | None = None,
) -> Verification:
    """Recompute log, index, pointers, checkpoints and blobs from the rows, in one read transaction.

    Args:
        connection: a read transaction (:func:`gates.registry.transactions.reading`).
        kept: checkpoints taken earlier and kept elsewhere.
        trust: public keys that the reader knows to be whose they should be.
        verdicts: derive again the verdicts on which promotions rest, from the per-prompt outcomes.
        advance: who is told how far that is.
    """
    store = _Store(connection)
    own, problems = _own_checkpoints(connection)
    checkpoints = [*kept, *own]
    replay = Replay(Contents(store.fetch), kept=checkpoints)
    nodes, terms = dict[merkle.Coordinate, bytes](), set[tuple[str, str, int]]()
    for row in ledger.stream_rows(connection):
        event, leaf = _read(row, replay.problems)
        completed = replay.grow(row.position, leaf) if event is None else replay.add(event, leaf)
        nodes.update(completed)
        if event is not None:
            terms.update((f, v, row.position) for f, v in events.event_terms(event))
    problems += [
        *_head_problems(connection, replay),
        *_derived_problems(connection, nodes, terms),
        *_pointer_problems(connection, replay),
        *_blob_problems(connection, replay),
        *(f"the guarding trigger {name} is missing" for name in missing_triggers(connection)),
    ]
    derived, differing = verdict_problems(replay, advance) if verdicts else (0, [])
    return conclude(replay, kept=checkpoints, trust=trust, more=[*problems, *differing], verdicts=derived)


class _Store:
    """The blobs of a database, as they are there: whoever asks hashes them."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def fetch(self, digest: Digest) -> bytes | None:
        return stored_bytes(self._connection, digest)


def _read(row: Row[Any], problems: list[str]) -> tuple[Event | None, bytes]:
    """The event of a row, None where it is none, and the hash of its leaf."""
    try:
        payload, canonical = events.read_canonical(row.payload)
        said = {"position": row.position, "time": row.time, "type": row.type, "actor": row.actor}
        event = Event.from_json({**said, "payload": payload})
        leaf = event.leaf_around(row.payload) if canonical else event.leaf_hash
        unchanged = canonical and leaf == bytes(row.leaf_hash)
    except (InputError, ValueError, TypeError, RecursionError):
        problems.append(f"event {row.position} does not hold readable JSON")
        return None, bytes(row.leaf_hash)
    if not unchanged:
        problems.append(f"event {row.position} was changed: its hash is not the one recorded")
    return event, leaf


def _own_checkpoints(connection: Connection) -> tuple[list[SignedCheckpoint], list[str]]:
    """The signed checkpoints that the database keeps, and what is wrong with its rows."""
    found, problems = [], []
    for row in connection.execute(select(CHECKPOINTS).order_by(CHECKPOINTS.c.size)):
        try:
            one = open_checkpoint(bytes(row.envelope))
        except InputError as error:
            problems.append(f"the recorded checkpoint of {row.time}: {error.what}")
            continue
        if (one.size, one.root, one.time, digest_bytes(one.envelope)) != (row.size, row.root, row.time, row.digest):
            problems.append(f"the recorded checkpoint of {row.time} is not what was signed")
        found.append(one)
    return found, problems


def _head_problems(connection: Connection, replay: Replay) -> Iterator[str]:
    head = connection.execute(select(LEDGER_HEAD.c.size, LEDGER_HEAD.c.frontier)).first()
    if head is None:
        yield "the head of the log is missing"
    elif head.size != replay.size:
        yield f"the log has {replay.size} events, its head says {head.size}"
    elif ledger.split_hashes(head.frontier) != list(replay.frontier):
        yield "the head of the log does not fit its events"


def _derived_problems(
    connection: Connection, nodes: dict[merkle.Coordinate, bytes], terms: set[tuple[str, str, int]]
) -> Iterator[str]:
    stored = {(row.level, row.node): bytes(row.hash) for row in connection.execute(select(LEDGER_NODES))}
    if stored != nodes:
        wrong = sorted((c for c in stored.keys() | nodes.keys() if stored.get(c) != nodes.get(c)), key=str)
        yield f"{len(wrong)} stored hashes of the log do not fit its events, the first at {wrong[0]}"
    indexed = {(row.field, row.value, row.position) for row in connection.execute(select(LEDGER_TERMS))}
    if indexed != terms:
        wrong_terms = sorted(indexed ^ terms, key=str)
        yield f"{len(wrong_terms)} entries of the log's index do not fit its events, the first is {wrong_terms[0]}"


def _pointer_problems(connection: Connection, replay: Replay) -> Iterator[str]:
    stored = {(row.channel, row.stage): (row.digest, row.generation) for row in connection.execute(select(CHANNELS))}
    told = {place: (served.digest, served.generation) for place, served in replay.stages.served.items()}
    for place in sorted(stored.keys() | told.keys(), key=str):
        if stored.get(place) != told.get(place):
            yield (
                f"channel {place[0]}/{place[1]} serves {_pointer(stored.get(place))}, "
                f"the log says {_pointer(told.get(place))}"
            )


def _blob_problems(connection: Connection, replay: Replay) -> Iterator[str]:
    present = set(blob_digests(connection))
    for digest, position in replay.blobs.items():
        if digest not in present:
            yield f"the contents {digest}, named by event {position}, are missing"
    for digest in damaged_blobs(connection):
        yield f"the contents stored under {digest} were changed"


def _pointer(pointer: tuple[Digest | None, int] | None) -> str:
    return "nothing" if pointer is None else f"{short(str(pointer[0] or ''))} at generation {pointer[1]}"
