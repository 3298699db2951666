"""A measurement: an interval at any confidence and side, with what a reader must know about the sample behind it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar

from evalharness.evidence import Estimate
from evalharness.outcomes import Arm
from evalharness.statistics import Interval, Side

Prepared = TypeVar("Prepared")
IntervalAt = Callable[[float, Side], Interval]
"""``interval(confidence, side)``."""


@dataclass(frozen=True)
class Measurement:
    """One number of one arm (or one comparison of both) that can be asked for its interval."""

    metric: str
    """The metric."""
    unit: str
    """Unit of the interval."""
    interval: IntervalAt
    """``interval(confidence, side)``: the interval at that confidence."""
    n: int
    """Rows it rests on."""
    errors: int = 0
    """Failed requests among them."""
    unscored: int = 0
    """Answers without a score among them."""
    arm: Arm = "candidate"
    """Whose number it is."""
    cell: Mapping[str, str] = field(default_factory=dict)
    """Set kind and dimension values."""
    quantile: float | None = None
    """For latency metrics: which quantile."""
    discordance: float | None = None
    """For paired differences: the share of prompts on which the arms differ."""
    incomplete: str | None = None
    """Why nothing may be passed on this measurement, whatever its bounds say; None: it is complete."""
    lacking: str | None = None
    """What is missing where no bound can be had at all: labels, prompts, an incumbent."""
    p_value: Callable[[float, bool], float] | None = None
    """``p_value(limit, above)`` of the claim that it lies above (else below) a limit, where no search is needed."""

    def estimate(self, confidence: float, side: Side = "two-sided") -> Estimate:
        """The interval as a record."""
        found = self.interval(confidence, side)
        plain = found.to_json()  # infinite bounds (failed requests) become null with a note: JSON has no infinity
        return Estimate(
            metric=self.metric,
            arm=self.arm,
            cell=self.cell,
            value=plain["value"],
            low=plain["low"],
            high=plain["high"],
            confidence=confidence,
            method=found.method,
            n=self.n,
            clusters=found.clusters,
            errors=self.errors,
            unscored=self.unscored,
            quantile=self.quantile,
            unit=self.unit,
            note=plain["note"],
        )

    def within(self, cell: Mapping[str, str]) -> Measurement:
        """The same measurement, labelled with its cell."""
        return replace(self, cell=dict(cell))


def nothing(metric: str, unit: str, lacking: str) -> Measurement:
    """A measurement for which there was nothing to measure."""

    def never(confidence: float, side: Side) -> Interval:
        raise AssertionError(f"no interval at {confidence} {side}: nothing was measured")

    return Measurement(metric, unit, never, n=0, lacking=lacking)


def once(make: Callable[[], Prepared]) -> Callable[[], Prepared]:
    """What ``make`` returns, made when it is first asked for; then the arrays it was made from are let go."""
    waiting, made = [make], list[Prepared]()

    def get() -> Prepared:
        if not made:
            made.append(waiting[0]())
            waiting.clear()
        return made[0]

    return get


def prepared(make: Callable[[], IntervalAt]) -> IntervalAt:
    """An interval whose sample is gone through once, whatever the number of confidences it is asked for."""
    interval = once(make)
    return lambda confidence, side: interval()(confidence, side)


def two_bounds(low: IntervalAt, high: IntervalAt) -> IntervalAt:
    """An interval whose lower end comes from one sample and its upper end from another.

    Used where a value is unknown: the lower bound takes the worst value for the claim, the upper bound the best
    (Manski, *Partial Identification of Probability Distributions*, 2003), so that a missing score can neither
    pass nor fail a check.
    """

    def interval(confidence: float, side: Side) -> Interval:
        if side == "lower":
            return low(confidence, side)
        if side == "upper":
            return high(confidence, side)
        below, above = low(confidence, side), high(confidence, side)
        value = below.value if above.value is None else above.value
        if below.value is not None and above.value is not None:
            value = (below.value + above.value) / 2
        return replace(below, value=value, high=above.high, note=below.note or above.note)

    return interval
