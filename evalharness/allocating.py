"""Strata: the prompts of a set by the cells they belong to, and how many of each a plan asks.

Every check takes its own proportional sample (`evalharness.drawing`), as long as its cell needs. What is asked of a
stratum is the longest part that any of those samples takes from it, so that rare cells with hard limits get many
prompts and common ones with easy limits few, and no pooled number changes with that.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from evalharness.drawing import PromptId, merged, strata_of
from evalharness.plan import PlannedCell, PlannedSet, Stratum
from golden_sets.errors import InputError
from golden_sets.order import draw_order
from golden_sets.records import PromptSet


@dataclass(frozen=True)
class DeclaredWeight:
    """What a project says that a group of a set's prompts counts in pooled numbers."""

    cell: Mapping[str, str]
    """The dimension values of the group."""
    weight: float
    """Its weight, relative to the other groups of the set."""
    where: str | None = None
    """``file:line``, for messages."""


def stratified(
    prompt_set: PromptSet,
    keys: Iterable[str],
    *,
    seed: int,
    stage: int = 1,
    declared: Sequence[DeclaredWeight] = (),
) -> PlannedSet:
    """A set by strata, every prompt planned: one stratum for each combination of the keys' values.

    Args:
        prompt_set: the set.
        keys: dimensions that make a difference to some check.
        seed: of the order in which the prompts of a stratum are drawn.
        stage: the set's stage.
        declared: weights of groups; a group's strata share its weight by their number of prompts. The set as a whole
            always weighs as much as it has prompts.

    Raises:
        InputError: a weight for no prompt, two for one, or none for some.
    """
    names = sorted({*keys, *(key for one in declared for key in one.cell)})
    prompts = {p.id: p for p in prompt_set.prompts}
    groups: dict[tuple[str, ...], list[str]] = {}
    for prompt_id in draw_order(prompt_set, seed):
        values = prompts[prompt_id].dimensions
        groups.setdefault(tuple(values.get(name, "") for name in names), []).append(prompt_id)
    cells = [{n: v for n, v in zip(names, values, strict=True) if v} for values in sorted(groups)]
    members = [tuple(groups[values]) for values in sorted(groups)]
    weights = _weights(prompt_set.name, cells, [len(m) for m in members], declared)
    return PlannedSet(
        kind=prompt_set.kind,
        set_digest=prompt_set.digest,
        stage=stage,
        strata=tuple(
            Stratum(cell=cell, weight=weight, available=len(ids), prompts=ids)
            for cell, weight, ids in zip(cells, weights, members, strict=True)
        ),
    )


@dataclass
class Allocation:
    """How many prompts of every stratum are asked, on the way to a plan."""

    full: Mapping[str, PlannedSet]
    """The sets by strata, every prompt planned."""
    seed: int
    """The plan's seed."""
    counts: dict[str, list[int]] = field(default_factory=dict)
    """Prompts asked of each stratum, by set."""

    def __post_init__(self) -> None:
        self.counts = self.counts or {name: [0] * len(planned.strata) for name, planned in self.full.items()}
        self._home = {
            (name, prompt): index
            for name, planned in self.full.items()
            for index, stratum in enumerate(planned.strata)
            for prompt in stratum.prompts
        }

    def sample(self, cell: PlannedCell) -> tuple[PromptId, ...]:
        """What the sets hold for a check: its own sample from all their prompts."""
        return merged(strata_of(self.full, cell), self.seed)

    def ask(self, sample: Iterable[PromptId]) -> None:
        """Make sure that everything in a prefix of a check's sample is asked."""
        taken: dict[tuple[str, int], int] = {}
        for name, prompt in sample:
            key = (name, self._home[name, prompt])
            taken[key] = taken.get(key, 0) + 1
        for (name, index), count in taken.items():
            self.counts[name][index] = max(self.counts[name][index], count)

    def fill(self) -> None:
        """Give strata that no sized check asks for as much, by weight, as the least asked one of their set has.

        In a set where nothing is asked for, everything is asked.
        """
        for name, planned in self.full.items():
            counts = self.counts[name]
            asked = [count / s.weight for count, s in zip(counts, planned.strata, strict=True) if count]
            for index, stratum in enumerate(planned.strata):
                if not asked:
                    counts[index] = stratum.available
                elif not counts[index]:
                    counts[index] = min(stratum.available, max(1, round(min(asked) * stratum.weight)))

    def asked_of(self, cell: PlannedCell) -> int:
        """Prompts of a check's cell that are asked, for whatever check."""
        return sum(len(stratum.prompts) for _, stratum in strata_of(self.planned(), cell))

    def extend(self, cell: PlannedCell, wanted: int) -> None:
        """Ask of a cell's strata in proportion to their weights until ``wanted`` prompts are asked, or all."""
        sample = self.sample(cell)
        low, high = 0, min(wanted, len(sample))
        while low < high:
            middle = (low + high) // 2
            tried = Allocation(self.full, self.seed, {name: list(counts) for name, counts in self.counts.items()})
            tried.ask(sample[:middle])
            low, high = (low, middle) if tried.asked_of(cell) >= wanted else (middle + 1, high)
        self.ask(sample[:low])

    def planned(self) -> dict[str, PlannedSet]:
        """The sets with the prompts that are asked."""
        return {
            name: planned.model_copy(
                update={
                    "strata": tuple(
                        s.model_copy(update={"prompts": s.prompts[:count]})
                        for s, count in zip(planned.strata, self.counts[name], strict=True)
                    )
                }
            )
            for name, planned in self.full.items()
        }


def _weights(
    name: str, cells: Sequence[Mapping[str, str]], sizes: Sequence[int], declared: Sequence[DeclaredWeight]
) -> list[float]:
    if not declared:
        return [float(size) for size in sizes]
    groups = [
        [i for i, cell in enumerate(cells) if all(cell.get(k) == v for k, v in one.cell.items())] for one in declared
    ]
    owner: dict[int, int] = {}
    for index, (one, members) in enumerate(zip(declared, groups, strict=True)):
        if not members:
            raise InputError(
                f"set '{name}' has no prompt with {_text(one.cell)}", where=one.where, do="take the weight away"
            )
        for stratum in members:
            if stratum in owner:
                other = declared[owner[stratum]]
                raise InputError(
                    f"set '{name}': {_text(other.cell)} and {_text(one.cell)} are weights of the same prompts",
                    where=one.where,
                    do="declare weights of groups that do not overlap",
                )
            owner[stratum] = index
    left = [cell for i, cell in enumerate(cells) if i not in owner]
    if left:
        raise InputError(
            f"set '{name}' has prompts without a declared weight: {_text(left[0])}",
            where=declared[0].where,
            do="give every group of prompts a weight, or none",
        )
    scale = sum(sizes) / sum(one.weight for one in declared)
    shares = [
        one.weight * scale / sum(sizes[i] for i in members) for one, members in zip(declared, groups, strict=True)
    ]
    return [size * shares[owner[i]] for i, size in enumerate(sizes)]


def _text(cell: Mapping[str, str]) -> str:
    return ", ".join(f"{key}={value}" for key, value in cell.items()) or "no dimension"
