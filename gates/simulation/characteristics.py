"""The gate's own error rates under a policy and a plan, as a record."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from golden_sets.digests import Digest
from golden_sets.records import Record

Interval = tuple[float, float]
"""Monte-Carlo interval of a simulated chance: Wilson, 95 %."""


class Verdicts(Record):
    """How simulated releases ended."""

    promote: float
    """Chance that every check passes."""
    promote_interval: Interval
    """Its Monte-Carlo interval."""
    block: float
    """Chance that some check fails."""
    block_interval: Interval
    """Its Monte-Carlo interval."""
    inconclusive: float
    """Chance of neither."""
    inconclusive_interval: Interval
    """Its Monte-Carlo interval."""
    generations: float
    """Answers asked for on average, over all arms and repeats; the latency pass is not counted."""
    generations_ratio: float
    """The same over a plan with a single look."""


class CurvePoint(Verdicts):
    """One point of the operating-characteristic curve."""

    difference: float
    """True difference of the candidate to the incumbent in every golden cell; the rest is as expected."""


class IdenticalModels(Verdicts):
    """The candidate is as good as the incumbent everywhere (A/A)."""

    verdict_flip_rate: float
    """Chance that two independent releases of one model get different verdicts."""
    failing: Mapping[str, float]
    """Chance that each check is the one that fails; checks that never did are left out."""


class LimitPoint(Record):
    """One check exactly at its limit, the others as expected."""

    check: str
    """The check, with its cell."""
    method: str
    """The bound that decides it."""
    exact: bool
    """Whether that bound never errs more often than stated; else it does so within about a point."""
    passes: float
    """Chance that this check passes: at most alpha."""
    passes_interval: Interval
    """Its Monte-Carlo interval."""
    promote: float
    """Chance that the release is promoted."""
    promote_interval: Interval
    """Its Monte-Carlo interval."""


class SequentialPoint(Verdicts):
    """What stopping early saves at one true effect."""

    effect: float
    """Multiple of the effect that every check is sized for: 0 at the limits, 1 as expected, -1 as far beyond them."""
    most_generations: int
    """Most answers that any of the simulated releases took."""
    checks: Mapping[str, float]
    """By check, as if it were the only one: prompts on average over those of a plan with a single look."""


class SimulatedCell(Record):
    """One check in one cell, as simulated."""

    check: str
    """The check, with its cell."""
    limit: float
    """What its bound must clear."""
    expected: float | None
    """What is true of it when everything is as expected: its rate, difference, cost or share of good requests."""
    n: int
    """Prompts it rests on at most."""
    n_fixed: int
    """Prompts that a plan with a single look would need; 0: not sized."""
    power: float
    """Chance that it passes when everything is as expected: as if it were the only one, where it has its own sample."""
    mean_n: float | None
    """Prompts it then takes on average; null where it has no sample of its own."""


class OperatingCharacteristics(Record):
    """What a gate does, over many simulated releases."""

    policy_name: str
    """Name of the policy."""
    policy_digest: Digest
    """Digest of the policy."""
    plan_digest: Digest | None = None
    """The plan; null where none was given and every check was sized for itself."""
    releases: int
    """Simulated releases per point."""
    seed: int
    """Seed of the simulation: the same seed gives the same numbers."""
    alpha: float
    """Error rate of every check in this attempt."""
    looks: int
    """How often a stage is looked at."""
    answers_per_prompt: int
    """Answers that one prompt takes, over all arms and repeats."""
    fixed_generations: int
    """Answers that a plan with a single look takes."""
    most_generations: int
    """Answers that this plan takes when every check goes to its end."""
    margin: float | None
    """The margin of the comparison on golden sets; null without one."""
    curve: tuple[CurvePoint, ...]
    """The operating-characteristic curve, from the worst candidate to the best."""
    a_a: IdenticalModels
    """An identical model."""
    at_limit: tuple[LimitPoint, ...]
    """Every check in turn exactly at its limit."""
    all_at_limit: Verdicts
    """Every check exactly at its limit: a block is a false fail."""
    sequential: tuple[SequentialPoint, ...]
    """Generations at multiples of the planned effect."""
    cells: tuple[SimulatedCell, ...]
    """Every check in every cell."""
    notes: tuple[str, ...] = ()
    """What was assumed, and what a reader must know."""
    seconds: float = Field(ge=0)
    """How long the simulation took."""

    def to_json(self) -> dict[str, Any]:
        """Plain JSON data (a documented interface)."""
        return self.model_dump(mode="json")
