"""Ratios of sums (cost per success, per million tokens, tokens per second) and latency quantiles of one arm."""

from __future__ import annotations

import numpy as np

from evalharness.metrics.catalogue import MetricSpec
from evalharness.metrics.measurement import Measurement
from evalharness.outcomes import Arm, Floats, OutcomeTable
from evalharness.statistics import Interval, Side, quantile_interval, ratio_of_sums_interval


def success(table: OutcomeTable) -> Floats:
    """1 where the answer passed, else 0: failed and unscored answers are no success."""
    return np.nan_to_num(table.numbers("outcome"), nan=0.0)


def sum_ratio(spec: MetricSpec, table: OutcomeTable, arm: Arm) -> Measurement:
    """A ratio of sums over rows, e.g. all USD by all passes; rows without a numerator are left out."""
    assert spec.numerator is not None  # noqa: S101 - the catalogue gives every ratio both
    assert spec.denominator is not None  # noqa: S101
    above = table.numbers(spec.numerator)
    below = success(table) if spec.denominator == "success" else table.numbers(spec.denominator)
    usable = np.isfinite(above) & np.isfinite(below)
    above, below = above[usable] * spec.scale, below[usable]
    clusters = table.clusters()[usable]

    def interval(confidence: float, side: Side) -> Interval:
        return ratio_of_sums_interval(above, below, clusters=clusters, confidence=confidence, side=side)

    lacking = None
    if not usable.any():
        lacking = f"rows with '{spec.numerator}': none was measured (a cost needs the candidate's price)"
    elif not below.sum() > 0:
        lacking = f"anything to divide by: there was no {spec.denominator}"
    return Measurement(
        metric=spec.name,
        unit=spec.unit,
        interval=interval,
        n=int(usable.sum()),
        errors=int(table.failed().sum()),
        arm=arm,
        lacking=lacking,
    )


def latency_quantile(spec: MetricSpec, table: OutcomeTable, arm: Arm, quantile: float) -> Measurement:
    """A latency quantile by order statistics; failed requests count as infinite, client errors are left out."""
    assert spec.column is not None  # noqa: S101 - the catalogue gives every quantile its column
    counted = table.take(~table.client_errors())
    failed = counted.failed()
    values = np.where(failed, np.inf, counted.numbers(spec.column))
    values = values[~np.isnan(values)]

    def interval(confidence: float, side: Side) -> Interval:
        return quantile_interval(values, quantile, confidence=confidence, side=side)

    return Measurement(
        metric=spec.name,
        unit=spec.unit,
        interval=interval,
        n=int(values.size),
        errors=int(failed.sum()),
        arm=arm,
        quantile=quantile,
        lacking=None if values.size else f"rows with '{spec.column}'",
    )
