"""Which stored answers a run may rest on: those that nobody can have looked at before its plan was made.

Answers are stored for good and reused, so that nothing is paid for twice. But whoever has seen a candidate's answers
can make a plan, a policy or a choice of prompts that they happen to pass. So every answer carries the size of the
ledger when the run that asked it began: where the plan was not in the ledger by then, the answer is older than it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from evalharness.generation_records import Generation
from golden_sets.digests import Digest


@dataclass(frozen=True, slots=True)
class Freshness:
    """What a run stamps on the answers it asks for, and which stored ones it reuses. By default: nothing, and all."""

    ledger_index: int | None = None
    """How many events the ledger holds as the run begins; None: there is no ledger."""
    since: int | None = None
    """Place of the plan in the ledger: answers older than it are asked again. None: all are reused."""
    run: str = ""
    """Name of the run that keeps answers asked again, beside the older ones; no other plan's run has it."""
    completed: int | None = None
    """Place of the plan in the ledger, where its run was completed before: requests that failed under it are outcomes
    and are not asked again. None: failed requests are."""

    def __post_init__(self) -> None:
        if self.since is not None and (not self.run or self.ledger_index is None or self.ledger_index <= self.since):
            raise ValueError("what is asked again needs a run of its own, begun after the plan was recorded")

    @classmethod
    def under(
        cls, plan: Digest, *, plan_index: int, ledger_index: int, reuse_older: bool, completed: bool = False
    ) -> Freshness:
        """The candidate's answers under a recorded plan.

        Args:
            plan: digest of the plan.
            plan_index: its place in the ledger.
            ledger_index: how many events the ledger holds now.
            reuse_older: take answers older than the plan, too (they make the evidence exploratory).
            completed: whether the plan was run for this candidate before, to its end.
        """
        since, finished = None if reuse_older else plan_index, plan_index if completed else None
        return cls(ledger_index, since, f"asked again under {plan}", finished)

    def allows(self, generation: Generation) -> bool:
        """Whether a stored answer may be reused; a failed one only where it is an outcome of a completed run."""
        if generation.error is not None:
            return self.completed is not None and not is_older(generation, self.completed)
        return self.since is None or not is_older(generation, self.since)


ANY_AGE = Freshness()
"""Every stored answer is reused, nothing is stamped."""


def is_older(generation: Generation, plan_index: int) -> bool:
    """Whether an answer was, or may have been, there before the plan at this place of the ledger was recorded."""
    # With n events in the ledger the newest has place n - 1: the plan is among them where plan_index < n.
    return generation.ledger_index is None or generation.ledger_index <= plan_index


def older_than(generations: Iterable[Generation], plan_index: int) -> int:
    """How many answers are older than the plan at this place of the ledger: those that make evidence exploratory."""
    return sum(is_older(generation, plan_index) for generation in generations)
