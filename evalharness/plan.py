"""The plan: what will be asked, how often, and why that many. Its digest is committed to before the run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field

from golden_sets.digests import Digest
from golden_sets.records import Record, SetKind

Purpose = Literal["display", "floor", "ceiling", "margin", "quantile", "calibration"]


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
    cell: Mapping[str, str]
    """The cell's dimension values."""
    rate: float | None
    """Expected rate (or discordance for a margin) that n was computed from."""
    rate_source: Literal["incumbent", "policy", "assumed", "none"]
    """Where that rate comes from."""
    n_wanted: int = Field(ge=0)
    """Prompts needed."""
    n_available: int = Field(ge=0)
    """Prompts the sets hold in that cell."""
    n: int = Field(ge=0)
    """Prompts that will be asked: the smaller of the two, at least what other checks in the same cell need."""
    power: float | None = None
    """Power at ``n`` for the expected rate."""
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


class Plan(Record):
    """What will be asked, how often, and why that many."""

    name: str
    """Name for people."""
    lineage: str
    """Channel and declared line of work, ``channel/line``: new subjects of one lineage are attempts."""
    policy_digest: Digest
    """The policy it was sized for."""
    set_digests: Mapping[str, Digest]
    """Digest of every set by name."""
    incumbent_digest: Digest | None
    """Manifest digest of the incumbent."""
    judge_digest: Digest | None
    """Digest of the judge."""
    alpha: float
    """Error rate of every check."""
    joint_power: float
    """Power wanted for the whole policy."""
    repeats: int = Field(default=1, ge=1)
    """Independent samples per prompt."""
    seed: int = 0
    """Seed of the order in which prompts are drawn."""
    prompts: Mapping[str, tuple[str, ...]]
    """Ids of the prompts that will be asked, by set name, in the order drawn."""
    cells: tuple[PlannedCell, ...]
    """Every cell with its size."""
    weights: Mapping[str, Mapping[str, float]] = Field(default_factory=dict)
    """Weights by which a set's cells are pooled: set name -> stratum -> weight; default in proportion to the set."""
    labels_per_arm: int = Field(default=0, ge=0)
    """Labelled answers per rubric and arm for calibration."""
    latency: LatencyLoad | None = None
    """Load of the latency pass; None: no latency pass."""
    inputs: Mapping[str, Any] = Field(default_factory=dict)
    """What else decides the numbers, so that a change of it makes another plan: ``labels`` (source and seed),
    ``controls`` (digest of the file, null without), ``rubrics`` (digest by id), ``prices`` (of both arms, null where
    there is none)."""
