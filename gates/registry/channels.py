"""Channels: which version each stage serves, moved by compare-and-set in the transaction of the event that says so.

A pointer starts at generation 0 (empty); every move adds one. Whoever moves it names the generation they looked at: if
somebody was faster the move is refused, nothing is overwritten. The pointers can be derived from the ledger alone,
which verification does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, insert, select, update

from gates.registry import ledger
from gates.registry.acts import case_of, footing_of, load_authority
from gates.registry.history import Move, earlier, last_promotion, moves, taken_back
from gates.registry.tables import CHANNELS
from gates.verifier import stages
from gates.verifier.promotion import Case, Ground, counted, refusals, return_problem
from golden_sets.digests import Digest, short
from golden_sets.errors import InputError

CHANNEL_NAMES = stages.CHANNELS
"""The channels: one line of versions each."""
ROUTERS = "router"
"""The channel of routers, and their kind; the others serve models."""
STAGES = stages.STAGES
"""The stages of every channel, in the order in which a version goes through them."""
PRODUCTION = stages.PRODUCTION


@dataclass(frozen=True, slots=True)
class ChannelState:
    """What one stage of one channel serves now, and how it came to that."""

    channel: str
    """The channel."""
    stage: str
    """The stage."""
    digest: Digest | None
    """The version served now; None: never anything."""
    name: str | None
    """Its name when it was moved there."""
    generation: int
    """Number of moves so far; the next move must name it."""
    history: tuple[Move, ...]
    """All moves, oldest first."""

    @property
    def where(self) -> str:
        """``channel/stage``, for messages."""
        return f"{self.channel}/{self.stage}"

    def to_json(self) -> dict[str, Any]:
        """What is served now as plain JSON data; the history is the log's."""
        return {
            "channel": self.channel,
            "stage": self.stage,
            "digest": self.digest,
            "name": self.name,
            "generation": self.generation,
        }


def read_channel(connection: Connection, channel: str, stage: str) -> ChannelState:
    """The state of one stage of one channel.

    Raises:
        InputError: an unknown channel or stage.
    """
    require_known(channel, stage)
    served, generation = _pointer(connection, channel, stage)
    history = moves(ledger.find_events(connection, ("promoted", "rolled_back"), {"channel": channel}), stage)
    name = next((move.name for move in reversed(history) if move.digest == served), None)
    return ChannelState(channel, stage, served, name, generation, history)


def serving(connection: Connection, digest: Digest) -> tuple[str, ...]:
    """Where a version is served now: ``channel/stage``, sorted."""
    rows = connection.execute(select(CHANNELS.c.channel, CHANNELS.c.stage).where(CHANNELS.c.digest == digest))
    return tuple(sorted(f"{row.channel}/{row.stage}" for row in rows))


def require_known(channel: str, stage: str) -> None:
    """Check the names of channel and stage.

    Raises:
        InputError: an unknown one.
    """
    if channel not in CHANNEL_NAMES:
        raise InputError(f"unknown channel '{channel}'", do=f"use one of {', '.join(CHANNEL_NAMES)}")
    if stage not in STAGES:
        raise InputError(f"unknown stage '{stage}'", do=f"use one of {', '.join(STAGES)}")


def promote(
    connection: Connection,
    state: ChannelState,
    digest: Digest,
    name: str,
    *,
    decision_digest: Digest | None,
    actor: str,
    reason: str,
) -> None:
    """Move a stage to a version that a passing decision allows, or to the first version of all (no decision).

    Raises:
        InputError: a model for the routers' channel or a router for another, no passing decision for this version
            against what is served now, or a seed where one is needed.
    """
    _require_kind(connection, state, digest, name)
    payload = {**_payload(state, digest, name, reason), "decision": decision_digest, "seed": decision_digest is None}
    moment = None
    if decision_digest is None:
        _require_seed_allowed(connection, state, digest, reason)
    else:
        case = case_of_move(connection, state, digest, name, decision_digest)
        _require_allowed(case)
        moment = case.now
        if rests := counted(case):
            payload["sanctions"] = [given.envelope for given in rests]
    _move_pointer(connection, state, digest)
    ledger.append(connection, "promoted", actor, payload, time=moment)


def case_of_move(
    connection: Connection, state: ChannelState, digest: Digest, name: str, decision_digest: Digest
) -> Case:
    """The facts about moving a stage to a version by a recorded decision.

    Raises:
        InputError: the decision is not recorded.
    """
    production = {name: _pointer(connection, name, PRODUCTION)[0] for name in CHANNEL_NAMES}
    return case_of(
        connection,
        channel=state.channel,
        stage=state.stage,
        subject=digest,
        name=name,
        served=state.digest,
        generation=state.generation,
        models={name: served for name, served in production.items() if served is not None},
        decision=decision_digest,
    )


_ADVICE: dict[Ground, str] = {
    "decision": "see relgate report; release (or gate) it against what is served now, and promote with that decision",
    "policy": "release it under the pinned policy (a plan is for one policy), or let an owner pin another",
    "evidence": "evaluate it again",
    "stage": "promote it to that stage first",
    "signatures": "let them sign: relgate registry sign VERSION --role ROLE --key KEY",
}


def rollback(connection: Connection, state: ChannelState, digest: Digest, *, actor: str, reason: str) -> None:
    """Move a stage back to a version that was promoted there before.

    Raises:
        InputError: it was never promoted there, it is what is served now, no reason is given, or what it was promoted
            on counts no more (:func:`gates.verifier.promotion.return_problem`).
    """
    if not reason.strip():
        raise InputError("a rollback needs a reason", where=state.where, do='add --reason "..."')
    approved = {move.digest: move.name for move in state.history if move.kind != "rollback"}
    if digest not in approved:
        raise InputError(
            f"version {short(digest)} was never promoted to this stage",
            where=state.where,
            do=f"choose one of: {_names(approved) or 'none yet'}",
        )
    if digest == state.digest:
        raise InputError(f"'{approved[digest]}' is what this stage serves already", where=state.where)
    problem = _return_problem(connection, state, digest)
    if problem is not None:
        raise InputError(
            f"'{approved[digest]}' may not come back: {problem}",
            where=state.where,
            do="go further back, or release it again and let it be approved anew",
        )
    _move_pointer(connection, state, digest)
    ledger.append(connection, "rolled_back", actor, _payload(state, digest, approved[digest], reason))


def demotion_target(connection: Connection, state: ChannelState) -> Move | None:
    """Where a stage goes back to when what it serves may not stay: the nearest earlier version that may come back."""
    beneath = (move for move in earlier(state.history) if move.digest != state.digest)
    return next((move for move in beneath if _return_problem(connection, state, move.digest) is None), None)


def _return_problem(connection: Connection, state: ChannelState, digest: Digest) -> str | None:
    promoted = last_promotion(state.history, digest)
    if promoted is None:
        return "it was never promoted there"
    footing = footing_of(connection, promoted)
    return return_problem(
        expiries=footing.expiries,
        revoked=footing.revoked,
        withdrawn=taken_back(state.history, promoted),
        now=ledger.now(connection),
    )


def require_generation(state: ChannelState, expected: int) -> None:
    """Check that nobody moved the pointer since the caller looked.

    Raises:
        InputError: the generation is another one.
    """
    if expected != state.generation:
        now = "nothing" if state.digest is None else f"'{state.name}' ({short(state.digest)})"
        raise InputError(
            f"the channel moved meanwhile: generation {state.generation}, not {expected}; it serves {now} now",
            where=state.where,
            do="look at what is served now, compare with that, and promote again",
        )


def _require_kind(connection: Connection, state: ChannelState, digest: Digest, name: str) -> None:
    (registered,) = ledger.find_events(connection, ("registered",), {"subject": digest})
    kind = registered.payload["kind"]
    if (kind == ROUTERS) != (state.channel == ROUTERS):
        raise InputError(
            f"'{name}' is a {kind}", where=state.where, do=f"channel '{ROUTERS}' serves routers, the others models"
        )


def _require_seed_allowed(connection: Connection, state: ChannelState, digest: Digest, reason: str) -> None:
    if state.digest is not None:
        raise InputError(
            f"a promotion over '{state.name}' needs a passing decision",
            where=state.where,
            do="run relgate release (or gate) against it and promote with that decision",
        )
    production, _ = _pointer(connection, state.channel, PRODUCTION)
    if load_authority(connection).pinned(state.channel) is not None and production != digest:
        raise InputError(
            "a channel with a pinned policy takes no version without a decision",
            where=state.where,
            do="run relgate release (or gate) under the pinned policy",
        )
    if production not in (None, digest):
        raise InputError(
            "only the first version of a channel needs no decision, and this channel is in production",
            where=state.where,
            do="run relgate release (or gate) against the version in production",
        )
    if not reason.strip():
        raise InputError("the first version of a channel needs a reason", where=state.where, do='add --reason "..."')


def _require_allowed(case: Case) -> None:
    found = refusals(case)
    if found:
        where = f"{case.channel}/{case.stage}"
        raise InputError("; ".join(refusal.text for refusal in found), where=where, do=_ADVICE[found[0].ground])


def _pointer(connection: Connection, channel: str, stage: str) -> tuple[Digest | None, int]:
    """What a stage serves now, and its generation."""
    row = connection.execute(
        select(CHANNELS.c.digest, CHANNELS.c.generation).where(CHANNELS.c.channel == channel, CHANNELS.c.stage == stage)
    ).first()
    return (None, 0) if row is None else (row.digest, row.generation)


def _move_pointer(connection: Connection, state: ChannelState, digest: Digest) -> None:
    if state.generation == 0:
        connection.execute(
            insert(CHANNELS).values(channel=state.channel, stage=state.stage, digest=digest, generation=1)
        )
        return
    moved = connection.execute(
        update(CHANNELS)
        .where(
            CHANNELS.c.channel == state.channel,
            CHANNELS.c.stage == state.stage,
            CHANNELS.c.generation == state.generation,
        )
        .values(digest=digest, generation=state.generation + 1)
    )
    if moved.rowcount != 1:  # pragma: no cover - writers are serialised; this is the second lock
        raise InputError("the channel moved meanwhile", where=state.where, do="look again and repeat")


def _payload(state: ChannelState, digest: Digest, name: str, reason: str) -> dict[str, Any]:
    return {
        "channel": state.channel,
        "stage": state.stage,
        "subject": digest,
        "name": name,
        "previous": state.digest,
        "generation": state.generation + 1,
        "reason": reason,
    }


def _names(versions: dict[Digest, str]) -> str:
    return ", ".join(f"{name} ({short(digest)})" for digest, name in versions.items())
