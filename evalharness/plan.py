"""The plan: what will be asked, how often, and why that many. Its digest is committed to before the run."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any, Literal

from pydantic import Field

from evalharness.spending import Spending
from golden_sets.digests import Digest
from golden_sets.records import Record, SetKind

Purpose = Literal["display", "floor", "ceiling", "margin", "quantile", "calibration"]
Basis = Literal["sample", "requests", "end"]
"""Which outcomes a check rests on: ``sample``: the first of its own committed sample; ``requests``: every answer asked
so far; ``end``: examined once, when the run is over (latency pass, the judge's own error)."""


class Requirement(Record):
    """What one check needs of one cell, in the planner's words: the gates' checks are translated into these."""

    check: str
    """Id of the check, with its cell after a slash."""
    purpose: Purpose
    """What the sample must be able to show."""
    metric: str
    """Metric the check is about."""
    set_kind: SetKind | None = None
    """Only prompts of this kind of set; None: every set."""
    set_name: str | None = None
    """Only prompts of the set with this name."""
    rubric: str | None = None
    """The rubric whose scores it is about; None: the one that scores each prompt."""
    cell: Mapping[str, str] = Field(default_factory=dict)
    """Only prompts with these dimension values."""
    limit: float | None = None
    """Floor, ceiling or margin, in the metric's unit."""
    quantile: float | None = None
    """For latency checks."""
    alpha: float = Field(gt=0, lt=0.5)
    """Error rate of the check."""
    power: float = Field(gt=0, lt=1)
    """Power wanted for this check (already raised for the joint power)."""
    basis: Basis = "sample"
    """Which outcomes it rests on."""
    half_width: float | None = Field(default=None, gt=0, lt=1)
    """Half-width wanted of the two-sided 95 % interval, where the number is shown."""


class PlannedCell(Record):
    """One cell: how many prompts it needs, for which check, at which expected rate, and what is there."""

    check: str
    """The check that asks for it."""
    purpose: Purpose
    """What it must show."""
    metric: str
    """The metric."""
    set_kind: SetKind | None
    """The kind of set."""
    set_name: str | None = None
    """The set it is about; None: every set of that kind."""
    rubric: str | None = None
    """The rubric whose scores it is about; None: the one that scores each prompt."""
    cell: Mapping[str, str]
    """The cell's dimension values."""
    rate: float | None
    """Expected rate (or discordance for a margin) that n was computed from."""
    rate_source: Literal["incumbent", "policy", "assumed", "none"]
    """Where that rate comes from."""
    stage: int = Field(default=1, ge=1)
    """The stage in which it is settled: that of the latest set it is about."""
    basis: Basis = "sample"
    """Which outcomes it rests on."""
    n_wanted: int = Field(ge=0)
    """Prompts needed at most (over all looks)."""
    n_fixed: int = Field(default=0, ge=0)
    """Prompts a plan with a single look would need; 0: not sized."""
    n_available: int = Field(ge=0)
    """Prompts the sets hold in that cell."""
    n: int = Field(ge=0)
    """Prompts it rests on at most: the first ``n`` of its sample (see `evalharness.drawing`)."""
    looks: tuple[int, ...] = ()
    """Of these, how many there are at each look; the last is ``n``. Empty: examined once, at the end."""
    power: float | None = None
    """Power at ``n`` for the expected rate, over all looks."""
    labels_wanted: int = Field(default=0, ge=0)
    """Labelled answers of each arm that its judged outcomes take; 0: none."""
    labels: int = Field(default=0, ge=0)
    """Labelled answers of each arm that it will rest on."""
    expected_n: float | None = None
    """Prompts it takes on average when the expected rate is true: looks let it stop early."""
    expected_n_clear: float | None = None
    """The same for a candidate twice as far from the limit."""
    power_wanted: float | None = None
    """Power it was sized for: its share of the joint power; null where it was not sized."""
    note: str | None = None
    """Anything a person should know."""


class LatencyLoad(Record):
    """The load under which latency is measured."""

    mode: Literal["open", "closed"] = "open"
    """``open``: requests arrive at a rate, whatever the server does; ``closed``: a fixed number in flight."""
    rate: float | None = Field(default=None, gt=0)
    """Requests per second for each arm (open loop, Poisson arrivals)."""
    concurrency: int | None = Field(default=None, ge=1)
    """Requests in flight for each arm (closed loop)."""
    requests_per_bucket: int = Field(default=100, ge=1)
    """Requests per prompt-length bucket and arm."""
    warmup: int = Field(default=16, ge=0)
    """Requests sent and thrown away first, per arm."""
    block: int = Field(default=20, ge=1)
    """Requests per turn: the arms take turns in blocks, so that drift of the host hits both alike."""


class Looks(Record):
    """When a run is looked at, and how its error rates are spent over the looks."""

    fractions: tuple[float, ...] = (1.0,)
    """Share of each check's sample at each look, increasing, the last one 1."""
    spending: Spending = "quadratic"
    """How the alphas of pass and fail are spent."""
    futility: Spending | None = None
    """How the chance of a missed pass is spent on giving up early near the limit, which saves there and costs a larger
    maximum; None: only pass and fail stop early."""


class Stratum(Record):
    """Prompts of one set that belong to the same cells of every check."""

    cell: Mapping[str, str]
    """The dimension values they share."""
    weight: float = Field(gt=0)
    """What they count in numbers pooled over several strata, relative to the others of all sets; by default the number
    of prompts that the set holds of them."""
    available: int = Field(ge=1)
    """Prompts that the set holds of them."""
    prompts: tuple[str, ...]
    """Ids of those that may be asked, in the order drawn."""


class PlannedSet(Record):
    """One set of a plan."""

    kind: SetKind
    """What the set is for."""
    set_digest: Digest
    """Digest of the set."""
    stage: int = Field(default=1, ge=1)
    """Sets of lower stages run first; a candidate that fails there never reaches this one."""
    strata: tuple[Stratum, ...]
    """Its prompts, stratum by stratum."""
    labels_per_arm: int = Field(default=0, ge=0)
    """Answers of each arm that are labelled to measure the judge's error on this set; 0: no judge scores it."""


class Plan(Record):
    """What will be asked, how often, and why that many."""

    name: str
    """Name for people."""
    lineage: str
    """Channel and declared line of work, ``channel/line``: new subjects of one lineage are attempts."""
    policy_digest: Digest
    """The policy it was sized for."""
    sets: Mapping[str, PlannedSet]
    """Every set by name, with the prompts that may be asked."""
    incumbent_digest: Digest | None
    """Manifest digest of the incumbent."""
    anchor_digest: Digest | None = None
    """Manifest digest of the fixed version that the policy's anchor checks compare with."""
    judge_digest: Digest | None
    """Digest of the judge."""
    alpha: float
    """Error rate of every check in this attempt."""
    attempt: int = Field(default=1, ge=1)
    """Which attempt of its lineage on these sets this is; the policy's rule makes ``alpha`` of it."""
    looks: Looks = Looks()
    """When the run is looked at; by default once, at the end."""
    joint_power: float
    """Power wanted for the whole policy."""
    repeats: int = Field(default=1, ge=1)
    """Independent samples per prompt."""
    seed: int = 0
    """Seed of the order in which prompts are drawn."""
    cells: tuple[PlannedCell, ...]
    """Every cell with its size."""
    labels_per_arm: int = Field(default=0, ge=0)
    """Labelled answers per rubric and arm for calibration."""
    expected_prompts: float | None = None
    """Prompts asked of each arm on average when the expected rates are true; None: nothing is sized."""
    expected_prompts_clear: float | None = None
    """The same for a candidate twice as far from every limit."""
    latency: LatencyLoad | None = None
    """Load of the latency pass; None: no latency pass."""
    inputs: Mapping[str, Any] = Field(default_factory=dict)
    """What else decides the numbers, so that a change of it makes another plan: ``labels`` (source and seed),
    ``controls`` (digest of the file, null without), ``rubrics`` (digest by id), ``judging`` (what is asked of the
    judge beside the scores, null without one), ``detector`` (digest of the refusal detector's file, null where nothing
    is classified), ``prices`` (of both arms, null where there is none)."""

    @property
    def set_digests(self) -> dict[str, Digest]:
        """Digest of every set by name."""
        return {name: planned.set_digest for name, planned in self.sets.items()}

    @cached_property
    def by_check(self) -> dict[str, PlannedCell]:
        """The cells by the id of their check."""
        return {cell.check: cell for cell in self.cells}
