"""Candidate against incumbent on the same prompts: differences of rates and ratios of costs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from evalharness.metrics.catalogue import MetricSpec
from evalharness.metrics.measurement import Measurement, two_bounds
from evalharness.metrics.rates import IntervalAt, filled_outcomes, scored_by_judge
from evalharness.metrics.ratios import success
from evalharness.outcomes import Floats, OutcomeTable
from evalharness.statistics import (
    Interval,
    Side,
    clustered_paired_interval,
    log_ratio_interval,
    ppi_paired_interval,
)
from golden_sets.errors import InputError

PAIR_KEY = ["set_name", "prompt_id", "repeat"]
MIN_LABELLED_PAIRS = 20
"""Fewer pairs labelled on both arms than this say nothing about the judge's error on differences."""


@dataclass(frozen=True)
class Pairs:
    """The same prompts answered by both arms, row by row."""

    candidate: OutcomeTable
    incumbent: OutcomeTable

    @classmethod
    def of(cls, candidate: OutcomeTable, incumbent: OutcomeTable) -> Pairs:
        """Bring two tables into the same order.

        Raises:
            InputError: the arms did not answer the same prompts.
        """
        left = candidate.frame.set_index(PAIR_KEY).sort_index()
        right = incumbent.frame.set_index(PAIR_KEY).sort_index()
        if not left.index.equals(right.index):
            alone = left.index.symmetric_difference(right.index)
            raise InputError(
                f"candidate and incumbent did not answer the same prompts ({len(alone)} differ, e.g. {alone[0]})",
                do="evaluate both on the same sets with the same plan",
            )
        if (left["prompt_digest"].to_numpy() != right["prompt_digest"].to_numpy()).any():
            raise InputError(
                "candidate and incumbent answered different versions of the same prompt ids",
                do="evaluate both on the same version of the sets",
            )
        return cls(_back(left), _back(right))

    def __len__(self) -> int:
        return len(self.candidate)


def rate_difference(spec: MetricSpec, pairs: Pairs) -> Measurement:
    """Candidate minus incumbent, by prompt: Tango's interval on true outcomes, PPI where a judge scored them."""
    arms = (pairs.candidate, pairs.incumbent)
    failed = [table.failed() for table in arms]
    gaps = [np.isnan(t.numbers("outcome")) & ~f for t, f in zip(arms, failed, strict=True)]
    clusters = pairs.candidate.clusters()
    judged = any(bool(scored_by_judge(table).any()) for table in arms)

    def differences(fill_candidate: float, fill_incumbent: float) -> Floats:
        ours = filled_outcomes(pairs.candidate, "candidate", fill_candidate)
        return ours - filled_outcomes(pairs.incumbent, "incumbent", fill_incumbent)

    labelled, truth, weights = _labelled_differences(pairs)
    enough = int(labelled.sum()) >= MIN_LABELLED_PAIRS

    def at(seen: Floats) -> IntervalAt:
        def interval(confidence: float, side: Side) -> Interval:
            if not judged:
                return clustered_paired_interval(seen, clusters, confidence=confidence, side=side)
            return ppi_paired_interval(
                seen, labelled, truth, weights=weights, clusters=clusters, confidence=confidence, side=side
            )

        return interval

    # A gap takes the worst value for the candidate in one bound and the best in the other.
    low, high = differences(0.0, 1.0), differences(1.0, 0.0)
    return Measurement(
        metric=spec.name,
        unit=spec.unit,
        interval=two_bounds(at(low), at(high)) if any(g.any() for g in gaps) else at(low),
        n=len(pairs),
        errors=int(failed[0].sum() + failed[1].sum()),
        unscored=int(gaps[0].sum() + gaps[1].sum()),
        discordance=float(np.mean(low != 0.0)),
        incomplete=(
            "requests of a safety set failed: run again to complete the cell"
            if spec.is_safety and (failed[0].any() or failed[1].any())
            else None
        ),
        lacking=(
            f"labels of both arms' answers to the same prompts ({int(labelled.sum())} of at least {MIN_LABELLED_PAIRS})"
            if judged and not enough
            else None
        ),
    )


def ratio(spec: MetricSpec, pairs: Pairs) -> Measurement:
    """Candidate / incumbent of a ratio of sums, paired by prompt, on the log scale."""
    ours, theirs = (_sums(spec, pairs.candidate), _sums(spec, pairs.incumbent))
    usable = np.isfinite(np.stack([*ours, *theirs])).all(axis=0)
    clusters = pairs.candidate.clusters()[usable]

    def interval(confidence: float, side: Side) -> Interval:
        return log_ratio_interval(
            ours[0][usable],
            ours[1][usable],
            theirs[0][usable],
            theirs[1][usable],
            clusters=clusters,
            confidence=confidence,
            side=side,
        )

    empty = [name for name, sums in (("candidate", ours), ("incumbent", theirs)) if not sums[1][usable].sum() > 0]
    return Measurement(
        metric=spec.name,
        unit="ratio",
        interval=interval,
        n=int(usable.sum()),
        errors=int(pairs.candidate.failed().sum() + pairs.incumbent.failed().sum()),
        lacking=f"anything to divide by: the {' and the '.join(empty)} had no {spec.denominator}" if empty else None,
    )


def _sums(spec: MetricSpec, table: OutcomeTable) -> tuple[Floats, Floats]:
    """Numerator and denominator of every row; NaN where the row has no cost."""
    assert spec.numerator is not None  # noqa: S101 - the catalogue gives every ratio both
    assert spec.denominator is not None  # noqa: S101
    below = success(table) if spec.denominator == "success" else table.numbers(spec.denominator)
    return table.numbers(spec.numerator), below


def _labelled_differences(pairs: Pairs) -> tuple[np.ndarray[tuple[int], np.dtype[np.bool_]], Floats, Floats]:
    ours, theirs = pairs.candidate.numbers("label"), pairs.incumbent.numbers("label")
    labelled = ~np.isnan(ours) & ~np.isnan(theirs)
    chance = pairs.candidate.numbers("label_p")[labelled]
    weights = 1.0 / np.where(np.isnan(chance), 1.0, chance)
    return labelled, (ours - theirs)[labelled], weights


def _back(frame: pd.DataFrame) -> OutcomeTable:
    return OutcomeTable(frame.reset_index())
