"""Is the quality that the small model gives up still within what the router promised? Judged on replayed requests.

Four questions, asked in the order of arrival:

* *quality given up*: does the mean of ``1[small] * delta`` over all requests exceed the router's limit?
* *large differences*: is ``P(delta > .12)`` among small-routed requests above 25 %?
* *daily P75*: the same on one day; its plain statistic is whether the third quartile of delta exceeds .12;
* how large are mean delta and that probability, with confidence sequences.

Requests are replayed with known probabilities, and weights keep everything valid for all small-routed requests.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from evalharness.statistics.confidence_sequences import MeanSequence
from evalharness.statistics.interval import Interval
from router_training.heads.head import Floats
from router_training.shadow.wagers import MeanBets

LARGE = 0.12
"""A delta above this is a large difference."""
LARGE_SHARE = 0.25
"""Share of small-routed requests with a large difference that must not be exceeded: then their P75 exceeds `LARGE`."""
SECONDS_A_DAY = 86_400


@dataclass(frozen=True, slots=True)
class Labelled:
    """A replayed request with both scores."""

    request: int
    """Its number, from 1."""
    time: float | None
    """Its arrival, seconds."""
    delta: float
    """Flagship's score minus the small model's, in [-1, 1]."""
    probability: float
    """With which it was sampled."""


class QualityTests:
    """The two tests over the whole time, fed every request in the order of arrival.

    Args:
        max_loss: most mean quality that may be given up, of all requests.
        least_probability: no small-routed request is sampled with a smaller one.
        alpha: chance of a false alarm, ever, for each of the two.
    """

    def __init__(self, max_loss: float, *, least_probability: float, alpha: float) -> None:
        self._least = least_probability
        self.loss = MeanBets(max_loss, low=-1.0, alpha=alpha)
        self.large = MeanBets(LARGE_SHARE, low=0.0, alpha=alpha)

    def flagship(self) -> bool:
        """Take a request that the flagship answered: nothing was given up, which is known without sampling."""
        return self.loss.update(0.0, self._least)

    def replayed(self, delta: float, probability: float) -> tuple[bool, bool]:
        """Take a replayed request; whether it rings the alarms for quality given up and for large differences."""
        weight = self._least / probability
        return self.loss.update(delta, weight), self.large.update(float(delta > LARGE), weight)

    def state(self) -> dict[str, Any]:
        """The tests so far, as JSON."""
        return {"loss": self.loss.wager.state(), "large": self.large.wager.state()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from there."""
        self.loss.wager.restore(state["loss"])
        self.large.wager.restore(state["large"])


@dataclass(frozen=True, slots=True)
class Day:
    """One day of replayed requests."""

    day: int
    """Days since the Unix epoch (UTC), or since the log's own zero."""
    n: int
    """Replayed requests with both scores."""
    mean: float
    """Weighted mean delta."""
    p75: float
    """Weighted third quartile of delta."""
    large: float
    """Weighted share of deltas above `LARGE`."""
    exceeds: bool
    """Whether the quartile exceeds `LARGE`: the plain daily alert, which on few requests is often chance."""
    evidence: float
    """Largest capital that day against "at most 25 % are large"."""
    needed: float
    """Capital at which it would be an alert: days share the chance of a false alarm."""
    proved_by: int | None
    """Number of the request that proved it; None: not proved."""
    last_request: int
    """Number of the last of them."""
    last_time: float | None
    """Its arrival, seconds."""


def days_of(labelled: list[Labelled], *, least_probability: float, alpha: float, after: int = 0) -> list[Day]:
    """Every day with labels, in order; those without a time are left out.

    The k-th day spends ``6 / (pi^2 k^2)`` of alpha, so that all days together raise a false alert with chance alpha at
    most.

    Args:
        labelled: in the order of arrival.
        least_probability: smallest sampling probability.
        alpha: chance of a false alert on any day.
        after: only days with labels of later requests than this.
    """
    by_day: dict[int, list[Labelled]] = {}
    for one in labelled:
        if one.time is not None:
            by_day.setdefault(int(one.time // SECONDS_A_DAY), []).append(one)
    return [
        _day(day, members, least_probability, alpha * 6 / (math.pi * place) ** 2)
        for place, (day, members) in enumerate(sorted(by_day.items()), start=1)
        if members[-1].request > after
    ]


def weighted_quantile(values: Floats, weights: Floats, q: float) -> float:
    """Smallest value at which the weights up to it reach the share q."""
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(weights[order]) / weights.sum()
    return float(values[order][min(int(np.searchsorted(reached, q - 1e-12)), values.size - 1)])


@dataclass(frozen=True, slots=True)
class Sequences:
    """Confidence sequences over the replayed requests: they hold at whatever moment one looks."""

    mean_delta: Interval
    """Mean delta of small-routed requests."""
    large: Interval
    """P(delta > .12) of small-routed requests."""


def sequences_of(labelled: list[Labelled], *, least_probability: float, confidence: float) -> Sequences | None:
    """The confidence sequences, read after the last label; None without labels.

    They are about one mean: after a change they describe the mixture of before and after, and the tests, which look for
    a change, are the ones to go by.
    """
    if not labelled:
        return None
    mean, large = MeanSequence(confidence=confidence, low=-1.0), MeanSequence(confidence=confidence)
    for one in labelled:
        weight = least_probability / one.probability
        mean.update(one.delta, weight)
        large.update(float(one.delta > LARGE), weight)
    return Sequences(mean.interval(), large.interval())


def _day(day: int, members: list[Labelled], least_probability: float, alpha: float) -> Day:
    bets = MeanBets(LARGE_SHARE, low=0.0, alpha=alpha)
    proved_by, most = None, 1.0
    for one in members:
        if bets.update(float(one.delta > LARGE), least_probability / one.probability):
            proved_by = one.request
        most = max(most, bets.wager.capital)
    deltas = np.array([one.delta for one in members])
    weights = np.array([least_probability / one.probability for one in members])
    p75 = weighted_quantile(deltas, weights, 0.75)
    return Day(
        day=day,
        n=len(members),
        mean=float(np.average(deltas, weights=weights)),
        p75=p75,
        large=float(np.average(deltas > LARGE, weights=weights)),
        exceeds=p75 > LARGE,
        evidence=most,
        needed=1.0 / alpha,
        proved_by=proved_by,
        last_request=members[-1].request,
        last_time=members[-1].time,
    )
