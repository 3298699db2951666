"""What every stage serves, move by move, as the log tells it: promotions, rollbacks, and waivers that ran out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import get_args

from gates.promotion_rules import Stage
from gates.signing.predicates import Channel, Waiver
from gates.verifier.authority import Authority, Given
from gates.verifier.events import Event
from gates.verifier.footing import Footing
from gates.verifier.promotion import return_problem
from golden_sets.digests import Digest

Place = tuple[str, str]
"""Channel and stage."""

CHANNELS: tuple[str, ...] = get_args(Channel)
STAGES: tuple[str, ...] = get_args(Stage)
PRODUCTION = STAGES[-1]


@dataclass(frozen=True)
class Served:
    """What a stage serves."""

    digest: Digest | None = None
    """The version; None: never anything."""
    generation: int = 0
    """Number of moves so far."""
    move: Event | None = None
    """The newest of them."""


@dataclass
class Stages:
    """What every stage serves after the moves so far. Every method yields what is wrong with an event.

    Args:
        authority: the acts of the same log, up to the same event.
    """

    authority: Authority
    served: dict[Place, Served] = field(default_factory=dict)
    """What every stage serves."""
    _promotions: dict[Place, dict[Digest, Event]] = field(default_factory=lambda: defaultdict(dict))
    """The newest promotion (or seed) of each version to each stage."""
    _withdrawn: dict[Place, dict[Digest, Event]] = field(default_factory=lambda: defaultdict(dict))
    """The newest rollback of each stage away from each version."""
    _expired: set[tuple[Place, Digest]] = field(default_factory=set)
    """Waivers of which the log has told that they ran out."""
    _demoted: dict[Place, Event] = field(default_factory=dict)
    """Where the log says that a stage goes back because a waiver ran out, until it does."""

    def at(self, place: Place) -> Served:
        """What a stage serves."""
        return self.served.get(place, Served())

    def in_production(self) -> dict[str, Digest]:
        """What every channel's production serves, where it serves anything."""
        return {c: one.digest for (c, s), one in self.served.items() if s == PRODUCTION and one.digest is not None}

    def reached(self, channel: str, subject: Digest, now: str) -> frozenset[str]:
        """Stages of a channel to which a version was promoted by a decision, from which it was not taken back since,
        and where everything that was signed for it still counts."""
        return frozenset(
            stage for (c, stage) in self._promotions if c == channel and self._stands((c, stage), subject, now)
        )

    def follows(self, event: Event) -> Iterator[str]:
        """Whether a move begins where the stage stands."""
        before = self.at(_place(event))
        if (event.payload["previous"], event.payload["generation"]) != (before.digest, before.generation + 1):
            yield f"does not follow from generation {before.generation}"

    def seeded(self, event: Event) -> Iterator[str]:
        """Whether a version needed no decision: a channel's first; with a pinned policy, what production serves."""
        (channel, stage), subject = _place(event), event.payload["subject"]
        production = self.at((channel, PRODUCTION)).digest
        allowed = {subject} if self.authority.pinned(channel) is not None else {None, subject}
        without = event.payload["decision"] is None and event.payload["seed"] is True
        if self.at((channel, stage)).digest is not None or production not in allowed or not without:
            yield "needed a decision"

    def promote(self, event: Event) -> None:
        """Take in a promotion."""
        self._promotions[_place(event)][event.payload["subject"]] = event
        self._move(event)

    def roll_back(self, event: Event, now: str) -> Iterator[str]:
        """Take in a rollback: to a version that was promoted there, and may come back."""
        place, before = _place(event), self.at(_place(event))
        promotion = self._promotions[place].get(event.payload["subject"])
        if promotion is None:
            yield "goes to a version that was never promoted there"
        else:
            if event.payload["name"] != promotion.payload["name"]:
                yield "goes to a version under another name than it was promoted with"
            footing = self._footing(promotion)
            problem = return_problem(
                expiries=footing.expiries,
                revoked=footing.revoked,
                withdrawn=self._is_withdrawn(place, promotion),
                now=now,
            )
            if problem is not None:
                yield f"goes to a version that may not come back: {problem}"
        if before.digest is not None:
            self._withdrawn[place][before.digest] = event
        self._demoted.pop(place, None)
        self._move(event)

    def expire(self, event: Event, now: str) -> Iterator[str]:
        """Take in that a waiver ran out on which what a stage serves rests."""
        place, envelope, subject = _place(event), event.payload["envelope"], event.payload["subject"]
        waiver = next((w for w in self._waivers(place) if w.envelope == envelope), None)
        if waiver is None or not isinstance(waiver.act, Waiver) or self.at(place).digest != subject:
            yield "speaks of a waiver on which nothing rests that is served there"
        elif now < _expiry(waiver):
            yield "speaks of what had not expired"
        elif event.payload["action"] not in ("block", waiver.act.on_expiry):
            yield "tells of another action than was signed"
        if (place, envelope) in self._expired:
            yield "tells of what had expired before"
        if event.payload["action"] == "demote":
            self._demoted.setdefault(place, event)
        self._expired.add((place, envelope))

    def overdue(self, now: str) -> Iterator[str]:
        """What is served on waivers that have run out, whether the log tells of that already or not."""
        for place, served in self.served.items():
            for waiver in self._waivers(place):
                if _expiry(waiver) <= now and served.move is not None:
                    name, told = served.move.payload["name"], (place, waiver.envelope) in self._expired
                    said = f"{'/'.join(place)} serves '{name}' on a waiver that expired at {_expiry(waiver)}"
                    yield said + (": blocked, nothing may follow on it" if told else "")

    def undone(self) -> Iterator[str]:
        """Stages that were to go back when a waiver ran out, and did not."""
        for place, event in self._demoted.items():
            yield f"event {event.position} says that {'/'.join(place)} goes back, and it did not: a waiver had run out"

    def _stands(self, place: Place, subject: Digest, now: str) -> bool:
        promotion = self._promotions[place].get(subject)
        if promotion is None or promotion.payload["decision"] is None or self._is_withdrawn(place, promotion):
            return False
        return self._footing(promotion).counts(now)

    def _footing(self, promotion: Event) -> Footing:
        """What was signed for a promotion."""
        return Footing.of(self.authority, promotion.payload["decision"], promotion.payload.get("sanctions", ()))

    def _waivers(self, place: Place) -> list[Given]:
        """The waivers on which what a stage serves rests."""
        promotion = self._promotions[place].get(self.at(place).digest or "")
        return [] if promotion is None else self._footing(promotion).waivers

    def _is_withdrawn(self, place: Place, promotion: Event) -> bool:
        rollback = self._withdrawn[place].get(promotion.payload["subject"])
        return rollback is not None and rollback.position > promotion.position

    def _move(self, event: Event) -> None:
        self.served[_place(event)] = Served(event.payload["subject"], event.payload["generation"], event)


def _place(event: Event) -> Place:
    return event.payload["channel"], event.payload["stage"]


def _expiry(waiver: Given) -> str:
    assert isinstance(waiver.act, Waiver)  # noqa: S101 - only waivers are asked
    return waiver.act.expires
