"""Prediction-powered inference: many judged outcomes corrected by few true labels, power-tuned.

Sources: Angelopoulos, Bates, Fannjiang, Jordan and Zrnic, Science 382 (2023) 669 (PPI); Angelopoulos, Duchi and Zrnic,
arXiv 2311.01453 (PPI++: power tuning); Saerndal, Swensson and Wretman, Model Assisted Survey Sampling (1992), chapter 6
(the same difference estimator, labels drawn with known probabilities).

Normal theory is optimistic when few labels show anything. Two guards: at least `MINIMUM_EVENTS` labels of either
outcome (rates), and, for paired differences, a half-width that follows Tango's interval when labels show little.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from evalharness.statistics._inputs import Clusters, Vector, clusters_of, vector
from evalharness.statistics.clustered import clustered_paired_interval, t_quantile
from evalharness.statistics.interval import Interval, Side, tails, without_bounds
from evalharness.statistics.proportions import proportion_lower, proportion_upper
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
    variance; 0 (labels alone) when the judge does not help. The variance becomes an effective sample size, which goes
    into the Clopper-Pearson interval with Korn and Graubard's t-adjustment.

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
    total = y.size + rest.size
    sample = _Sample.make(np.concatenate([f, rest]), np.arange(total) < y.size, y, weights, clusters_of(None, total))
    estimate = sample.power_tuned()
    method = "ppi" if estimate.weight > 0 else "ppi-labels-only"
    value = min(1.0, max(0.0, estimate.value))
    events = min(np.count_nonzero(y >= 0.5), np.count_nonzero(y < 0.5))
    if y.size < MINIMUM_LABELLED_UNITS or events < MINIMUM_EVENTS or estimate.variance <= 0 or not 0 < value < 1:
        note = (
            f"too rare for prediction-powered inference: {events} labels of the rarer outcome of {y.size}, "
            f"need at least {MINIMUM_EVENTS} (and {MINIMUM_LABELLED_UNITS} labels)"
        )
        return without_bounds(value, confidence, method, total, note)
    below, above = tails(confidence, side)
    worth = min(float(total), value * (1 - value) / estimate.variance)
    low = high = None
    if below is not None:
        n = _t_adjusted(worth, y.size, below)
        low = float(proportion_lower(value * n, n, confidence=below))
    if above is not None:
        n = _t_adjusted(worth, y.size, above)
        high = float(proportion_upper(value * n, n, confidence=above))
    return Interval(value, low, high, confidence, method, total, note=estimate.note(y.size))


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
    for skew and for events that the labels did not show (see `_half_width`): m labels without any event still leave
    t^2 / m, as in Tango's interval, and never zero. When the tuning weight is below 0.1 the judge is dropped and the
    labels alone give Tango's interval.

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
    f = vector(judged_difference_all, "judged_difference_all", low=-1.0, high=1.0)
    mask = np.asarray(labelled_mask)
    if mask.dtype != np.bool_ or mask.shape != f.shape:
        raise InputError(f"labelled_mask must hold {f.size} booleans, got {mask.dtype} of shape {mask.shape}")
    y = vector(true_difference_labelled, "true_difference_labelled", low=-1.0, high=1.0, length=int(mask.sum()))
    groups = clusters_of(clusters, f.size)
    sample = _Sample.make(f, mask, y, weights, groups)
    units = int(np.unique(groups.codes[mask]).size)
    if units < MINIMUM_LABELLED_UNITS:
        note = f"{units} independent labelled prompts: need at least {MINIMUM_LABELLED_UNITS}"
        return without_bounds(None, confidence, "ppi-paired", f.size, note, clusters=groups.count)
    estimate = sample.power_tuned()
    if estimate.weight < USEFUL_JUDGE and weights is None:
        alone = clustered_paired_interval(y, groups.codes[mask], confidence=confidence, side=side)
        note = f"the judge does not help (tuning weight {estimate.weight:.2f}): labels alone"
        return Interval(
            alone.value, alone.low, alone.high, confidence, "labels-only-" + alone.method, y.size, units, note
        )
    value = min(1.0, max(-1.0, estimate.value))
    below, above = tails(confidence, side)
    labelled = sample.effective_labels
    low = None if below is None else max(-1.0, value - _half_width(estimate, labelled, units, below, downward=True))
    high = None if above is None else min(1.0, value + _half_width(estimate, labelled, units, above, downward=False))
    return Interval(value, low, high, confidence, "ppi-paired", f.size, groups.count, estimate.note(y.size))


@dataclass(frozen=True, slots=True)
class _Estimate:
    """A power-tuned estimate with its variance."""

    value: float
    variance: float
    weight: float
    """The tuning weight lambda, in [0, 1]."""
    second: float
    """Sum of squared residuals of the independent units."""
    third: float
    """Sum of cubed residuals of the independent units."""

    def note(self, labels: int) -> str:
        return f"{labels} labels, tuning weight {self.weight:.2f}"


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

    def power_tuned(self) -> _Estimate:
        """Minimise the variance of the linearised estimator over lambda in [0, 1]."""
        judged_mean, labelled_mean = float(self.judged.mean()), float(self.share @ self.judged)
        truth_mean = float(self.share @ self.truth)
        truth_part = self.groups.sums(self.share * (self.truth - truth_mean))
        judge_part = self.groups.sums(
            (self.judged - judged_mean) / self.judged.size - self.share * (self.judged - labelled_mean)
        )
        spread = float(judge_part @ judge_part)
        # Without unlabelled prompts the judge adds nothing, and what is left of its part is rounding.
        helpful = spread > 1e-12 * float(self.share @ self.share)
        best = -float(truth_part @ judge_part) / spread if helpful else 0.0
        weight = min(1.0, max(0.0, best))
        residual = truth_part + weight * judge_part
        # One degree of freedom went to the mean and, where the judge is used, one to the tuned weight.
        used = 2 if weight > 0 else 1
        correction = self.labelled_units / max(1, self.labelled_units - used)
        second, third = float(residual @ residual), float(np.sum(residual**3))
        value = truth_mean + weight * (judged_mean - labelled_mean)
        return _Estimate(value, correction * second, weight, second, third)


def _half_width(estimate: _Estimate, labelled: float, units: int, confidence: float, *, downward: bool) -> float:
    """Positive root of h^2 = t^2 V + t^2 k h; negative below 50 % confidence, like every one-sided bound.

    k is the size of an event that pulls the estimate towards the bound: the third over the second moment of the
    residuals in that direction, with z^2 pseudo-events of one whole label. Rare one-sided events make V grow with the
    distance from the estimate (k = 1 / m, Wilson and Tango); many balanced ones do not (k = 0, normal theory).
    """
    t, z = t_quantile(confidence, units - 1), float(special.ndtri(confidence))
    unit, third = 1.0 / labelled, -estimate.third if downward else estimate.third
    pseudo = z * z
    skew = max(0.0, (third + pseudo * unit**3) / (estimate.second + pseudo * unit**2)) if pseudo > 0 else 0.0
    shift = t * t * skew
    return math.copysign((shift + math.sqrt(shift**2 + 4 * t * t * estimate.variance)) / 2, z)


def _t_adjusted(size: float, labels: int, confidence: float) -> float:
    normal = float(special.ndtri(confidence))
    return size if abs(normal) < 1e-6 else size * (normal / t_quantile(confidence, labels - 1)) ** 2
