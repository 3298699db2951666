"""A test of a bounded mean that holds at any sample size and any skew: nothing is assumed but the range.

Source: Waudby-Smith and Ramdas, J. Royal Statistical Society B 86 (2024) 1, arXiv 2010.09686: capital of a gambler who
bets against the hypothesis, with the stakes for a fixed number of observations (section 4, remark 3); Ville's
inequality makes the reciprocal of the largest capital a p-value.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from evalharness.statistics._inputs import clusters_of, vector
from golden_sets.errors import InputError

_LARGEST_STAKE = 0.9
"""Of the stake that the worst possible observation would turn into ruin."""
_ORDER = 20100
"""Seed of the order in which clusters are taken: the file's own order might be sorted by outcome."""


def betting_p_value(
    values: ArrayLike,
    limit: float,
    clusters: ArrayLike | None = None,
    *,
    low: float = 0.0,
    high: float = 1.0,
    alpha: float = 0.05,
) -> float:
    """One-sided p-value of the claim that a bounded mean lies below ``limit``; never anti-conservative for one cluster
    size.

    The unit is the cluster: the gambler bets on its sum less its size times the limit. A large cluster takes a smaller
    stake, so that it alone can never ruin; with clusters of several sizes the p-value is exact where the mean does not
    depend on the size.

    Args:
        values: shape (n,), in [low, high].
        limit: the hypothesis is that the mean is at least this; in (low, high).
        clusters: shape (n,), one code per observation; None when all are independent.
        low: smallest possible value.
        high: largest possible value.
        alpha: the level at which the test is sharpest.

    Raises:
        InputError: empty, NaN, outside the range, or a limit outside it.
    """
    x = vector(values, "values", low=low, high=high)
    if not low < limit < high:
        raise InputError(f"the limit must lie strictly between {low:g} and {high:g}, got {limit:g}")
    if not 0 < alpha < 1:
        raise InputError(f"alpha must be strictly between 0 and 1, got {alpha}")
    groups = clusters_of(clusters, x.size)
    order = np.random.default_rng(_ORDER).permutation(groups.count)
    sums, sizes = groups.sums((x - limit) / (high - low))[order], groups.sizes[order]
    # Spread as it was known before each observation, begun with one pseudo-observation of the largest variance.
    seen = np.arange(1, groups.count + 1)
    means = np.cumsum(sums) / (seen + 1)
    spread = (0.25 + np.cumsum((sums - means) ** 2)) / (seen + 1)
    before = np.r_[0.25, spread[:-1]]
    stakes = np.sqrt(2 * math.log(1 / alpha) / (groups.count * before))
    stakes = np.minimum(stakes, _LARGEST_STAKE * (high - low) / ((high - limit) * sizes))
    capital = np.cumsum(np.log1p(-stakes * sums))
    return float(min(1.0, math.exp(-float(capital.max()))))
