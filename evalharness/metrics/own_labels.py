"""Labels of one arm's own answers in one cell: what corrects the judge there."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from evalharness.metrics.calibrated import Calibrations, flipped_on, missing_labels
from evalharness.metrics.measurement import IntervalAt, once
from evalharness.outcomes import Arm, Codes, Floats, Mask, OutcomeTable
from evalharness.statistics import Interval, Side
from evalharness.statistics.prediction_powered import PoweredDifference

MIN_OWN_LABELS = 20
"""Fewer labels of an arm in a cell than this say nothing about the judge's error there."""


@dataclass(frozen=True)
class OwnLabels:
    """Which of an arm's judged answers in a cell were drawn for labelling, and what is true of them."""

    table: OutcomeTable
    """The arm's rows in the cell."""
    judged: Mask
    """Rows that rest on a judge."""
    labelled: Mask
    """Of these, the ones that were drawn for labelling with a known probability, and are labelled."""

    @classmethod
    def of(cls, table: OutcomeTable, judged: Mask) -> OwnLabels:
        """The labels of one arm's rows in a cell, of which ``judged`` rest on a judge."""
        drawn = ~np.isnan(table.numbers("label_p"))
        return cls(table, judged, judged & drawn & ~np.isnan(table.numbers("label")))

    def __len__(self) -> int:
        return int(self.labelled.sum())

    def decide(self, arm: Arm, calibrations: Calibrations) -> bool:
        """Whether they correct the judge: where any answer of the arm was drawn for labelling, in this cell or another.

        What a calibration that was made elsewhere says about these answers is all there is about the others.
        """
        if not self.judged.any():
            return False
        if bool((self.judged & ~np.isnan(self.table.numbers("label_p"))).any()):
            return True
        rubrics = self.table.take(self.judged).distinct("rubric")
        kinds = self.table.distinct("set_kind")
        return any(
            c.set_kind is not None and c.set_kind.value in kinds and (not rubrics or c.rubric in rubrics)
            for c in calibrations
            if (c.by_arm.get(arm) or {}).get("labelled")
        )

    def lacking(self, calibrations: Calibrations) -> str | None:
        """What is missing for them to correct the judge."""
        lacking = missing_labels(self.table, self.judged) or flipped_on(self.table, calibrations)
        if lacking is not None or len(self) >= min(MIN_OWN_LABELS, int(self.judged.sum())):
            return lacking
        return f"labels of its own answers ({len(self)} of at least {MIN_OWN_LABELS} in this cell)"

    def interval(self, judged_values: Floats, clusters: Codes) -> IntervalAt:
        """Prediction-powered interval of the true rate of the judged rows.

        It is that of paired differences, which holds where few labels show an error or a failure, and needs no
        least number of either: a rate of passes is a difference to a version that never passes.

        Args:
            judged_values: what the judge said of every row of the table.
            clusters: randomised units of every row of the table.
        """
        truth = self.table.numbers("label")[self.labelled]
        weights = 1.0 / self.table.numbers("label_p")[self.labelled]
        seen, mask, units = judged_values[self.judged], self.labelled[self.judged], clusters[self.judged]
        sample = once(lambda: PoweredDifference.of(seen, mask, truth, weights, clusters=units))

        def interval(confidence: float, side: Side) -> Interval:
            found = sample().interval(confidence, side)
            ends = (found.value, found.low, found.high)
            value, low, high = (None if x is None else min(1.0, max(0.0, x)) for x in ends)
            return replace(found, value=value, low=low, high=high, method="ppi")

        return interval
