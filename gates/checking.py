"""One check in one cell: measure, compare the one-sided bound with the limit, say what was found."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np

from evalharness.evidence import Estimate
from evalharness.metrics import Calibrations, Measurement, compare, measure
from evalharness.outcomes import Arm, OutcomeTable
from evalharness.statistics import Interval, Side, p_value_by_inversion, size_for_limit, size_for_margin
from gates.decision import CheckResult, MoreData, Status
from gates.label_advice import Advice, label_advice
from gates.policy import Check, Policy
from gates.wording import advice_text, bound_text, number
from golden_sets.errors import InputError
from golden_sets.records import SetKind

WANTED_POWER = 0.8
"""Power for which "how many more" is computed."""
LABELS_TO_FAIL = 50
"""Labels of either class below which a judge-corrected rate is never called failed: simulated policies of 20 checks
failed 11 to 13 % of the time at a tenth of 400 labels, where 5 % was claimed, and 3.5 to 4.8 % at the end."""
MOST_PROMPTS = 100_000
"""Above this "how many more" is of no use to anybody."""


@dataclass(frozen=True)
class Examined:
    """A check in a cell, measured at one look, before Holm has spoken about failures."""

    id: str
    check: Check
    cell: Mapping[str, str]
    alpha: float
    """One-sided error rate of its bounds at this look."""
    measurement: Measurement
    estimate: Estimate
    candidate: Estimate | None
    reference: Estimate | None
    """The incumbent's own number, or the anchor's where the check is against that."""
    passes: bool
    """Whether the bound clears the limit and nothing stands against a pass."""
    p_fail: float | None
    """p-value, at this look alone, of the claim that the limit is violated."""
    obstacle: str | None
    """Why nothing can be passed here, whatever the bounds say."""
    usd_per_prompt: float | None
    advise: Callable[[], Advice | None] = lambda: None
    """What labels would do, where it rests on a judge; worked out when asked for."""


def examine(
    name: str,
    check: Check,
    cell: Mapping[str, str],
    rows: OutcomeTable,
    policy: Policy,
    calibrations: Calibrations,
    *,
    alpha: float,
) -> Examined:
    """Measure one check in one cell.

    Args:
        name: its id, with the cell's values.
        check: the check.
        cell: what it selects, for people.
        rows: the rows of all arms that it rests on.
        policy: tolerances that hold for every check.
        calibrations: the judge's measured error.
        alpha: one-sided error rate of the bounds.

    Raises:
        InputError: arms that did not answer the same prompts, a dimension the outcomes do not have.
    """
    reference: Arm = check.against
    arms, confidence = rows.arms, 1 - 2 * alpha
    about_judge = check.spec.family == "judge" or check.spec.is_probed
    if len(rows.arm("candidate")) == 0 and not about_judge:
        measurement = _nothing(check, "answers: none was asked for")
    elif check.compares and reference not in arms:
        measurement = _nothing(check, f"an {reference} to compare with")
    elif check.compares:
        measurement = compare(check.metric, rows, calibrations=calibrations, reference=reference)
    else:
        measurement = _of_arm(check, rows, "candidate", calibrations)
    measurement = measurement.within(cell)
    own = {}
    for arm in ("candidate", reference) if check.compares else (reference,):
        if arm in arms and not about_judge:
            single = _of_arm(check, rows, arm, calibrations).within(cell)
            own[arm] = _estimate(single, confidence)
    passes, p_fail = (False, None) if measurement.lacking else _against_limit(check, measurement, alpha)
    if _labels_too_few_to_fail(measurement, calibrations):
        p_fail = None
    obstacle = _obstacle(check, measurement, policy)
    estimate = _estimate(measurement, confidence)
    return Examined(
        id=name,
        check=check,
        cell=cell,
        alpha=alpha,
        measurement=measurement,
        estimate=estimate,
        candidate=own.get("candidate"),
        reference=own.get(reference),
        passes=passes and obstacle is None,
        p_fail=p_fail,
        obstacle=obstacle,
        usd_per_prompt=_usd_per_prompt(rows),
        advise=partial(label_advice, check, measurement, estimate, rows, calibrations, alpha=alpha),
    )


def not_examined(name: str, check: Check, cell: Mapping[str, str], *, alpha: float, lacking: str) -> Examined:
    """A check that there was nothing to measure for."""
    measurement = _nothing(check, lacking).within(cell)
    estimate = _estimate(measurement, 1 - 2 * alpha)
    return Examined(name, check, cell, alpha, measurement, estimate, None, None, False, None, f"no {lacking}", None)


def clears(examined: Examined, confidence: float) -> bool | None:
    """Whether the bound at another confidence clears the limit; None where there is no bound."""
    if examined.measurement.lacking:
        return None
    if examined.measurement.p_value is not None:
        check = examined.check
        return examined.measurement.p_value(check.limit, _larger_is_better(check)) <= 1 - confidence
    edge = _near_edge(examined.check, examined.measurement, confidence)
    return None if edge is None else _on_passing_side(examined.check, edge)


def conclude(
    examined: Examined,
    status: Status,
    policy: Policy,
    *,
    p_fail: float | None,
    look: int | None = None,
    looks: int = 1,
    stopped: str | None = None,
) -> CheckResult:
    """Turn an examined check into its result.

    Args:
        examined: the check at the look at which it stopped.
        status: pass, fail (Holm has spoken) or inconclusive.
        policy: for "how many more".
        p_fail: p-value over all looks of the claim that the limit is violated.
        look: at which look it stopped; None: it was examined once, at the end.
        looks: how many were planned.
        stopped: why an inconclusive check was not looked at further.
    """
    check, estimate = examined.check, examined.estimate
    when = f", look {look} of {looks}" if look is not None and looks > 1 else ""
    advice = _advice(examined) if status is Status.INCONCLUSIVE else None
    told = "".join(f"; {text}" for text in (None if advice is None else advice_text(advice), stopped) if text)
    return CheckResult(
        id=examined.id,
        check=check.id,
        metric=check.metric,
        test=check.test,
        against=check.against,
        cell=examined.cell,
        status=status,
        limit=check.limit,
        estimate=estimate,
        candidate=examined.candidate,
        incumbent=examined.reference,
        reason=_reason(examined, status, when) + told,
        p_fail=p_fail,
        regressed=_regressed(check, estimate),
        safety=check.is_safety,
        waivable=check.waivable,
        owner=check.owner,
        more=_more(examined, policy, advice) if status is Status.INCONCLUSIVE else None,
        look=look,
        looks=looks,
    )


def _of_arm(check: Check, rows: OutcomeTable, arm: Arm, calibrations: Calibrations) -> Measurement:
    return measure(
        check.metric,
        rows,
        arm,
        calibrations=calibrations,
        quantile=check.quantile,
        set_kind=check.set_kind,
        rubric=check.where.get("rubric"),
    )


def _larger_is_better(check: Check) -> bool:
    """Whether the bound must lie above the limit (floors, differences of rates that should be high)."""
    return check.spec.better == "higher" if check.test == "non_inferiority" else check.test == "floor"


def _near_edge(check: Check, measurement: Measurement, confidence: float) -> float | None:
    """The bound that must clear the limit."""
    above = _larger_is_better(check)
    found = measurement.interval(confidence, "lower" if above else "upper")
    return found.low if above else found.high


def _on_passing_side(check: Check, edge: float) -> bool:
    return edge >= check.limit if _larger_is_better(check) else edge <= check.limit


def _against_limit(check: Check, measurement: Measurement, alpha: float) -> tuple[bool, float | None]:
    """Whether the one-sided bound clears the limit, and the p-value of the claim that the limit is violated."""
    above = _larger_is_better(check)
    near = _near_edge(check, measurement, 1 - alpha)
    passes = near is not None and _on_passing_side(check, near)
    if passes and measurement.p_value is not None:
        # Exact p-values of paired differences need not grow steadily with the limit: the claim itself must hold.
        passes = measurement.p_value(check.limit, above) <= alpha

    def far(confidence: float) -> float | None:
        found = measurement.interval(confidence, "upper" if above else "lower")
        return found.high if above else found.low

    if passes or far(1 - alpha) is None:
        return passes, None if passes else 1.0
    if measurement.p_value is not None:
        return passes, measurement.p_value(check.limit, not above)
    return passes, p_value_by_inversion(far, check.limit, above=not above)


def _labels_too_few_to_fail(measurement: Measurement, calibrations: Calibrations) -> bool:
    """Whether a corrected rate rests on so few labels that its far tail, which Holm asks for, cannot be trusted."""
    if measurement.lacking or measurement.interval(0.9, "two-sided").method != "rogan-gladen":
        return False
    return any(min(c.positives, c.negatives) < LABELS_TO_FAIL for c in calibrations if c.set_kind is SetKind.GOLDEN)


def _obstacle(check: Check, measurement: Measurement, policy: Policy) -> str | None:
    if measurement.lacking:
        return f"no bound without {measurement.lacking}"
    if measurement.incomplete:
        return measurement.incomplete
    if measurement.n and measurement.unscored / measurement.n > policy.max_unscored:
        told = "answers to {} prompts" if check.compares else "of {} answers"
        return (
            f"{measurement.unscored} {told.format(measurement.n)} could not be scored, "
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


def _reason(examined: Examined, status: Status, when: str) -> str:
    check, found, confidence = examined.check, examined.estimate, 1 - examined.alpha
    limit = number(check.limit, found.unit)
    sample = f"n = {examined.measurement.n}{when}"
    if status is Status.FAIL:
        side = "upper" if _larger_is_better(check) else "lower"
        edge = found.high if _larger_is_better(check) else found.low
        return (
            f"{bound_text(side, edge, found.unit, confidence)} is on the wrong side of {limit} "
            f"({sample}, Holm-adjusted over all checks)"
        )
    side = "lower" if _larger_is_better(check) else "upper"
    edge = found.low if _larger_is_better(check) else found.high
    if status is Status.PASS:
        regression = f"; worse than the {check.against}, though inside the limit" if _regressed(check, found) else ""
        return f"{bound_text(side, edge, found.unit, confidence)} clears {limit} ({sample}){regression}"
    if examined.obstacle is not None:
        return f"cannot be passed: {examined.obstacle}"
    if edge is None:
        return f"no {side} bound: {found.note or 'the sample is too small'}"
    return f"{bound_text(side, edge, found.unit, confidence)} does not clear {limit} ({sample})"


def _advice(examined: Examined) -> Advice | None:
    """What labels would do, where nothing else stands in the way."""
    return None if examined.obstacle is not None and not examined.measurement.lacking else examined.advise()


def _more(examined: Examined, policy: Policy, advice: Advice | None) -> MoreData:
    """How many more prompts or labels would settle the check at the observed numbers, and what they would cost."""
    if advice is not None:
        return MoreData(n=advice.prompts, usd=_usd(examined, advice.prompts), note=advice.text)
    if examined.obstacle is not None:
        return MoreData(n=0, note=examined.obstacle)
    wanted = _n_to_settle(examined, policy)
    if wanted is None:
        return MoreData(n=0, note=examined.estimate.note or "the estimate lies on the limit: no sample size settles it")
    further = max(1, wanted - examined.measurement.n)
    if examined.check.spec.family == "judge":
        return MoreData(n=0, note=f"about {further} more labelled answers of that kind")
    return MoreData(n=further, usd=_usd(examined, further))


def _usd(examined: Examined, further: int) -> float | None:
    """What so many further prompts would cost; None where no price is known, or none is wanted."""
    if examined.usd_per_prompt is None or not further:
        return None
    return further * (2 if examined.check.compares else 1) * examined.usd_per_prompt


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
        if found.method.startswith(("tango", "exact")):
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


def _estimate(measurement: Measurement, confidence: float) -> Estimate:
    """The two-sided interval, or an estimate without bounds where something is lacking."""
    if not measurement.lacking:
        return measurement.estimate(confidence)
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
