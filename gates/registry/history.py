"""The history of a stage: every move of its pointer, and what follows from them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from gates.verifier.events import Event
from golden_sets.digests import Digest

MoveKind = Literal["seed", "promote", "rollback"]


@dataclass(frozen=True, slots=True)
class Move:
    """One move of a pointer, as the ledger has it."""

    kind: MoveKind
    """``seed``: the first version, without a decision; ``promote``: by a passing decision; ``rollback``."""
    digest: Digest
    """The version it points to since."""
    name: str
    """That version's name when it was moved."""
    previous: Digest | None
    """The version before."""
    generation: int
    """The pointer's generation since."""
    decision: Digest | None
    """The decision that allowed it."""
    reason: str
    """Why, in the words of who did it."""
    actor: str
    """Who did it."""
    time: str
    """When, UTC."""
    position: int
    """The event's place in the ledger."""
    sanctions: tuple[Digest, ...] = ()
    """Envelopes of the submissions, approvals and waivers that a promotion rests on."""


def moves(events: Iterable[Event], stage: str) -> tuple[Move, ...]:
    """The moves of one stage among a channel's events given newest first; the result is oldest first."""
    return tuple(_move(event) for event in reversed(list(events)) if event.payload["stage"] == stage)


def one_back(history: Sequence[Move]) -> Move | None:
    """The move that put the version before the one served now into place; None where there is none."""
    beneath = earlier(history)
    return beneath[0] if beneath else None


def earlier(history: Sequence[Move]) -> list[Move]:
    """The moves that put what lies beneath the version served now into place, the nearest first.

    Moves form a stack: a promotion puts its version on top, a rollback takes away what lies above its target. So a
    second rollback goes further back, and never forward to what the first one took away. A rollback to a version that
    was taken away before puts it on top again.
    """
    stack: list[Move] = []
    for move in history:
        if move.kind != "rollback":
            stack.append(move)
            continue
        depth = next((i for i in reversed(range(len(stack))) if stack[i].digest == move.digest), None)
        stack = [*stack, move] if depth is None else stack[: depth + 1]
    return stack[-2::-1]


def last_promotion(history: Sequence[Move], digest: Digest) -> Move | None:
    """The newest seed or promotion of a version."""
    return next((m for m in reversed(history) if m.digest == digest and m.kind != "rollback"), None)


def last_withdrawal(history: Sequence[Move], digest: Digest) -> Move | None:
    """The newest rollback away from a version."""
    return next((m for m in reversed(history) if m.previous == digest and m.kind == "rollback"), None)


def taken_back(history: Sequence[Move], promotion: Move) -> bool:
    """Whether the stage was rolled back from a version since it was promoted there."""
    withdrawal = last_withdrawal(history, promotion.digest)
    return withdrawal is not None and withdrawal.position > promotion.position


def _move(event: Event) -> Move:
    payload = event.payload
    kind: MoveKind = "rollback" if event.type == "rolled_back" else "seed" if payload["seed"] else "promote"
    return Move(
        kind=kind,
        digest=payload["subject"],
        name=payload["name"],
        previous=payload["previous"],
        generation=payload["generation"],
        decision=payload.get("decision"),
        reason=payload["reason"],
        actor=event.actor,
        time=event.time,
        position=event.position,
        sanctions=tuple(payload.get("sanctions", ())),
    )
