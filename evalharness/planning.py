"""The planner: every cell sized by its own base rate and purpose, for the joint power of all checks.

Every check has its own committed sample (`evalharness.drawing`); what is asked of a stratum is what the longest of
those samples takes from it (`evalharness.allocating`). A check may rest on more than its size where other checks ask
for those prompts anyway. The joint power is the product over the checks, so all are sized for one power each, the least
with which the product reaches the policy's: what cells that are asked anyway have to spare, costly ones save.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

from evalharness.allocating import Allocation, DeclaredWeight, Draw, stratified
from evalharness.averages import Demand, expected_prompts
from evalharness.cell_design import CellDesign, JudgeError, RateSource
from evalharness.cell_sizes import SIZED, least, size_for
from evalharness.plan import LatencyLoad, Looks, Plan, PlannedCell, PlannedSet, Requirement
from golden_sets.digests import Digest
from golden_sets.errors import InputError
from golden_sets.records import PromptSet


class Expected(NamedTuple):
    """The rate to expect in a cell."""

    rate: float | None
    """The rate (discordance for a margin); None: unknown."""
    source: RateSource
    """Where it comes from."""
    note: str | None = None
    """What a person should know about it."""


ExpectedRate = Callable[[Requirement], Expected | tuple[float | None, RateSource]]
"""Tells the rate to expect of a requirement's cell, and where that number comes from."""

ASSUMED_DISCORDANCE = 0.15
"""Share of prompts on which two versions of a model differ, where nothing is known."""
CLEAR = 2.0
"""A clearly better candidate: so many times as far from the limit as a check is sized for."""
CERTAIN = 0.995
"""Power up to which a check takes prompts that are asked anyway."""
_POWERS = (*(round(0.5 + 0.005 * step, 3) for step in range(100)), 0.999)
"""Powers that a check may be sized for: few, because looks are designed anew for each."""


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
    judges: Mapping[str, JudgeError] = field(default_factory=dict)
    """What is known of the judge's error, by kind of set; assumed where a kind is not named."""
    anchor_digest: Digest | None = None
    attempt: int = 1
    looks: Looks = field(default_factory=Looks)
    stages: Mapping[str, int] = field(default_factory=dict)
    """Stage of each set by name; 1 where it is not named."""
    weights: Mapping[str, Sequence[DeclaredWeight]] = field(default_factory=dict)
    """Declared weights by set; a set that is not named weighs its prompts alike."""
    share: float | None = None
    """For a budget: share of every size that is asked, though never less than a pass takes. None: what the joint power
    takes."""
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
    drafts = [_draft(requirement, inputs, sets, allocation) for requirement in inputs.requirements]
    cells = _for_joint_power(drafts, allocation, inputs)
    average, clear = (_expected_prompts(drafts, cells, allocation, effect) for effect in (1.0, CLEAR))
    return Plan(
        name=inputs.name,
        lineage=inputs.lineage,
        policy_digest=inputs.policy_digest,
        sets={name: _labelled(planned, inputs) for name, planned in allocation.planned().items()},
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
        labels_per_arm=inputs.labels_per_arm,
        expected_prompts=average,
        expected_prompts_clear=clear,
        latency=_latency(inputs),
        inputs=inputs.also,
    )


def joint_power(cells: Sequence[PlannedCell]) -> float:
    """Chance that every sized check passes at the expected rates: their powers multiply. One that cannot pass: 0."""
    return math.prod(cell.power or 0.0 for cell in cells if cell.purpose in SIZED)


def naive_total(cells: Sequence[PlannedCell]) -> int:
    """What one size for all would take: the largest cell's n in every cell that is about scored answers."""
    sized = [c.n_wanted for c in cells if c.purpose in SIZED]
    return max(sized) * len(sized) if sized else 0


@dataclass(frozen=True)
class _Draft:
    """One check on its way to a planned cell."""

    design: CellDesign
    stage: int
    draw: Draw
    note: str | None


def _draft(
    requirement: Requirement, inputs: PlanInputs, sets: Mapping[str, PlannedSet], allocation: Allocation
) -> _Draft:
    expected = Expected(*inputs.expected(requirement))
    kind = None if requirement.set_kind is None else requirement.set_kind.value
    judge = inputs.judges.get(kind, JudgeError()) if kind is not None and kind in inputs.judged_kinds else None
    design = CellDesign(requirement, expected.rate, expected.source, inputs.looks, judge)
    draw = allocation.draw(_cell(design))
    if not len(draw):
        text = ", ".join(f"{k}={v}" for k, v in requirement.cell.items()) or "every prompt"
        raise InputError(
            f"check '{requirement.check}' matches no prompt of the sets ({text})",
            do="add such prompts, or take the check out of the policy",
        )
    stage = max(
        planned.stage
        for name, planned in sets.items()
        if requirement.set_kind in (None, planned.kind) and requirement.set_name in (None, name)
    )
    return _Draft(design, stage, draw, expected.note)


def _for_joint_power(drafts: Sequence[_Draft], allocation: Allocation, inputs: PlanInputs) -> list[PlannedCell]:
    """The cells, all sized for the least power each with which the joint power is reached.

    Where the sets do not hold enough for it, every check is sized for an equal part of it, and the power left is said.
    """
    equal = max((d.design.requirement.power for d in drafts if d.design.sized), default=inputs.joint_power)
    if inputs.share is not None or not any(d.design.sized for d in drafts):
        return _cells(drafts, equal, allocation, inputs)

    # Looks change sizes, hardly powers: one look, which is quick, tells where to start.
    once = [replace(draft, design=replace(draft.design, looks=Looks())) for draft in drafts]

    def enough(which: Sequence[_Draft], power: float) -> bool:
        return joint_power(_cells(which, power, allocation, inputs)) >= inputs.joint_power

    if not enough(once, _POWERS[-1]):
        return _cells(drafts, equal, allocation, inputs)
    low, high = 0, len(_POWERS) - 1
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(once, _POWERS[middle]) else (middle + 1, high)
    least = _POWERS[low]
    for power in sorted({*_POWERS[low : low + 3], *_POWERS[low + 3 : low + 15 : 3], max(least, round(equal, 6))}):
        if enough(drafts, power):
            return _cells(drafts, power, allocation, inputs)
    return _cells(drafts, equal, allocation, inputs)


def _cells(drafts: Sequence[_Draft], power: float, allocation: Allocation, inputs: PlanInputs) -> list[PlannedCell]:
    """The cells with every check sized for ``power``; the allocation then holds what they ask."""
    allocation.reset()
    sized = [_sized(draft, power, inputs) for draft in drafts]
    for draft, cell in zip(drafts, sized, strict=True):
        if cell.basis == "sample" and cell.n:
            allocation.ask(draft.draw, cell.n)
    allocation.fill(1.0 if inputs.share is None else inputs.share)
    for draft, cell in zip(drafts, sized, strict=True):
        if cell.basis == "requests" and cell.n:
            allocation.extend(draft.draw, cell.n)
    return [_settled(draft, cell, allocation) for draft, cell in zip(drafts, sized, strict=True)]


def _sized(draft: _Draft, power: float, inputs: PlanInputs) -> PlannedCell:
    """A cell with the prompts it wants: at its share of the power, or of the budget."""
    design = draft.design.with_power(power) if draft.design.sized else draft.design
    requirement = design.requirement
    try:
        fixed = design.fixed_size()
        wanted = design.size(fixed.n)
    except InputError as error:
        raise InputError(f"check '{requirement.check}': {error.what}", where=error.where, do=error.do) from error
    if requirement.basis == "requests":
        wanted = math.ceil(wanted / inputs.repeats)
    n = wanted
    if inputs.share is not None and design.sized:
        n = min(wanted, max(least(requirement), math.ceil(inputs.share * wanted)))
    sized = design.sized and wanted > 0
    return _cell(design).model_copy(
        update={
            "stage": draft.stage,
            "n_available": len(draft.draw),
            "n_wanted": wanted,
            "n_fixed": fixed.n if sized else 0,
            "n": n,
            "power_wanted": power if sized else None,
            "note": "; ".join(note for note in (draft.note, fixed.note) if note) or None,
        }
    )


def _settled(draft: _Draft, cell: PlannedCell, allocation: Allocation) -> PlannedCell:
    """The cell with the prompts it rests on, its looks, and the power that gives."""
    design = draft.design if cell.power_wanted is None else draft.design.with_power(cell.power_wanted)
    if cell.basis == "end":
        return cell.model_copy(update={"n": cell.n_wanted})
    there = allocation.reach(draft.draw) if cell.basis == "sample" else allocation.asked_of(draft.draw)
    n = there if cell.n_wanted == 0 else min(there, max(cell.n, _certain(design, cell)))
    notes = [] if cell.note is None else [cell.note]
    if cell.n_available < cell.n_wanted:
        wanted = f"{cell.n_wanted} prompts wanted" if cell.note is None else "prompts wanted"
        notes.append(f"the sets hold {cell.n_available} of the {wanted}")
    course, clear = design.stopping(n), design.stopping(n, CLEAR)
    return cell.model_copy(
        update={
            "n": n,
            "looks": design.sizes_at(n),
            "power": None if course is None else round(course.power, 6),
            "expected_n": None if course is None else round(course.expected_n, 1),
            "expected_n_clear": None if clear is None else round(clear.expected_n, 1),
            "note": "; ".join(notes) or None,
        }
    )


def _expected_prompts(
    drafts: Sequence[_Draft], cells: Sequence[PlannedCell], allocation: Allocation, effect: float
) -> float | None:
    demands = []
    for draft, cell in zip(drafts, cells, strict=True):
        design = draft.design if cell.power_wanted is None else draft.design.with_power(cell.power_wanted)
        course = design.stopping(cell.n, effect) if cell.looks else None
        if course is not None:
            counts = np.array([allocation.taken(draft.draw, n) for n in cell.looks])
            demands.append(Demand(np.minimum(counts, allocation.counts), course.ends))
    return round(expected_prompts(demands, allocation.counts), 1) if demands else None


def _certain(design: CellDesign, cell: PlannedCell) -> int:
    """Prompts with which a check is nearly sure to pass: more are of no use to it."""
    if not design.sized or cell.power_wanted is None or cell.power_wanted >= CERTAIN:
        return cell.n_wanted
    return max(cell.n_wanted, math.ceil(design.with_power(CERTAIN).fixed_size().n * cell.n_wanted / cell.n_fixed))


def _cell(design: CellDesign) -> PlannedCell:
    requirement = design.requirement
    return PlannedCell(
        check=requirement.check,
        purpose=requirement.purpose,
        metric=requirement.metric,
        set_kind=requirement.set_kind,
        set_name=requirement.set_name,
        cell=requirement.cell,
        rate=design.rate,
        rate_source=design.rate_source,
        basis=requirement.basis,
        n_wanted=0,
        n_available=0,
        n=0,
    )


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


def _labelled(planned: PlannedSet, inputs: PlanInputs) -> PlannedSet:
    if planned.kind.value not in inputs.judged_kinds:
        return planned
    asked = sum(len(stratum.prompts) for stratum in planned.strata)
    return planned.model_copy(update={"labels_per_arm": min(inputs.labels_per_arm, asked)})


def _latency(inputs: PlanInputs) -> LatencyLoad | None:
    if inputs.latency is None:
        return None
    needed = [size_for(r, None).n for r in inputs.requirements if r.purpose == "quantile"]
    wanted = max([inputs.latency.requests_per_bucket, *needed])
    return inputs.latency.model_copy(update={"requests_per_bucket": wanted})
