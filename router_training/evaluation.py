"""The records of `relgate router eval`: what a router did on prompts that it had never seen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from evalharness.evidence import Estimate
from golden_sets.digests import Digest
from golden_sets.records import Record
from router_training.records import OperatingPoint


class FrontierPoint(Record):
    """One threshold."""

    flagship_share: float
    """Share of prompts that go to the flagship, in [0, 1]."""
    quality: float
    """Mean score of the answers, in [0, 1]."""
    usd: float | None = None
    """Mean cost per prompt, USD; None without prices."""


class BaselineResult(Record):
    """A rule to be better than, on the same prompts."""

    apgr: Estimate | None = None
    """Average performance gap recovered; None for the rules that are a single point."""
    cpt50: Estimate | None = None
    """Least share of flagship calls that recovers half of the gap."""
    cpt80: Estimate | None = None
    """Least share of flagship calls that recovers 80 % of the gap."""
    apgr_gain: Estimate | None = None
    """The router's APGR minus this one's, resampled together."""
    quality: Estimate | None = None
    """Mean score, for the rules that are a single point."""
    usd: float | None = None
    """Their mean cost per prompt, USD."""
    frontier: tuple[FrontierPoint, ...] = ()
    """Quality against the share of calls to the flagship."""


class Operation(Record):
    """The router at its operating point."""

    quality: Estimate
    """Mean score of its answers."""
    loss: Estimate
    """Mean quality given up against always asking the flagship; two-sided."""
    loss_bound: Estimate
    """The same with its one-sided upper bound, at the confidence of the operating point."""
    max_loss: float
    """Most that may be given up."""
    bound: Literal["holds", "exceeded", "open"]
    """Whether these prompts confirm the limit (the upper bound is within it), contradict it (the lower bound at the
    same confidence is beyond it), or are too few to tell."""
    gap_recovered: Estimate
    """Share of the gap between the two models that is recovered."""
    flagship_share: Estimate
    """Share of prompts that go to the flagship."""
    band_share: Estimate
    """Share inside the uncertainty band: to the flagship."""
    unlike_share: Estimate
    """Share unlike anything learnt from: to the flagship."""
    usd: Estimate | None = None
    """Mean cost per prompt, USD; None without prices."""
    usd_ratio: Estimate | None = None
    """Cost against always asking the flagship; 0.6: 40 % are saved."""


class LiteralBandResult(Record):
    """What the usual band on the plain P(hard) would have done with the same prompts."""

    low: float
    """Small model below."""
    high: float
    """Flagship above; between them the flagship, too."""
    small_share: float
    """Share of prompts for the small model."""
    band_share: float
    """Share inside the band."""
    flagship_share: float
    """Share that the flagship answers, inside the band and above."""
    loss: float
    """Mean quality given up."""


class ReliabilityBin(Record):
    """Prompts of similar P(hard)."""

    predicted: float
    """Mean P(hard)."""
    observed: Estimate
    """Share that is hard."""


class CalibrationResult(Record):
    """How far P(hard) can be taken at its word."""

    hard_share: float
    """Share of prompts that are hard."""
    brier: Estimate
    """Mean squared error of P(hard)."""
    brier_of_base_rate: float
    """That of predicting the share itself for every prompt: what the router must be below to know anything."""
    ece: Estimate
    """Expected calibration error over ten equally frequent bins; a perfect forecast shows some, too."""
    ece_of_perfect: float
    """Mean of what a perfectly calibrated forecast with these probabilities and this many prompts shows."""
    debiased_error: float
    """Root mean squared calibration error, noise taken off (Kumar, Liang and Ma 2019)."""
    bins: tuple[ReliabilityBin, ...]
    """The reliability diagram."""


class Cell(Record):
    """A part of the prompts."""

    name: str
    """Which."""
    n: int
    """Prompts."""
    flagship_share: float
    """Share that goes to the flagship."""
    small_quality: float
    """Mean score of the small model on all of them."""
    flagship_quality: float
    """Mean score of the flagship on all of them."""
    router_quality: float
    """Mean score of the answers that the router chose."""
    loss: Estimate
    """Mean quality given up."""
    apgr: Estimate | None = None
    """Average performance gap recovered within the cell; None with fewer than 50 prompts."""


class Example(Record):
    """A prompt on which the small model was chosen and did worse."""

    id: str
    """Its name."""
    text: str
    """How it begins."""
    family: str | None
    """Its task family."""
    p_hard: float
    """What the router thought of it."""
    small: float
    """Score of the small model."""
    flagship: float
    """Score of the flagship."""


class RouterEvaluation(Record):
    """Everything measured about one router on one set of labelled prompts."""

    router: Digest | None = None
    """Digest of the router's manifest."""
    data: Digest | None = None
    """Digest of the labelled prompts."""
    prompts: str = "every prompt of the file"
    """Which prompts these are, e.g. the frozen test of the router's own file."""
    n: int = Field(ge=1)
    """Prompts."""
    groups: int
    """Independent groups of prompts."""
    head: str = ""
    """Kind of head."""
    small_quality: Estimate
    """Mean score of the small model."""
    flagship_quality: Estimate
    """Mean score of the flagship."""
    apgr: Estimate
    """Average performance gap recovered by RouteLLM's definition: thresholds at the test's own deciles."""
    cpt50: Estimate
    """Least share of flagship calls that recovers half of the gap."""
    cpt80: Estimate
    """Least share of flagship calls that recovers 80 % of the gap."""
    apgr_fixed: Estimate | None = None
    """APGR with thresholds at the deciles of the calibration prompts, fixed before the test was seen."""
    operating_point: OperatingPoint
    """Threshold and band of the router."""
    operation: Operation
    """What it does there."""
    literal_band: LiteralBandResult
    """What a literal [0.40, 0.60] would do."""
    calibration: CalibrationResult
    """Calibration of P(hard)."""
    frontier: tuple[FrontierPoint, ...]
    """Quality against the share of calls to the flagship, and against cost."""
    baselines: Mapping[str, BaselineResult]
    """Rules to be better than: ``random``, ``always_small``, ``always_flagship``, ``length``, ``oracle`` and those
    that were fitted (``knn``, ``logistic``)."""
    lengths: tuple[Cell, ...]
    """By length of the prompt, shortest first."""
    families: tuple[Cell, ...] = ()
    """By task family, most quality given up first."""
    examples: tuple[Example, ...] = ()
    """Where most quality was given up, the surest mistakes first."""
    notes: tuple[str, ...] = ()
    """What a reader must know."""
