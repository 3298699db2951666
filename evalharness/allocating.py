"""Strata: the prompts of a set by the cells they belong to, and how many of each a plan asks.

Every check takes its own proportional sample (`evalharness.drawing`), as long as its cell needs. What is asked of a
stratum is the longest part that any of those samples takes from it, so that rare cells with hard limits get many
prompts and common ones with easy limits few, and no pooled number changes with that.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

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


@dataclass(frozen=True)
class Draw:
    """What the sets hold for one check: its own sample from all their prompts, in order."""

    strata: NDArray[np.int64]
    """Stratum of each prompt."""
    ranks: NDArray[np.int64]
    """How many prompts of that stratum come before it."""
    units: NDArray[np.int64]
    """Randomised unit of each prompt: prompts of one cluster share it."""

    def __len__(self) -> int:
        return self.strata.size


class Allocation:
    """How many prompts of every stratum are asked, on the way to a plan."""

    def __init__(self, full: Mapping[str, PlannedSet], seed: int, units: Mapping[PromptId, str] | None = None) -> None:
        """Args: the sets by strata with every prompt planned, the plan's seed, and clusters of prompts."""
        self._full, self._seed = full, seed
        self._strata = [(name, stratum) for name, planned in full.items() for stratum in planned.strata]
        self._available = np.array([stratum.available for _, stratum in self._strata], dtype=np.int64)
        self._weights = np.array([stratum.weight for _, stratum in self._strata])
        self._home = {
            (name, prompt): index for index, (name, stratum) in enumerate(self._strata) for prompt in stratum.prompts
        }
        self._units = units or {}
        self.counts = np.zeros_like(self._available)

    def draw(self, cell: PlannedCell) -> Draw:
        """A check's own sample from everything that the sets hold."""
        sample = merged(strata_of(self._full, cell), self._seed)
        strata = np.fromiter((self._home[key] for key in sample), dtype=np.int64, count=len(sample))
        ranks = np.empty_like(strata)
        for index in np.unique(strata):
            members = strata == index
            ranks[members] = np.arange(members.sum())
        units = np.unique([f"{key[0]}|{self._units.get(key, key[1])}" for key in sample], return_inverse=True)[1]
        return Draw(strata, ranks, units.astype(np.int64))

    def reset(self) -> None:
        """Ask nothing."""
        self.counts = np.zeros_like(self._available)

    def ask(self, draw: Draw, n: int) -> None:
        """Make sure that the first ``n`` prompts of a check's sample are asked."""
        self.counts = np.maximum(self.counts, self.taken(draw, n))

    def extend(self, draw: Draw, wanted: int) -> None:
        """Ask of a check's strata, by their weights, until ``wanted`` of their prompts are asked for any check."""
        members = np.unique(draw.strata)

        def enough(n: int) -> bool:
            return int(np.maximum(self.counts, self.taken(draw, n))[members].sum()) >= wanted

        low, high = 0, len(draw)
        while low < high:
            middle = (low + high) // 2
            low, high = (low, middle) if enough(middle) else (middle + 1, high)
        self.ask(draw, low)

    def fill(self, share: float = 1.0) -> None:
        """Give strata that no sized check asks for as much, by weight, as the least asked one of their set has.

        Of a set where nothing is asked for, ``share`` of everything is asked.
        """
        names = np.array([name for name, _ in self._strata])
        for name in self._full:
            mine = np.flatnonzero(names == name)
            asked = self.counts[mine] > 0
            least = (self.counts[mine] / self._weights[mine])[asked].min() if asked.any() else np.inf
            filled = np.clip(np.round(least * self._weights[mine]), 1, self._available[mine])
            if not asked.any():
                filled = np.ceil(share * self._available[mine])
            self.counts[mine] = np.where(asked, self.counts[mine], filled.astype(np.int64))

    def reach(self, draw: Draw) -> int:
        """Prompts of a check's sample that are asked without a gap."""
        missing = np.flatnonzero(draw.ranks >= self.counts[draw.strata])
        return int(missing[0]) if missing.size else len(draw)

    def asked_of(self, draw: Draw) -> int:
        """Prompts of a check's strata that are asked, for whatever check."""
        return int(self.counts[np.unique(draw.strata)].sum())

    def planned(self) -> dict[str, PlannedSet]:
        """The sets with the prompts that are asked."""
        counts = iter(self.counts.tolist())
        return {
            name: planned.model_copy(
                update={
                    "strata": tuple(s.model_copy(update={"prompts": s.prompts[: next(counts)]}) for s in planned.strata)
                }
            )
            for name, planned in self._full.items()
        }

    def by_set(self, counts: NDArray[np.int64]) -> dict[str, int]:
        """Numbers of prompts by stratum added up by set."""
        found = dict.fromkeys(self._full, 0)
        for (name, _), count in zip(self._strata, counts.tolist(), strict=True):
            found[name] += count
        return found

    def taken(self, draw: Draw, n: int) -> NDArray[np.int64]:
        """Prompts of every stratum among the first ``n`` of a check's sample."""
        return np.bincount(draw.strata[:n], minlength=self.counts.size)


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
