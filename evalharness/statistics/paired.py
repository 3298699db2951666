"""Intervals for the difference of two paired proportions: candidate against incumbent on the same prompts.

Source: Tango, Statistics in Medicine 17 (1998) 891; the exact method is described in `paired_exact`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from evalharness.statistics._inputs import Vector, count
from evalharness.statistics.interval import Interval, OneSide, Side, check_confidences, tails
from evalharness.statistics.paired_exact import exact_paired_lower, exact_paired_p_value
from evalharness.statistics.tango import paired_lower, tango_z
from golden_sets.errors import InputError

Mask = NDArray[np.bool_]
PairedMethod = Literal["auto", "tango", "exact"]
"""``auto``: exact where fewer than `FEW_PAIRS` pairs lie outside the most frequent outcome, Tango's otherwise."""

FEW_PAIRS = 100
"""With at least this many, Tango's worst one-sided error is 5.6 % at a nominal 5 % and 1.3 % at 1 %; with any number it
reaches 9.3 % and 2.2 % (computed by `benchmarks.few_pairs`; table in docs/methodology.md)."""


def paired_interval(
    wins: float,
    losses: float,
    n: float,
    *,
    confidence: float = 0.95,
    side: Side = "two-sided",
    method: PairedMethod = "auto",
) -> Interval:
    """Interval for P(win) - P(loss) over ``n`` independent pairs: candidate minus incumbent on the same prompts.

    ``wins``: prompts only the candidate passes; ``losses``: prompts only the incumbent passes; the other
    ``n - wins - losses`` agree. It never has zero width, also without a single discordant pair (Tango's lower bound is
    then -z^2 / (n + z^2)). 40 wins, 52 losses, n = 1000: lower one-sided 95 % bound -0.0281.

    ``tango`` is the score interval: right on average, but its error exceeds alpha where few pairs are discordant.
    ``exact`` (whole counts only) is never below its confidence; a bound takes about 30 ms. ``auto`` takes the exact one
    where few pairs decide, and names the method it took in the result.

    Raises:
        InputError: negative counts, wins + losses above n, confidence outside (0, 1), unknown side or method,
            fractional counts for the exact method.
    """
    pairs = count(n, "n", at_least=1)
    if count(wins, "wins") + count(losses, "losses") > pairs * (1 + 1e-12):
        raise InputError(f"wins + losses = {wins + losses:g} exceeds n = {n:g}")
    below, above = tails(confidence, side)
    counts = (wins, losses, pairs)
    low = None if below is None else float(paired_bound(*counts, confidence=below, side="lower", method=method))
    high = None if above is None else float(paired_bound(*counts, confidence=above, side="upper", method=method))
    taken = "exact" if takes_exact(method, *counts) else "tango"
    return Interval((wins - losses) / pairs, low, high, confidence, taken, max(1, round(pairs)))


def paired_bound(
    wins: ArrayLike,
    losses: ArrayLike,
    n: ArrayLike,
    *,
    confidence: ArrayLike,
    side: OneSide,
    method: PairedMethod = "auto",
) -> Vector:
    """One-sided bounds of `paired_interval`, elementwise over arrays of counts and confidences.

    Tango's take a microsecond each, exact ones 30 ms for every table and confidence that differs.

    Raises:
        InputError: confidence outside (0, 1), unknown method, fractional counts for the exact method.
    """
    b, c, pairs, levels = np.broadcast_arrays(
        *(np.asarray(x, dtype=np.float64) for x in (wins, losses, n)), check_confidences(confidence)
    )
    if side == "upper":
        return np.asarray(-paired_bound(c, b, pairs, confidence=levels, side="lower", method=method))
    bounds = np.array(paired_lower(b, c, pairs, confidence=levels))
    few = takes_exact(method, b, c, pairs)
    if few.any():
        # Rounded, so that both ends of a two-sided interval are found again as one-sided bounds.
        tables = np.stack([x[few] for x in (b, c, pairs, np.clip(levels.round(12), 1e-12, 1 - 1e-12))])
        rows, inverse = np.unique(tables, axis=1, return_inverse=True)
        exact = [exact_paired_lower(int(w), int(x), int(m), confidence=float(level)) for w, x, m, level in rows.T]
        bounds[few] = np.array(exact)[inverse.reshape(-1)]
    return bounds


def paired_p_value(
    wins: float, losses: float, n: float, difference: float, *, above: bool, method: PairedMethod = "auto"
) -> float:
    """One-sided p-value of the claim that P(win) - P(loss) lies above (or below) ``difference``.

    The smallest alpha at which the bound of `paired_interval` by the same method clears ``difference``, without a
    search: 1-5 ms for the exact method, which gives no p-value below 1e-9.

    Raises:
        InputError: as `paired_interval`; a difference outside (-1, 1).
    """
    pairs = count(n, "n", at_least=1)
    if count(wins, "wins") + count(losses, "losses") > pairs * (1 + 1e-12):
        raise InputError(f"wins + losses = {wins + losses:g} exceeds n = {n:g}")
    if not -1.0 < difference < 1.0:
        raise InputError(f"difference must lie strictly between -1 and 1, got {difference}")
    for_claim, against, limit = (wins, losses, difference) if above else (losses, wins, -difference)
    if takes_exact(method, wins, losses, pairs):
        return exact_paired_p_value(round(for_claim), round(against), round(pairs), limit)
    return float(special.ndtr(-tango_z(for_claim, against, pairs, limit)))


@dataclass(frozen=True, slots=True)
class EffectivePairs:
    """Pairs that are worth ``n`` independent ones, n not whole: the automatic choice for clustered differences.

    The exact method takes the whole part of n, and the observed rates as they are.
    """

    wins: float
    losses: float
    n: float
    exact: bool
    """Whether the exact method is taken; n is then whole."""

    @classmethod
    def of(cls, win_rate: float, loss_rate: float, n: float) -> EffectivePairs:
        """From the rates observed; the counts are whole where clusters are copies and n is their number."""
        size = max(1, math.floor(n + 1e-9))
        if size - size * max(win_rate, loss_rate, 1 - win_rate - loss_rate) >= FEW_PAIRS:
            return cls(win_rate * n, loss_rate * n, n, exact=False)
        return cls(round(win_rate * size, 9), round(loss_rate * size, 9), size, exact=True)

    def bound(self, confidence: float, side: OneSide) -> float:
        """One-sided bound of the difference."""
        if side == "upper":
            return -self._exchanged().bound(confidence, "lower")
        if self.exact:
            return exact_paired_lower(self.wins, self.losses, round(self.n), confidence=round(confidence, 12))
        return float(paired_lower(self.wins, self.losses, self.n, confidence=confidence))

    def p_value(self, difference: float, *, above: bool) -> float:
        """One-sided p-value of the claim that the difference lies above (or below) ``difference``."""
        if not above:
            return self._exchanged().p_value(-difference, above=True)
        if self.exact:
            return exact_paired_p_value(self.wins, self.losses, round(self.n), difference)
        return float(special.ndtr(-tango_z(self.wins, self.losses, self.n, difference)))

    def _exchanged(self) -> EffectivePairs:
        return replace(self, wins=self.losses, losses=self.wins)


def takes_exact(method: str, wins: ArrayLike, losses: ArrayLike, n: ArrayLike) -> Mask:
    """Where the exact bound is taken, elementwise."""
    b, c, pairs = (np.asarray(x, dtype=np.float64) for x in (wins, losses, n))
    whole = (b == np.round(b)) & (c == np.round(c)) & (pairs == np.round(pairs))
    if method == "auto":
        return np.asarray(whole & (pairs - np.maximum(np.maximum(b, c), pairs - b - c) < FEW_PAIRS))
    if method == "tango":
        return np.zeros_like(whole)
    if method != "exact":
        raise InputError(f"unknown method '{method}'", do="use auto, tango or exact")
    if not whole.all():
        raise InputError(f"the exact method needs whole counts, got {b}, {c}, {pairs}", do="use tango")
    return np.asarray(whole)
