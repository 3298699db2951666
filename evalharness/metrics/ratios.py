"""Ratios of sums (cost per success, per million tokens, tokens per second) and latency quantiles of one arm."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np

from evalharness.metrics.calibrated import Calibrations, calibration_for
from evalharness.metrics.catalogue import MetricSpec
from evalharness.metrics.measurement import IntervalAt, Measurement, prepared, two_bounds
from evalharness.metrics.rates import filled_outcomes
from evalharness.outcomes import Arm, Floats, OutcomeTable
from evalharness.statistics.quantiles import OrderedSample
from evalharness.statistics.ratios import RatioOfSums


@dataclass(frozen=True)
class Sums:
    """What a ratio of sums adds up, row by row."""

    above: Floats
    """Numerators; NaN where nothing was measured."""
    below: Floats
    """Denominators; NaN where nothing was measured."""
    unscored: int
    """Answers whose success is not known."""


def sums(spec: MetricSpec, table: OutcomeTable, arm: Arm, *, unscored: float) -> Sums:
    """Numerators and denominators of a ratio, an unscored answer counting as ``unscored`` successes.

    A failed request is no success of the candidate and one of the incumbent; what it did not measure counts as zero,
    so that its cost stays in the sum.
    """
    assert spec.numerator is not None  # noqa: S101 - the catalogue gives every ratio both
    assert spec.denominator is not None  # noqa: S101
    failed = table.failed()

    def column(name: str) -> Floats:
        values = table.numbers(name)
        return np.where(failed & np.isnan(values), 0.0, values)

    if spec.denominator != "success":
        return Sums(column(spec.numerator), column(spec.denominator), 0)
    gaps = int((np.isnan(table.numbers("outcome")) & ~failed).sum())
    return Sums(column(spec.numerator), filled_outcomes(table, arm, unscored), gaps)


def uncalibrated(spec: MetricSpec, table: OutcomeTable, calibrations: Calibrations) -> str | None:
    """What is missing where successes are a judge's opinion and its error was never measured."""
    if spec.denominator != "success" or spec.set_kind is None:
        return None
    return calibration_for(calibrations, spec.set_kind, table)[1]


def nothing_to_divide(spec: MetricSpec, who: str, found: Sums) -> str | None:
    """What is missing for a ratio to exist."""
    usable = np.isfinite(found.above) & np.isfinite(found.below)
    if not usable.any():
        return f"rows of the {who} with '{spec.numerator}' and '{spec.denominator}' (a cost needs the price)"
    return None if found.below[usable].sum() > 0 else f"anything to divide by: the {who} had no {spec.denominator}"


def sum_ratio(spec: MetricSpec, table: OutcomeTable, arm: Arm, calibrations: Calibrations) -> Measurement:
    """A ratio of sums over rows, e.g. all USD by all passes; rows on which nothing was measured are left out."""
    clusters = table.clusters()
    least, most = (sums(spec, table, arm, unscored=fill) for fill in (0.0, 1.0))
    usable = np.isfinite(least.above) & np.isfinite(least.below)

    def at(found: Sums) -> IntervalAt:
        above, below = found.above[usable] * spec.scale, found.below[usable]
        return prepared(lambda: RatioOfSums.of(above, below, clusters=clusters[usable]).interval)

    return Measurement(
        metric=spec.name,
        unit=spec.unit,
        interval=two_bounds(at(most), at(least)) if least.unscored else at(least),
        n=int(usable.sum()),
        errors=int(table.failed().sum()),
        unscored=least.unscored,
        arm=arm,
        lacking=nothing_to_divide(spec, arm, least) or uncalibrated(spec, table, calibrations),
    )


def latency_quantile(spec: MetricSpec, table: OutcomeTable, arm: Arm, quantile: float) -> Measurement:
    """A latency quantile by order statistics; failed requests count as infinite, client errors are left out.

    A proper answer whose time was not measured may have been fast or slow: it takes the worst value in each bound.
    """
    assert spec.column is not None  # noqa: S101 - the catalogue gives every quantile its column
    counted = table.take(~table.client_errors())
    failed = counted.failed()
    values = np.where(failed, np.inf, counted.numbers(spec.column))
    if spec.column == "tpot_s":  # one token has no time per further token: nothing is missing
        values = values[failed | ~(counted.numbers("output_tokens") < 2)]
    missing = np.isnan(values)
    measured = bool(np.isfinite(values).any())

    def at(fill: float) -> IntervalAt:
        return prepared(lambda: partial(OrderedSample.of(np.where(missing, fill, values)).interval, quantile))

    return Measurement(
        metric=spec.name,
        unit=spec.unit,
        interval=two_bounds(at(0.0), at(np.inf)) if missing.any() else at(0.0),
        n=int(values.size),
        errors=int(failed.sum()),
        unscored=int(missing.sum()),
        arm=arm,
        quantile=quantile,
        lacking=None if measured else f"rows with '{spec.column}': it was not measured",
    )
