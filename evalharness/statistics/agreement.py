"""Agreement between a judge and people: Cohen's kappa.

Sources: Cohen, Educational and Psychological Measurement 20 (1960) 37; Fleiss, Cohen and Everitt, Psychological
Bulletin 72 (1969) 323 (large-sample variance; its linearisation also gives the cluster-robust one). Kappa depends on
prevalence: at 1 % it says little, so decisions rest on sensitivity and specificity.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from evalharness.statistics._inputs import Vector, clusters_of, shares_of, vector
from evalharness.statistics.clustered import MINIMUM_CLUSTERS, MINIMUM_EVENT_CLUSTERS, robust_variance, t_quantile
from evalharness.statistics.interval import Interval, Side, tails, without_bounds
from golden_sets.errors import InputError


def cohen_kappa(confusion: ArrayLike) -> float | None:
    """Chance-corrected agreement of two raters, in [-1, 1]; None when both always used the same one label.

    Args:
        confusion: shape (k, k), counts; row = first rater's label, column = second rater's.

    Raises:
        InputError: not a square table of counts, or empty.
    """
    return _kappa(_table(confusion))


def kappa_interval(confusion: ArrayLike, *, confidence: float = 0.95, side: Side = "two-sided") -> Interval:
    """Approximate interval for Cohen's kappa.

    Fleiss-Cohen-Everitt estimate and variance of the table with two pseudo-observations spread evenly over its cells,
    so that perfect agreement keeps a width. Below about 50 labels read it as a rough guide.

    Raises:
        InputError: not a square table of counts, or empty.
    """
    table = _table(confusion)
    kappa, n = _kappa(table), max(1, round(float(table.sum())))
    below, above = tails(confidence, side)
    if kappa is None:
        note = "both raters always used the same label: kappa is undefined"
        return without_bounds(None, confidence, "cohen-kappa", n, note)
    smoothed = table + 2.0 / table.size
    centre = _kappa(smoothed)
    error = math.sqrt(_kappa_variance(smoothed))
    middle = kappa if centre is None else centre
    low = None if below is None else min(kappa, max(-1.0, middle - float(special.ndtri(below)) * error))
    high = None if above is None else max(kappa, min(1.0, middle + float(special.ndtri(above)) * error))
    return Interval(kappa, low, high, confidence, "cohen-kappa", n)


def clustered_kappa_interval(
    first: ArrayLike,
    second: ArrayLike,
    clusters: ArrayLike | None = None,
    *,
    categories: int,
    weights: ArrayLike | None = None,
    confidence: float = 0.95,
    side: Side = "two-sided",
) -> Interval:
    """`kappa_interval` for ratings that come in clusters or were drawn with unequal probabilities.

    n becomes the number of independent, equally likely ratings with the observed (cluster-robust, linearised) variance
    of kappa, never more than n; with fewer than 10 clusters, or 20 in which the raters disagree (or agree), the
    clusters thinned to equal weights. Plain ratings give `kappa_interval`.

    Args:
        first: shape (n,), first rater's category, 0 .. categories - 1.
        second: shape (n,), second rater's.
        clusters: shape (n,), one code per rating; None when all are independent.
        categories: number of categories; one that a rater never used is allowed.
        weights: shape (n,), inverse of each rating's sampling probability; None when all are alike.
        confidence: in (0, 1).
        side: two-sided, lower or upper.

    Raises:
        InputError: empty, lengths that differ, a category out of range, weights not above 0.
    """
    a, b = _codes(first, "first", categories), _codes(second, "second", categories)
    if a.size != b.size:
        raise InputError(f"first has {a.size} ratings, second {b.size}")
    groups, shares = clusters_of(clusters, a.size), shares_of(weights, a.size)
    plain = groups.singletons and shares is None
    w = np.full(a.size, 1.0 / a.size) if shares is None else shares
    table = np.zeros((categories, categories))
    np.add.at(table, (a, b), w * a.size)
    if plain or _kappa(table) is None:
        found = kappa_interval(table, confidence=confidence, side=side)
        return found if plain else replace(found, clusters=groups.count)
    agree = a == b
    events = min(np.unique(groups.codes[agree]).size, np.unique(groups.codes[~agree]).size)
    worth = min(1.0 / float(groups.sums(w).max()), groups.effective_count)
    if groups.count >= MINIMUM_CLUSTERS and events >= MINIMUM_EVENT_CLUSTERS:
        variance = robust_variance(groups.sums(w * _influence(table / a.size, a, b)))
        if variance > 0:
            below, above = tails(confidence, side)
            level = below or above or confidence
            worth = min(float(a.size), _kappa_variance(table) * a.size / variance)
            worth *= (float(special.ndtri(level)) / t_quantile(level, events - 1)) ** 2
    found = kappa_interval(table * (worth / a.size), confidence=confidence, side=side)
    return replace(found, n=a.size, clusters=groups.count, method="cohen-kappa-clustered")


def _codes(values: ArrayLike, name: str, categories: int) -> NDArray[np.intp]:
    codes = vector(values, name, low=0, high=categories - 1)
    if (codes != np.floor(codes)).any():
        raise InputError(f"{name} must hold whole category numbers")
    return codes.astype(np.intp)


def _influence(share: Vector, a: NDArray[np.intp], b: NDArray[np.intp]) -> Vector:
    """What one rating (a, b) adds to kappa: the derivative behind `_kappa_variance`."""
    rows, columns = share.sum(axis=1), share.sum(axis=0)
    observed, expected = float(np.trace(share)), float(rows @ columns)
    agreement = ((a == b) - observed) * (1 - expected)
    chance = (1 - observed) * (columns[a] + rows[b] - 2 * expected)
    return np.asarray((agreement - chance) / (1 - expected) ** 2, dtype=np.float64)


def _table(confusion: ArrayLike) -> Vector:
    table = np.asarray(confusion, dtype=np.float64)
    if table.ndim != 2 or table.shape[0] != table.shape[1] or table.shape[0] < 2:
        raise InputError(f"a confusion table must be square, at least 2 x 2, got shape {table.shape}")
    if not np.isfinite(table).all() or (table < 0).any() or table.sum() <= 0:
        raise InputError("a confusion table must hold finite counts of at least 0, not all 0")
    return table


def _kappa(table: Vector) -> float | None:
    share = table / table.sum()
    expected = float(share.sum(axis=1) @ share.sum(axis=0))
    return None if expected >= 1 - 1e-12 else (float(np.trace(share)) - expected) / (1 - expected)


def _kappa_variance(table: Vector) -> float:
    """Fleiss, Cohen and Everitt (1969), equation 13 with unit weights."""
    n, share = float(table.sum()), table / table.sum()
    a, b = np.indices(table.shape)
    return float(np.sum(share * _influence(share, a, b) ** 2)) / n
