"""The judge's error as a plan expects it, and what it adds to sizes: more prompts, and labels that correct it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

from scipy import stats

from evalharness.statistics import (
    labels_for_labelled_limit,
    labels_for_margin,
    power_for_judged_limit,
    power_for_judged_margin,
    power_for_labelled_limit,
    proportion_lower,
)

ASSUMED_SENSITIVITY = 0.9
"""The judge's sensitivity, where it was not measured."""
ASSUMED_SPECIFICITY = 0.9
"""The judge's specificity, where it was not measured."""
ASSUMED_POSITIVES = 100
"""Labelled events (positive controls) that a judge's sensitivity is assumed to rest on, where the project has none."""
_QUANTILES = tuple((2 * part + 1) / 18 for part in range(9))
_GROWTH = 1.02
_LEAST_LABELLED = 30
"""Answers of a judged rate that are all labelled, at least."""
_MOST_GROWN = 50.0
"""A judge that takes more prompts than this many times the unjudged size is of no use."""


@dataclass(frozen=True)
class JudgeError:
    """What is known or assumed about the judge on one kind of set."""

    sensitivity: float = ASSUMED_SENSITIVITY
    """Chance that it sees the event that the set's rate counts."""
    specificity: float = ASSUMED_SPECIFICITY
    """Chance that it sees none where there is none."""
    positives: int = ASSUMED_POSITIVES
    """Labelled events from outside the run (positive controls) that its sensitivity will rest on, on safety sets."""
    source: Literal["measured", "stated", "assumed"] = "assumed"
    """Where sensitivity and specificity come from."""
    found: float | None = None
    """Of the labelled events, how many it sees; None: as many as its sensitivity says."""

    @property
    def note(self) -> str:
        """The same for people."""
        return f"judge {self.source}: sensitivity {self.sensitivity:.3g}, specificity {self.specificity:.3g}"

    def sensitivity_lower(self, alpha: float) -> float:
        """Lower bound of the sensitivity that the labelled events will show, one-sided at 1 - alpha."""
        found = self.sensitivity * self.positives if self.found is None else self.found
        return _lower(found, self.positives, alpha) if self.positives else 0.0

    def outcomes(self) -> tuple[JudgeError, ...]:
        """What measuring its sensitivity may show, in equally likely parts."""
        if not self.positives or self.found is not None:
            return (self,)
        seen = stats.binom.ppf(_QUANTILES, self.positives, self.sensitivity)
        return tuple(replace(self, found=float(found)) for found in seen)


@dataclass(frozen=True)
class JudgedDifference:
    """A paired difference of judged rates that must be shown to lie inside a margin."""

    judge: JudgeError
    margin: float
    discordance: float
    """Share of prompts on which the arms truly differ."""
    level: float
    """The rate of either arm."""
    alpha: float

    def power(self, n: int, labels: int) -> float:
        """Power with ``n`` prompts of which ``labels`` are labelled on both arms."""
        return _margin_power(self, n, min(n, labels))

    def size(self, unjudged: int, power: float) -> tuple[int, int]:
        """Fewest prompts, with the labels that they take; (0, 0): the judge shows too little."""
        n = unjudged
        while n <= _MOST_GROWN * unjudged:
            labels = labels_for_margin(
                n,
                self.margin,
                self.discordance,
                sensitivity=self.judge.sensitivity,
                specificity=self.judge.specificity,
                pass_rate=self.level,
                alpha=self.alpha,
                power=power,
            )
            if labels is not None:
                return n, labels
            n = math.ceil(_GROWTH * n)
        return 0, 0


@dataclass(frozen=True)
class JudgedFloor:
    """A judged rate, corrected by labels, that must be shown to lie above a floor."""

    judge: JudgeError
    floor: float
    rate: float
    alpha: float

    def power(self, n: int, labels: int) -> float:
        """Power with ``n`` judged answers of which ``labels`` are labelled."""
        return _floor_power(self, n, min(n, labels))

    def size(self, unjudged: int, power: float) -> tuple[int, int]:
        """Answers, with the labels that they take; (0, 0): no number is enough.

        With every answer labelled nearly as few would do as without a judge, who then saves nothing. So there are as
        many answers as Rogan and Gladen's bound takes, and of these a part is labelled; every one where that bound
        takes too many (a judge near chance, failures too rare to measure its specificity).
        """
        n = _fewest(unjudged, lambda n: _known_power(self, n) >= power)
        n = n or _fewest(max(unjudged, _LEAST_LABELLED), lambda n: self.power(n, n) >= power)
        if n == 0:
            return 0, 0
        labels = self.labels(n, power)
        return n, n if labels is None else labels

    def labels(self, n: int, power: float) -> int | None:
        """Labels that ``n`` judged answers take; None: too few answers."""
        return labels_for_labelled_limit(
            n,
            self.floor,
            self.rate,
            sensitivity=self.judge.sensitivity,
            specificity=self.judge.specificity,
            direction="floor",
            alpha=self.alpha,
            power=power,
        )


def _fewest(least: int, enough: Callable[[int], bool]) -> int:
    """Fewest answers from ``least`` up that are enough; 0: too many."""
    low, high = least - 1, least
    while not enough(high):
        low, high = high, 2 * high
        if high > _MOST_GROWN * least:
            return 0
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


@lru_cache(maxsize=4096)
def _lower(found: float, n: int, alpha: float) -> float:
    return float(proportion_lower(found, n, confidence=1 - alpha))


@lru_cache(maxsize=4096)
def _margin_power(what: JudgedDifference, n: int, labels: int) -> float:
    return power_for_judged_margin(
        n,
        labels,
        what.margin,
        what.discordance,
        what.judge.sensitivity,
        what.judge.specificity,
        what.level,
        alpha=what.alpha,
    )


@lru_cache(maxsize=4096)
def _known_power(what: JudgedFloor, n: int) -> float:
    """Power of Rogan and Gladen's bound with ``n`` answers and as many labels."""
    passing, judge = n * what.rate, what.judge
    return power_for_judged_limit(
        n,
        what.floor,
        what.rate,
        judge.sensitivity,
        judge.specificity,
        passing,
        n - passing,
        direction="floor",
        alpha=what.alpha,
    )


@lru_cache(maxsize=4096)
def _floor_power(what: JudgedFloor, n: int, labels: int) -> float:
    judge = what.judge
    return power_for_labelled_limit(
        n, labels, what.floor, what.rate, judge.sensitivity, judge.specificity, direction="floor", alpha=what.alpha
    )
