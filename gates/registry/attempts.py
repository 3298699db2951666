"""Attempts and exposure: how often a line of work was put to the same sets, and how many have seen a set.

Whoever tries twenty candidates on the same prompts gets one through by luck, whatever the error rate of a single
try. So every subject of a lineage that is put to a set is an attempt with a number; its plan carries that number, and
the policy's rule makes the error rate of it.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, select

from evalharness.plan import Plan
from gates.registry import ledger
from gates.registry.tables import LEDGER
from gates.verifier.attempts import Attempt as Attempt
from gates.verifier.events import Event
from golden_sets.digests import Digest


def recorded_number(connection: Connection, attempt: Attempt) -> int | None:
    """The number of an attempt that was begun; None where it was not."""
    for event in _attempts(connection, attempt.lineage):
        if attempt.is_same(Attempt.of(event)):
            return int(event.payload["number"])
    return None


def next_number(connection: Connection, attempt: Attempt) -> int:
    """The number that a new attempt gets."""
    return attempt.number_after(map(Attempt.of, _attempts(connection, attempt.lineage)))


def begin(connection: Connection, attempt: Attempt, *, name: str | None, actor: str) -> int:
    """Record an attempt inside the caller's write transaction, unless it is already, and return its number."""
    number = recorded_number(connection, attempt)
    if number is None:
        number = next_number(connection, attempt)
        payload: dict[str, Any] = {
            "lineage": attempt.lineage,
            "sets": dict(attempt.sets),
            "subject": attempt.subject,
            "name": name,
            "question": attempt.question,
            "number": number,
        }
        ledger.append(connection, "attempted", actor, payload)
    return number


def has_begun(connection: Connection, plan: Plan, subject: Digest) -> bool:
    """Whether the attempt that a plan says it is was begun for a subject."""
    return any(
        event.payload["number"] == plan.attempt
        and set(event.payload["sets"].values()).issuperset(plan.set_digests.values())
        for event in ledger.find_events(connection, ("attempted",), {"lineage": plan.lineage, "subject": subject})
    )


def exposures(connection: Connection, set_digest: Digest) -> int:
    """How many subjects have recorded evidence that names a set."""
    naming = LEDGER.c.payload.contains(set_digest, autoescape=True)
    rows = connection.execute(select(LEDGER).where(LEDGER.c.type == "evaluated", naming))
    events = [ledger.event_from_row(row) for row in rows]
    return len({e.payload["subject"] for e in events if set_digest in e.payload["sets"].values()})


def _attempts(connection: Connection, lineage: str) -> list[Event]:
    return ledger.find_events(connection, ("attempted",), {"lineage": lineage})
