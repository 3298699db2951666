"""Which counts clear a limit at a one-sided level, and which violate it: the gate's own bounds, many releases at once.

Each class answers two questions at a look of a check: does the bound that must clear the limit do so at level alpha,
and does the opposite bound lie beyond it? Where the gate would have no bound, both are False.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

from evalharness.statistics.paired_tables import paired_p_values
from evalharness.statistics.ratios import MINIMUM_PRODUCTIVE_UNITS

Mask = NDArray[np.bool_]
Floats = NDArray[np.float64]
Integers = NDArray[np.integer]
Levels = tuple[float, ...]
Direction = Literal["floor", "ceiling"]
"""``floor``: what is estimated must be shown to lie above the limit; ``ceiling``: below."""


class Bound(Protocol):
    """One check at one look, in every release."""

    def clears(self, alphas: Levels) -> Mask:
        """Whether the one-sided bound at 1 - alpha clears the limit: shape (levels, releases)."""
        ...

    def violates(self, alpha: float) -> Mask:
        """Whether the opposite bound at 1 - alpha lies beyond the limit."""
        ...

    def exists(self, alpha: float) -> Mask:
        """Whether there is a bound at that level."""
        ...

    def among(self, releases: Mask) -> Bound:
        """The same check in some of the releases."""
        ...


@dataclass(frozen=True)
class BinomialBound:
    """Clopper-Pearson bounds of a rate; with order-statistic bounds of a quantile the same (good: within the limit)."""

    good: Integers
    """Outcomes on the passing side, by release."""
    n: int
    """Outcomes."""
    least: float
    """Share of good outcomes that must be shown."""

    def clears(self, alphas: Levels) -> Mask:
        """At least as many as have a chance of at most alpha where the share is just the limit."""
        return np.stack([self.good >= fewest_to_pass(self.n, self.least, alpha) for alpha in alphas])

    def violates(self, alpha: float) -> Mask:
        """At most as many as have a chance of at most alpha where the share is just the limit."""
        return np.asarray(self.good <= most_to_fail(self.n, self.least, alpha))

    def exists(self, _alpha: float) -> Mask:
        """Always."""
        return np.ones(self.good.shape, dtype=np.bool_)

    def among(self, releases: Mask) -> BinomialBound:
        """The same check in some of the releases."""
        return replace(self, good=self.good[releases])


@dataclass(frozen=True)
class VaryingBinomialBound:
    """`BinomialBound` where every release has its own n (requests asked before the run stopped)."""

    good: Integers
    n: Integers
    least: float

    def clears(self, alphas: Levels) -> Mask:
        """P(Bin(n, limit) >= good) is at most alpha."""
        return np.asarray(self._tails[0] <= column(alphas))

    def violates(self, alpha: float) -> Mask:
        """P(Bin(n, limit) <= good) is at most alpha."""
        return np.asarray(self._tails[1] <= alpha)

    def exists(self, _alpha: float) -> Mask:
        """Where anything was asked."""
        return np.asarray(self.n > 0)

    def among(self, releases: Mask) -> VaryingBinomialBound:
        """The same check in some of the releases."""
        return replace(self, good=self.good[releases], n=self.n[releases])

    @cached_property
    def _tails(self) -> tuple[Floats, Floats]:
        """Chances of at least, and of at most, as many good outcomes where the share is just the limit."""
        pairs, inverse = distinct(self.good, self.n)
        k, n = pairs[0].astype(np.float64), np.maximum(pairs[1], 1).astype(np.float64)
        # P(Bin(n, p) >= k) = I_p(k, n - k + 1).
        above = np.where(k > 0, special.betainc(np.maximum(k, 1), n - k + 1, self.least), 1.0)
        below = np.where(k < n, special.betainc(np.maximum(n - k, 1), k + 1, 1 - self.least), 1.0)
        above, below = (np.where(pairs[1] > 0, tail, 1.0) for tail in (above, below))
        return above[inverse], below[inverse]


@dataclass(frozen=True)
class DifferenceBound:
    """Bounds of candidate minus the other arm on true outcomes: exact where few pairs decide, else Tango's."""

    wins: Integers
    losses: Integers
    n: int
    limit: float
    direction: Direction

    def clears(self, alphas: Levels) -> Mask:
        """The p-value of lying on the passing side of the limit is at most alpha."""
        return np.asarray(self._p_values(passing=True) <= column(alphas))

    def violates(self, alpha: float) -> Mask:
        """The p-value of lying on the failing side is at most alpha."""
        return np.asarray(self._p_values(passing=False) <= alpha)

    def exists(self, _alpha: float) -> Mask:
        """Always."""
        return np.ones(self.wins.shape, dtype=np.bool_)

    def among(self, releases: Mask) -> DifferenceBound:
        """The same check in some of the releases."""
        return replace(self, wins=self.wins[releases], losses=self.losses[releases])

    def _p_values(self, *, passing: bool) -> Floats:
        above = (self.direction == "floor") == passing
        return paired_p_values(self.wins, self.losses, self.n, self.limit, above=above)


@dataclass(frozen=True)
class RatioBound:
    """Normal bounds of a logarithm: costs, and ratios of costs."""

    gap: Floats
    """Estimate minus limit on the log scale, positive on the passing side."""
    error: Floats
    """Its standard error."""
    n: Integers
    """Prompts."""
    productive: Integers
    """Prompts with a non-zero amount in the smallest sum."""

    def clears(self, alphas: Levels) -> Mask:
        """The gap is at least t standard errors."""
        return np.asarray(self.exists(0.5) & (self.gap >= self._t(column(alphas)) * self.error))

    def violates(self, alpha: float) -> Mask:
        """The gap is below minus t standard errors."""
        return np.asarray(self.exists(alpha) & (self.gap < -self._t(np.asarray(alpha)) * self.error))

    def exists(self, _alpha: float) -> Mask:
        """With enough prompts that add to every sum."""
        return np.asarray(self.productive >= MINIMUM_PRODUCTIVE_UNITS)

    def among(self, releases: Mask) -> RatioBound:
        """The same check in some of the releases."""
        n = self.n[releases] if self.n.ndim else self.n
        return RatioBound(self.gap[releases], self.error[releases], n, self.productive[releases])

    def _t(self, alphas: Floats) -> Floats:
        return np.asarray(special.stdtrit(np.maximum(self.n - 1, 1), 1 - alphas), dtype=np.float64)


@dataclass(frozen=True)
class NoBound:
    """A check that has nothing to rest on."""

    releases: int

    def clears(self, alphas: Levels) -> Mask:
        """Never."""
        return np.zeros((len(alphas), self.releases), dtype=np.bool_)

    def violates(self, _alpha: float) -> Mask:
        """Never."""
        return np.zeros(self.releases, dtype=np.bool_)

    def exists(self, alpha: float) -> Mask:
        """Never."""
        return self.violates(alpha)

    def among(self, releases: Mask) -> NoBound:
        """The same check in some of the releases."""
        return NoBound(int(releases.sum()))


@lru_cache(maxsize=65536)
def fewest_to_pass(n: int, least: float, alpha: float) -> int:
    """Fewest good outcomes of n whose Clopper-Pearson lower bound at 1 - alpha is at least ``least``; n + 1: none."""
    if alpha <= 0 or n == 0:
        return n + 1
    count = int(stats.binom.isf(alpha, n, least)) + 1
    return count + 1 if stats.binom.sf(count - 1, n, least) > alpha else count


@lru_cache(maxsize=65536)
def most_to_fail(n: int, least: float, alpha: float) -> int:
    """Most good outcomes of n whose Clopper-Pearson upper bound at 1 - alpha is below ``least``; -1: none."""
    if alpha <= 0 or n == 0:
        return -1
    count = int(stats.binom.ppf(alpha, n, least))
    return count if stats.binom.cdf(count, n, least) <= alpha else count - 1


def distinct(*counts: Integers) -> tuple[tuple[NDArray[np.int64], ...], NDArray[np.intp]]:
    """The combinations of counts that occur, each once, and which of them each release has."""
    key, radix = np.zeros(counts[0].shape, dtype=np.int64), []
    for count in counts:
        radix.append(int(count.max(initial=0)) + 1)
        key = key * radix[-1] + count
    values, inverse = np.unique(key, return_inverse=True)
    found = []
    for size in reversed(radix):
        found.append(values % size)
        values = values // size
    return tuple(reversed(found)), inverse


def column(alphas: Levels) -> Floats:
    """Levels as a column, to be compared with a row of releases."""
    return np.array(alphas, dtype=np.float64)[:, None]
