"""What the registry knows about a decision: who signed, what is waived, which thresholds changed, where it stands."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from gates.policy_changes import PolicyChange
from golden_sets.digests import Digest


@dataclass(frozen=True, slots=True)
class Signature:
    """A submission or an approval of the decision."""

    person: str
    """Who signed."""
    role: str
    """In which role."""
    place: str | None
    """``channel/stage`` that an approval is for; None: a submission, which is for all."""
    signed_at: str
    """When it was recorded, as the log says."""
    position: int
    """The event's place in the log."""
    key: str
    """Id of the key."""
    expires: str | None
    """When an approval ceases to count; None: never."""
    comment: str
    """In the words of who signed."""
    counts: bool
    """Whether a move rests on it, or may."""
    note: str
    """Which move it counted for, or why it does not count."""


@dataclass(frozen=True, slots=True)
class WaiverGiven:
    """A waiver of one check of the decision."""

    person: str
    """Who gave it."""
    role: str
    """In which role."""
    check: str
    """What it names: a check with its cell, or a check of the policy."""
    lifts: tuple[str, ...]
    """Ids of the checks that did not pass and that it lifts."""
    place: str
    """``channel/stage`` it is for."""
    reason: str
    """Why."""
    scope: str
    """For whom or what it holds."""
    control: str
    """What makes up for the check meanwhile."""
    expires: str
    """When it ceases to count."""
    on_expiry: str
    """``demote`` or ``block``: what the first check after the expiry does."""
    signed_at: str
    """When it was recorded, as the log says."""
    position: int
    """The event's place in the log."""
    key: str
    """Id of the key."""
    counts: bool
    """Whether a move rests on it, or may."""
    note: str
    """Which move it counted for, or why it does not count."""


@dataclass(frozen=True, slots=True)
class ThresholdsSince:
    """How the decision's policy differs from an earlier one."""

    since: str
    """The earlier policy in words: name, version, and what it stands for."""
    policy: Digest
    """The earlier policy."""
    changes: tuple[PolicyChange, ...]
    """Every difference; empty: none."""

    @property
    def loosened(self) -> int:
        """How many changes make it easier to pass."""
        return sum(change.loosened is True for change in self.changes)


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a decision stands in the registry at the moment when the report is made."""

    channel: str
    """The channel it is for."""
    stage: str
    """The stage it is for."""
    position: int
    """The decision's place in the log."""
    log: Digest
    """Which log: hash of its first leaf."""
    size: int
    """Events of the log when the report was made."""
    root: Digest
    """Its root then."""
    pinned: str | None
    """The policy that the channel is pinned to, in words; None: it is not pinned."""
    moves: tuple[str, ...] = ()
    """Moves that rest on the decision, in words (``flagship/canary (event 33)``), oldest first."""
    serves: bool = False
    """Whether the stage serves the decision's subject."""
    rules: tuple[str, ...] = ()
    """What the policy asks of the stage, in words."""
    signatures: tuple[Signature, ...] = ()
    """Who signed, in the order of the log."""
    waivers: tuple[WaiverGiven, ...] = ()
    """What was waived, in the order of the log."""
    missing: tuple[str, ...] = ()
    """What stands against the next move to the stage, in words; empty: nothing, or the move was made."""
    thresholds: tuple[ThresholdsSince, ...] = ()
    """Differences to the policies that came before, each once."""

    @property
    def place(self) -> str:
        """``channel/stage``."""
        return f"{self.channel}/{self.stage}"

    def waived(self, check_id: str) -> tuple[WaiverGiven, ...]:
        """The waivers that count and lift a check."""
        return tuple(waiver for waiver in self.waivers if waiver.counts and check_id in waiver.lifts)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON data."""
        return {
            "channel": self.channel,
            "stage": self.stage,
            "position": self.position,
            "log": self.log,
            "size": self.size,
            "root": self.root,
            "pinned": self.pinned,
            "moves": list(self.moves),
            "serves": self.serves,
            "rules": list(self.rules),
            "signatures": [asdict(signature) for signature in self.signatures],
            "waivers": [asdict(waiver) for waiver in self.waivers],
            "missing": list(self.missing),
            "changed_thresholds": [
                {
                    "since": one.since,
                    "policy": one.policy,
                    "changes": [asdict(change) for change in one.changes],
                }
                for one in self.thresholds
            ],
        }
