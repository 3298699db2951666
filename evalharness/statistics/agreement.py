"""Agreement between a judge and people: Cohen's kappa.

Sources: Cohen, Educational and Psychological Measurement 20 (1960) 37; Fleiss, Cohen and Everitt, Psychological
Bulletin 72 (1969) 323 (large-sample variance). Kappa depends on prevalence: at 1 % it says little, so decisions rest
on sensitivity and specificity.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from evalharness.statistics._inputs import Vector
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
    rows, columns = share.sum(axis=1), share.sum(axis=0)
    observed, expected = float(np.trace(share)), float(rows @ columns)
    kappa = (observed - expected) / (1 - expected)
    margins = rows[None, :] + columns[:, None]
    on_diagonal = float(np.sum(np.diag(share) * (1 - np.diag(margins) * (1 - kappa)) ** 2))
    off = share * margins.T**2
    off_diagonal = (1 - kappa) ** 2 * float(off.sum() - np.trace(off))
    constant = (kappa - expected * (1 - kappa)) ** 2
    return max(0.0, (on_diagonal + off_diagonal - constant) / (n * (1 - expected) ** 2))
