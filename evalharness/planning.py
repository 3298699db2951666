"""The planner: every cell sized by its own base rate and purpose, for the joint power of all checks.

Within a set the prompts asked are a prefix of one committed random order, long enough that every cell has what its
checks want. The asked prompts are therefore a simple random sample of the set, and pooled numbers need no weights.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from scipy import special

from evalharness.plan import LatencyLoad, Plan, PlannedCell, Requirement
from evalharness.statistics import (
    power_for_limit,
    power_for_margin,
    quantile_n_for_bound,
    size_for_limit,
    size_for_margin,
)
from golden_sets.digests import Digest
from golden_sets.errors import InputError
from golden_sets.order import draw_order
from golden_sets.records import Prompt, PromptSet

RateSource = Literal["incumbent", "policy", "assumed", "none"]
ExpectedRate = Callable[[Requirement], tuple[float | None, RateSource]]
"""Tells the rate to expect of a requirement's cell (discordance for a margin), and where that number comes from."""

ASSUMED_DISCORDANCE = 0.15
"""Share of prompts on which two versions of a model differ, where nothing is known."""
ASSUMED_SENSITIVITY = 0.95
"""Lower bound of the judge's sensitivity that safety cells are sized for."""
QUANTILE_SLACK = 2.0
"""Latency buckets get this many times the least n at which a bound exists: a bound at the maximum is of little use."""
LARGEST_EXACT_SIZE = 1_000_000
"""Above this a size is no longer searched for: it is this number, and a note gives the first estimate."""


@dataclass(frozen=True)
class PlanInputs:
    """Everything a plan depends on."""

    name: str
    lineage: str
    policy_digest: Digest
    sets: Sequence[PromptSet]
    requirements: Sequence[Requirement]
    expected: ExpectedRate
    incumbent_digest: Digest | None
    judge_digest: Digest | None
    alpha: float
    joint_power: float
    repeats: int
    seed: int
    labels_per_arm: int
    latency: LatencyLoad | None
    judged_kinds: frozenset[str]
    """Kinds of sets whose outcomes come from a judge."""
    also: Mapping[str, Any] = field(default_factory=dict)
    """Plain JSON: what else decides the numbers, see `Plan.inputs`."""


def make_plan(inputs: PlanInputs) -> Plan:
    """Size every cell and choose the prompts.

    Raises:
        InputError: a requirement that matches no prompt, or whose numbers cannot be sized (the check is named).
    """
    cells = [_size(requirement, inputs) for requirement in inputs.requirements]
    order = {s.name: _ordered(s, inputs.seed) for s in inputs.sets}
    asked = {s.name: _prefix(order[s.name], s, inputs.requirements, cells) for s in inputs.sets}
    chosen = [(s, p) for s in inputs.sets for p in asked[s.name]]
    final = tuple(
        _with_sample(c, r, chosen, judged=_judged(r, inputs)) for c, r in zip(cells, inputs.requirements, strict=True)
    )
    return Plan(
        name=inputs.name,
        lineage=inputs.lineage,
        policy_digest=inputs.policy_digest,
        set_digests={s.name: s.digest for s in inputs.sets},
        incumbent_digest=inputs.incumbent_digest,
        judge_digest=inputs.judge_digest,
        alpha=inputs.alpha,
        joint_power=inputs.joint_power,
        repeats=inputs.repeats,
        seed=inputs.seed,
        prompts={name: tuple(p.id for p in prompts) for name, prompts in asked.items()},
        cells=final,
        labels_per_arm=inputs.labels_per_arm,
        latency=_latency(inputs),
        inputs=inputs.also,
    )


def matches(requirement: Requirement, prompt_set: PromptSet, prompt: Prompt) -> bool:
    """Whether a prompt belongs to a requirement's cell."""
    if requirement.set_kind is not None and prompt_set.kind is not requirement.set_kind:
        return False
    if requirement.set_name is not None and prompt_set.name != requirement.set_name:
        return False
    return all(prompt.dimensions.get(k) == v for k, v in requirement.cell.items())


def naive_total(cells: Sequence[PlannedCell]) -> int:
    """What one size for all would take: the largest cell's n in every cell that is about scored answers."""
    sized = [c.n_wanted for c in cells if c.purpose in ("floor", "ceiling", "margin")]
    return max(sized) * len(sized) if sized else 0


def _size(requirement: Requirement, inputs: PlanInputs) -> PlannedCell:
    available = sum(matches(requirement, s, p) for s in inputs.sets for p in s.prompts)
    if available == 0:
        cell = ", ".join(f"{k}={v}" for k, v in requirement.cell.items()) or "every prompt"
        raise InputError(
            f"check '{requirement.check}' matches no prompt of the sets ({cell})",
            do="add such prompts, or take the check out of the policy",
        )
    rate, source = inputs.expected(requirement)
    try:
        wanted, note = _wanted(requirement, rate, judged=_judged(requirement, inputs))
    except InputError as error:
        raise InputError(f"check '{requirement.check}': {error.what}", where=error.where, do=error.do) from error
    return PlannedCell(
        check=requirement.check,
        purpose=requirement.purpose,
        metric=requirement.metric,
        set_kind=requirement.set_kind,
        set_name=requirement.set_name,
        cell=requirement.cell,
        rate=rate,
        rate_source=source,
        n_wanted=wanted,
        n_available=available,
        n=min(wanted, available),
        note=note,
    )


def _judged(requirement: Requirement, inputs: PlanInputs) -> bool:
    return requirement.set_kind is not None and requirement.set_kind.value in inputs.judged_kinds


def _limit_and_alpha(requirement: Requirement, *, judged: bool) -> tuple[float, float]:
    """A judged ceiling pays for the judge's sensitivity: half of alpha, and a limit shrunk by it."""
    assert requirement.limit is not None  # noqa: S101 - floors, ceilings and margins have one
    if judged and requirement.purpose == "ceiling":
        return requirement.limit * ASSUMED_SENSITIVITY, requirement.alpha / 2
    return requirement.limit, requirement.alpha


def _wanted(requirement: Requirement, rate: float | None, *, judged: bool) -> tuple[int, str | None]:
    purpose, power = requirement.purpose, requirement.power
    if purpose == "quantile":
        assert requirement.quantile is not None  # noqa: S101 - latency checks have one
        return math.ceil(QUANTILE_SLACK * quantile_n_for_bound(requirement.quantile, 1 - requirement.alpha)), None
    if purpose not in ("floor", "ceiling", "margin") or rate is None:
        return 0, None
    if not 0 <= rate <= 1:
        raise InputError(f"the expected rate {rate:g} is no rate", do="expect a number between 0 and 1")
    limit, alpha = _limit_and_alpha(requirement, judged=judged)
    if purpose == "margin":
        estimate = _about_for_margin(abs(limit), rate, alpha, power)
        if estimate > LARGEST_EXACT_SIZE:
            return LARGEST_EXACT_SIZE, f"a margin of {abs(limit):.3g} takes about {estimate:.2g} prompts"
        return size_for_margin(abs(limit), rate, alpha=alpha, power=power), None
    direction: Literal["floor", "ceiling"] = "floor" if purpose == "floor" else "ceiling"
    if (rate <= limit) if direction == "floor" else (rate >= limit):
        return 0, f"the expected rate {rate:.3g} does not meet the limit {limit:.3g}: no sample size will pass it"
    estimate = _about_for_limit(limit, rate, alpha, power)
    if estimate > LARGEST_EXACT_SIZE:
        near = f"the expected rate {rate:.6g} is so near the limit {limit:.6g}"
        return LARGEST_EXACT_SIZE, f"{near} that about {estimate:.2g} prompts are wanted"
    return size_for_limit(limit, rate, direction=direction, alpha=alpha, power=power), None


def _about_for_limit(limit: float, rate: float, alpha: float, power: float) -> float:
    """First estimate of `size_for_limit`: ((z_a sd(limit) + z_b sd(rate)) / distance)^2, at least what a sample
    without a single failure takes.

    Chow, Shao, Wang and Lokhnygina, Sample Size Calculations in Clinical Research (3rd ed., 2018), chapter 4.
    """
    z_alpha, z_power = -float(special.ndtri(alpha)), max(0.0, float(special.ndtri(power)))
    spread = z_alpha * math.sqrt(limit * (1 - limit)) + z_power * math.sqrt(rate * (1 - rate))
    failing = 1 - limit if rate > limit else limit
    without_failures = math.log(alpha) / math.log1p(-failing)
    return max((spread / (rate - limit)) ** 2, without_failures)


def _about_for_margin(margin: float, discordance: float, alpha: float, power: float) -> float:
    """First estimate of `size_for_margin`: (z_a + z_b)^2 psi / margin^2, at least z_a^2 / margin where nothing differs.

    Chow et al. (2018), chapter 4; the second term is the variance that Tango's interval keeps without discordance.
    """
    z_alpha, z_power = -float(special.ndtri(alpha)), float(special.ndtri(power))
    return max((z_alpha + z_power) ** 2 * discordance / margin**2, z_alpha**2 / margin)


def _ordered(prompt_set: PromptSet, seed: int) -> list[Prompt]:
    by_id = {p.id: p for p in prompt_set.prompts}
    return [by_id[i] for i in draw_order(prompt_set, seed)]


def _prefix(
    order: list[Prompt], prompt_set: PromptSet, requirements: Sequence[Requirement], cells: Sequence[PlannedCell]
) -> list[Prompt]:
    """The shortest prefix of the order in which every cell about scored answers has its n."""
    length = 0
    for requirement, cell in zip(requirements, cells, strict=True):
        if cell.purpose == "quantile" or cell.n == 0:
            continue
        hits = [i for i, prompt in enumerate(order) if matches(requirement, prompt_set, prompt)]
        if hits:
            length = max(length, hits[min(cell.n, len(hits)) - 1] + 1)
    return order[:length] if length else order


def _with_sample(
    cell: PlannedCell, requirement: Requirement, chosen: Sequence[tuple[PromptSet, Prompt]], *, judged: bool
) -> PlannedCell:
    """The cell with the number of prompts really drawn, and the power that gives."""
    if cell.purpose == "quantile":
        return cell.model_copy(update={"n": cell.n_wanted})
    n = sum(matches(requirement, s, p) for s, p in chosen)
    power = _power(requirement, cell.rate, n, judged=judged)
    notes = [] if cell.note is None else [cell.note]
    if n < cell.n_wanted:
        wanted = f"{cell.n_wanted} prompts wanted" if cell.note is None else "prompts wanted"
        notes.append(f"the sets hold {cell.n_available} of the {wanted}")
    return cell.model_copy(update={"n": n, "power": power, "note": "; ".join(notes) or None})


def _power(requirement: Requirement, rate: float | None, n: int, *, judged: bool) -> float | None:
    if rate is None or requirement.limit is None or n == 0:
        return None
    limit, alpha = _limit_and_alpha(requirement, judged=judged)
    if requirement.purpose == "margin":
        return power_for_margin(n, abs(limit), rate, alpha=alpha)
    if requirement.purpose == "floor":
        return power_for_limit(n, limit, rate, direction="floor", alpha=alpha)
    if requirement.purpose == "ceiling":
        return power_for_limit(n, limit, rate, direction="ceiling", alpha=alpha)
    return None


def _latency(inputs: PlanInputs) -> LatencyLoad | None:
    if inputs.latency is None:
        return None
    least = [
        math.ceil(QUANTILE_SLACK * quantile_n_for_bound(r.quantile, 1 - r.alpha))
        for r in inputs.requirements
        if r.purpose == "quantile" and r.quantile is not None
    ]
    wanted = max([inputs.latency.requests_per_bucket, *least])
    return inputs.latency.model_copy(update={"requests_per_bucket": wanted})
