"""Wagers against "nothing has changed": evidence that may be looked at after every request, for ever.

A gambler starts with 1 and multiplies it by factors whose expected value, under the hypothesis, is at most 1. Then the
chance that the capital *ever* reaches 1 / alpha is at most alpha (Ville 1939; Shafer, J. Royal Statistical Society A
184 (2021) 407). Nobody knows what a change will look like, nor when it comes; so the capital is spread over many kinds
of bets and over the times at which each begins to be placed. A mixture of such gamblers is one, too.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from golden_sets.errors import InputError
from router_training.heads.head import Floats

AT_ONCE = 0.5
"""Share of the capital that is staked from the first request on: traffic may differ from the very beginning."""
HAZARD = 0.25
"""The rest is woken slowly: at step t a share ``HAZARD / (t + SLOWLY)`` of what still sleeps, so that at any time some
is left for a change that comes later. It costs a delay that grows with the logarithm of the time before the change."""
SLOWLY = 50


class Wager:
    """Capital spread over bets and over their starting times; it ends when it has proved its point.

    Args:
        prior: share of the capital for every bet, shape (bets,), summing to 1.
        alpha: chance of ever reaching the goal although the hypothesis holds.

    Raises:
        InputError: shares that do not sum to 1, alpha outside (0, 1).
    """

    def __init__(self, prior: Floats, *, alpha: float) -> None:
        if not 0 < alpha < 1:
            raise InputError(f"the chance of a false alarm must lie between 0 and 1, got {alpha}")
        if (prior < 0).any() or not math.isclose(float(prior.sum()), 1.0, rel_tol=1e-9):
            raise InputError("the shares of the bets must sum to 1")
        self.alpha = alpha
        self._prior = prior
        self._awake: Floats = AT_ONCE * prior
        self._asleep = 1.0 - AT_ONCE
        self._steps = 0
        self._rang_at: int | None = None

    def update(self, factors: Floats) -> bool:
        """Settle one round of bets; True when it is this round that proves the point.

        Args:
            factors: what each bet multiplies its stake by, shape (bets,), at least 0; the stakes were fixed before.
        """
        if self._rang_at is not None:
            return False
        woken = HAZARD / (self._steps + SLOWLY) * self._asleep
        self._awake += woken * self._prior
        self._asleep -= woken
        self._awake *= factors
        self._steps += 1
        if self.capital < 1.0 / self.alpha:
            return False
        self._rang_at = self._steps
        return True

    @property
    def capital(self) -> float:
        """Evidence against the hypothesis: 1 at first; the alarm rings at 1 / alpha, and then it stands still."""
        return self._asleep + float(self._awake.sum())

    @property
    def log10(self) -> float:
        """Common logarithm of the capital."""
        return math.log10(max(self.capital, 1e-300))

    @property
    def steps(self) -> int:
        """Rounds so far."""
        return self._steps

    @property
    def rang_at(self) -> int | None:
        """The round in which it rang; None: it did not."""
        return self._rang_at

    @property
    def best(self) -> int:
        """The bet that has won most."""
        return int(np.argmax(self._awake / np.where(self._prior > 0, self._prior, 1.0)))

    def state(self) -> dict[str, Any]:
        """What has happened so far, as JSON."""
        return {
            "awake": self._awake.tolist(),
            "asleep": self._asleep,
            "steps": self._steps,
            "rang_at": self._rang_at,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from there.

        Raises:
            InputError: it is the state of other bets.
        """
        awake = np.asarray(state["awake"], dtype=np.float64)
        if awake.shape != self._prior.shape:
            raise InputError("the state was kept by another test", do="begin a new --state directory")
        self._awake, self._asleep = awake, float(state["asleep"])
        self._steps, self._rang_at = int(state["steps"]), state["rang_at"]


SHARES = (0.02, 0.05, 0.1, 0.2, 0.4)
"""Shares of changed requests that are bet on."""


class IntervalBets:
    """Bets that p-values, uniform under the hypothesis, have come to favour an interval.

    A bet on (low, high, share) multiplies its stake by ``1 - share + share * 1[low <= p < high] / (high - low)``: the
    likelihood ratio if a share of the requests now falls into the interval, its expected value is 1 for uniform p.

    Args:
        low: lower ends, shape (k,).
        high: upper ends, shape (k,).
        weights: how much of the capital each interval gets, shape (k,), before scaling.
        alpha: chance of a false alarm, ever.
    """

    def __init__(self, low: Floats, high: Floats, weights: Floats, *, alpha: float) -> None:
        self._low, self._high = np.repeat(low, len(SHARES)), np.repeat(high, len(SHARES))
        self._share = np.tile(SHARES, len(low))
        self._gain = self._share / (self._high - self._low)
        prior = np.repeat(weights, len(SHARES))
        self.wager = Wager(prior / prior.sum(), alpha=alpha)

    def update(self, p: float) -> bool:
        """Take one p-value; True when it rings the alarm."""
        inside = (p >= self._low) & (p < self._high)
        return self.wager.update(1.0 - self._share + self._gain * inside)

    def onset(self, p: Floats) -> int:
        """Where the change began, as far as the bet that won most can tell: its cumulative sum is lowest there.

        Args:
            p: the p-values so far, shape (n,).

        Returns:
            0 .. n: the first place that belongs to the changed part (Page 1954).
        """
        best = self.wager.best
        inside = (p >= self._low[best]) & (p < self._high[best])
        sums = np.cumsum(np.log(1.0 - self._share[best] + self._gain[best] * inside))
        return int(np.argmin(np.concatenate([[0.0], sums])))


class MeanBets:
    """Bets that the mean of bounded observations has come to exceed a limit.

    Waudby-Smith and Ramdas (J. Royal Statistical Society B 86 (2024) 1), with fixed stakes: a bet multiplies its stake
    by ``1 + stake * weight * (x - limit)``. While every conditional mean is at most the limit, the expected value is at
    most 1, also when the mean moves about below it. Weights in (0, 1], inversely proportional to the probability with
    which an observation was sampled, keep that true for the mean over all that could have been sampled.

    Args:
        limit: the mean that must not be exceeded.
        low: smallest possible observation; below the limit.
        alpha: chance of a false alarm, ever.
    """

    def __init__(self, limit: float, *, low: float, alpha: float) -> None:
        if not low < limit:
            raise InputError(f"the limit {limit:g} must lie above the smallest possible observation {low:g}")
        self.limit = limit
        largest = 1.0 / (limit - low)
        self._stakes: Floats = largest * np.array([0.025, 0.05, 0.1, 0.2, 0.4, 0.7])
        self.wager = Wager(np.full(self._stakes.size, 1.0 / self._stakes.size), alpha=alpha)

    def update(self, x: float, weight: float = 1.0) -> bool:
        """Take one observation; True when it rings the alarm.

        Raises:
            InputError: a weight outside (0, 1].
        """
        if not 0 < weight <= 1:
            raise InputError(f"a weight must lie in (0, 1], got {weight}")
        return self.wager.update(1.0 + self._stakes * weight * (x - self.limit))
