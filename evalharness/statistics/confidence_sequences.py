"""Anytime-valid confidence sequences for bounded means: looked at after every observation, they still hold.

Source: Waudby-Smith and Ramdas, J. Royal Statistical Society B 86 (2024) 1, arXiv 2010.09686: theorem 3 with the
hedged capital process (betting) and theorem 2 (predictable plug-in empirical Bernstein).

P(the mean is ever outside) <= alpha when each observation, given the past, has the same conditional mean; so one
observation must be one independent unit (average the repeats of a prompt first).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from evalharness.statistics._inputs import Vector, vector
from evalharness.statistics.interval import Interval, Side, tails
from golden_sets.errors import InputError

SequenceMethod = Literal["betting", "empirical-bernstein"]

_TRUNCATION = 0.5
_BERNSTEIN_TRUNCATION = 0.75


@dataclass(frozen=True, slots=True)
class SequenceBounds:
    """Running bounds after each observation; an absent side is None."""

    low: Vector | None
    """Shape (n,): running maximum of the lower bounds."""
    high: Vector | None
    """Shape (n,): running minimum of the upper bounds."""


class MeanSequence:
    """A betting confidence sequence for a mean in [low, high], fed one observation at a time.

    Each candidate mean of a grid has a gambler who bets that the true mean lies above (or below) it; a candidate is
    dropped for good once its gambler has multiplied the stake by 1 / alpha (Ville's inequality). Bets are the
    predictable plug-in of Waudby-Smith and Ramdas (2024), equation 26, truncated at half of the largest safe bet. The
    bounds are rounded outward to the grid.

    Args:
        confidence: in (0, 1); the whole sequence holds with it.
        side: two-sided (alpha split in two), lower or upper.
        low: smallest possible observation.
        high: largest possible observation.
        grid: number of candidate means.

    Raises:
        InputError: confidence outside (0, 1), unknown side, an empty range, fewer than 10 candidates.
    """

    def __init__(
        self,
        *,
        confidence: float = 0.95,
        side: Side = "two-sided",
        low: float = 0.0,
        high: float = 1.0,
        grid: int = 1000,
    ) -> None:
        if not (math.isfinite(low) and math.isfinite(high) and low < high):
            raise InputError(f"the range of observations must be finite and not empty, got [{low}, {high}]")
        if grid < 10:
            raise InputError(f"grid must be at least 10, got {grid}")
        below, above = tails(confidence, side)
        self._confidence, self._range = confidence, (low, high)
        # Only the interior is bet on: at 0 and 1 no bet is safe on both sides, and the ends are never dropped by it.
        self._means: Vector = np.arange(1, grid) / grid
        self._above = None if below is None else _Gambler(below, self._means)
        self._below = None if above is None else _Gambler(above, 1.0 - self._means)
        self._count, self._sum, self._weights = 0, 0.0, 0.0
        self._moments = _Plugin()

    def update(self, value: float, weight: float = 1.0) -> None:
        """Take one observation.

        Where observations are sampled with probabilities that differ, a weight of the smallest probability over this
        one's keeps the sequence valid for the mean over everything that could have been sampled: the bets are scaled by
        it, so that each candidate mean's gambler still gains nothing on average where that is the mean.

        Args:
            value: in [low, high].
            weight: in (0, 1].

        Raises:
            InputError: NaN, or outside the range.
        """
        low, high = self._range
        if not low <= value <= high:
            raise InputError(f"observation {value} lies outside [{low:g}, {high:g}]")
        if not 0.0 < weight <= 1.0:
            raise InputError(f"a weight must lie in (0, 1], got {weight}")
        x = (value - low) / (high - low)
        if self._above is not None:
            self._above.bet(x, self._moments, weight)
        if self._below is not None:
            self._below.bet(1.0 - x, self._moments, weight)
        self._moments.update(x)
        self._count, self._sum, self._weights = self._count + 1, self._sum + weight * x, self._weights + weight

    def bounds(self) -> tuple[float | None, float | None]:
        """Current (low, high), None for a side that is not asked for; the whole range before any observation."""
        step = 1.0 / (self._means.size + 1)
        low = None if self._above is None else self._above.dropped_below() * step
        high = None if self._below is None else 1.0 - self._below.dropped_below() * step
        return self._scale(low), self._scale(high)

    def interval(self) -> Interval:
        """Current mean and bounds.

        The running bounds may have left the current mean behind; it is then clipped into them.

        Raises:
            InputError: nothing observed yet.
        """
        low, high = self.bounds()
        if self._count == 0:
            raise InputError("nothing observed yet")
        mean = self._scale(self._sum / self._weights)
        value = (
            None
            if mean is None
            else max(low if low is not None else mean, min(high if high is not None else mean, mean))
        )
        return Interval(value, low, high, self._confidence, "betting-sequence", self._count)

    def _scale(self, x: float | None) -> float | None:
        low, high = self._range
        return None if x is None else low + x * (high - low)


def mean_sequence(
    values: ArrayLike,
    *,
    confidence: float = 0.95,
    side: Side = "two-sided",
    low: float = 0.0,
    high: float = 1.0,
    method: SequenceMethod = "betting",
) -> SequenceBounds:
    """Running confidence bounds for the mean of bounded observations, after each of them.

    ``betting`` is tighter, ``empirical-bernstein`` is closed form and faster on long streams.

    Args:
        values: shape (n,), in [low, high], in the order in which they came.
        confidence: in (0, 1); holds for all times together.
        side: two-sided, lower or upper.
        low: smallest possible observation.
        high: largest possible observation.
        method: betting or empirical-bernstein.

    Raises:
        InputError: empty, NaN, outside the range, unknown method or side.
    """
    x = vector(values, "values", low=low, high=high)
    if method == "empirical-bernstein":
        return _empirical_bernstein((x - low) / (high - low), confidence, side, low, high)
    if method != "betting":
        raise InputError(f"unknown method '{method}'", do="use betting or empirical-bernstein")
    sequence = MeanSequence(confidence=confidence, side=side, low=low, high=high)
    lows, highs = np.empty(x.size), np.empty(x.size)
    for index, value in enumerate(x.tolist()):
        sequence.update(value)
        lower, upper = sequence.bounds()
        lows[index], highs[index] = (np.nan if b is None else b for b in (lower, upper))
    below, above = tails(confidence, side)
    return SequenceBounds(None if below is None else lows, None if above is None else highs)


def mean_sequence_interval(
    values: ArrayLike,
    *,
    confidence: float = 0.95,
    side: Side = "two-sided",
    low: float = 0.0,
    high: float = 1.0,
) -> Interval:
    """The betting confidence sequence of a bounded mean, read after the last of ``values``.

    Raises:
        InputError: as `mean_sequence`.
    """
    sequence = MeanSequence(confidence=confidence, side=side, low=low, high=high)
    for value in vector(values, "values", low=low, high=high).tolist():
        sequence.update(value)
    return sequence.interval()


def paired_sequence_interval(differences: ArrayLike, *, confidence: float = 0.95, side: Side = "two-sided") -> Interval:
    """The betting confidence sequence of a mean paired difference in [-1, 1], read after the last one.

    Raises:
        InputError: empty, NaN, outside [-1, 1].
    """
    return mean_sequence_interval(differences, confidence=confidence, side=side, low=-1.0, high=1.0)


class _Plugin:
    """Running mean and variance with one pseudo-observation: known before the next observation."""

    def __init__(self) -> None:
        self.count, self._sum, self._squares = 0, 0.5, 0.25

    def update(self, x: float) -> None:
        self.count += 1
        self._sum += x
        self._squares += (x - self._sum / (self.count + 1)) ** 2

    def bet(self, alpha: float) -> float:
        """sqrt(2 log(1 / alpha) / (variance t log(1 + t))), t the number of the coming observation."""
        t = self.count + 1
        variance = self._squares / (self.count + 1)
        return math.sqrt(2 * math.log(1 / alpha) / (variance * t * math.log(1 + t)))


class _Gambler:
    """Bets, for each candidate mean m, that the true mean is larger; keeps the largest capital ever reached."""

    def __init__(self, confidence: float, means: Vector) -> None:
        self._alpha = 1.0 - confidence
        self._means = means
        self._capital: Vector = np.zeros(means.size)
        self._alive = np.ones(means.size, dtype=np.bool_)

    def bet(self, x: float, plugin: _Plugin, weight: float = 1.0) -> None:
        stake = weight * np.minimum(plugin.bet(self._alpha), _TRUNCATION / self._means)
        self._capital += np.log1p(stake * (x - self._means))
        self._alive &= self._capital < math.log(1 / self._alpha)

    def dropped_below(self) -> int:
        """Grid steps from 0 up to the last mean below which all are dropped, minus one step of rounding outward."""
        order = self._alive if self._means[0] < self._means[-1] else self._alive[::-1]
        return int(np.argmax(order)) if bool(order.any()) else int(order.size)


def _empirical_bernstein(x: Vector, confidence: float, side: Side, low: float, high: float) -> SequenceBounds:
    """Theorem 2: weighted mean -/+ (log(1/alpha) + sum v psi(lambda)) / sum lambda, running intersection."""
    below, above = tails(confidence, side)

    def edge(values: Vector, level: float) -> Vector:
        alpha, t = 1.0 - level, np.arange(1, values.size + 1)
        means = (0.5 + np.cumsum(values)) / (t + 1)
        squares = (0.25 + np.cumsum((values - means) ** 2)) / (t + 1)
        before_mean, before_variance = np.r_[0.5, means[:-1]], np.r_[0.25, squares[:-1]]
        stake = np.sqrt(2 * math.log(1 / alpha) / (before_variance * t * np.log(1 + t)))
        stake = np.minimum(stake, _BERNSTEIN_TRUNCATION)
        penalty = (values - before_mean) ** 2 * (-np.log1p(-stake) - stake)
        bound = (np.cumsum(stake * values) - math.log(1 / alpha) - np.cumsum(penalty)) / np.cumsum(stake)
        return np.asarray(np.maximum.accumulate(np.clip(bound, 0.0, 1.0)), dtype=np.float64)

    lows = None if below is None else low + edge(x, below) * (high - low)
    highs = None if above is None else high - edge(1.0 - x, above) * (high - low)
    return SequenceBounds(lows, highs)
