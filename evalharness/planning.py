"""The planner: every cell sized by its own base rate and purpose, for the joint power of all checks.

Every check has its own committed sample (`evalharness.drawing`); what is asked of a stratum is what the longest of
those samples takes from it (`evalharness.allocating`). A check may rest on more than its size where other checks ask
for those prompts anyway. The joint power is the product over the checks, so all are sized for one power each, the least
with which the product reaches the policy's: what cells that are asked anyway have to spare, costly ones save.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from evalharness.allocating import Allocation, stratified
from evalharness.averages import Demand, expected_prompts
from evalharness.cell_design import RateSource
from evalharness.cell_sizes import SIZED, size_for
from evalharness.plan import LatencyLoad, Looks, Plan, PlannedCell, PlannedSet
from evalharness.plan_inputs import Expected, ExpectedRate, PlanInputs
from evalharness.planned_cells import Draft, cells_for, course_of, draft_of
from golden_sets.records import PromptSet

__all__ = ["Expected", "ExpectedRate", "PlanInputs", "RateSource", "joint_power", "make_plan", "naive_total"]

ASSUMED_DISCORDANCE = 0.15
"""Share of prompts on which two versions of a model differ, where nothing is known."""
CLEAR = 2.0
"""A clearly better candidate: so many times as far from the limit as a check is sized for."""
_POWERS = (*(round(0.5 + 0.005 * step, 3) for step in range(100)), 0.999)
"""Powers that a check may be sized for: few, because looks are designed anew for each."""


def make_plan(inputs: PlanInputs) -> Plan:
    """Size every cell and choose the prompts.

    Raises:
        InputError: a requirement that matches no prompt, or whose numbers cannot be sized (the check is named), or
            weights that do not fit their set.
    """
    sets = {s.name: _stratified(s, inputs) for s in inputs.sets}
    units = {(s.name, p.id): p.unit for s in inputs.sets for p in s.prompts if p.cluster is not None}
    allocation = Allocation(sets, inputs.seed, units)
    drafts = [draft_of(requirement, inputs, sets, allocation) for requirement in inputs.requirements]
    cells, labels = _for_joint_power(drafts, allocation, inputs)
    cells, average, clear = _with_averages(drafts, cells, allocation)
    return Plan(
        name=inputs.name,
        lineage=inputs.lineage,
        policy_digest=inputs.policy_digest,
        sets={
            name: planned.model_copy(update={"labels_per_arm": labels.get(name, 0)})
            for name, planned in allocation.planned().items()
        },
        incumbent_digest=inputs.incumbent_digest,
        anchor_digest=inputs.anchor_digest,
        judge_digest=inputs.judge_digest,
        alpha=inputs.alpha,
        attempt=inputs.attempt,
        looks=inputs.looks,
        joint_power=inputs.joint_power,
        repeats=inputs.repeats,
        seed=inputs.seed,
        cells=tuple(cells),
        labels_per_arm=max(labels.values(), default=0),
        expected_prompts=average,
        expected_prompts_clear=clear,
        latency=_latency(inputs),
        inputs=inputs.also,
    )


def joint_power(cells: Sequence[PlannedCell]) -> float:
    """Chance that every sized check passes at the expected rates: their powers multiply. One that cannot pass: 0."""
    return math.prod(cell.power or 0.0 for cell in cells if cell.purpose in SIZED or cell.power is not None)


def naive_total(cells: Sequence[PlannedCell]) -> int:
    """What one size for all would take: the largest cell's n in every cell that is about scored answers."""
    sized = [c.n_wanted for c in cells if c.purpose in SIZED]
    return max(sized) * len(sized) if sized else 0


@dataclass(frozen=True)
class _Sized:
    """All checks sized for one power."""

    cells: list[PlannedCell]
    labels: dict[str, int]
    counts: NDArray[np.int64]


def _for_joint_power(
    drafts: Sequence[Draft], allocation: Allocation, inputs: PlanInputs
) -> tuple[list[PlannedCell], dict[str, int]]:
    """The cells, all sized for the least power each with which the joint power is reached, and labels by set.

    Where the sets do not hold enough for it, every check is sized for an equal part of it, and the power left is said.
    """
    found = _search(drafts, allocation, inputs)
    allocation.counts = found.counts
    return found.cells, found.labels


def _search(drafts: Sequence[Draft], allocation: Allocation, inputs: PlanInputs) -> _Sized:
    def sized(which: Sequence[Draft], power: float) -> _Sized:
        cells, labels = cells_for(which, power, allocation, inputs)
        return _Sized(cells, labels, allocation.counts)

    def enough(found: _Sized) -> bool:
        return joint_power(found.cells) >= inputs.joint_power

    equal = max((d.design.requirement.power for d in drafts if d.design.sized), default=inputs.joint_power)
    if inputs.share is not None or not any(d.design.sized for d in drafts):
        return sized(drafts, equal)
    # Looks change sizes, hardly powers: one look, which is quick, tells where to start.
    once = [replace(draft, design=replace(draft.design, looks=Looks())) for draft in drafts]
    low, high = 0, len(_POWERS) - 1
    if not enough(sized(once, _POWERS[high])):
        return sized(drafts, equal)
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(sized(once, _POWERS[middle])) else (middle + 1, high)
    steps = {*_POWERS[low : low + 2], *_POWERS[low + 2 :: 3], max(_POWERS[low], round(equal, 6))}
    for count, power in enumerate(sorted(steps)):
        found = sized(drafts, power)
        if enough(found):
            return found
        if count == 1 and not enough(sized(drafts, _POWERS[-1])):
            break
    return sized(drafts, equal)


def _with_averages(
    drafts: Sequence[Draft], cells: Sequence[PlannedCell], allocation: Allocation
) -> tuple[list[PlannedCell], float | None, float | None]:
    """The cells with what they take on average, and what the plan does: at the expected rates, and twice as clear."""
    columns: dict[float, list[float | None]] = {}
    totals: dict[float, float | None] = {}
    for effect in (1.0, CLEAR):
        courses = [course_of(draft, cell, effect) for draft, cell in zip(drafts, cells, strict=True)]
        columns[effect] = [None if course is None else round(course.expected_n, 1) for course in courses]
        demands = [
            Demand(np.minimum([allocation.taken(draft.draw, n) for n in course.sizes], allocation.counts), course.ends)
            for draft, course in zip(drafts, courses, strict=True)
            if course is not None
        ]
        totals[effect] = round(expected_prompts(demands, allocation.counts), 1) if demands else None
    found = [
        cell.model_copy(update={"expected_n": average, "expected_n_clear": clear})
        for cell, average, clear in zip(cells, columns[1.0], columns[CLEAR], strict=True)
    ]
    return found, totals[1.0], totals[CLEAR]


def _stratified(prompt_set: PromptSet, inputs: PlanInputs) -> PlannedSet:
    about = [
        r
        for r in inputs.requirements
        if r.set_kind in (None, prompt_set.kind) and r.set_name in (None, prompt_set.name)
    ]
    return stratified(
        prompt_set,
        {key for r in about for key in r.cell},
        seed=inputs.seed,
        stage=inputs.stages.get(prompt_set.name, 1),
        declared=inputs.weights.get(prompt_set.name, ()),
    )


def _latency(inputs: PlanInputs) -> LatencyLoad | None:
    if inputs.latency is None:
        return None
    needed = [size_for(r, None).n for r in inputs.requirements if r.purpose == "quantile"]
    wanted = max([inputs.latency.requests_per_bucket, *needed])
    return inputs.latency.model_copy(update={"requests_per_bucket": wanted})
