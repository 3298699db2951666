"""Attempts: how often a line of work was put to the same sets, as the log counts it.

Whoever tries twenty candidates on the same prompts gets one through by luck, whatever the error rate of a single try.
So every subject of a lineage that is put to a set is an attempt with a number.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from evalharness.plan import Plan
from gates.verifier.events import Event
from golden_sets.digests import Digest


@dataclass(frozen=True, slots=True)
class Attempt:
    """One subject put to some sets, asking one question."""

    lineage: str
    """``channel/line``: attempts of one lineage are counted together."""
    sets: Mapping[str, Digest]
    """Digest of every set by name; only digests count."""
    subject: Digest | None
    """Digest of the subject's manifest; None: somebody new, to look up the number they would get."""
    question: Digest
    """Digest of what is asked, without the attempt's number and what follows from it."""

    @classmethod
    def of(cls, event: Event) -> Attempt:
        """The attempt that an event tells of."""
        payload = event.payload
        return cls(payload["lineage"], payload["sets"], payload["subject"], payload["question"])

    @property
    def names(self) -> frozenset[str]:
        """By what its sets are known: names and digests."""
        return frozenset({*self.sets, *self.sets.values()})

    def is_same(self, other: Attempt) -> bool:
        """Whether both are one attempt: the same subject of the same lineage asked the same question."""
        return (self.lineage, self.subject, self.question) == (other.lineage, other.subject, other.question)

    def shares(self, other: Attempt) -> bool:
        """Whether both are of one lineage and some set is put to both: by its name or its digest.

        A set with a prompt added or taken away is the same set to whoever has seen the others. Fresh prompts that shall
        count as such go into a set of another name.
        """
        return self.lineage == other.lineage and not self.names.isdisjoint(other.names)

    def number_after(self, earlier: Iterable[Attempt]) -> int:
        """The number it has as a new attempt: 1 + how many earlier ones of its lineage share a set with it."""
        return 1 + sum(self.shares(other) for other in earlier)


@dataclass
class Counting:
    """The attempts of a log, counted again; many of one lineage cost no more than few."""

    _begun: dict[tuple[str, Digest | None], list[tuple[int, frozenset[Digest]]]] = field(
        default_factory=lambda: defaultdict(list)
    )
    _asked: set[tuple[str, Digest | None, Digest]] = field(default_factory=set)
    _alike: dict[str, dict[frozenset[str], int]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(int)))

    def take(self, event: Event) -> Iterable[str]:
        """Count the attempt that an event tells of; returns what is wrong with it."""
        attempt, number = Attempt.of(event), event.payload["number"]
        alike, names = self._alike[attempt.lineage], attempt.names
        expected = 1 + sum(count for others, count in alike.items() if not names.isdisjoint(others))
        asked = (attempt.lineage, attempt.subject, attempt.question)
        problems = []
        if number != expected:
            problems.append(f"event {event.position} counts attempt {number}, it is attempt {expected}")
        if asked in self._asked:
            problems.append(f"event {event.position} counts an attempt that was counted before")
        self._asked.add(asked)
        alike[names] += 1
        self._begun[attempt.lineage, attempt.subject].append((number, frozenset(attempt.sets.values())))
        return problems

    def other_lines(self, lineage: str) -> dict[str, int]:
        """Lineages of the same channel by how many of their attempts share a set with some attempt of a lineage.

        Lines are declared: whoever declares another one begins to count anew.
        """
        channel, names = lineage.partition("/")[0] + "/", frozenset().union(*self._alike.get(lineage, ()))
        shared = {
            other: sum(count for theirs, count in alike.items() if not names.isdisjoint(theirs))
            for other, alike in self._alike.items()
            if other != lineage and other.startswith(channel)
        }
        return {other: count for other, count in sorted(shared.items()) if count}

    def has_begun(self, plan: Plan, subject: Digest) -> bool:
        """Whether the attempt that a plan says it is was begun for a subject."""
        wanted = set(plan.set_digests.values())
        begun = self._begun.get((plan.lineage, subject), [])
        return any(number == plan.attempt and sets >= wanted for number, sets in begun)
