"""Registered versions: what a name or a digest points to, and what the ledger says about it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from gates.registry import channels, ledger
from gates.registry.blobs import get_blob
from gates.verifier.events import EVENT_TYPES, Event
from golden_sets.digests import Digest, short
from golden_sets.errors import InputError

_REGISTERED = "see relgate registry list; results that were imported are gated, and are no version that can be moved"
_REFERENCE = re.compile(r"(?:sha256:)?([0-9a-f]{6,64})")


@dataclass(frozen=True, slots=True)
class Version:
    """A registered version: what it is, and what happened to it."""

    digest: Digest
    """Digest of its manifest."""
    kind: str
    """``model`` or ``router``."""
    name: str
    """The name it was registered under last."""
    names: tuple[str, ...]
    """All its names, newest first."""
    registered_at: str
    """UTC, ISO 8601."""
    actor: str
    """Who registered it."""
    position: int
    """Place of that event in the ledger."""
    details: Mapping[str, Any]
    """What was known beside its identity when it was registered: family, price..."""
    serves: tuple[str, ...]
    """Where it is served now: ``channel/stage``."""
    manifest: Mapping[str, Any]
    """The manifest, plain JSON data."""
    events: tuple[Event, ...]
    """Everything the ledger says about it, oldest first."""

    def to_json(self) -> dict[str, Any]:
        """Plain JSON data, for ``--json``."""
        return {
            "digest": self.digest,
            "kind": self.kind,
            "name": self.name,
            "names": list(self.names),
            "registered_at": self.registered_at,
            "actor": self.actor,
            "position": self.position,
            "details": dict(self.details),
            "serves": list(self.serves),
            "manifest": dict(self.manifest),
            "events": [event.to_json() for event in self.events],
        }


def require_name(name: str) -> None:
    """Check that a name can be told from a digest.

    Raises:
        InputError: it is empty or looks like one.
    """
    if not name.strip() or name.startswith("sha256:") or _REFERENCE.fullmatch(name):
        raise InputError(f"'{name}' cannot be a version's name", do="choose one that does not look like a digest")


def digest_of(connection: Connection, name: str) -> Digest | None:
    """The version a name points to now; None: an unknown name."""
    events = ledger.find_events(connection, ("registered", "named"), {"name": name})
    return events[0].payload["subject"] if events else None


def name_of(connection: Connection, digest: Digest) -> str:
    """The newest name of a registered version.

    Raises:
        InputError: not registered.
    """
    events = ledger.find_events(connection, ("registered", "named"), {"subject": digest})
    if not events:
        raise InputError(f"version {short(digest)} is not registered", do=_REGISTERED)
    return str(events[0].payload["name"])


def resolve(connection: Connection, reference: str) -> Digest:
    """The version behind a name, a digest or the beginning of one (six digits or more).

    Raises:
        InputError: unknown, or several versions begin with it.
    """
    if (named := digest_of(connection, reference)) is not None:
        return named
    found: list[Digest] = []
    if match := _REFERENCE.fullmatch(reference):
        candidates = ledger.find_terms(connection, "subject", f"sha256:{match[1]}")
        found = [d for d in candidates if ledger.find_events(connection, ("registered",), {"subject": d})]
    if len(found) > 1:
        raise InputError(f"several versions begin with '{reference}': {', '.join(found)}", do="give more digits")
    if not found:
        raise InputError(f"unknown version '{reference}'", do=_REGISTERED)
    return found[0]


def read_version(connection: Connection, digest: Digest) -> Version:
    """Everything about a registered version."""
    events = ledger.find_events(connection, EVENT_TYPES, {"subject": digest})
    registered = next(event for event in reversed(events) if event.type == "registered")
    names = dict.fromkeys(str(e.payload["name"]) for e in events if e.type in ("registered", "named"))
    return Version(
        digest=digest,
        kind=registered.payload["kind"],
        name=next(iter(names)),
        names=tuple(names),
        registered_at=registered.time,
        actor=registered.actor,
        position=registered.position,
        details=registered.payload["details"],
        serves=channels.serving(connection, digest),
        manifest=json.loads(get_blob(connection, digest)),
        events=tuple(reversed(events)),
    )
