"""What was signed for a promotion, as it stands now."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from gates.signing.predicates import Waiver
from gates.verifier.authority import Authority, Given
from golden_sets.digests import Digest


@dataclass(frozen=True)
class Footing:
    """What was signed for a promotion, as it stands now."""

    given: tuple[Given, ...] = ()
    """The submission, approvals and waivers that it rests on."""
    revoked: bool = False
    """Whether the key of one of them was revoked since."""

    @classmethod
    def of(cls, authority: Authority, decision: Digest | None, sanctions: Collection[Digest]) -> Footing:
        """What a promotion by a decision rests on, by the envelopes that its event names; a seed rests on nothing."""
        about = () if decision is None else authority.given.get(decision, ())
        rests = tuple(one for one in about if one.envelope in sanctions)
        return cls(rests, revoked=not all(map(authority.counts, rests)))

    @property
    def waivers(self) -> list[Given]:
        """The waivers."""
        return [one for one in self.given if isinstance(one.act, Waiver)]

    @property
    def expiries(self) -> list[str]:
        """When the waivers expire."""
        return [one.act.expires for one in self.given if isinstance(one.act, Waiver)]

    def counts(self, now: str) -> bool:
        """Whether all of it still counts: no key was revoked, and no waiver has run out."""
        return not self.revoked and all(now < moment for moment in self.expiries)
