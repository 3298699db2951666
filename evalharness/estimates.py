"""Every number of the evidence: each metric of each arm, overall and by each dimension, with its interval."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from evalharness.evidence import Estimate
from evalharness.metrics import METRICS, Calibrations, MetricSpec, measure, rows_for
from evalharness.metrics.preferences import judged_win_rate
from evalharness.outcomes import OutcomeTable
from evalharness.plan import Plan
from evalharness.prompt_rows import PromptRows

CONFIDENCE = 0.95
QUANTILES = (0.5, 0.95)


def all_estimates(table: OutcomeTable, calibrations: Calibrations, plan: Plan | None = None) -> tuple[Estimate, ...]:
    """Two-sided 95 % intervals for every metric that the outcomes can tell.

    Under a plan, pooled numbers rest on as many prompts of each stratum as its declared weight allows, so that unequal
    sizes do not change what is estimated.
    """
    chosen = None if plan is None else _Chosen(PromptRows(table), plan)
    rates = (
        estimate
        for spec in METRICS.values()
        if spec.family != "judge" and not spec.is_probed
        for estimate in _of(spec, table, calibrations, chosen)
    )
    return (*rates, *all_biases(table))


def all_biases(table: OutcomeTable, *, confidence: float = CONFIDENCE) -> tuple[Estimate, ...]:
    """Two-sided intervals for every bias of the judge that the outcomes can tell, and for the win rate.

    Planted answers also by kind of set. ``judged_win_rate`` is the win rate by the judge's word alone, beside the
    corrected one.
    """
    found = []
    for spec in METRICS.values():
        if not spec.is_probed:
            continue
        rows = rows_for(spec, table, {})
        kinds = rows.cells(["set"]) if "planted" in spec.phases else []
        found += [
            measure(spec.name, rows.where(cell), "candidate", calibrations=()).within(cell)
            for cell in [{}, *(kinds if len(kinds) > 1 else [])]
        ]
    if (judged := judged_win_rate(table)) is not None:
        found.append(judged)
    return tuple(one.estimate(confidence) for one in found if one.lacking is None)


@dataclass(frozen=True)
class _Chosen:
    """The rows that keep a plan's proportions."""

    rows: PromptRows
    plan: Plan

    def table(self, spec: MetricSpec, cell: Mapping[str, str]) -> OutcomeTable:
        selector = dict(cell) if spec.set_kind is None else {"set": spec.set_kind.value, **cell}
        return rows_for(spec, self.rows.in_proportion(self.plan, selector), cell)


def _of(
    spec: MetricSpec, table: OutcomeTable, calibrations: Calibrations, chosen: _Chosen | None
) -> Iterator[Estimate]:
    rows = rows_for(spec, table, {})
    weighted = spec.family in ("rate", "ratio", "share") and spec.denominator != "e2e_s"
    dimensions = ("length_bucket",) if spec.family == "quantile" else rows.dimensions
    cells = [{}, *(cell for name in dimensions if name in rows.dimensions for cell in rows.cells([name]))]
    further = table.phase("criterion").distinct("rubric") if spec.family == "rate" else []
    for cell in (*cells, *({"rubric": rubric} for rubric in further)):
        inside = chosen.table(spec, cell) if chosen is not None and weighted else rows_for(spec, table, cell)
        if not len(inside):
            continue
        for arm in inside.arms:
            mine = inside.arm(arm)
            for quantile in QUANTILES if spec.family == "quantile" else (None,):
                found = measure(spec.name, mine, arm, calibrations=calibrations, quantile=quantile)
                if found.lacking is None:
                    yield found.within(cell).estimate(CONFIDENCE)
