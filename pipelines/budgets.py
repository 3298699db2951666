"""A plan that fits a budget or a deadline: every size taken down by one factor, the power that is left said."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from evalharness.plan import Plan
from golden_sets.errors import InputError
from pipelines.totals import Costing

_STEPS = 12


@dataclass(frozen=True)
class Limits:
    """What a run may take, all arms together."""

    usd: float | None = None
    """USD."""
    seconds: float | None = None
    """Seconds."""

    @property
    def any(self) -> bool:
        """Whether there is a limit at all."""
        return self.usd is not None or self.seconds is not None


def fitted(make: Callable[[float | None], Plan], costing: Costing, limits: Limits) -> Plan:
    """The plan with the largest samples that stay within the limits.

    Args:
        make: makes the plan for a share of its sizes; 0: the fewest prompts with which every check can pass at all;
            None: as many as the joint power takes.
        costing: what a plan costs.
        limits: what it may cost.

    Raises:
        InputError: cost or time cannot be told (the message says what tells it), or even the fewest prompts take more.
    """
    plan = make(None)
    if _fits(plan, costing, limits):
        return plan
    fewest = make(0.0)
    if not _fits(fewest, costing, limits):
        raise InputError(
            f"even the fewest prompts with which every check can pass do not fit: {_told(fewest, costing, limits)}",
            do="raise the limit, or take checks out of the policy",
        )
    best, low, high = fewest, 0.0, 1.0
    for _ in range(_STEPS):
        middle = (low + high) / 2
        tried = make(middle)
        if _fits(tried, costing, limits):
            best, low = tried, middle
        else:
            high = middle
    return best


def _fits(plan: Plan, costing: Costing, limits: Limits) -> bool:
    usd, seconds = _cost(plan, costing, limits)
    return (limits.usd is None or (usd or 0.0) <= limits.usd) and (
        limits.seconds is None or (seconds or 0.0) <= limits.seconds
    )


def _cost(plan: Plan, costing: Costing, limits: Limits) -> tuple[float | None, float | None]:
    """USD and seconds of a plan; what a limit is about must be known."""
    sums = costing.totals(plan)
    timeless = sums["seconds"] is None
    if limits.seconds is not None and timeless:
        raise InputError(
            "a deadline needs the speed of the engine, which was not measured yet", do="state it: --requests-per-second"
        )
    if limits.usd is not None and sums["usd"] is None:
        candidate = costing.arms.get("candidate")
        if candidate is None:
            raise InputError("a budget needs a price", do="name the candidate: relgate plan NAME --budget ...")
        if candidate.price is None:
            raise InputError(f"a budget needs a price, and '{candidate.name}' has none", do="add 'price' to its file")
        raise InputError(
            "a price per GPU-hour needs the speed of the engine, which was not measured yet",
            do="state it: --requests-per-second",
        )
    return sums["usd"], sums["seconds"]


def _told(plan: Plan, costing: Costing, limits: Limits) -> str:
    usd, seconds = _cost(plan, costing, limits)
    prompts = sum(len(stratum.prompts) for planned in plan.sets.values() for stratum in planned.strata)
    parts = [f"{prompts} prompts"]
    if limits.usd is not None:
        parts.append(f"{usd:.4g} USD of {limits.usd:.4g}")
    if limits.seconds is not None:
        parts.append(f"{seconds:.0f} s of {limits.seconds:.0f}")
    return ", ".join(parts)
