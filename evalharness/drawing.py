"""Which prompts a check rests on: its own sample, drawn from the strata of a plan in a committed order.

A plan sizes every cell by its own base rate, so the strata of a set are asked unequally. A number pooled over strata must
not change with that. Therefore each check takes its strata in proportion to their declared weights: the j-th prompt of
a stratum with weight w stands at position (j + 1/2) / w, and the check's sample is all its prompts by position, up to
the point where one of its strata runs out. Every prefix of that sample is a proportional stratified sample (Cochran,
Sampling Techniques (1977), 5.5), so intervals for independent observations hold (they are a little too wide), and looks
at growing prefixes estimate the same number.
"""

from __future__ import annotations

from collections.abc import Iterable

from evalharness.plan import Plan, PlannedCell, PlannedSet, Stratum
from golden_sets.errors import InputError

PromptId = tuple[str, str]
"""Name of the set, id of the prompt."""


def sample_of(plan: Plan, cell: PlannedCell) -> tuple[PromptId, ...]:
    """The prompts of a cell's check in the order in which it takes them, at most ``cell.n`` unless it is not sized."""
    members = list(strata_of(plan.sets, cell))
    drawn = merged(members)
    return drawn[: cell.n] if cell.n else drawn


def strata_of(sets: dict[str, PlannedSet], cell: PlannedCell) -> Iterable[tuple[str, Stratum]]:
    """The strata that belong to a check's cell, with the names of their sets."""
    for name, planned in sorted(sets.items()):
        if cell.set_kind not in (None, planned.kind) or cell.set_name not in (None, name):
            continue
        for stratum in planned.strata:
            if all(stratum.cell.get(key) == value for key, value in cell.cell.items()):
                yield name, stratum


def merged(members: Iterable[tuple[str, Stratum]]) -> tuple[PromptId, ...]:
    """Prompts of several strata in proportion to their weights, up to where the first of them runs out."""
    strata = list(members)
    if not strata:
        return ()
    end = min(len(stratum.prompts) / stratum.weight for _, stratum in strata)
    places = [
        ((j + 0.5) / stratum.weight, name, index, prompt)
        for index, (name, stratum) in enumerate(strata)
        for j, prompt in enumerate(stratum.prompts)
    ]
    return tuple((name, prompt) for place, name, _, prompt in sorted(places) if place <= end)


def require_looks(cell: PlannedCell) -> None:
    """A cell's looks must grow to its n.

    Raises:
        InputError: they do not.
    """
    if cell.looks and (list(cell.looks) != sorted(cell.looks) or cell.looks[-1] != cell.n):
        raise InputError(f"check '{cell.check}': looks {cell.looks} do not grow to n = {cell.n}", do="plan again")
