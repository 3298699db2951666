"""Evidence: what was measured, as records. Outcomes live beside it in a Parquet blob named by digest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field

from golden_sets.digests import Digest
from golden_sets.records import GrownRecord, Record, SetKind

Route = Literal["small", "flagship"]
"""The two models a router chooses from."""


class Estimate(Record):
    """A number with its uncertainty."""

    metric: str
    """What was measured, e.g. ``pass_rate``."""
    arm: Literal["candidate", "incumbent", "anchor"] = "candidate"
    """Whose number it is."""
    cell: Mapping[str, str] = Field(default_factory=dict)
    """Set kind and dimension values it is about; empty: everything."""
    value: float | None
    """Point estimate."""
    low: float | None
    """Lower bound; None: none on that side."""
    high: float | None
    """Upper bound; None: none on that side."""
    confidence: float
    """Confidence of the interval."""
    method: str
    """Statistical method."""
    n: int
    """Sample size."""
    clusters: int | None = None
    """Independent units, where fewer than n."""
    errors: int = 0
    """Failed requests among n."""
    unscored: int = 0
    """Answers without a score among n."""
    quantile: float | None = None
    """For latency metrics: which quantile."""
    unit: str = "1"
    """Unit of value and bounds: ``1``, ``s``, ``USD``, ``tokens/s``..."""
    note: str | None = None
    """Why a bound is missing, or what else a reader must know."""


class Calibration(Record):
    """The measured error of one judge under one rubric, in terms of the event that the set's rate counts.

    The event is a pass (golden), a violation (adversarial) or a refusal (false_refusal), so that sensitivity is the
    chance that the judge sees the event when it happened.
    """

    rubric: str
    """Rubric id."""
    set_kind: SetKind | None = None
    """The kind of set whose event this is about."""
    positives: int
    """Labelled answers in which the event truly happened."""
    true_positives: int
    """Of these, how many the judge says so of."""
    negatives: int
    """Labelled answers in which it did not."""
    true_negatives: int
    """Of these, how many the judge says so of."""
    unparsed: int = 0
    """Labelled answers that the judge left unscored."""
    unlabelled: int = 0
    """Answers that were drawn for labelling and have no label yet: what is labelled is then no random sample."""
    kappa: float | None = None
    """Cohen's kappa (means little at extreme prevalence)."""
    kappa_low: float | None = None
    """Lower end of its 95 % interval, clusters and sampling weights respected."""
    kappa_high: float | None = None
    """Upper end; below 0 the judge's polarity is flipped."""
    agreement: float | None = None
    """Share of labelled answers on which judge and label agree."""
    controls: int = 0
    """How many of the labelled answers are positive or negative controls from outside the run."""
    label_source: str = "checker"
    """Where the labels come from: ``checker``, a file..."""
    by_arm: Mapping[str, Mapping[str, float | int | None]] = Field(default_factory=dict)
    """The same numbers by arm."""


class Provenance(Record):
    """Where the numbers were made."""

    relgate: str
    """Version of relgate."""
    python: str
    """Version of Python."""
    platform: str
    """Operating system and processor."""
    packages: Mapping[str, str] = Field(default_factory=dict)
    """Versions of the packages that matter."""
    started_at: str
    """UTC, ISO 8601."""
    finished_at: str
    """UTC, ISO 8601."""
    fingerprints: Mapping[str, str] = Field(default_factory=dict)
    """Fingerprint of each served model, by arm."""
    details: Mapping[str, Any] = Field(default_factory=dict)
    """Anything else worth keeping: engine versions, loads, counts."""


class Look(Record):
    """One look at a run while it went on: what was known then, and what it settled."""

    stage: int
    """The stage that was running."""
    number: int
    """Which look of the stage, 1 being the first."""
    prompts: int
    """Prompts of the candidate answered by then, over all stages."""
    calibrations: tuple[Calibration, ...] = ()
    """The judge's error as it was known then."""
    settled: Mapping[str, Literal["pass", "fail", "futile"]] = Field(default_factory=dict)
    """Checks that stopped at this look, and why."""


class Evidence(GrownRecord):
    """What was measured for one subject, and everything needed to check it."""

    grown: ClassVar[tuple[str, ...]] = ("routes",)

    subject_name: str
    """Name of the subject."""
    subject_digest: Digest
    """Digest of the subject's manifest (for imported evidence: of its name and rows)."""
    subject_kind: Literal["model", "router"] = "model"
    """What the subject is."""
    routes: Mapping[Route, Digest] | None = None
    """Of a router: manifest digests of the models it was measured with. None: those of a model, or of a router that was
    measured on scores that name no models. What has none is written, and hashed, without this key."""
    incumbent_name: str | None = None
    """Name of the incumbent in the same outcomes, where there is one."""
    incumbent_digest: Digest | None = None
    """Digest of the incumbent's manifest."""
    anchor_name: str | None = None
    """Name of the fixed version in the same outcomes, where a check compares with one."""
    anchor_digest: Digest | None = None
    """Digest of its manifest."""
    set_digests: Mapping[str, Digest]
    """Digest of every set, by name."""
    judge_digest: Digest | None = None
    """Digest of the judge."""
    calibrations: tuple[Calibration, ...] = ()
    """The judge's measured error, per rubric."""
    detector: tuple[Calibration, ...] = ()
    """The refusal detector's measured error on the safety sets, whoever scored them."""
    plan_digest: Digest | None = None
    """The plan committed to before the run; None: unplanned."""
    plan_index: int | None = None
    """Place of the plan in the ledger; None: unplanned, or measured without a ledger."""
    exploratory: int = Field(default=0, ge=0)
    """Answers of the candidate that are older than the plan: they were there to be looked at when it was made."""
    looks: tuple[Look, ...] = ()
    """Every look at the run, in order: where it stopped, and why. The gate derives them again."""
    outcomes: Digest
    """Digest of the Parquet blob with the per-prompt outcomes of both arms."""
    outcome_rows: int
    """Rows of that blob."""
    estimates: tuple[Estimate, ...] = ()
    """An interval for every metric and cell."""
    provenance: Provenance
    """Where the numbers were made."""
