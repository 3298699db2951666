"""One check in one cell: measure, compare the one-sided bound with the limit, say what was found."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from evalharness.evidence import Estimate
from evalharness.metrics import Calibrations, Measurement, compare, measure, rows_for
from evalharness.outcomes import OutcomeTable
from evalharness.statistics import Interval, Side, p_value_by_inversion, size_for_limit, size_for_margin
from gates.decision import CheckResult, MoreData, Status
from gates.policy import Check, Policy
from gates.wording import bound_text, number
from golden_sets.errors import InputError

WANTED_POWER = 0.8
"""Power for which "how many more" is computed."""
MOST_PROMPTS = 100_000
"""Above this "how many more" is of no use to anybody."""


@dataclass(frozen=True)
class Examined:
    """A check in a cell, measured, before Holm has spoken about failures."""

    id: str
    check: Check
    cell: Mapping[str, str]
    measurement: Measurement
    estimate: Estimate
    candidate: Estimate | None
    incumbent: Estimate | None
    passes: bool
    p_fail: float | None
    obstacle: str | None
    """Why nothing can be passed here, whatever the bounds say."""
    usd_per_prompt: float | None


def examine(
    check: Check,
    cell: Mapping[str, str],
    table: OutcomeTable,
    policy: Policy,
    calibrations: Calibrations,
) -> Examined:
    """Measure one check in one cell.

    Raises:
        InputError: arms that did not answer the same prompts, a dimension the outcomes do not have.
    """
    rows = rows_for(check.spec, table, {**check.where, **cell})
    name = "/".join([check.id, *cell.values()])
    arms, compares = rows.arms, check.test in ("non_inferiority", "ratio_ceiling")
    confidence = 1 - 2 * policy.alpha
    if compares and "incumbent" not in arms:
        measurement = _nothing(check, "an incumbent to compare with")
    elif compares:
        measurement = compare(check.metric, rows, calibrations=calibrations)
    else:
        measurement = _of_arm(check, rows, "candidate", calibrations)
    measurement = measurement.within({**check.where, **cell})
    estimate = _unknown(measurement, confidence) if measurement.lacking else measurement.estimate(confidence)
    own = {}
    for arm in ("candidate", "incumbent") if compares else ("incumbent",):
        if arm in arms and check.spec.family != "judge":
            single = _of_arm(check, rows, arm, calibrations).within(measurement.cell)
            own[arm] = _unknown(single, confidence) if single.lacking else single.estimate(confidence)
    passes, p_fail = (False, None) if measurement.lacking else _against_limit(check, measurement, policy.alpha)
    return Examined(
        id=name,
        check=check,
        cell=measurement.cell,
        measurement=measurement,
        estimate=estimate,
        candidate=own.get("candidate"),
        incumbent=own.get("incumbent"),
        passes=passes,
        p_fail=p_fail,
        obstacle=_obstacle(measurement, policy),
        usd_per_prompt=_usd_per_prompt(rows),
    )


def conclude(examined: Examined, *, rejected: bool, policy: Policy) -> CheckResult:
    """Turn an examined check into its result, once Holm has said whether the claim "limit violated" stands."""
    check, estimate = examined.check, examined.estimate
    if rejected:
        status = Status.FAIL
    elif examined.passes and examined.obstacle is None:
        status = Status.PASS
    else:
        status = Status.INCONCLUSIVE
    return CheckResult(
        id=examined.id,
        check=check.id,
        metric=check.metric,
        test=check.test,
        cell=examined.cell,
        status=status,
        limit=check.limit,
        estimate=estimate,
        candidate=examined.candidate,
        incumbent=examined.incumbent,
        reason=_reason(examined, status, policy),
        p_fail=examined.p_fail,
        regressed=_regressed(check, estimate),
        safety=check.is_safety,
        waivable=check.waivable,
        owner=check.owner,
        more=_more(examined, policy) if status is Status.INCONCLUSIVE else None,
    )


def _of_arm(check: Check, rows: OutcomeTable, arm: str, calibrations: Calibrations) -> Measurement:
    return measure(
        check.metric,
        rows,
        "candidate" if arm == "candidate" else "incumbent",
        calibrations=calibrations,
        quantile=check.quantile,
        set_kind=check.set_kind,
    )


def _larger_is_better(check: Check) -> bool:
    """Whether the bound must lie above the limit (floors, differences of rates that should be high)."""
    if check.test == "non_inferiority":
        return check.spec.better == "higher"
    return check.test == "floor"


def _against_limit(check: Check, measurement: Measurement, alpha: float) -> tuple[bool, float | None]:
    """Whether the one-sided bound clears the limit, and the p-value of the claim that the limit is violated."""
    limit, above = check.limit, _larger_is_better(check)
    near = measurement.interval(1 - alpha, "lower" if above else "upper")
    edge = near.low if above else near.high
    passes = edge is not None and (edge >= limit if above else edge <= limit)

    def far(confidence: float) -> float | None:
        found = measurement.interval(confidence, "upper" if above else "lower")
        return found.high if above else found.low

    if passes or far(1 - alpha) is None:
        return passes, None if passes else 1.0
    return passes, p_value_by_inversion(far, limit, above=not above)


def _obstacle(measurement: Measurement, policy: Policy) -> str | None:
    if measurement.lacking:
        return f"no bound without {measurement.lacking}"
    if measurement.incomplete:
        return measurement.incomplete
    if measurement.n and measurement.unscored / measurement.n > policy.max_unscored:
        return (
            f"{measurement.unscored} of {measurement.n} answers could not be scored, "
            f"more than the {policy.max_unscored:.1%} that policy '{policy.name}' tolerates"
        )
    return None


def _regressed(check: Check, estimate: Estimate) -> bool:
    """A regression is stated whenever the interval excludes the incumbent, even inside the margin."""
    if check.test == "non_inferiority":
        if check.spec.better == "higher":
            return estimate.high is not None and estimate.high < 0
        return estimate.low is not None and estimate.low > 0
    return check.test == "ratio_ceiling" and estimate.low is not None and estimate.low > 1


def _reason(examined: Examined, status: Status, policy: Policy) -> str:
    check, found = examined.check, examined.estimate
    limit = number(check.limit, found.unit)
    sample = f"n = {examined.measurement.n}"
    if status is Status.FAIL:
        side = "upper" if _larger_is_better(check) else "lower"
        edge = found.high if _larger_is_better(check) else found.low
        return (
            f"{bound_text(side, edge, found.unit, 1 - policy.alpha)} is on the wrong side of {limit} "
            f"({sample}, Holm-adjusted over all checks)"
        )
    side = "lower" if _larger_is_better(check) else "upper"
    edge = found.low if _larger_is_better(check) else found.high
    if status is Status.PASS:
        regression = "; worse than the incumbent, though inside the limit" if _regressed(check, found) else ""
        return f"{bound_text(side, edge, found.unit, 1 - policy.alpha)} clears {limit} ({sample}){regression}"
    if examined.obstacle is not None:
        return f"cannot be passed: {examined.obstacle}"
    if edge is None:
        return f"no {side} bound: {found.note or 'the sample is too small'}"
    return f"{bound_text(side, edge, found.unit, 1 - policy.alpha)} does not clear {limit} ({sample})"


def _more(examined: Examined, policy: Policy) -> MoreData:
    """How many more prompts would settle the check at the observed numbers, and what they would cost."""
    if examined.obstacle is not None:
        return MoreData(n=0, note=examined.obstacle)
    wanted = _n_to_settle(examined, policy)
    if wanted is None:
        return MoreData(n=0, note=examined.estimate.note or "the estimate lies on the limit: no sample size settles it")
    further = max(1, wanted - examined.measurement.n)
    arms = 2 if examined.check.test in ("non_inferiority", "ratio_ceiling") else 1
    usd = None if examined.usd_per_prompt is None else further * arms * examined.usd_per_prompt
    return MoreData(n=further, usd=usd)


def _n_to_settle(examined: Examined, policy: Policy) -> int | None:
    """Sample size at which the check would be settled if what was found is the truth; None: none within reason."""
    check, found, n = examined.check, examined.estimate, examined.measurement.n
    if found.value is None or not math.isfinite(found.value) or n == 0:
        return None
    distance = abs(found.value - check.limit)
    edge = found.low if found.value > check.limit else found.high
    if distance <= 1e-9 or edge is None:
        return None
    # The width shrinks with the square root of n: scale until the bound reaches the limit.
    rough = n * ((found.value - edge) / distance) ** 2
    if not rough <= MOST_PROMPTS:
        return None
    return max(math.ceil(rough), _exact_size(examined, policy, distance) or 0)


def _exact_size(examined: Examined, policy: Policy, distance: float) -> int | None:
    """The same by the method that will be used, for the power wanted; None where there is no such formula."""
    check, found = examined.check, examined.estimate
    assert found.value is not None  # noqa: S101 - the caller looked
    try:
        if found.method == "clopper-pearson" and check.test in ("floor", "ceiling"):
            above = found.value > check.limit
            return size_for_limit(
                check.limit,
                found.value,
                direction="floor" if above else "ceiling",
                alpha=policy.alpha,
                power=WANTED_POWER,
            )
        if found.method.startswith("tango"):
            discordance = max(examined.measurement.discordance or 0.0, distance)
            return size_for_margin(distance, discordance, alpha=policy.alpha, power=WANTED_POWER)
    except InputError:  # beyond any sample that could be had
        return None
    return None


def _usd_per_prompt(rows: OutcomeTable) -> float | None:
    usd = rows.numbers("usd")
    return float(np.nanmean(usd)) if np.isfinite(usd).any() else None


def _nothing(check: Check, lacking: str) -> Measurement:
    def never(confidence: float, side: Side) -> Interval:
        raise AssertionError(f"no interval at {confidence} {side}: nothing was measured")

    return Measurement(check.metric, check.spec.unit, never, n=0, lacking=lacking)


def _unknown(measurement: Measurement, confidence: float) -> Estimate:
    return Estimate(
        metric=measurement.metric,
        arm=measurement.arm,
        cell=measurement.cell,
        value=None,
        low=None,
        high=None,
        confidence=confidence,
        method="none",
        n=measurement.n,
        errors=measurement.errors,
        unscored=measurement.unscored,
        unit=measurement.unit,
        note=f"no bound without {measurement.lacking}",
    )
