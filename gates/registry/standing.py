"""Where a decision stands: who signed it, which moves rest on it, what stands against the next one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection

from gates.decision import Decision
from gates.registry import ledger
from gates.registry.acts import load_authority
from gates.registry.channels import PRODUCTION, case_of_move, read_channel
from gates.registry.history import Move, last_promotion, last_withdrawal
from gates.signing.predicates import Sanction
from gates.verifier.authority import Given, Pinned
from gates.verifier.events import Checkpoint, Event
from gates.verifier.promotion import Case
from golden_sets.digests import Digest

Place = tuple[str, str]
"""Channel and stage."""


@dataclass(frozen=True)
class DecisionStanding:
    """What the log says about a decision."""

    decision: Decision
    """The decision."""
    place: Place
    """Where it is to move something."""
    position: int
    """Its place in the log."""
    log: Digest
    """Which log: hash of its first leaf."""
    checkpoint: Checkpoint
    """Size and root of the log at this moment."""
    moves: tuple[Event, ...]
    """Promotions that rest on it, oldest first."""
    given: tuple[Given, ...]
    """Submissions, approvals and waivers about it, also those whose keys were revoked, in the order of the log."""
    revoked: frozenset[Digest]
    """Envelopes whose keys were revoked since."""
    cases: Mapping[Place, Case]
    """The move that it would make now, for its own place and every place that it was signed for."""
    pins: tuple[Pinned, ...]
    """Policies that the channel was pinned to, oldest first."""
    withdrawn: bool
    """Whether its own place was rolled back from its version since it was promoted there."""
    incumbents: Move | None
    """The promotion by which the stage (or production) came to serve what it was compared with; None: by none."""

    @property
    def case(self) -> Case:
        """The move that it would make now at its own place."""
        return self.cases[self.place]

    @property
    def moved(self) -> bool:
        """Whether its own place was moved by it."""
        return any((e.payload["channel"], e.payload["stage"]) == self.place for e in self.moves)


def read_standing(connection: Connection, decision: Decision, channel: str, stage: str) -> DecisionStanding | None:
    """Gather what the log says about a decision; None where it is not recorded.

    Args:
        connection: a read transaction.
        decision: the decision.
        channel: where it is to move something.
        stage: its stage.

    Raises:
        InputError: an unknown channel or stage.
    """
    decided = ledger.find_events(connection, ("decided",), {"decision": decision.digest})
    log = ledger.log_id(connection)
    if not decided or log is None:
        return None
    authority = load_authority(connection, decision=decision.digest)
    given = tuple(authority.given.get(decision.digest, []))
    promoted = ledger.find_events(connection, ("promoted",), {"decision": decision.digest})
    signed_for = {(one.act.channel, str(one.act.stage)) for one in given if isinstance(one.act, Sanction)}
    return DecisionStanding(
        decision=decision,
        place=(channel, stage),
        position=decided[-1].position,
        log=log,
        checkpoint=ledger.checkpoint(connection),
        moves=tuple(reversed(promoted)),
        given=given,
        revoked=frozenset(one.envelope for one in given if not authority.counts(one)),
        cases={place: _case(connection, decision, *place) for place in {(channel, stage), *signed_for}},
        pins=tuple(authority.pins.get(channel, ())),
        withdrawn=_is_withdrawn(read_channel(connection, channel, stage).history, decision.subject_digest),
        incumbents=_incumbents_promotion(connection, decision, channel, stage),
    )


def _case(connection: Connection, decision: Decision, channel: str, stage: str) -> Case:
    # By the decision's own name for it: what was imported and gated is not registered, so it has none here.
    state = read_channel(connection, channel, stage)
    return case_of_move(connection, state, decision.subject_digest, decision.subject_name, decision.digest)


def _is_withdrawn(history: tuple[Move, ...], subject: Digest) -> bool:
    """Whether the newest that happened to a version on a stage is that the stage was rolled back from it."""
    withdrawn = last_withdrawal(history, subject)
    back = max((move.position for move in history if move.digest == subject), default=-1)
    return withdrawn is not None and withdrawn.position > back


def _incumbents_promotion(connection: Connection, decision: Decision, channel: str, stage: str) -> Move | None:
    """The newest promotion of the incumbent on the stage, else in production, that a decision allowed."""
    if decision.incumbent_digest is None:
        return None
    for one in dict.fromkeys((stage, PRODUCTION)):
        move = last_promotion(read_channel(connection, channel, one).history, decision.incumbent_digest)
        if move is not None and move.decision is not None:
            return move
    return None
