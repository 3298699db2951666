"""Metrics: from outcomes to numbers with their uncertainty."""

from evalharness.metrics.calibrated import Calibrations
from evalharness.metrics.catalogue import METRICS, MetricSpec
from evalharness.metrics.measure import compare, measure, rows_for, rows_of_cells
from evalharness.metrics.measurement import Measurement

__all__ = ["METRICS", "Calibrations", "Measurement", "MetricSpec", "compare", "measure", "rows_for", "rows_of_cells"]
