"""From a table of outcomes to measurements: choose the rows a metric is about, then estimate or compare."""

from __future__ import annotations

from collections.abc import Mapping

from evalharness.metrics import paired, rates, ratios, shares
from evalharness.metrics.biases import bias
from evalharness.metrics.calibrated import Calibrations, added_up
from evalharness.metrics.catalogue import METRICS, MetricSpec
from evalharness.metrics.measurement import Measurement
from evalharness.metrics.preferences import win_rate
from evalharness.outcomes import Arm, OutcomeTable
from golden_sets.errors import InputError
from golden_sets.records import SetKind


def rows_for(spec: MetricSpec, table: OutcomeTable, where: Mapping[str, str]) -> OutcomeTable:
    """The rows of both arms that a metric is about.

    Rates, shares and costs rest on the scored answers; latency on the latency pass (where there was none, on what was
    measured beside the answers); reliability on every request for an answer; biases and preferences on what the judge
    was asked besides; the time a router takes on rows of its own.
    """
    selector = dict(where)
    if spec.set_kind is not None:
        selector.setdefault("set", spec.set_kind.value)
    rows = table.where(selector)
    if spec.is_probed:
        return rows.phase(*spec.phases)
    if "routing" in spec.phases:
        return rows.phase("routing")
    if spec.family == "reliability":
        return rows.phase("quality", "latency")
    if spec.family == "quantile" or spec.denominator == "e2e_s":
        measured_apart = rows.phase("latency")
        return measured_apart if len(measured_apart) else rows.phase("quality")
    # A rubric that is named may be a further one, whose scores stand in rows of their own.
    return rows.phase("quality", "criterion") if "rubric" in where else rows.phase("quality")


def rows_of_cells(spec: MetricSpec, table: OutcomeTable, where: Mapping[str, str]) -> OutcomeTable:
    """The candidate's rows that tell which cells a metric has.

    Those it is about; for what the judge is asked besides, the answers of the sets it is asked about, so that a probe
    that was never made is missed and does not take its check along.
    """
    return (table.where(where).phase("quality") if spec.is_probed else rows_for(spec, table, where)).arm("candidate")


def measure(
    metric: str,
    rows: OutcomeTable,
    arm: Arm,
    *,
    calibrations: Calibrations,
    quantile: float | None = None,
    set_kind: SetKind | None = None,
    rubric: str | None = None,
) -> Measurement:
    """One metric of one arm on rows chosen by :func:`rows_for`.

    Args:
        metric: a name of ``METRICS``.
        rows: rows of both arms, already restricted to the cell.
        arm: whose number is wanted.
        calibrations: the judge's measured error.
        quantile: in (0, 1), for latency metrics.
        set_kind: for the judge's own error: the kind of set it is about.
        rubric: for the judge's own error: the rubric it is about; None: all.

    Raises:
        InputError: an unknown metric, a latency metric without a quantile, no rows.
    """
    spec = METRICS.get(metric)
    if spec is None:
        raise InputError(f"unknown metric '{metric}'", do=f"use one of {', '.join(METRICS)}")
    if spec.family == "judge":
        return rates.judge_rate(spec, added_up(calibrations, set_kind, rubric))
    if spec.family == "bias":
        return bias(spec, rows)
    if spec.family == "preference":
        return win_rate(spec, rows)
    mine = rows.arm(arm)
    if len(mine) == 0:
        raise InputError(f"no outcome of the {arm} for metric '{metric}' in this cell")
    if spec.family == "quantile":
        if quantile is None:
            raise InputError(f"metric '{metric}' needs a quantile", do="add e.g. 'quantile: 0.95'")
        return ratios.latency_quantile(spec, mine, arm, quantile)
    if spec.family == "ratio":
        return ratios.sum_ratio(spec, mine, arm, calibrations)
    if spec.family == "share":
        return shares.share(spec, mine, arm)
    if spec.family == "reliability":
        return rates.request_success_rate(spec, mine, arm)
    if spec.is_safety:
        return rates.safety_rate(spec, mine, arm, calibrations)
    return rates.pass_rate(spec, mine, arm, calibrations)


def compare(
    metric: str, rows: OutcomeTable, *, calibrations: Calibrations, reference: Arm = "incumbent"
) -> Measurement:
    """Candidate against a reference on the same prompts: a difference for rates, a ratio for ratios of sums.

    Args:
        metric: a name of ``METRICS``.
        rows: rows of both arms, already restricted to the cell.
        calibrations: the judge's measured error.
        reference: the incumbent or the anchor; both are treated alike.

    Raises:
        InputError: a metric that cannot be compared in pairs, or arms that did not answer the same prompts.
    """
    spec = METRICS[metric]
    pairs = paired.Pairs.of(rows, reference)
    if spec.family == "ratio":
        return paired.ratio(spec, pairs, calibrations)
    if spec.family == "rate":
        return paired.rate_difference(spec, pairs, calibrations)
    if spec.family == "share":
        return shares.share_difference(spec, pairs)
    raise InputError(
        f"metric '{metric}' has no comparison in pairs", do="use a floor or a ceiling, or a rate or cost metric"
    )
