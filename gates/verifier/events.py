"""Events of the log and its checkpoints, as plain data: what the verifier reads, wherever they come from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NoReturn

from gates.verifier import merkle
from golden_sets.digests import Digest, canonical_json
from golden_sets.errors import InputError

EVENT_TYPES = (
    "registered",
    "named",
    "policy_recorded",
    "planned",
    "evaluated",
    "decided",
    "promoted",
    "rolled_back",
    "attempted",
    "key_enrolled",
    "key_revoked",
    "policy_pinned",
    "signed",
    "waived",
    "expired",
)
"""What can happen. Later types are added at the end; a type's meaning never changes."""

TERMS = (
    "subject",
    "name",
    "decision",
    "evidence",
    "policy",
    "plan",
    "lineage",
    "channel",
    "outcomes",
    "key",
    "nonce",
    "envelope",
)
"""Payload fields by which events can be found."""


@dataclass(frozen=True, slots=True)
class Event:
    """One line of the ledger."""

    position: int
    """Place in the log, from 0; the order of events is this, never the clock's."""
    time: str
    """UTC, ISO 8601, as the writer's clock said."""
    type: str
    """One of ``EVENT_TYPES``."""
    actor: str
    """Who did it."""
    payload: Mapping[str, Any]
    """What happened, plain JSON data."""

    def to_json(self) -> dict[str, Any]:
        """Plain JSON data, the form that the leaf is made from."""
        return {
            "position": self.position,
            "time": self.time,
            "type": self.type,
            "actor": self.actor,
            "payload": dict(self.payload),
        }

    @property
    def leaf_data(self) -> bytes:
        """The event in canonical JSON: what the leaf is the hash of."""
        return canonical_json(self.to_json())

    @property
    def leaf_hash(self) -> bytes:
        """Hash of the event as a leaf of the log."""
        return merkle.leaf_hash(self.leaf_data)

    def leaf_around(self, payload: str) -> bytes:
        """The same hash, made around the canonical JSON of the payload: encoding it twice costs most of verification.

        Canonical JSON of an object is its members in the order of their keys, each encoded by itself.
        """
        actor, time, type_ = map(_text_json, (self.actor, self.time, self.type))
        said = f'{{"actor":{actor},"payload":{payload},"position":{self.position},"time":{time},"type":{type_}}}'
        return merkle.leaf_hash(said.encode())

    @classmethod
    def from_json(cls, data: Any) -> Event:
        """Read the form that :meth:`to_json` makes.

        Raises:
            InputError: not an event.
        """
        if (
            not isinstance(data, dict)
            or set(data) != {"position", "time", "type", "actor", "payload"}
            or type(data["position"]) is not int
            or not all(isinstance(data[key], str) for key in ("time", "type", "actor"))
            or not isinstance(data["payload"], dict)
        ):
            raise InputError("not an event of a log")
        return cls(**data)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The log's size and root at one moment: kept elsewhere, it shows later that nothing before it was changed."""

    size: int
    """Number of events."""
    root: Digest
    """Root of the Merkle tree over them, ``sha256:<hex>``."""
    time: str
    """UTC, ISO 8601, when the checkpoint was taken."""

    def to_json(self) -> dict[str, Any]:
        """Plain JSON data, the form of a checkpoint file."""
        return {"size": self.size, "root": self.root, "time": self.time}

    @classmethod
    def from_json(cls, data: Any, *, where: str | None = None) -> Checkpoint:
        """Read the form that :meth:`to_json` makes.

        Raises:
            InputError: not a checkpoint.
        """
        if (
            not isinstance(data, dict)
            or set(data) != {"size", "root", "time"}
            or type(data["size"]) is not int
            or data["size"] < 0
            or not all(isinstance(data[key], str) for key in ("root", "time"))
        ):
            raise InputError(
                "not a checkpoint", where=where, do='it holds {"size": events, "root": "sha256:...", "time": "..."}'
            )
        return cls(size=data["size"], root=data["root"], time=data["time"])


def read_canonical(text: str) -> tuple[Any, bool]:
    """The plain data of a JSON text, and whether the text is its canonical form (RFC 8785).

    Most texts are ASCII without fractions or large integers: what the standard library writes of those is canonical.

    Raises:
        ValueError: no JSON.
    """
    try:
        data = _PLAIN.decode(text)
        if text.isascii() and _COMPACT.encode(data) == text:
            return data, True
    except _NotPlainError:
        pass
    data = json.loads(text)
    return data, canonical_json(data).decode() == text


class _NotPlainError(Exception):
    """A number that the standard library may write otherwise than RFC 8785 says."""


def _not_plain(text: str) -> NoReturn:
    raise _NotPlainError(text)


def _small_integer(text: str) -> int:
    return int(text) if len(text) < 16 else _not_plain(text)  # fifteen digits are below 2**53


_PLAIN = json.JSONDecoder(parse_float=_not_plain, parse_int=_small_integer, parse_constant=_not_plain)
_COMPACT = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _text_json(text: str) -> str:
    return _COMPACT.encode(text) if text.isascii() else canonical_json(text).decode()


def event_terms(event: Event) -> list[tuple[str, str]]:
    """The terms by which an event can be found."""
    return [(field, str(event.payload[field])) for field in TERMS if event.payload.get(field) is not None]


def utc_now() -> str:
    """Now in UTC, ISO 8601 with microseconds."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
