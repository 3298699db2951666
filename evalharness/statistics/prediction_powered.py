"""Prediction-powered inference: many judged outcomes corrected by few true labels, power-tuned.

Sources: Angelopoulos, Bates, Fannjiang, Jordan and Zrnic, Science 382 (2023) 669 (PPI); Angelopoulos, Duchi and Zrnic,
arXiv 2311.01453 (PPI++: power tuning); Saerndal, Swensson and Wretman, Model Assisted Survey Sampling (1992), chapter 6
(the same difference estimator, labels drawn with known probabilities).

Normal theory is optimistic when few labels show anything: a judge that 100 labels never caught may still err on 3 in
100. Two guards: a half-width that follows Wilson's and Tango's intervals when labels show little (`power_tuning`), and,
for rates, at least `MINIMUM_EVENTS` labels of either outcome.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import ArrayLike, NDArray

from evalharness.statistics._inputs import Clusters, Vector, clusters_of, vector
from evalharness.statistics.clustered import ClusteredDifference, ClusteredProportion
from evalharness.statistics.interval import Interval, Side, tails, without_bounds
from evalharness.statistics.multiplicity import p_value_by_inversion
from evalharness.statistics.power_tuning import Contributions, Tuned, guarded_bound, power_tuned
from golden_sets.errors import InputError

MINIMUM_EVENTS = 5
"""Fewer labelled events (or non-events) than this: a rate is too rare for prediction-powered inference."""
MINIMUM_LABELLED_UNITS = 10
"""Fewer independent labelled units than this: no prediction-powered interval."""
USEFUL_JUDGE = 0.1
"""Power-tuning weight below which the judge is dropped and the labels stand alone."""


def ppi_mean_interval(
    judged_unlabelled: ArrayLike,
    judged_labelled: ArrayLike,
    labels: ArrayLike,
    *,
    weights: ArrayLike | None = None,
    confidence: float = 0.95,
    side: Side = "two-sided",
) -> Interval:
    """Interval for a true rate from judged outcomes and a labelled sample, all in [0, 1].

    theta = lambda * mean(judged) + weighted mean(label - lambda * judged), lambda in [0, 1] chosen to minimise the
    variance. The half-width is widened as that of paired differences: labels that never show a judge wrong still leave
    t^2 / m. When lambda is below 0.1 the judge is dropped and the labels alone give the Clopper-Pearson interval.

    Rare events are refused: with fewer than 5 labelled events or non-events, or fewer than 10 labels, the bounds are
    None and the note says so (use `violation_upper` there).

    Args:
        judged_unlabelled: shape (N,), judge's outcomes on answers without a label.
        judged_labelled: shape (n,), judge's outcomes on the labelled answers.
        labels: shape (n,), true outcomes of the same answers.
        weights: shape (n,), inverse of each label's sampling probability; None for a simple random sample.
        confidence: in (0, 1).
        side: two-sided, lower or upper.

    Raises:
        InputError: empty, NaN, outside [0, 1], lengths that differ, weights not above 0.
    """
    y = vector(labels, "labels", low=0.0, high=1.0)
    f = vector(judged_labelled, "judged_labelled", low=0.0, high=1.0, length=y.size)
    rest = vector(judged_unlabelled, "judged_unlabelled", low=0.0, high=1.0)
    everything = np.concatenate([f, rest])
    return ppi_rate_interval(
        everything, np.arange(everything.size) < y.size, y, weights=weights, confidence=confidence, side=side
    )


def ppi_rate_interval(
    judged_all: ArrayLike,
    labelled_mask: ArrayLike,
    labels: ArrayLike,
    *,
    weights: ArrayLike | None = None,
    clusters: ArrayLike | None = None,
    confidence: float = 0.95,
    side: Side = "two-sided",
) -> Interval:
    """`ppi_mean_interval` for answers in the order in which they were judged, which may come in clusters.

    Clusters make the variance that of their sums; events and labels are then counted in clusters, and Student's t has
    as many degrees of freedom as labelled clusters less one.

    Args:
        judged_all: shape (N,), the judge's outcomes in [0, 1]; one that could not be read is best given as 0.5.
        labelled_mask: shape (N,), True where an answer is labelled.
        labels: shape (n,), true outcomes in [0, 1] of the labelled answers in order.
        weights: shape (n,), inverse of each label's sampling probability; None for a simple random sample.
        clusters: shape (N,), one code per answer; None when all are independent.
        confidence: in (0, 1).
        side: two-sided, lower or upper.

    Raises:
        InputError: empty, NaN, outside [0, 1], lengths that differ, weights not above 0.
    """
    f = vector(judged_all, "judged_all", low=0.0, high=1.0)
    mask = _mask(labelled_mask, f.size)
    y = vector(labels, "labels", low=0.0, high=1.0, length=int(mask.sum()))
    groups = clusters_of(clusters, f.size)
    sample = _Sample.make(f, mask, y, weights, groups)
    estimate = sample.power_tuned()
    estimate = replace(estimate, value=np.clip(estimate.value, 0.0, 1.0))
    value, weight, units = float(estimate.value), float(estimate.weight), sample.labelled_units
    independent, labelled_independent = (None, None) if groups.singletons else (groups.count, units)
    events = min(_holding(y >= 0.5, groups.codes[mask]), _holding(y < 0.5, groups.codes[mask]))
    if units < MINIMUM_LABELLED_UNITS or events < MINIMUM_EVENTS:
        note = (
            f"too rare for prediction-powered inference: {events} labels of the rarer outcome of {units}, "
            f"need at least {MINIMUM_EVENTS} (and {MINIMUM_LABELLED_UNITS} labels)"
        )
        return without_bounds(value, confidence, "ppi", f.size, note, clusters=independent)
    if weight < USEFUL_JUDGE:
        alone = ClusteredProportion.of(y, groups.codes[mask], weights=weights).interval(confidence, side)
        note = f"the judge does not help (tuning weight {weight:.2f}): {y.size} labels alone"
        return replace(alone, method="ppi-labels-only", clusters=labelled_independent, note=note)
    below, above = tails(confidence, side)
    bound = partial(guarded_bound, estimate, sample.events_to_see(weight), units)
    low = None if below is None else max(0.0, float(bound(confidence=below, side="lower")))
    high = None if above is None else min(1.0, float(bound(confidence=above, side="upper")))
    return Interval(value, low, high, confidence, "ppi", f.size, independent, _note(y.size, weight))


def ppi_paired_interval(
    judged_difference_all: ArrayLike,
    labelled_mask: ArrayLike,
    true_difference_labelled: ArrayLike,
    *,
    weights: ArrayLike | None = None,
    clusters: ArrayLike | None = None,
    confidence: float = 0.95,
    side: Side = "two-sided",
) -> Interval:
    """Interval for the true mean difference candidate - incumbent, from judged differences on every prompt.

    theta = lambda * mean(judged) + weighted mean over labelled (true - lambda * judged), power-tuned, with the
    cluster-robust variance of its linearisation (labelled prompts are part of all prompts). The half-width is widened
    for skew and for events that the labels did not show (see `power_tuning`): m labels without any event still leave
    t^2 / m, as in Tango's interval, and never zero. When the tuning weight is below 0.1 the judge is dropped and the
    labels alone give `paired_interval`.

    Args:
        judged_difference_all: shape (N,), judged difference of each prompt, in [-1, 1].
        labelled_mask: shape (N,), True where both answers of the prompt are labelled.
        true_difference_labelled: shape (n,), true differences of the labelled prompts in order, in [-1, 1].
        weights: shape (n,), inverse of each labelled prompt's sampling probability; None for a simple random sample.
        clusters: shape (N,), one code per prompt; None when all are independent.
        confidence: in (0, 1).
        side: two-sided, lower or upper.

    Raises:
        InputError: empty, NaN, outside [-1, 1], lengths that differ, weights not above 0.
    """
    sample = PoweredDifference.of(
        judged_difference_all, labelled_mask, true_difference_labelled, weights, clusters=clusters
    )
    return sample.interval(confidence, side)


@dataclass(frozen=True, slots=True)
class PoweredDifference:
    """What `ppi_paired_interval` needs to know of the prompts: another confidence costs nothing more."""

    n: int
    """Prompts."""
    clusters: int
    """Independent ones."""
    labels: int
    """Labelled prompts."""
    labelled_units: int
    """Independent ones among them."""
    effective_labels: float
    """Labelled units after unequal weights (Kish)."""
    estimate: Tuned
    """The power-tuned estimate."""
    alone: ClusteredDifference | None
    """The labels alone, where the judge does not help."""

    @classmethod
    def of(
        cls,
        judged_difference_all: ArrayLike,
        labelled_mask: ArrayLike,
        true_difference_labelled: ArrayLike,
        weights: ArrayLike | None = None,
        *,
        clusters: ArrayLike | None = None,
    ) -> PoweredDifference:
        """Prepare `ppi_paired_interval`.

        Raises:
            InputError: empty, NaN, outside [-1, 1], lengths that differ, weights not above 0.
        """
        f = vector(judged_difference_all, "judged_difference_all", low=-1.0, high=1.0)
        mask = _mask(labelled_mask, f.size)
        y = vector(true_difference_labelled, "true_difference_labelled", low=-1.0, high=1.0, length=int(mask.sum()))
        groups = clusters_of(clusters, f.size)
        sample = _Sample.make(f, mask, y, weights, groups)
        estimate = sample.power_tuned()
        helps = float(estimate.weight) >= USEFUL_JUDGE or weights is not None
        return cls(
            n=f.size,
            clusters=groups.count,
            labels=y.size,
            labelled_units=sample.labelled_units,
            effective_labels=sample.effective_labels,
            estimate=estimate,
            alone=None if helps else ClusteredDifference.of(y, groups.codes[mask]),
        )

    def interval(self, confidence: float = 0.95, side: Side = "two-sided") -> Interval:
        """See `ppi_paired_interval`."""
        units, weight = self.labelled_units, float(self.estimate.weight)
        if units < MINIMUM_LABELLED_UNITS:
            note = f"{units} independent labelled prompts: need at least {MINIMUM_LABELLED_UNITS}"
            return without_bounds(None, confidence, "ppi-paired", self.n, note, clusters=self.clusters)
        if self.alone is not None:
            alone = self.alone.interval(confidence, side)
            note = f"the judge does not help (tuning weight {weight:.2f}): labels alone"
            method = "labels-only-" + alone.method
            return Interval(alone.value, alone.low, alone.high, confidence, method, self.labels, units, note)
        value = min(1.0, max(-1.0, float(self.estimate.value)))
        below, above = tails(confidence, side)
        low = high = None
        if below is not None:
            low = float(guarded_bound(self.estimate, self.effective_labels, units, confidence=below, side="lower"))
        if above is not None:
            high = float(guarded_bound(self.estimate, self.effective_labels, units, confidence=above, side="upper"))
        return Interval(value, low, high, confidence, "ppi-paired", self.n, self.clusters, _note(self.labels, weight))

    def p_value(self, difference: float, *, above: bool) -> float:
        """Smallest alpha at which the one-sided bound excludes ``difference``; the claim: above (else below) it."""

        def bound(confidence: float) -> float | None:
            return self.interval(confidence, "lower").low if above else self.interval(confidence, "upper").high

        return p_value_by_inversion(bound, difference, above=above)


def _mask(labelled: ArrayLike, n: int) -> NDArray[np.bool_]:
    mask = np.asarray(labelled)
    if mask.dtype != np.bool_ or mask.shape != (n,):
        raise InputError(f"labelled_mask must hold {n} booleans, got {mask.dtype} of shape {mask.shape}")
    return mask


def _holding(events: NDArray[np.bool_], codes: NDArray[np.intp]) -> int:
    """Clusters with an event."""
    return int(np.unique(codes[events]).size)


def _note(labels: int, weight: float) -> str:
    return f"{labels} labels, tuning weight {weight:.2f}"


@dataclass(frozen=True, slots=True)
class _Sample:
    """Judged values of all units; true values and normalised weights of the labelled ones, zero elsewhere."""

    judged: Vector
    truth: Vector
    share: Vector
    """Weight of each labelled unit, summing to 1; 0 for the others."""
    groups: Clusters
    labelled_units: int

    @staticmethod
    def make(
        judged: Vector, mask: NDArray[np.bool_], truth: Vector, weights: ArrayLike | None, groups: Clusters
    ) -> _Sample:
        w = np.ones(truth.size) if weights is None else vector(weights, "weights", low=0.0, length=truth.size)
        if (w <= 0).any():
            raise InputError("weights must be above 0", do="give the inverse of each label's sampling probability")
        share, full = np.zeros(judged.size), np.zeros(judged.size)
        share[mask], full[mask] = w / w.sum(), truth
        return _Sample(judged, full, share, groups, int(np.unique(groups.codes[mask]).size))

    @property
    def effective_labels(self) -> float:
        """Kish's effective number of labelled clusters under unequal weights."""
        return float(1.0 / np.sum(self.groups.sums(self.share) ** 2))

    def events_to_see(self, weight: float) -> float:
        """How many independent events the labels could have shown: between labelled clusters and labels.

        The closer to the clusters, the more alike the labels and residuals within a cluster are: labels too, because
        the residuals of a judge that is hardly ever caught tell little.
        """
        alike = apart = 0.0
        for values in (self.truth, self.truth - weight * self.judged):
            part = self.share * (values - self.share @ values)
            alike += float(np.sum(self.groups.sums(part) ** 2))
            apart += float(part @ part)
        label = float(self.share @ self.share)
        return max(self.effective_labels, min(1.0, apart / alike) / label if alike > 0 else 0.0)

    def power_tuned(self) -> Tuned:
        """The estimate that minimises the variance of the linearised estimator."""
        judged_mean, labelled_mean = self.judged.mean(), self.share @ self.judged
        truth_mean = self.share @ self.truth
        truth_part = self.groups.sums(self.share * (self.truth - truth_mean))
        judge_part = self.groups.sums(
            (self.judged - judged_mean) / self.judged.size - self.share * (self.judged - labelled_mean)
        )
        units = Contributions(
            truth=truth_part,
            judge=judge_part,
            multiplicity=np.ones(1),
            truth_mean=np.asarray(truth_mean),
            judged_gap=np.asarray(judged_mean - labelled_mean),
            labelled_units=np.asarray(self.labelled_units),
        )
        return power_tuned(units, squared_shares=float(self.share @ self.share))
