"""Verification: recompute everything from the rows, and say what does not fit.

What it finds without help: an event, hash, index entry, pointer or blob that was edited, deleted, added or replaced,
also after the triggers were dropped; a move of a channel that no passing decision allowed; an attempt that was counted
wrongly. What it cannot find alone is a log rewritten as a whole, or cut at its end together with everything derived
from it: for that it takes a checkpoint that was kept elsewhere.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Row, select

from gates.registry import ledger
from gates.registry.attempts import Attempt
from gates.registry.blobs import blob_digests, damaged_blobs, get_blob
from gates.registry.tables import CHANNELS, LEDGER_HEAD, LEDGER_NODES, LEDGER_TERMS
from gates.registry.triggers import missing_triggers
from gates.verifier import events, merkle
from gates.verifier.events import Checkpoint, Event
from golden_sets.digests import Digest, canonical_json, short

_BLOBS_NAMED_BY = {
    "registered": ("subject",),
    "policy_recorded": ("policy",),
    "planned": ("plan", "policy"),
    "evaluated": ("evidence", "outcomes", "plan"),
    "decided": ("decision", "policy", "evidence", "plan"),
    "promoted": ("subject", "decision"),
    "rolled_back": ("subject",),
}
"""Payload fields whose digests must be there as blobs."""


@dataclass(frozen=True, slots=True)
class Verification:
    """What verification found."""

    size: int
    """Number of events."""
    root: Digest
    """Root of the log, recomputed from the events."""
    problems: tuple[str, ...]
    """What does not fit, for people; empty: everything fits."""

    @property
    def ok(self) -> bool:
        """True where nothing was found."""
        return not self.problems

    def to_json(self) -> dict[str, Any]:
        """Plain JSON data, for ``--json``."""
        return {"ok": self.ok, "size": self.size, "root": self.root, "problems": list(self.problems)}


@dataclass
class _Replay:
    """The state that the events lead to, rebuilt one event after the other."""

    size: int = 0
    frontier: tuple[bytes, ...] = ()
    nodes: dict[merkle.Coordinate, bytes] = field(default_factory=dict)
    terms: set[tuple[str, str, int]] = field(default_factory=set)
    blobs: dict[Digest, int] = field(default_factory=dict)
    passing: dict[Digest, tuple[Digest, Digest | None]] = field(default_factory=dict)
    pointers: dict[tuple[str, str], tuple[Digest, int]] = field(default_factory=dict)
    promoted: set[tuple[str, str, Digest]] = field(default_factory=set)
    attempts: dict[str, list[Attempt]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    checkpoint_root: bytes | None = None

    @property
    def root(self) -> Digest:
        return "sha256:" + merkle.frontier_root(self.frontier).hex()

    def add(self, row: Row[Any]) -> None:
        """One row of the ledger."""
        if row.position != self.size:
            self.problems.append(f"event {self.size} is missing: the next one is {row.position}")
        try:
            event = ledger.event_from_row(row)
            leaf = event.leaf_hash
            canonical = canonical_json(dict(event.payload)).decode() == row.payload
        except (ValueError, TypeError):
            self.problems.append(f"event {row.position} does not hold readable JSON")
            event, leaf, canonical = None, bytes(row.leaf_hash), True
        if leaf != bytes(row.leaf_hash) or not canonical:
            self.problems.append(f"event {row.position} was changed: its hash is not the one recorded")
        self.frontier, completed = merkle.append_leaf(self.size, self.frontier, leaf)
        self.nodes.update(completed)
        self.size += 1
        if event is not None:
            self.terms.update((f, v, row.position) for f, v in events.event_terms(event))
            self._apply(event)

    def _apply(self, event: Event) -> None:
        try:
            for name in _BLOBS_NAMED_BY.get(event.type, ()):
                if event.payload[name] is not None:
                    self.blobs.setdefault(event.payload[name], event.position)
            if event.type == "decided" and event.payload["verdict"] == "promote":
                self.passing[event.payload["decision"]] = (event.payload["subject"], event.payload["incumbent"])
            elif event.type in ("promoted", "rolled_back"):
                self._move(event)
            elif event.type == "attempted":
                self._count(event)
            elif event.type not in events.EVENT_TYPES:
                self.problems.append(f"event {event.position} has the unknown type '{event.type}'")
        except (KeyError, TypeError) as error:
            self.problems.append(f"event {event.position} ({event.type}) lacks {error}")

    def _count(self, event: Event) -> None:
        attempt, number = Attempt.of(event), event.payload["number"]
        earlier = self.attempts.setdefault(attempt.lineage, [])
        if number != (expected := attempt.number_after(earlier)):
            self.problems.append(f"event {event.position} counts attempt {number}, it is attempt {expected}")
        if any(attempt.is_same(other) for other in earlier):
            self.problems.append(f"event {event.position} counts an attempt that was counted before")
        earlier.append(attempt)

    def _move(self, event: Event) -> None:
        payload = event.payload
        place = (payload["channel"], payload["stage"])
        digest, generation = self.pointers.get(place, (None, 0))
        where = f"event {event.position} ({event.type} {place[0]}/{place[1]})"
        if (payload["previous"], payload["generation"]) != (digest, generation + 1):
            self.problems.append(f"{where} does not follow from generation {generation}")
        if event.type == "rolled_back":
            if (*place, payload["subject"]) not in self.promoted:
                self.problems.append(f"{where} goes to a version that was never promoted there")
        else:
            self._check_promotion(event, where, digest)
            self.promoted.add((*place, payload["subject"]))
        self.pointers[place] = (payload["subject"], payload["generation"])

    def _check_promotion(self, event: Event, where: str, served: Digest | None) -> None:
        payload = event.payload
        production, _ = self.pointers.get((payload["channel"], "production"), (None, 0))
        if payload["seed"]:
            if served is not None or production not in (None, payload["subject"]):
                self.problems.append(f"{where} needed a decision")
            return
        subject, incumbent = self.passing.get(payload["decision"], (None, None))
        if subject != payload["subject"] or incumbent not in ({served, production} - {None} or {None}):
            self.problems.append(f"{where} has no passing decision against what was served")


def verify(connection: Connection, *, checkpoint: Checkpoint | None = None) -> Verification:
    """Recompute log, index, pointers and blobs from the rows, in one read transaction.

    Args:
        connection: a read transaction (:func:`gates.registry.transactions.reading`).
        checkpoint: one taken earlier and kept elsewhere.
    """
    replay = _Replay()
    if checkpoint is not None and checkpoint.size == 0:
        replay.checkpoint_root = merkle.EMPTY_ROOT
    for row in ledger.stream_rows(connection):
        replay.add(row)
        if checkpoint is not None and replay.size == checkpoint.size:
            replay.checkpoint_root = merkle.frontier_root(replay.frontier)
    problems = [
        *replay.problems,
        *_head_problems(connection, replay),
        *_derived_problems(connection, replay),
        *_pointer_problems(connection, replay),
        *_blob_problems(connection, replay),
        *(f"the guarding trigger {name} is missing" for name in missing_triggers(connection)),
        *(() if checkpoint is None else _checkpoint_problems(replay, checkpoint)),
    ]
    return Verification(size=replay.size, root=replay.root, problems=tuple(problems))


def _head_problems(connection: Connection, replay: _Replay) -> Iterator[str]:
    head = connection.execute(select(LEDGER_HEAD.c.size, LEDGER_HEAD.c.frontier)).first()
    if head is None:
        yield "the head of the log is missing"
    elif head.size != replay.size:
        yield f"the log has {replay.size} events, its head says {head.size}"
    elif ledger.split_hashes(head.frontier) != list(replay.frontier):
        yield "the head of the log does not fit its events"


def _derived_problems(connection: Connection, replay: _Replay) -> Iterator[str]:
    nodes = {(row.level, row.node): bytes(row.hash) for row in connection.execute(select(LEDGER_NODES))}
    if nodes != replay.nodes:
        wrong = sorted(c for c in nodes.keys() | replay.nodes.keys() if nodes.get(c) != replay.nodes.get(c))
        yield f"{len(wrong)} stored hashes of the log do not fit its events, the first at {wrong[0]}"
    terms = {(row.field, row.value, row.position) for row in connection.execute(select(LEDGER_TERMS))}
    if terms != replay.terms:
        wrong_terms = sorted(terms ^ replay.terms)
        yield f"{len(wrong_terms)} entries of the log's index do not fit its events, the first is {wrong_terms[0]}"


def _pointer_problems(connection: Connection, replay: _Replay) -> Iterator[str]:
    stored = {(row.channel, row.stage): (row.digest, row.generation) for row in connection.execute(select(CHANNELS))}
    for place in sorted(stored.keys() | replay.pointers.keys()):
        if stored.get(place) != replay.pointers.get(place):
            yield (
                f"channel {place[0]}/{place[1]} serves {_pointer(stored.get(place))}, "
                f"the log says {_pointer(replay.pointers.get(place))}"
            )


def _blob_problems(connection: Connection, replay: _Replay) -> Iterator[str]:
    present = set(blob_digests(connection))
    for digest, position in replay.blobs.items():
        if digest not in present:
            yield f"the contents {digest}, named by event {position}, are missing"
    damaged = list(damaged_blobs(connection))
    for digest in damaged:
        yield f"the contents stored under {digest} were changed"
    for digest in sorted((present & replay.passing.keys()) - set(damaged)):
        yield from _decision_problems(connection, digest, replay)


def _decision_problems(connection: Connection, digest: Digest, replay: _Replay) -> Iterator[str]:
    """The event of a passing decision must say what the decision itself says."""
    decision = json.loads(get_blob(connection, digest))
    said = ("promote", *replay.passing[digest])
    if (decision.get("verdict"), decision.get("subject_digest"), decision.get("incumbent_digest")) != said:
        yield f"the event about decision {short(digest)} does not say what the decision says"


def _checkpoint_problems(replay: _Replay, checkpoint: Checkpoint) -> Iterator[str]:
    if checkpoint.size > replay.size:
        yield f"the log has {replay.size} events; at {checkpoint.time} it had {checkpoint.size}: its end was removed"
    elif replay.checkpoint_root is None or "sha256:" + replay.checkpoint_root.hex() != checkpoint.root:
        yield f"the first {checkpoint.size} events are not those of {checkpoint.time}: the log was rewritten"


def _pointer(pointer: tuple[Digest, int] | None) -> str:
    return "nothing" if pointer is None else f"{short(pointer[0])} at generation {pointer[1]}"
