"""Everything a plan depends on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from evalharness.allocating import DeclaredWeight
from evalharness.cell_design import ASSUMED_LEVEL, RateSource
from evalharness.judge_error import JudgeError
from evalharness.plan import LatencyLoad, Looks, PlannedSet, Requirement
from golden_sets.digests import Digest
from golden_sets.records import PromptSet


class Expected(NamedTuple):
    """The rate to expect in a cell."""

    rate: float | None
    """The rate (discordance for a margin); None: unknown."""
    source: RateSource
    """Where it comes from."""
    note: str | None = None
    """What a person should know about it."""
    level: float = ASSUMED_LEVEL
    """For a margin, and for the judge's own error: the rate of either arm."""


ExpectedRate = Callable[[Requirement], Expected | tuple[float | None, RateSource]]
"""Tells the rate to expect of a requirement's cell, and where that number comes from."""


@dataclass(frozen=True)
class PlanInputs:
    """Everything a plan depends on."""

    name: str
    lineage: str
    policy_digest: Digest
    sets: Sequence[PromptSet]
    requirements: Sequence[Requirement]
    expected: ExpectedRate
    incumbent_digest: Digest | None
    judge_digest: Digest | None
    alpha: float
    joint_power: float
    repeats: int
    seed: int
    labels_per_arm: int | None
    """Labelled answers per judged set and arm; None: what the checks need."""
    latency: LatencyLoad | None
    judged_kinds: frozenset[str]
    """Kinds of sets whose outcomes come from a judge."""
    judged_sets: frozenset[str] | None = None
    """Names of those sets; None: every set of those kinds."""
    judges: Mapping[str, JudgeError] = field(default_factory=dict)
    """What is known of the judge's error, by kind of set; assumed where a kind is not named."""
    anchor_digest: Digest | None = None
    attempt: int = 1
    looks: Looks = field(default_factory=Looks)
    stages: Mapping[str, int] = field(default_factory=dict)
    """Stage of each set by name; 1 where it is not named."""
    weights: Mapping[str, Sequence[DeclaredWeight]] = field(default_factory=dict)
    """Declared weights by set; a set that is not named weighs its prompts alike."""
    share: float | None = None
    """For a budget: share of every size that is asked, though never less than a pass takes. None: what the joint power
    takes."""
    also: Mapping[str, Any] = field(default_factory=dict)
    """Plain JSON: what else decides the numbers, see `Plan.inputs`."""

    def judges_set(self, name: str, planned: PlannedSet) -> bool:
        """Whether a judge scores the answers to a set."""
        named = self.judged_sets is None or name in self.judged_sets
        return named and planned.kind.value in self.judged_kinds
