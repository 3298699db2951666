"""Waivers that what is served rests on: which run out, and what is done once they have."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal

from sqlalchemy import Connection

from gates.registry import channels, ledger
from gates.registry.acts import footing_of
from gates.registry.channels import CHANNEL_NAMES, STAGES, ChannelState
from gates.registry.history import last_promotion
from gates.signing.predicates import Waiver
from gates.verifier.promotion import later
from golden_sets.digests import Digest

ANNOUNCED_H = 168.0
"""Hours before its expiry from which a waiver is announced."""


@dataclass(frozen=True, slots=True)
class StandingWaiver:
    """A waiver that what a stage serves rests on."""

    channel: str
    stage: str
    generation: int
    """The stage's generation now."""
    subject: Digest
    """The version served."""
    name: str
    """Its name."""
    check: str
    """What is lifted."""
    person: str
    """Who waived it."""
    reason: str
    scope: str
    control: str
    expires: str
    """UTC, ISO 8601."""
    on_expiry: Literal["demote", "block"]
    """What the first check after the expiry does."""
    envelope: Digest
    """Digest of what was signed."""
    expired: bool
    """Whether it has run out."""
    told: bool
    """Whether the log tells of that already: the version stays, blocked."""

    @property
    def where(self) -> str:
        """``channel/stage``."""
        return f"{self.channel}/{self.stage}"

    @property
    def text(self) -> str:
        """One sentence for people."""
        when = f"expired at {self.expires}: blocked" if self.expired else f"expires at {self.expires}"
        return f"{self.where}: the waiver of {self.check} for '{self.name}' (by {self.person}) {when}"

    def to_json(self) -> dict[str, Any]:
        """Plain JSON data, for ``--json``."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Expiry:
    """What was done about a stage whose version rests on waivers that expired."""

    waivers: tuple[StandingWaiver, ...]
    """The waivers."""
    action: Literal["demote", "block"]
    """Whether the stage went back, or its version stays and nothing follows on it."""
    state: ChannelState
    """The stage afterwards."""

    @property
    def text(self) -> str:
        """One sentence for people."""
        checks = ", ".join(waiver.check for waiver in self.waivers)
        what = f"{self.state.where}: the waiver of {checks} for '{self.waivers[0].name}' has expired"
        if self.action == "demote":
            return f"{what}; it serves {self.state.name} now (generation {self.state.generation})"
        return f"{what}; it stays, blocked: nothing may follow on it"

    def to_json(self) -> dict[str, Any]:
        """Plain JSON data, for ``--json``."""
        return {
            "action": self.action,
            "waivers": [waiver.to_json() for waiver in self.waivers],
            "channel": self.state.to_json(),
        }


def standing_waivers(connection: Connection, channel: str | None = None) -> list[StandingWaiver]:
    """Every waiver that something served rests on, the next to expire first.

    Args:
        connection: a transaction.
        channel: only this one; None: all.
    """
    now = ledger.now(connection)
    names = CHANNEL_NAMES if channel is None else (channel,)
    states = [channels.read_channel(connection, name, stage) for name in names for stage in STAGES]
    found = [waiver for state in states for waiver in _waivers_of(connection, state, now)]
    return sorted(found, key=lambda waiver: waiver.expires)


def due(connection: Connection, channel: str | None = None, *, within_h: float = ANNOUNCED_H) -> list[StandingWaiver]:
    """The standing waivers that have expired or will within some hours."""
    horizon = later(ledger.now(connection), hours=within_h)
    return [waiver for waiver in standing_waivers(connection, channel) if waiver.expires <= horizon]


def expire(connection: Connection, channel: str | None = None, *, actor: str) -> list[Expiry]:
    """Do what expired waivers ask for, once each, inside the caller's write transaction.

    The log tells of every expiry. Where a waiver says ``demote`` the stage goes back to the nearest earlier version
    that may come back; where there is none, or it says ``block``, the version stays and counts as not promoted.
    """
    waiting = [waiver for waiver in standing_waivers(connection, channel) if waiver.expired and not waiver.told]
    places = dict.fromkeys((waiver.channel, waiver.stage) for waiver in waiting)
    return [
        _expire_place(
            connection,
            channels.read_channel(connection, *place),
            tuple(waiver for waiver in waiting if (waiver.channel, waiver.stage) == place),
            actor,
        )
        for place in places
    ]


def _expire_place(
    connection: Connection, state: ChannelState, expired: tuple[StandingWaiver, ...], actor: str
) -> Expiry:
    wanted = any(waiver.on_expiry == "demote" for waiver in expired)
    target = channels.demotion_target(connection, state) if wanted else None
    for waiver in expired:
        payload = {
            "envelope": waiver.envelope,
            "channel": waiver.channel,
            "stage": waiver.stage,
            "subject": waiver.subject,
            "action": "block" if target is None else waiver.on_expiry,
        }
        ledger.append(connection, "expired", actor, payload, time=ledger.now(connection))
    if target is None:
        return Expiry(expired, "block", state)
    checks = ", ".join(f"{waiver.check} (by {waiver.person}, until {waiver.expires})" for waiver in expired)
    channels.rollback(connection, state, target.digest, actor=actor, reason=f"waived until now: {checks}")
    return Expiry(expired, "demote", channels.read_channel(connection, state.channel, state.stage))


def _waivers_of(connection: Connection, state: ChannelState, now: str) -> Iterator[StandingWaiver]:
    promoted = None if state.digest is None else last_promotion(state.history, state.digest)
    if promoted is None:
        return
    for given in footing_of(connection, promoted).waivers:
        act = given.act
        assert isinstance(act, Waiver)  # noqa: S101 - a footing's waivers are waivers
        terms = {"envelope": given.envelope, "channel": state.channel}
        told = ledger.find_events(connection, ("expired",), terms)
        yield StandingWaiver(
            channel=state.channel,
            stage=state.stage,
            generation=state.generation,
            subject=promoted.digest,
            name=promoted.name,
            check=act.check,
            person=act.person,
            reason=act.reason,
            scope=act.scope,
            control=act.control,
            expires=act.expires,
            on_expiry=act.on_expiry,
            envelope=given.envelope,
            expired=act.expires <= now,
            told=any(event.payload["stage"] == state.stage for event in told),
        )
