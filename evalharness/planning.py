"""The planner: every cell sized by its own base rate and purpose, for the joint power of all checks.

Every check has its own committed sample (`evalharness.drawing`); what is asked of a stratum is what the longest of
those samples takes from it (`evalharness.allocating`).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from evalharness import cell_sizes
from evalharness.allocating import Allocation, DeclaredWeight, stratified
from evalharness.drawing import merged, strata_of
from evalharness.plan import LatencyLoad, Looks, Plan, PlannedCell, PlannedSet, Requirement
from golden_sets.digests import Digest
from golden_sets.errors import InputError
from golden_sets.records import Prompt, PromptSet

RateSource = Literal["incumbent", "policy", "assumed", "none"]
ExpectedRate = Callable[[Requirement], tuple[float | None, RateSource]]
"""Tells the rate to expect of a requirement's cell (discordance for a margin), and where that number comes from."""

ASSUMED_DISCORDANCE = 0.15
"""Share of prompts on which two versions of a model differ, where nothing is known."""


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
    anchor_digest: Digest | None = None
    attempt: int = 1
    looks: Looks = field(default_factory=Looks)
    stages: Mapping[str, int] = field(default_factory=dict)
    """Stage of each set by name; 1 where it is not named."""
    weights: Mapping[str, Sequence[DeclaredWeight]] = field(default_factory=dict)
    """Declared weights by set; a set that is not named weighs its prompts alike."""
    also: Mapping[str, Any] = field(default_factory=dict)
    """Plain JSON: what else decides the numbers, see `Plan.inputs`."""


def make_plan(inputs: PlanInputs) -> Plan:
    """Size every cell and choose the prompts.

    Raises:
        InputError: a requirement that matches no prompt, or whose numbers cannot be sized (the check is named), or
            weights that do not fit their set.
    """
    sets = {s.name: _stratified(s, inputs) for s in inputs.sets}
    allocation = Allocation(sets, inputs.seed)
    cells = [_size(requirement, inputs, allocation) for requirement in inputs.requirements]
    for cell in cells:
        if cell.basis == "sample" and cell.n_wanted:
            allocation.ask(allocation.sample(cell)[: cell.n_wanted])
    allocation.fill()
    for cell in cells:
        if cell.basis == "requests" and cell.n_wanted:
            allocation.extend(cell, cell.n_wanted)
    planned = allocation.planned()
    return Plan(
        name=inputs.name,
        lineage=inputs.lineage,
        policy_digest=inputs.policy_digest,
        sets=planned,
        incumbent_digest=inputs.incumbent_digest,
        anchor_digest=inputs.anchor_digest,
        judge_digest=inputs.judge_digest,
        alpha=inputs.alpha,
        attempt=inputs.attempt,
        looks=inputs.looks,
        joint_power=inputs.joint_power,
        repeats=inputs.repeats,
        seed=inputs.seed,
        cells=tuple(_settled(c, r, planned, inputs) for c, r in zip(cells, inputs.requirements, strict=True)),
        labels_per_arm=inputs.labels_per_arm,
        latency=_latency(inputs),
        inputs=inputs.also,
    )


def matches(requirement: Requirement, prompt_set: PromptSet, prompt: Prompt) -> bool:
    """Whether a prompt belongs to a requirement's cell."""
    return _about(requirement, prompt_set) and all(prompt.dimensions.get(k) == v for k, v in requirement.cell.items())


def naive_total(cells: Sequence[PlannedCell]) -> int:
    """What one size for all would take: the largest cell's n in every cell that is about scored answers."""
    sized = [c.n_wanted for c in cells if c.purpose in cell_sizes.SIZED]
    return max(sized) * len(sized) if sized else 0


def _about(requirement: Requirement, prompt_set: PromptSet) -> bool:
    return requirement.set_kind in (None, prompt_set.kind) and requirement.set_name in (None, prompt_set.name)


def _stratified(prompt_set: PromptSet, inputs: PlanInputs) -> PlannedSet:
    keys = {key for r in inputs.requirements if _about(r, prompt_set) for key in r.cell}
    return stratified(
        prompt_set,
        keys,
        seed=inputs.seed,
        stage=inputs.stages.get(prompt_set.name, 1),
        declared=inputs.weights.get(prompt_set.name, ()),
    )


def _size(requirement: Requirement, inputs: PlanInputs, allocation: Allocation) -> PlannedCell:
    rate, source = inputs.expected(requirement)
    try:
        found = cell_sizes.size(requirement, rate, inputs.looks, judged=_judged(requirement, inputs))
    except InputError as error:
        raise InputError(f"check '{requirement.check}': {error.what}", where=error.where, do=error.do) from error
    sized = requirement.purpose in cell_sizes.SIZED and found.wanted > 0
    cell = PlannedCell(
        check=requirement.check,
        purpose=requirement.purpose,
        metric=requirement.metric,
        set_kind=requirement.set_kind,
        set_name=requirement.set_name,
        cell=requirement.cell,
        rate=rate,
        rate_source=source,
        basis=requirement.basis,
        stage=max([s.stage for s in _sets_of(requirement, allocation.full)], default=1),
        n_wanted=found.wanted,
        n_fixed=found.fixed if sized else 0,
        n_available=0,
        n=0,
        power_wanted=requirement.power if sized else None,
        note=found.note,
    )
    available = len(allocation.sample(cell))
    if available == 0:
        text = ", ".join(f"{k}={v}" for k, v in requirement.cell.items()) or "every prompt"
        raise InputError(
            f"check '{requirement.check}' matches no prompt of the sets ({text})",
            do="add such prompts, or take the check out of the policy",
        )
    return cell.model_copy(update={"n_available": available})


def _sets_of(requirement: Requirement, sets: Mapping[str, PlannedSet]) -> list[PlannedSet]:
    return [
        planned
        for name, planned in sets.items()
        if requirement.set_kind in (None, planned.kind) and requirement.set_name in (None, name)
    ]


def _judged(requirement: Requirement, inputs: PlanInputs) -> bool:
    return requirement.set_kind is not None and requirement.set_kind.value in inputs.judged_kinds


def _settled(
    cell: PlannedCell, requirement: Requirement, sets: Mapping[str, PlannedSet], inputs: PlanInputs
) -> PlannedCell:
    """The cell with the number of prompts it rests on, its looks, and the power that gives."""
    if cell.purpose == "quantile":
        return cell.model_copy(update={"n": cell.n_wanted})
    members = list(strata_of(sets, cell))
    there = len(merged(members, inputs.seed))
    if cell.basis == "requests":
        there = sum(len(stratum.prompts) for _, stratum in members)
    n = min(cell.n_wanted, there) if cell.n_wanted else there
    power = cell_sizes.power(requirement, cell.rate, n, inputs.looks, judged=_judged(requirement, inputs))
    notes = [] if cell.note is None else [cell.note]
    if n < cell.n_wanted:
        wanted = f"{cell.n_wanted} prompts wanted" if cell.note is None else "prompts wanted"
        notes.append(f"the sets hold {cell.n_available} of the {wanted}")
    return cell.model_copy(
        update={
            "n": n,
            "looks": () if cell.basis == "end" else _looks_at(n, inputs.looks),
            "power": power,
            "note": "; ".join(notes) or None,
        }
    )


def _looks_at(n: int, looks: Looks) -> tuple[int, ...]:
    """Sample size at each look; they never shrink, and the last is ``n``."""
    sizes = [min(n, math.ceil(fraction * n - 1e-9)) for fraction in looks.fractions[:-1]]
    return tuple(itertools.accumulate([*sizes, n], max))


def _latency(inputs: PlanInputs) -> LatencyLoad | None:
    if inputs.latency is None:
        return None
    least = [
        cell_sizes.size(r, None, inputs.looks, judged=False).wanted
        for r in inputs.requirements
        if r.purpose == "quantile"
    ]
    wanted = max([inputs.latency.requests_per_bucket, *least])
    return inputs.latency.model_copy(update={"requests_per_bucket": wanted})
