"""The ledger: events as the leaves of a Merkle log, appended inside the transaction of what they record.

A leaf is the canonical JSON (RFC 8785) of ``{"actor", "payload", "position", "time", "type"}``. Beside the log lie the
hashes of its complete subtrees (for proofs) and an index of the payloads' terms (for look-ups); both can be rebuilt
from the events, and :mod:`gates.registry.verification` checks them against each other.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from sqlalchemy import Connection, Row, Select, and_, bindparam, exists, func, insert, or_, select, update

from gates.registry.tables import CHECKPOINTS, LEDGER, LEDGER_HEAD, LEDGER_NODES, LEDGER_TERMS
from gates.verifier import merkle
from gates.verifier.events import EVENT_TYPES, Checkpoint, Event, event_terms, utc_now
from golden_sets.digests import Digest, canonical_json
from golden_sets.errors import InputError

_HASH_BYTES = 32

# Made once: putting a statement together costs more than running it.
_HEAD = select(LEDGER_HEAD.c.size, LEDGER_HEAD.c.frontier)
_MOVE_HEAD = update(LEDGER_HEAD).values(size=bindparam("new_size"), frontier=bindparam("new_frontier"))
_ADD_EVENT, _ADD_NODES, _ADD_TERMS = insert(LEDGER), insert(LEDGER_NODES), insert(LEDGER_TERMS)


def append(
    connection: Connection, type_: str, actor: str, payload: Mapping[str, Any], *, time: str | None = None
) -> Event:
    """Append one event inside the caller's write transaction (:func:`gates.registry.transactions.writing`).

    Args:
        connection: the transaction.
        type_: type of the event.
        actor: who did it.
        payload: what happened.
        time: when, where something was decided by that moment (:func:`now`); default: the clock's.

    Raises:
        ValueError: an unknown type of event.
        InputError: a text that is none, such as bytes of a shell that are no UTF-8.
    """
    if type_ not in EVENT_TYPES:
        raise ValueError(f"unknown type of event '{type_}'")
    head = connection.execute(_HEAD).one()
    event = Event(head.size, time or utc_now(), type_, actor, payload)
    try:
        leaf = event.leaf_hash
    except ValueError as error:
        raise InputError(
            f"this cannot be written to the log: {error}", do="write names and reasons in UTF-8"
        ) from error
    frontier, completed = merkle.append_leaf(head.size, split_hashes(head.frontier), leaf)
    row = {
        "position": event.position,
        "time": event.time,
        "type": type_,
        "actor": actor,
        "payload": canonical_json(dict(payload)).decode(),
        "leaf_hash": leaf,
    }
    connection.execute(_ADD_EVENT, row)
    if completed:
        connection.execute(_ADD_NODES, [{"level": v, "node": i, "hash": h} for (v, i), h in completed])
    if terms := event_terms(event):
        connection.execute(_ADD_TERMS, [{"field": f, "value": v, "position": event.position} for f, v in terms])
    connection.execute(_MOVE_HEAD, {"new_size": head.size + 1, "new_frontier": b"".join(frontier)})
    return event


def now(connection: Connection) -> str:
    """The latest moment that the clock, the log or a signed checkpoint beside it knows of.

    A clock that was set back revives nothing, and whoever signs checkpoints on another machine bears witness.
    """
    latest = connection.execute(select(func.max(LEDGER.c.time))).scalar()
    witnessed = connection.execute(select(func.max(CHECKPOINTS.c.time))).scalar()
    return max(utc_now(), latest or "", witnessed or "")


def log_id(connection: Connection) -> Digest | None:
    """What tells this log from others: the hash of its first leaf; None while it is empty."""
    leaf = connection.execute(select(LEDGER.c.leaf_hash).where(LEDGER.c.position == 0)).scalar()
    return None if leaf is None else "sha256:" + bytes(leaf).hex()


# -- reading -------------------------------------------------------------------------------------------------


def all_events(connection: Connection, *, last: int | None = None) -> list[Event]:
    """All events, or the last few, oldest first."""
    query = select(LEDGER).order_by(LEDGER.c.position.desc())
    rows = connection.execute(query if last is None else query.limit(last)).all()
    return [event_from_row(row) for row in reversed(rows)]


def find_events(connection: Connection, types: Sequence[str], terms: Mapping[str, str | None]) -> list[Event]:
    """Events of some types whose payload holds all the given terms, newest first; a None term is not looked at."""
    wanted = {field: value for field, value in terms.items() if value is not None}
    rows = connection.execute(_finding(frozenset(wanted)), {"types": list(types), **wanted})
    return [event_from_row(row) for row in rows]


def first_event(connection: Connection, type_: str, field: str, value: str) -> Event | None:
    """The oldest event of a type whose payload holds a term.

    Where something is recorded before anything else may name it, that is the first event with its term: it is found at
    once, however often it was named since.
    """
    row = connection.execute(_FIRST, {"type": type_, "field": field, "value": value}).first()
    return None if row is None else event_from_row(row)


_FIRST = (
    select(LEDGER)
    .join(LEDGER_TERMS, LEDGER_TERMS.c.position == LEDGER.c.position)
    # An expression, so that no database walks through all events of the type instead.
    .where(LEDGER_TERMS.c.field == bindparam("field"), LEDGER_TERMS.c.value == bindparam("value"))
    .where(LEDGER.c.type.concat("") == bindparam("type"))
    .order_by(LEDGER_TERMS.c.position)
    .limit(1)
)

_MOST_TELLING_FIRST = (
    "nonce",
    "envelope",
    "decision",
    "evidence",
    "outcomes",
    "plan",
    "subject",
    "name",
    "lineage",
    "key",
)


@cache
def _finding(fields: frozenset[str]) -> Select[Any]:
    """The query for events that hold a value of each of these fields.

    The field that few events share is looked up; the others are checked on the events found, each by its key. All
    events under a policy, say, are never gathered where a subject is named too.
    """
    query = select(LEDGER).where(LEDGER.c.type.in_(bindparam("types", expanding=True)))
    for field in sorted(fields, key=_rank):
        holds = and_(LEDGER_TERMS.c.field == field, LEDGER_TERMS.c.value == bindparam(field))
        if field == min(fields, key=_rank):
            query = query.where(LEDGER.c.position.in_(select(LEDGER_TERMS.c.position).where(holds)))
        else:
            query = query.where(exists().where(holds, LEDGER_TERMS.c.position == LEDGER.c.position))
    return query.order_by(LEDGER.c.position.desc())


def _rank(field: str) -> tuple[int, str]:
    telling = _MOST_TELLING_FIRST
    return (telling.index(field) if field in telling else len(telling), field)


def find_terms(connection: Connection, field: str, prefix: str) -> list[str]:
    """Distinct values of one field that begin with a prefix, sorted."""
    query = select(LEDGER_TERMS.c.value).where(
        LEDGER_TERMS.c.field == field, LEDGER_TERMS.c.value.startswith(prefix, autoescape=True)
    )
    return list(connection.execute(query.distinct().order_by(LEDGER_TERMS.c.value)).scalars())


def stream_rows(connection: Connection, *, batch: int = 5000) -> Iterator[Row[Any]]:
    """Every raw row of the ledger in order, read in batches."""
    start = -1
    while rows := connection.execute(
        select(LEDGER).where(LEDGER.c.position > start).order_by(LEDGER.c.position).limit(batch)
    ).all():
        yield from rows
        start = rows[-1].position


def event_from_row(row: Row[Any]) -> Event:
    """The event that a row of the ledger holds."""
    return Event(row.position, row.time, row.type, row.actor, json.loads(row.payload))


# -- checkpoints and proofs ----------------------------------------------------------------------------------


def checkpoint(connection: Connection) -> Checkpoint:
    """Size and root of the log now."""
    head = connection.execute(_HEAD).one()
    root = merkle.frontier_root(split_hashes(head.frontier))
    return Checkpoint(size=head.size, root="sha256:" + root.hex(), time=utc_now())


def inclusion_proof(connection: Connection, position: int, size: int) -> list[bytes]:
    """Proof that the event at ``position`` is in the log of the first ``size`` events; O(log size) rows are read.

    Raises:
        InputError: the log is shorter, or the event is not among those.
    """
    _require_size(connection, size)
    if not 0 <= position < size:
        raise InputError(f"there is no event {position} among the first {size}", do="see relgate registry log")
    return _span_roots(connection, merkle.inclusion_spans(position, size))


def consistency_proof(connection: Connection, old: int, new: int) -> list[bytes]:
    """Proof that the log of the first ``old`` events is the beginning of the log of the first ``new``.

    Raises:
        InputError: the log is shorter, or ``old`` is beyond ``new``.
    """
    _require_size(connection, new)
    if not 0 <= old <= new:
        raise InputError(f"a log of {new} events cannot have grown from one of {old}")
    return _span_roots(connection, merkle.consistency_spans(old, new))


def _require_size(connection: Connection, size: int) -> None:
    actual = connection.execute(select(LEDGER_HEAD.c.size)).scalar_one()
    if size > actual:
        raise InputError(f"the log has {actual} events, {size} were asked for", do="see relgate registry log")


def _span_roots(connection: Connection, spans: Iterable[merkle.Span]) -> list[bytes]:
    subtrees = [merkle.complete_subtrees(span) for span in spans]
    hashes = _load_nodes(connection, [c for span in subtrees for c in span])
    return [merkle.frontier_root([hashes[c] for c in span]) for span in subtrees]


def _load_nodes(connection: Connection, coordinates: Sequence[merkle.Coordinate]) -> dict[merkle.Coordinate, bytes]:
    leaves = [index for level, index in coordinates if level == 0]
    inner = [c for c in coordinates if c[0] > 0]
    found: dict[merkle.Coordinate, bytes] = {}
    if leaves:
        rows = connection.execute(select(LEDGER.c.position, LEDGER.c.leaf_hash).where(LEDGER.c.position.in_(leaves)))
        found.update({(0, row.position): bytes(row.leaf_hash) for row in rows})
    if inner:
        # One condition each: SQLite would read the whole table for a comparison of pairs.
        each = [and_(LEDGER_NODES.c.level == level, LEDGER_NODES.c.node == node) for level, node in inner]
        rows = connection.execute(select(LEDGER_NODES).where(or_(*each)))
        found.update({(row.level, row.node): bytes(row.hash) for row in rows})
    if missing := set(coordinates) - set(found):
        raise InputError(f"hashes of the log are missing: {sorted(missing)}", do="run relgate registry verify")
    return found


def split_hashes(frontier: bytes) -> list[bytes]:
    """The hashes of a stored frontier."""
    return [bytes(frontier[i : i + _HASH_BYTES]) for i in range(0, len(frontier), _HASH_BYTES)]
