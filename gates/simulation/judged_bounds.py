"""The bounds behind a judge, many releases at once: differences, pass rates, and events that it may miss."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from evalharness.metrics.paired import MIN_LABELLED_PAIRS
from evalharness.statistics import violation_upper_bound
from evalharness.statistics.interval import OneSide
from evalharness.statistics.power_tuning import Tuned, guarded_bound, power_tuned
from evalharness.statistics.prediction_powered_tables import table_contributions
from gates.simulation.bounds import Direction, Floats, Integers, Levels, Mask, column, distinct, most_to_fail

DIFFERENCES = (-1.0, 0.0, 1.0)
RATES = (0.0, 1.0)


@dataclass(frozen=True)
class PoweredBound:
    """Prediction-powered bounds of judged outcomes with labels: differences, or the rate of one arm."""

    unlabelled: Integers
    """Shape (releases, k): prompts without a label by judged value."""
    labelled: Integers
    """Shape (releases, k, k): labelled prompts by judged and by true value."""
    limit: float
    direction: Direction
    values: tuple[float, ...] = DIFFERENCES
    """The k values."""
    least: int = MIN_LABELLED_PAIRS
    """Labels without which there is no bound."""

    def clears(self, alphas: Levels) -> Mask:
        """The near bound is on the passing side of the limit."""
        return _beyond(self._bound(column(alphas), near=True), self.limit, above=self.direction == "floor")

    def violates(self, alpha: float) -> Mask:
        """The far bound is on the failing side."""
        return _beyond(self._bound(np.asarray(alpha), near=False), self.limit, above=self.direction == "ceiling")

    def exists(self, _alpha: float) -> Mask:
        """With enough labels."""
        return np.asarray(self._labels >= self.least)

    def among(self, releases: Mask) -> PoweredBound:
        """The same check in some of the releases."""
        return replace(self, unlabelled=self.unlabelled[releases], labelled=self.labelled[releases])

    @cached_property
    def _labels(self) -> Integers:
        return np.asarray(self.labelled.sum(axis=(1, 2)))

    @cached_property
    def _estimate(self) -> Tuned:
        rest, table = self.unlabelled.astype(np.float64), self.labelled.astype(np.float64)
        contributions = table_contributions(rest, table, self._labels.shape, self.values)
        return power_tuned(contributions, squared_shares=1 / self._counted)

    @property
    def _counted(self) -> Integers:
        return np.maximum(self._labels, 2)

    def _bound(self, alphas: Floats, *, near: bool) -> Floats:
        side, n = _side(self.direction, near=near), self._counted
        return np.where(self.exists(0.5), guarded_bound(self._estimate, n, n, confidence=1 - alphas, side=side), np.nan)


@dataclass(frozen=True)
class ViolationBound:
    """Bounds of an event rate behind a judge that may miss some, every flagged event adjudicated."""

    confirmed: Integers
    n: int
    found: Integers
    """Known events that the judge saw, by release."""
    controls: Integers
    """Known events, by release."""
    limit: float

    def clears(self, alphas: Levels) -> Mask:
        """The upper bound, divided by the lower bound of the sensitivity, is at most the limit."""
        (confirmed, found, controls), inverse = distinct(self.confirmed, self.found, self.controls)
        bound = violation_upper_bound(
            confirmed,
            self.n,
            np.where(controls > 0, found, 0),
            np.maximum(controls, 1),
            confidence=1 - column(alphas),
        )
        return np.asarray((bound <= self.limit)[:, inverse] & self.exists(0.5))

    def violates(self, alpha: float) -> Mask:
        """The lower bound of the confirmed events alone is above the limit."""
        return np.asarray(self.n - self.confirmed <= most_to_fail(self.n, 1 - self.limit, alpha)) & self.exists(alpha)

    def exists(self, _alpha: float) -> Mask:
        """Where any known event shows the sensitivity."""
        return np.asarray(self.controls > 0)

    def among(self, releases: Mask) -> ViolationBound:
        """The same check in some of the releases."""
        return replace(
            self,
            confirmed=self.confirmed[releases],
            found=self.found[releases],
            controls=self.controls[releases],
        )


def _beyond(bound: Floats, limit: float, *, above: bool) -> Mask:
    """Whether a bound (NaN: none) lies on one side of the limit."""
    with np.errstate(invalid="ignore"):
        return np.asarray(bound >= limit if above else bound <= limit)


def _side(direction: Direction, *, near: bool) -> OneSide:
    return "lower" if (direction == "floor") == near else "upper"
