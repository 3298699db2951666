"""From checks to planned cells: sizes for one power, what the strata then hold, labels, looks, and the power of each.

A check may rest on more than its size where other checks ask for those prompts anyway, until it is nearly certain.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from evalharness.allocating import Allocation, Draw
from evalharness.cell_design import CellDesign
from evalharness.cell_sizes import CellSize, least, size_for
from evalharness.judge_error import JudgedFloor, JudgeError
from evalharness.label_sizes import LEAST_OWN_LABELS, LabelNeeds
from evalharness.plan import PlannedCell, PlannedSet, Requirement
from evalharness.plan_inputs import Expected, PlanInputs
from evalharness.statistics import power_for_limit
from evalharness.stopping import Stopping
from golden_sets.errors import InputError
from golden_sets.records import SetKind

CERTAIN = 0.995
"""Power up to which a check takes prompts that are asked anyway."""


@dataclass(frozen=True)
class Draft:
    """One check on its way to a planned cell."""

    design: CellDesign
    """What it needs."""
    stage: int
    """The latest stage of its sets."""
    draw: Draw
    """What the sets hold for it."""
    judged: tuple[str, ...]
    """The sets it is about that a judge scores."""
    note: str | None
    """What is known about its rate and its judge."""

    @property
    def measures_judge(self) -> bool:
        """Whether it is about the judge's own error."""
        return self.design.requirement.purpose == "calibration"


def draft_of(
    requirement: Requirement, inputs: PlanInputs, sets: Mapping[str, PlannedSet], allocation: Allocation
) -> Draft:
    """A check with the prompts that the sets hold for it.

    Raises:
        InputError: they hold none.
    """
    expected = Expected(*inputs.expected(requirement))
    mine = {
        name: planned
        for name, planned in sets.items()
        if requirement.set_kind in (None, planned.kind) and requirement.set_name in (None, name)
    }
    judged = tuple(n for n, planned in mine.items() if requirement.rubric is not None or inputs.judges_set(n, planned))
    judge = None
    if judged and requirement.set_kind is not None and requirement.basis != "requests":
        judge = inputs.judges.get(requirement.set_kind.value, JudgeError())
    design = CellDesign(requirement, expected.rate, expected.source, inputs.looks, judge, expected.level)
    draw = allocation.draw(_cell(design))
    if not len(draw):
        text = ", ".join(f"{k}={v}" for k, v in requirement.cell.items()) or "every prompt"
        raise InputError(
            f"check '{requirement.check}' matches no prompt of the sets ({text})",
            do="add such prompts, or take the check out of the policy",
        )
    told = judge is not None and (design.sized or requirement.purpose == "calibration")
    note = _joined(expected.note, judge.note if judge is not None and told else None)
    return Draft(design, max(planned.stage for planned in mine.values()), draw, judged, note)


def cells_for(
    drafts: Sequence[Draft], power: float, allocation: Allocation, inputs: PlanInputs
) -> tuple[list[PlannedCell], dict[str, int]]:
    """The cells with every check sized for ``power``, and the labels per arm of each judged set.

    The allocation then holds what they ask.

    Raises:
        InputError: a check that cannot be sized.
    """
    allocation.reset()
    sized = [_sized(draft, power, inputs) for draft in drafts]
    for draft, (cell, _) in zip(drafts, sized, strict=True):
        if cell.basis == "sample" and cell.n:
            allocation.ask(draft.draw, cell.n)
    allocation.fill(1.0 if inputs.share is None else inputs.share)
    for draft, (cell, _) in zip(drafts, sized, strict=True):
        if cell.basis == "requests" and cell.n:
            allocation.extend(draft.draw, cell.n)
    asked = allocation.by_set(allocation.counts)
    labels = _labels(drafts, sized, allocation, asked, inputs)
    cells = [
        _calibrating(draft, cell, size, labels)
        if draft.measures_judge
        else _settled(draft, cell, size, allocation, asked, labels)
        for draft, (cell, size) in zip(drafts, sized, strict=True)
    ]
    return cells, labels


def _sized(draft: Draft, power: float, inputs: PlanInputs) -> tuple[PlannedCell, CellSize]:
    """A cell with the prompts it wants: at its share of the power, or of the budget."""
    design = draft.design.with_power(power) if draft.design.sized else draft.design
    requirement = design.requirement
    try:
        fixed = _judge_size(draft, power) if draft.measures_judge else design.fixed_size()
        wanted = design.size(fixed.n)
    except InputError as error:
        raise InputError(f"check '{requirement.check}': {error.what}", where=error.where, do=error.do) from error
    if requirement.basis == "requests":
        wanted = math.ceil(wanted / inputs.repeats)
    n = wanted
    if inputs.share is not None and design.sized:
        n = min(wanted, max(least(requirement), math.ceil(inputs.share * wanted)))
    sized = design.sized and wanted > 0
    cell = _cell(design).model_copy(
        update={
            "stage": draft.stage,
            "n_available": len(draft.draw),
            "n_wanted": wanted,
            "n_fixed": fixed.n if sized else 0,
            "n": n,
            "labels_wanted": math.ceil(fixed.labels * wanted / fixed.n) if fixed.n else 0,
            "power_wanted": power if sized or (draft.measures_judge and fixed.n) else None,
            "note": _joined(draft.note, fixed.note),
        }
    )
    return cell, fixed


def _labels(
    drafts: Sequence[Draft],
    sized: Sequence[tuple[PlannedCell, CellSize]],
    allocation: Allocation,
    asked: Mapping[str, int],
    inputs: PlanInputs,
) -> dict[str, int]:
    """Labels per arm of each set that a judge scores."""
    needs = LabelNeeds()
    for draft, (cell, size) in zip(drafts, sized, strict=True):
        short = cell.n < cell.n_wanted or cell.n_available < cell.n_wanted
        if draft.design.corrects_rate:
            needs.share(draft.judged, 1.0 if short else _share_of_rate(draft, cell, size, allocation))
        elif cell.purpose == "margin" and size.labels:
            needs.share(draft.judged, 1.0 if short else size.labels / size.n)
        elif size.labels:
            needs.count(draft.judged, size.labels)
    judged = {name for draft in drafts for name in draft.judged}
    return needs.labels({name: asked[name] for name in asked if name in judged}, inputs.labels_per_arm)


def _share_of_rate(draft: Draft, cell: PlannedCell, size: CellSize, allocation: Allocation) -> float:
    """The share of a judged rate's answers that must be labelled: the more answers, the fewer labels it takes."""
    there = allocation.reach(draft.draw)
    n = there if cell.n_wanted == 0 else min(there, max(cell.n, _certain(draft.design, cell, size)))
    share = LEAST_OWN_LABELS / max(1, n)
    corrected = draft.design.corrected
    if isinstance(corrected, JudgedFloor) and size.labels and cell.power_wanted is not None:
        once = max(size.n, n * size.n // cell.n_wanted)  # of a plan with a single look
        share = max(share, (corrected.labels(once, cell.power_wanted) or size.labels) / once)
    return share


def _settled(
    draft: Draft,
    cell: PlannedCell,
    size: CellSize,
    allocation: Allocation,
    asked: Mapping[str, int],
    labels: Mapping[str, int],
) -> PlannedCell:
    """The cell with the prompts and labels it rests on, its looks, and the power that gives."""
    design = draft.design if cell.power_wanted is None else draft.design.with_power(cell.power_wanted)
    if cell.basis == "end":
        return cell.model_copy(update={"n": cell.n_wanted})
    there = allocation.reach(draft.draw) if cell.basis == "sample" else allocation.asked_of(draft.draw)
    n = there if cell.n_wanted == 0 else min(there, max(cell.n, _certain(design, cell, size)))
    own = 0
    if design.corrected is not None:
        taken = allocation.by_set(allocation.taken(draft.draw, n))
        own = sum(math.floor(labels[name] * taken[name] / max(1, asked[name])) for name in draft.judged)
        design = design.with_labels(own)
    missing = None
    if cell.n_available < cell.n_wanted:
        wanted = f"{cell.n_wanted} prompts wanted" if size.note is None else "prompts wanted"
        missing = f"the sets hold {cell.n_available} of the {wanted}"
    power = design.power(n)
    alike = None
    if power is not None and (worth := _clusters(draft.draw, n)) < n:
        alike = f"in clusters worth {worth} prompts if their answers are alike: power {design.power(worth):.2f} then"
    return cell.model_copy(
        update={
            "n": n,
            "labels": own,
            "looks": design.sizes_at(n),
            "power": None if power is None else round(power, 6),
            "note": _joined(cell.note, missing, alike),
        }
    )


def _clusters(draw: Draw, n: int) -> int:
    """Kish's effective number of clusters of a sample: n^2 over the sum of their squared sizes."""
    sizes = np.bincount(draw.units[:n])
    return int(n**2 / np.square(sizes, dtype=np.float64).sum() + 1e-9)


def course_of(draft: Draft, cell: PlannedCell, effect: float = 1.0) -> Stopping | None:
    """The course of a planned check at a multiple of the distance it was sized for; None: it is not looked at."""
    if not cell.looks:
        return None
    design = draft.design.with_labels(cell.labels)
    return (design if cell.power_wanted is None else design.with_power(cell.power_wanted)).stopping(cell.n, effect)


def _certain(design: CellDesign, cell: PlannedCell, size: CellSize) -> int:
    """Prompts with which a check is nearly sure to pass: more are of no use to it."""
    if not design.sized or cell.power_wanted is None or cell.power_wanted >= CERTAIN:
        return cell.n_wanted
    return max(cell.n_wanted, math.ceil(design.with_power(CERTAIN).fixed_size().n * cell.n_wanted / size.n))


def _judge_size(draft: Draft, power: float) -> CellSize:
    """Labelled answers that proving the judge's own rate takes, and labels of a run among which there are as many."""
    requirement, judge = draft.design.requirement, draft.design.judge
    if judge is None or requirement.limit is None:
        return CellSize(0)
    rate, share = _judge_rate(requirement, judge), _share_of_run(draft)
    floor = requirement.model_copy(update={"purpose": "floor", "power": power})
    found = size_for(floor, rate)
    if share is None or found.n == 0:
        return found
    return CellSize(found.n, math.ceil(found.n / share), found.note)


def _calibrating(draft: Draft, cell: PlannedCell, size: CellSize, labels: Mapping[str, int]) -> PlannedCell:
    """A check of the judge's own error, with the labelled answers it will rest on (``n`` counts those)."""
    requirement, judge = draft.design.requirement, draft.design.judge
    if judge is None or requirement.limit is None:
        return cell.model_copy(update={"n_wanted": 0, "n": 0})
    share = _share_of_run(draft)
    drawn = sum(labels[name] for name in draft.judged)
    n = judge.positives if share is None else math.floor(share * drawn)
    rate = _judge_rate(requirement, judge)
    power = None
    if size.n:
        power = power_for_limit(n, requirement.limit, rate, direction="floor", alpha=requirement.alpha) if n else 0.0
    kind = "positive controls" if share is None else "labelled answers of that class"
    told = f"{kind}: {n} of {size.n} wanted" if size.n else None
    return cell.model_copy(
        update={
            "rate": rate,
            "rate_source": {"measured": "incumbent", "stated": "policy", "assumed": "assumed"}[judge.source],
            "n": n,
            "n_available": n if share is None else cell.n_available,
            "labels": 0 if share is None else drawn,
            "power": None if power is None else round(power, 6),
            "note": _joined(cell.note, told),
        }
    )


def _judge_rate(requirement: Requirement, judge: JudgeError) -> float:
    return judge.sensitivity if requirement.metric == "judge_sensitivity" else judge.specificity


def _share_of_run(draft: Draft) -> float | None:
    """Share of a run's labelled answers that are of the class a judge's rate is about; None: controls show it."""
    requirement = draft.design.requirement
    about_events = requirement.metric == "judge_sensitivity"
    if requirement.set_kind is not SetKind.GOLDEN:
        return None if about_events else 1.0
    return draft.design.level if about_events else round(1 - draft.design.level, 9)


def _cell(design: CellDesign) -> PlannedCell:
    requirement = design.requirement
    return PlannedCell(
        check=requirement.check,
        purpose=requirement.purpose,
        metric=requirement.metric,
        set_kind=requirement.set_kind,
        set_name=requirement.set_name,
        rubric=requirement.rubric,
        cell=requirement.cell,
        rate=design.rate,
        rate_source=design.rate_source,
        basis=requirement.basis,
        n_wanted=0,
        n_available=0,
        n=0,
    )


def _joined(*notes: str | None) -> str | None:
    return "; ".join(note for note in notes if note) or None
