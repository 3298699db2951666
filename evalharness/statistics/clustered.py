"""Intervals for observations that are not independent: repeats of one prompt, prompts made from one template.

The unit is the cluster. Sources: Korn and Graubard, Survey Methodology 24 (1998) 193 (effective sample size put
into the exact interval, with a t-adjustment); Kish, Survey Sampling (1965) (design effect); Cameron and Miller,
J. Human Resources 50 (2015) 317 (CR1 variance, t with C - 1 degrees of freedom); Miller, arXiv 2411.00640
(clustered standard errors for evaluations of language models).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from evalharness.statistics._inputs import Clusters, Vector, clusters_of, shares_of, vector
from evalharness.statistics.interval import Interval, Side, check_confidence, tails, without_bounds
from evalharness.statistics.multiplicity import p_value_by_inversion
from evalharness.statistics.paired import EffectivePairs, paired_interval, paired_p_value
from evalharness.statistics.proportions import (
    ProportionMethod,
    proportion_interval,
    proportion_lower,
    proportion_upper,
)
from golden_sets.errors import InputError

MINIMUM_CLUSTERS = 10
"""Below this many clusters the design effect is not estimated: n becomes the number of clusters."""
MINIMUM_EVENT_CLUSTERS = 20
"""Below this many clusters that hold the rarer outcome the design effect is not estimated either."""


def clustered_proportion_interval(
    outcomes: ArrayLike,
    clusters: ArrayLike | None = None,
    *,
    weights: ArrayLike | None = None,
    confidence: float = 0.95,
    side: Side = "two-sided",
    method: ProportionMethod = "clopper-pearson",
) -> Interval:
    """Interval for the mean of outcomes in [0, 1] whose clusters, not observations, are independent.

    Every cluster a single 0/1 observation: the plain interval. Otherwise n becomes n / DEFF, DEFF from the
    cluster-robust variance with C / (C - 1), with Korn and Graubard's t-adjustment (degrees of freedom: clusters that
    hold the rarer outcome, less one), never more than n. With fewer than 10 clusters, or fewer than 20 that hold the
    rarer outcome, the design effect cannot be estimated and n is the (Kish effective) number of clusters.

    Unequal weights give Hajek's ratio estimate with its linearised variance. Where that cannot be estimated, n is the
    number of clusters that are left when all are thinned to the rate of the least likely one: an outcome that was not
    drawn could carry the largest weight.

    Args:
        outcomes: shape (n,), in [0, 1].
        clusters: shape (n,), one code per observation; None when all are independent.
        weights: shape (n,), inverse of each observation's sampling probability; None when all are alike.
        confidence: in (0, 1).
        side: two-sided, lower or upper.
        method: which interval takes the effective sample size.

    Raises:
        InputError: empty, NaN, outcomes outside [0, 1], clusters of another length, weights not above 0.
    """
    return ClusteredProportion.of(outcomes, clusters, weights=weights).interval(confidence, side, method=method)


def clustered_mean_interval(
    values: ArrayLike, clusters: ArrayLike | None = None, *, confidence: float = 0.95, side: Side = "two-sided"
) -> Interval:
    """Interval for a mean of any numbers: cluster-robust (CR1) standard error, t with C - 1 degrees of freedom.

    With one cluster, or values that show no variance, there are no bounds and the note says why.

    Raises:
        InputError: empty, NaN or infinite values, clusters of another length.
    """
    x = vector(values, "values")
    groups = clusters_of(clusters, x.size)
    mean = float(x.mean())
    below, above = tails(confidence, side)
    if groups.count < 2:
        return without_bounds(
            mean, confidence, "cluster-robust-t", x.size, "one cluster: no variance between units", clusters=1
        )
    error = math.sqrt(robust_variance(groups.sums(x - mean)) / x.size**2)
    if error <= 1e-12 * max(1.0, abs(mean)):
        note = "no variance between units: no interval can be made from it"
        return without_bounds(mean, confidence, "cluster-robust-t", x.size, note, clusters=groups.count)
    low = None if below is None else mean - t_quantile(below, groups.count - 1) * error
    high = None if above is None else mean + t_quantile(above, groups.count - 1) * error
    return Interval(mean, low, high, confidence, "cluster-robust-t", x.size, groups.count)


def clustered_paired_interval(
    differences: ArrayLike, clusters: ArrayLike | None = None, *, confidence: float = 0.95, side: Side = "two-sided"
) -> Interval:
    """Interval for the mean of paired differences in [-1, 1] (candidate minus incumbent, prompt by prompt).

    Independent prompts with differences in {-1, 0, 1}: `paired_interval`, exact where few pairs decide. Otherwise the
    same at the effective sample size at which independent pairs would have the observed cluster-robust
    variance, with the t-adjustment of `clustered_proportion_interval` and its fallback to the number of clusters when
    fewer than 10 clusters, or fewer than 20 with any difference, are there to estimate it from. Never zero width.

    Raises:
        InputError: empty, NaN, differences outside [-1, 1], clusters of another length.
    """
    return ClusteredDifference.of(differences, clusters).interval(confidence, side)


def clustered_paired_p_value(
    differences: ArrayLike, clusters: ArrayLike | None = None, *, difference: float, above: bool
) -> float:
    """One-sided p-value of the claim that the mean of paired differences lies above (or below) ``difference``.

    The smallest alpha at which the bound of `clustered_paired_interval` clears it: at once for independent pairs, by
    inversion otherwise.

    Raises:
        InputError: as `clustered_paired_interval`; a difference outside (-1, 1).
    """
    return ClusteredDifference.of(differences, clusters).p_value(difference, above=above)


def effective_sample_size(outcomes: ArrayLike, clusters: ArrayLike | None = None, *, confidence: float = 0.95) -> float:
    """Number of independent observations that outcomes in [0, 1] with these clusters are worth: n / DEFF, adjusted.

    The size that `clustered_proportion_interval` puts into its interval at a one-sided ``confidence``; n itself when
    every cluster is a single 0/1 observation.

    Raises:
        InputError: as `clustered_proportion_interval`.
    """
    return ClusteredProportion.of(outcomes, clusters).effective_size(confidence)


@dataclass(frozen=True, slots=True)
class ClusteredProportion:
    """What a proportion's intervals need to know of its outcomes: another confidence costs nothing more."""

    n: int
    """Outcomes."""
    successes: float
    """Their sum."""
    mean: float
    """Their mean."""
    clusters: int
    """Independent units."""
    size: _Size | None
    """What the outcomes are worth; None: every cluster is a single 0/1 observation."""

    @classmethod
    def of(
        cls, outcomes: ArrayLike, clusters: ArrayLike | None = None, *, weights: ArrayLike | None = None
    ) -> ClusteredProportion:
        """Prepare `clustered_proportion_interval` and `effective_sample_size`.

        Raises:
            InputError: empty, NaN, outcomes outside [0, 1], clusters of another length, weights not above 0.
        """
        y = vector(outcomes, "outcomes", low=0.0, high=1.0)
        groups = clusters_of(clusters, y.size)
        shares = shares_of(weights, y.size)
        if shares is not None:
            mean = min(1.0, float(shares @ y))
            return cls(y.size, float(y.sum()), mean, groups.count, _weighted_size(y, groups, shares, mean))
        plain = groups.singletons and bool(((y == 0.0) | (y == 1.0)).all())
        size = None if plain else _proportion_size(y, groups)
        return cls(y.size, float(y.sum()), float(y.mean()), groups.count, size)

    def interval(
        self, confidence: float = 0.95, side: Side = "two-sided", *, method: ProportionMethod = "clopper-pearson"
    ) -> Interval:
        """See `clustered_proportion_interval`."""
        if self.size is None:
            return proportion_interval(self.successes, self.n, confidence=confidence, side=side, method=method)
        below, above = tails(confidence, side)
        low = high = None
        if below is not None:
            n = _adjusted(self.size, self.n, below)
            low = float(proportion_lower(self.mean * n, n, confidence=below, method=method))
        if above is not None:
            n = _adjusted(self.size, self.n, above)
            high = float(proportion_upper(self.mean * n, n, confidence=above, method=method))
        return Interval(self.mean, low, high, confidence, f"{method}-clustered", self.n, self.clusters, self.size.note)

    def effective_size(self, confidence: float = 0.95) -> float:
        """See `effective_sample_size`."""
        return float(self.n) if self.size is None else _adjusted(self.size, self.n, check_confidence(confidence))


@dataclass(frozen=True, slots=True)
class ClusteredDifference:
    """What the intervals for a mean of paired differences need to know of them."""

    n: int
    """Pairs."""
    wins: float
    """Sum of the positive differences."""
    losses: float
    """Sum of the negative ones, without their sign."""
    mean: float
    """Mean difference."""
    whole: bool
    """Whether every difference is -1, 0 or 1."""
    clusters: int
    """Independent units."""
    size: _Size | None
    """What the pairs are worth; None: every cluster is a single whole difference."""

    @classmethod
    def of(cls, differences: ArrayLike, clusters: ArrayLike | None = None) -> ClusteredDifference:
        """Prepare `clustered_paired_interval`.

        Raises:
            InputError: empty, NaN, differences outside [-1, 1], clusters of another length.
        """
        d = vector(differences, "differences", low=-1.0, high=1.0)
        groups = clusters_of(clusters, d.size)
        wins, losses = float(np.maximum(d, 0).sum()), float(np.maximum(-d, 0).sum())
        whole = bool(((d == -1.0) | (d == 0.0) | (d == 1.0)).all())
        size = None if groups.singletons and whole else _paired_size(d, groups)
        return cls(d.size, wins, losses, float(d.mean()), whole, groups.count, size)

    def interval(self, confidence: float = 0.95, side: Side = "two-sided") -> Interval:
        """See `clustered_paired_interval`."""
        if self.size is None:
            return paired_interval(self.wins, self.losses, self.n, confidence=confidence, side=side)
        below, above = tails(confidence, side)
        pairs = self._pairs(self.size, below or above or confidence)
        low = None if below is None else pairs.bound(below, "lower")
        high = None if above is None else pairs.bound(above, "upper")
        method = "exact-clustered" if pairs.exact else "tango-clustered"
        return Interval(self.mean, low, high, confidence, method, self.n, self.clusters, self.size.note)

    def p_value(self, difference: float, *, above: bool) -> float:
        """See `clustered_paired_p_value`."""
        if not -1.0 < difference < 1.0:
            raise InputError(f"difference must lie strictly between -1 and 1, got {difference}")
        size = self.size
        if size is None:
            return paired_p_value(self.wins, self.losses, self.n, difference, above=above)
        if size.note is not None:
            return self._pairs(size, 0.95).p_value(difference, above=above)

        def bound(confidence: float) -> float:
            """Beyond the difference where the p-value of the size at this confidence says so."""
            claimed = self.clears(difference, confidence=confidence, above=above)
            return math.inf if claimed == above else -math.inf

        return p_value_by_inversion(bound, difference, above=above)

    def clears(self, difference: float, *, confidence: float, above: bool) -> bool:
        """Whether the mean is shown to lie above (or below) ``difference`` at this one-sided confidence.

        What the bound of `clustered_paired_interval` says, by one p-value at the size that the confidence gives.
        """
        if self.size is None:
            p_value = paired_p_value(self.wins, self.losses, self.n, difference, above=above)
        else:
            p_value = self._pairs(self.size, confidence).p_value(difference, above=above)
        return p_value <= 1 - confidence

    def _pairs(self, size: _Size, confidence: float) -> EffectivePairs:
        n = _adjusted(size, self.n, confidence, capped=self.whole)
        return EffectivePairs.of(self.wins / self.n, self.losses / self.n, n)


def robust_variance(cluster_sums: Vector) -> float:
    """Cluster-robust variance of a sum from the centred sum of each cluster: C / (C - 1) * sum(sums^2)."""
    return float(cluster_sums.size / (cluster_sums.size - 1) * np.sum(cluster_sums**2))


def t_quantile(confidence: float, degrees: float) -> float:
    """Quantile of Student's t with ``degrees`` degrees of freedom at a one-sided ``confidence``.

    Raises:
        InputError: confidence outside (0, 1).
    """
    return float(special.stdtrit(degrees, check_confidence(confidence)))


@dataclass(frozen=True, slots=True)
class _Size:
    """How many independent observations the clustered ones are worth."""

    n: float
    informative: int
    """Clusters that hold the rarer outcome: what the variance estimate really rests on."""
    note: str | None
    """Why the design effect could not be estimated; None when it was."""


def _proportion_size(y: Vector, groups: Clusters) -> _Size:
    """n / DEFF of a clustered proportion: the n at which binomial variance equals the cluster-robust one."""
    mean = float(y.mean())
    events = int(min(np.count_nonzero(groups.sums(y) > 0), np.count_nonzero(groups.sums(1 - y) > 0)))
    if groups.count < MINIMUM_CLUSTERS or events < MINIMUM_EVENT_CLUSTERS:
        return _unknown_design_effect(groups, events, "the rarer outcome")
    variance = robust_variance(groups.sums(y - mean)) / y.size**2
    return _Size(mean * (1 - mean) / variance if variance > 0 else float(y.size), events, None)


def _weighted_size(y: Vector, groups: Clusters, shares: Vector, mean: float) -> _Size:
    """Number of independent outcomes that would have the linearised variance of the weighted mean."""
    events = int(min(np.count_nonzero(groups.sums(y) > 0), np.count_nonzero(groups.sums(1 - y) > 0)))
    if groups.count >= MINIMUM_CLUSTERS and events >= MINIMUM_EVENT_CLUSTERS:
        variance = robust_variance(groups.sums(shares * (y - mean)))
        if variance > 0:
            return _Size(mean * (1 - mean) / variance, events, None)
    worth = 1.0 / float(groups.sums(shares).max())
    note = (
        f"n counted as {worth:.1f} independent units, the {groups.count} clusters thinned to equal weights: "
        f"{events} with the rarer outcome are too few to estimate the variance from"
    )
    return _Size(worth, events, note)


def _paired_size(d: Vector, groups: Clusters) -> _Size:
    """Number of independent pairs that would have the variance observed between clusters."""
    events = int(np.count_nonzero(groups.sums(np.abs(d)) > 0))
    if groups.count < MINIMUM_CLUSTERS or events < MINIMUM_EVENT_CLUSTERS:
        return _unknown_design_effect(groups, events, "any difference")
    mean = float(d.mean())
    variance = robust_variance(groups.sums(d - mean)) / d.size**2
    independent = float(np.abs(d).mean()) - mean * mean
    if variance <= 0:
        return _unknown_design_effect(groups, events, "any difference, all alike,")
    return _Size(independent / variance, events, None)


def _unknown_design_effect(groups: Clusters, events: int, what: str) -> _Size:
    note = (
        f"n counted as {groups.effective_count:.1f} independent units: {groups.count} clusters, {events} with {what}, "
        "are too few to estimate how alike answers within a cluster are"
    )
    return _Size(groups.effective_count, events, note)


def _adjusted(size: _Size, n: int, confidence: float, *, capped: bool = True) -> float:
    """Korn and Graubard's t-adjustment of an estimated size, then the cap: clustering never adds information."""
    normal, worth = float(special.ndtri(confidence)), size.n
    if size.note is None and abs(normal) > 1e-6:
        worth *= (normal / t_quantile(confidence, size.informative - 1)) ** 2
    return min(worth, float(n)) if capped else worth
