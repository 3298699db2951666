"""Every number of the evidence: each metric of each arm, overall and by each dimension, with its interval."""

from __future__ import annotations

from collections.abc import Iterator

from evalharness.evidence import Estimate
from evalharness.metrics import METRICS, Calibrations, MetricSpec, measure, rows_for
from evalharness.outcomes import OutcomeTable

CONFIDENCE = 0.95
QUANTILES = (0.5, 0.95)


def all_estimates(table: OutcomeTable, calibrations: Calibrations) -> tuple[Estimate, ...]:
    """Two-sided 95 % intervals for every metric that the outcomes can tell."""
    return tuple(
        estimate for spec in METRICS.values() if spec.family != "judge" for estimate in _of(spec, table, calibrations)
    )


def _of(spec: MetricSpec, table: OutcomeTable, calibrations: Calibrations) -> Iterator[Estimate]:
    rows = rows_for(spec, table, {})
    dimensions = ("length_bucket",) if spec.family == "quantile" else rows.dimensions
    cells = [{}, *(cell for name in dimensions if name in rows.dimensions for cell in rows.cells([name]))]
    for arm in rows.arms:
        mine = rows.arm(arm)
        for cell in cells:
            inside = mine.where(cell)
            for quantile in QUANTILES if spec.family == "quantile" else (None,):
                if len(inside) == 0:
                    continue
                found = measure(spec.name, inside, arm, calibrations=calibrations, quantile=quantile)
                if found.lacking is None:
                    yield found.within(cell).estimate(CONFIDENCE)
