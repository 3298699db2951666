"""An exact bound for the difference of two paired proportions: Tango's statistic, all tables weighed.

Method: unconditional inversion (Chan and Zhang, Biometrics 55 (1999) 1202, carried over to pairs by Hsueh, Liu and
Chen, Biometrics 57 (2001) 478). For every hypothesised difference the chance of a table at least as extreme is taken
at the worst discordance within an exact interval of confidence 1 - 1e-9 around the observed one, and 1e-9 is added
(Berger and Boos, J. American Statistical Association 89 (1994) 1012): the error never exceeds alpha, and a discordance
that the data rule out costs neither power nor time. Tango's own bound exceeds alpha where few pairs are discordant
(worst cases in docs/methodology.md).
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import optimize, special

from evalharness.statistics._inputs import Vector
from evalharness.statistics.proportions import proportion_lower, proportion_upper
from evalharness.statistics.tango import paired_lower, tango_z

NUISANCE_ERROR = 1e-9
"""Chance that the true discordance lies outside the interval that is searched; no p-value is below it."""
_STEP = 0.15
"""Step of the nuisance grid in the square root of the expected count of the rarer side: 0.3 standard deviations."""
_CLOSER = 6
"""Further points on either side of the worst of them."""
_REACH = (6.5, 10.0)
"""Counts farther from their mean than so many standard deviations and so many more have a chance below 1e-10."""
_TOLERANCE = 5e-4
"""Of the bound, as a share of its distance from the estimate; it is rounded outward by twice as much."""
_BEYOND = (0.002, 0.005, 0.008, 0.012, 0.016, 0.02, 0.024, 0.029, 0.035, 0.042, 0.05, 0.06, 0.075, 0.1, 0.13, 0.2)
"""Where differences beyond the root are tried, as shares of the same distance; what lies between them and is not
rejected either has p-values a few per cent above alpha at most."""


@lru_cache(maxsize=4096)
def exact_paired_p_value(wins: float, losses: float, n: int, difference: float) -> float:
    """Largest chance, over the discordance, of a table at least as favourable as this when P(win) - P(loss) is given.

    The one-sided p-value against "the difference is at most ``difference``" (cached). Its cost grows with the number
    of discordant pairs, hardly with n. Fractional counts, scaled from clustered pairs, are placed among the whole ones
    by the statistic.
    """
    return _Table(wins, losses, n).p_value(difference)


@lru_cache(maxsize=4096)
def exact_paired_lower(wins: float, losses: float, n: int, *, confidence: float) -> float:
    """Lower bound of P(win) - P(loss) whose one-sided error is at most 1 - confidence at any discordance (cached).

    Within 0.15 % of its distance from the estimate, rounded outward.

    Raises:
        InputError: confidence outside (0, 1).
    """
    score = float(paired_lower(wins, losses, n, confidence=confidence))
    if losses >= n:
        return -1.0
    table, target = _Table(wins, losses, n), math.log(1.0 - confidence)
    tolerance = _TOLERANCE * max(abs((wins - losses) / n - score), 0.01 / n)

    def excess(difference: float) -> float:
        return math.log(table.p_value(difference)) - target

    # The p-value rises with the difference, by and large: step out from the score bound until the root lies between.
    low, high, step = score, score, 20 * tolerance
    while low > -1.0 and excess(low) > 0:
        low, high, step = max(-1.0, low - step), low, 2 * step
    while high == low < 1.0:
        high = min(1.0, high + step)
        if high < 1.0 and excess(high) <= 0:
            low, step = high, 2 * step
    if low <= -1.0 or excess(high) <= 0:
        return max(-1.0, low - 2 * tolerance)
    root = float(optimize.brentq(excess, low, high, xtol=tolerance, rtol=1e-12))
    # Tables change places in the order as the difference moves, and the p-value jumps: a difference beyond the root may
    # not be rejected. The bound lies below every one that is not.
    tried = [root - share / _TOLERANCE * tolerance for share in _BEYOND]
    for nearer, farther in reversed(list(itertools.pairwise(tried))):
        if farther > -1.0 and excess(nearer) > 0:
            root = float(optimize.brentq(excess, farther, nearer, xtol=tolerance, rtol=1e-12))
            break
    return max(-1.0, root - 2 * tolerance)


@dataclass(frozen=True, slots=True)
class _Table:
    """An observed table of pairs."""

    wins: float
    losses: float
    n: int

    def p_value(self, difference: float) -> float:
        """Worst chance of a table at least as favourable, over the discordances that the data leave possible."""
        discordant, confidence = self.wins + self.losses, 1 - NUISANCE_ERROR / 2
        least = float(proportion_lower(discordant, self.n, confidence=confidence))
        most = float(proportion_upper(discordant, self.n, confidence=confidence))
        angles = nuisance_angles(self.n, difference, least, most)
        if angles.size == 0:
            return NUISANCE_ERROR
        tails = self._tails(angles, difference)
        worst = int(np.argmax(tails))
        gap = float(angles[1] - angles[0]) if angles.size > 1 else 0.0
        closer = np.clip(angles[worst] + np.linspace(-gap, gap, 2 * _CLOSER + 1), angles[0], angles[-1])
        return min(1.0, max(float(tails[worst]), float(self._tails(closer, difference).max())) + NUISANCE_ERROR)

    def _tails(self, angles: Vector, difference: float) -> Vector:
        """Chance of a table at least as favourable at each nuisance rate: sum over losses of P(enough wins)."""
        rarer = np.sin(angles) ** 2 * (1 - abs(difference)) / 2
        loss_rates = rarer + max(0.0, -difference)
        low, high = likely_counts(self.n, loss_rates)
        start, sizes = int(low.min()), high - low + 1
        needed = self._fewest_wins(np.arange(start, int(high.max()) + 1), difference)
        # The windows of losses that matter at each rate, end to end.
        starts = np.concatenate(([0], np.cumsum(sizes)[:-1]))
        losses = np.arange(int(sizes.sum())) - np.repeat(starts - low, sizes)
        rest, wins = self.n - losses, needed[losses - start]
        q = np.repeat(loss_rates, sizes)
        win = np.repeat(np.clip((rarer + max(0.0, difference)) / np.maximum(1 - loss_rates, 1e-15), 0.0, 1.0), sizes)
        chance = np.exp(log_choose(self.n, losses) + special.xlogy(losses, q) + special.xlog1py(rest, -q))
        fewest, most = likely_counts(rest, win)
        tail = np.where(wins <= fewest, 1.0, 0.0)
        open_ = (wins > fewest) & (wins <= most)
        tail[open_] = special.betainc(wins[open_], rest[open_] - wins[open_] + 1.0, win[open_])
        return np.asarray(np.add.reduceat(chance * tail, starts), dtype=np.float64)

    def _fewest_wins(self, losses: NDArray[np.intp], difference: float) -> NDArray[np.intp]:
        """For each count of losses the fewest wins at which the statistic reaches the one observed.

        The statistic rises with wins; where no count reaches it, one more than there are pairs left.
        """
        seen = float(tango_z(self.wins, self.losses, self.n, difference)) - 1e-9
        low, high = np.full(losses.shape, -1), self.n - losses + 1
        while (high - low > 1).any():
            middle = (low + high) // 2
            reached = tango_z(np.maximum(middle, 0), losses, self.n, difference) >= seen
            move = high - low > 1
            low, high = np.where(move & ~reached, middle, low), np.where(move & reached, middle, high)
        return high


def nuisance_angles(n: int, difference: float, least: float, most: float, *, step: float = _STEP) -> Vector:
    """Grid of the rarer of P(win) and P(loss), as arcsin(sqrt(rate / largest rate)): even in standard deviations.

    ``least`` and ``most`` are the ends of the discordance searched, ``step`` is half a standard deviation. Empty where
    the difference itself is beyond them.
    """
    if most < abs(difference):
        return np.zeros(0)
    room = max(1 - abs(difference), 1e-12)
    ends = [math.asin(math.sqrt(min(1.0, max(0.0, x - abs(difference)) / room))) for x in (least, most)]
    steps = math.ceil((ends[1] - ends[0]) * math.sqrt(n * room / 2) / step)
    return np.linspace(ends[0], ends[1], steps + 1)


def likely_counts(n: ArrayLike, rate: Vector) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Least and largest count of a binomial that have any chance to speak of."""
    trials = np.asarray(n, dtype=np.float64)
    reach = _REACH[0] * np.sqrt(trials * rate * (1 - rate)) + _REACH[1]
    low, high = np.floor(trials * rate - reach), np.ceil(trials * rate + reach)
    return np.maximum(low, 0).astype(np.intp), np.minimum(high, trials).astype(np.intp)


def log_choose(n: ArrayLike, k: NDArray[np.intp]) -> Vector:
    """Logarithm of the binomial coefficient."""
    n = np.asarray(n)
    return np.asarray(special.gammaln(n + 1) - special.gammaln(k + 1) - special.gammaln(n - k + 1), dtype=np.float64)
