"""Agreement among several raters: Fleiss' kappa and mean pairwise agreement.

Sources: Fleiss, Psychological Bulletin 76 (1971) 378 (kappa); its linearisation, item by item, gives a cluster-robust
variance (CR1, t with C - 1 degrees of freedom: Cameron and Miller, J. Human Resources 50 (2015) 317). A rating that is
missing agrees with nothing, and adds nothing to the agreement expected by chance.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from evalharness.statistics._inputs import Clusters, Vector, clusters_of
from evalharness.statistics.clustered import (
    MINIMUM_CLUSTERS,
    MINIMUM_EVENT_CLUSTERS,
    clustered_proportion_interval,
    robust_variance,
    t_quantile,
)
from evalharness.statistics.interval import Interval, Side, tails, without_bounds
from golden_sets.errors import InputError

Table = NDArray[np.float64]
_METHOD = "fleiss-kappa-clustered"


def fleiss_kappa(ratings: ArrayLike, *, categories: int) -> float | None:
    """Chance-corrected agreement of several raters; None when all always used the same one category.

    Args:
        ratings: shape (items, raters), category 0 .. categories - 1, NaN where a rating is missing.
        categories: number of categories; one that nobody used is allowed.

    Raises:
        InputError: no items, fewer than two raters, a category out of range.
    """
    shares, agreement = _shares(ratings, categories)
    return _kappa(float(agreement.mean()), shares.mean(axis=0))


def fleiss_kappa_interval(
    ratings: ArrayLike,
    clusters: ArrayLike | None = None,
    *,
    categories: int,
    confidence: float = 0.95,
    side: Side = "two-sided",
) -> Interval:
    """Approximate interval for Fleiss' kappa of items that may come in clusters.

    Linearised, with the cluster-robust variance. With fewer than 10 clusters, or fewer than 20 in which raters differ
    (or agree), that variance cannot be estimated: the bounds of the mean pairwise agreement
    (`pairwise_agreement_interval`) then take its place, the agreement expected by chance being held fixed.

    Args:
        ratings: shape (items, raters), category 0 .. categories - 1, NaN where a rating is missing.
        clusters: shape (items,), one code per item; None when all are independent.
        categories: number of categories.
        confidence: in (0, 1).
        side: two-sided, lower or upper.

    Raises:
        InputError: as `fleiss_kappa`; clusters of another length.
    """
    shares, agreement = _shares(ratings, categories)
    groups = clusters_of(clusters, agreement.size)
    observed, used = float(agreement.mean()), shares.mean(axis=0)
    kappa, expected = _kappa(observed, used), float(used @ used)
    n = agreement.size
    if kappa is None:
        note = "all raters always used the same category: kappa is undefined"
        return without_bounds(None, confidence, _METHOD, n, note, clusters=groups.count)
    below, above = tails(confidence, side)
    if groups.count >= MINIMUM_CLUSTERS and _informative(agreement, groups) >= MINIMUM_EVENT_CLUSTERS:
        influence = (agreement - observed) * (1 - expected) - (1 - observed) * 2 * (shares @ used - expected)
        error = math.sqrt(robust_variance(groups.sums(influence / (1 - expected) ** 2))) / n
        degrees = groups.count - 1
        low = None if below is None else max(-1.0, kappa - t_quantile(below, degrees) * error)
        high = None if above is None else min(1.0, kappa + t_quantile(above, degrees) * error)
        return Interval(kappa, low, high, confidence, _METHOD, n, groups.count)
    bounds = clustered_proportion_interval(agreement, groups.codes, confidence=confidence, side=side)
    low, high = (None if bound is None else (bound - expected) / (1 - expected) for bound in (bounds.low, bounds.high))
    low = None if low is None else max(-1.0, low)
    return Interval(kappa, low, high, confidence, _METHOD, n, groups.count, bounds.note)


def pairwise_agreement_interval(
    ratings: ArrayLike,
    clusters: ArrayLike | None = None,
    *,
    categories: int,
    confidence: float = 0.95,
    side: Side = "two-sided",
) -> Interval:
    """Share of pairs of raters that agree on an item, over all items; arguments and errors as `fleiss_kappa_interval`.

    `clustered_proportion_interval` of the items' shares.
    """
    _, agreement = _shares(ratings, categories)
    return clustered_proportion_interval(agreement, clusters, confidence=confidence, side=side)


def _shares(ratings: ArrayLike, categories: int) -> tuple[Table, Vector]:
    """Of each item: the share of raters in each category, and the share of their pairs that agree."""
    table = np.asarray(ratings, dtype=np.float64)
    if table.ndim != 2 or table.shape[0] < 1 or table.shape[1] < 2:
        raise InputError(f"ratings must be items by at least 2 raters, got shape {table.shape}")
    known = table[~np.isnan(table)]
    if ((known < 0) | (known >= categories) | (known != np.floor(known))).any():
        raise InputError(f"ratings must be whole category numbers from 0 to {categories - 1}, or NaN")
    raters = table.shape[1]
    counts = np.stack([(table == category).sum(axis=1) for category in range(categories)], axis=1).astype(np.float64)
    agreeing = (counts * (counts - 1)).sum(axis=1)
    return counts / raters, np.asarray(agreeing / (raters * (raters - 1)), dtype=np.float64)


def _kappa(observed: float, used: Vector) -> float | None:
    expected = float(used @ used)
    return None if expected >= 1 - 1e-12 else (observed - expected) / (1 - expected)


def _informative(agreement: Vector, groups: Clusters) -> int:
    """Clusters that hold the rarer of agreement and disagreement."""
    return int(min(np.count_nonzero(groups.sums(agreement) > 0), np.count_nonzero(groups.sums(1 - agreement) > 0)))
