"""The share of prompts that a router sends to the flagship: of one arm, and its jump from one router to the next."""

from __future__ import annotations

import numpy as np

from evalharness.metrics.catalogue import MetricSpec
from evalharness.metrics.measurement import Measurement, nothing, once, prepared
from evalharness.metrics.paired import Pairs
from evalharness.outcomes import Arm, Floats, OutcomeTable
from evalharness.statistics.clustered import ClusteredDifference, ClusteredProportion


def share(spec: MetricSpec, table: OutcomeTable, arm: Arm) -> Measurement:
    """The share of an arm's prompts whose column is 1, exact for independent prompts.

    Where a prompt was sent is known whatever became of the answer: failed and unscored ones count like any other.
    """
    values = _column(spec, table)
    if np.isnan(values).any():
        return nothing(spec.name, spec.unit, _untold(values, arm))
    clusters = table.clusters()
    return Measurement(
        metric=spec.name,
        unit=spec.unit,
        interval=prepared(lambda: ClusteredProportion.of(values, clusters).interval),
        n=len(table),
        errors=int(table.failed().sum()),
        arm=arm,
    )


def share_difference(spec: MetricSpec, pairs: Pairs) -> Measurement:
    """Candidate's share minus the incumbent's on the same prompts: what is to be expected when one replaces the other.

    Tango's interval on the pairs that are sent elsewhere, exact where there are few.
    """
    ours, theirs = _column(spec, pairs.candidate), _column(spec, pairs.incumbent)
    if np.isnan(ours).any():
        return nothing(spec.name, spec.unit, _untold(ours, "candidate"))
    if np.isnan(theirs).any():
        return nothing(spec.name, spec.unit, _untold(theirs, "incumbent"))
    differences, clusters = ours - theirs, pairs.candidate.clusters()
    sample = once(lambda: ClusteredDifference.of(differences, clusters))
    return Measurement(
        metric=spec.name,
        unit=spec.unit,
        interval=lambda confidence, side: sample().interval(confidence, side),
        n=len(pairs),
        discordance=float(np.mean(differences != 0.0)),
        p_value=lambda limit, above: sample().p_value(limit, above=above),
    )


def _column(spec: MetricSpec, table: OutcomeTable) -> Floats:
    assert spec.column is not None  # noqa: S101 - the catalogue gives every share its column
    return table.numbers(spec.column)


def _untold(values: Floats, arm: str) -> str:
    missing = int(np.isnan(values).sum())
    if missing == values.size:
        return f"rows that say where the {arm} sent each prompt: it is no router"
    return f"where the {arm} sent {missing} of {values.size} prompts"
