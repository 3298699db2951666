"""What a plan asks, as arrays: how many prompts of every stratum each check has seen at each look."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from evalharness.drawing import PromptId, sample_of, strata_of
from evalharness.outcomes import Arm
from evalharness.plan import Plan, PlannedCell, Stratum
from gates.policy import Check, Policy
from golden_sets.errors import InputError
from golden_sets.records import SetKind

Counts = NDArray[np.int64]


@dataclass(frozen=True)
class LaidStratum:
    """Prompts of one set that belong to the same cells of every check."""

    set_name: str
    kind: SetKind
    stage: int
    cell: Mapping[str, str]
    planned: int
    """Prompts that may be asked."""
    marks: Counts
    """Numbers of its prompts after which some check looks: 0 first, then increasing."""

    @property
    def steps(self) -> Counts:
        """Prompts between one mark and the next."""
        return np.diff(self.marks)


@dataclass(frozen=True)
class LaidCheck:
    """One check in one cell."""

    planned: PlannedCell
    check: Check
    strata: tuple[int, ...]
    """The strata it is about."""
    marks: Counts
    """Shape (looks, strata): which mark of each of its strata each look comes to."""
    sizes: Counts
    """Shape (looks,): prompts of its own sample at each look."""
    taken: Counts
    """Shape (looks, strata): the same by stratum."""
    fixed: Counts
    """Shape (strata,): prompts of each stratum that a plan with a single look would take."""

    @property
    def id(self) -> str:
        """Name of the check, with its cell's values."""
        return self.planned.check

    @property
    def shares(self) -> NDArray[np.float64]:
        """What each stratum counts in the check's number, summing to 1; alike where it takes no sample."""
        if self.taken.size and self.taken[-1].sum() > 0:
            return np.asarray(self.taken[-1] / self.taken[-1].sum(), dtype=np.float64)
        return np.full(len(self.strata), 1 / max(1, len(self.strata)))


@dataclass(frozen=True)
class Layout:
    """A plan for a policy, ready to be simulated."""

    policy: Policy
    plan: Plan
    strata: tuple[LaidStratum, ...]
    checks: tuple[LaidCheck, ...]
    unchecked: frozenset[int]
    """Strata of sets that no looked-at check is about: all their prompts are asked at the first look of their stage."""

    @property
    def looks(self) -> int:
        """How often a stage is looked at."""
        return len(self.plan.looks.fractions)

    @property
    def stages(self) -> list[int]:
        """The stages in order."""
        return sorted({s.stage for s in self.plan.sets.values()} | {c.stage for c in self.plan.cells})

    @property
    def has_incumbent(self) -> bool:
        """Whether an incumbent answers too: the plan's, or one that a check compares with."""
        return self.plan.incumbent_digest is not None or self._compares("incumbent")

    @property
    def has_anchor(self) -> bool:
        """Whether a fixed version answers too."""
        return self.plan.anchor_digest is not None or self._compares("anchor")

    @property
    def answers_per_prompt(self) -> int:
        """Generations that one prompt costs, over all arms and repeats."""
        return (1 + self.has_incumbent + self.has_anchor) * self.plan.repeats

    @property
    def fixed_prompts(self) -> int:
        """Prompts that a plan of a single look would ask."""
        return self._prompts([c.fixed for c in self.checks])

    @property
    def most_prompts(self) -> int:
        """Prompts asked when every check is looked at to its end."""
        return self._prompts([c.taken[-1] if c.taken.size else c.fixed for c in self.checks])

    def _compares(self, arm: Arm) -> bool:
        return any(c.check.compares and c.check.against == arm for c in self.checks)

    def _prompts(self, by_check: list[Counts]) -> int:
        most = np.zeros(len(self.strata), dtype=np.int64)
        for check, taken in zip(self.checks, by_check, strict=True):
            if check.planned.looks:
                np.maximum.at(most, list(check.strata), taken)
        most[list(self.unchecked)] = [self.strata[index].planned for index in self.unchecked]
        return int(most.sum())


def lay_out(policy: Policy, plan: Plan) -> Layout:
    """Turn a plan into arrays.

    Raises:
        InputError: the plan was made for another policy, or does not fit it.
    """
    if plan.policy_digest != policy.digest:
        raise InputError(
            f"the plan '{plan.name}' was made for another policy than '{policy.name}'",
            do="plan again, or name the policy that it was made for",
        )
    home: dict[PromptId, int] = {}
    strata: list[tuple[str, Stratum]] = []
    for name, planned in sorted(plan.sets.items()):
        for stratum in planned.strata:
            home.update(dict.fromkeys(((name, prompt) for prompt in stratum.prompts), len(strata)))
            strata.append((name, stratum))
    place = {(name, id(stratum)): index for index, (name, stratum) in enumerate(strata)}
    drafts = _with_fixed([_draft(policy, plan, cell, place, home) for cell in plan.cells], len(strata))
    marks = [_marks([(d, index) for d in drafts if index in d.strata]) for index in range(len(strata))]
    sampled = {
        strata[index][0] for d in drafts if d.taken.size for index, n in zip(d.strata, d.taken[-1], strict=True) if n
    }
    return Layout(
        policy,
        plan,
        tuple(
            LaidStratum(
                name, plan.sets[name].kind, plan.sets[name].stage, stratum.cell, len(stratum.prompts), marks[index]
            )
            for index, (name, stratum) in enumerate(strata)
        ),
        tuple(_with_marks(d, marks) for d in drafts),
        frozenset(index for index, (name, _) in enumerate(strata) if name not in sampled),
    )


def _draft(
    policy: Policy,
    plan: Plan,
    cell: PlannedCell,
    place: Mapping[tuple[str, int], int],
    home: Mapping[PromptId, int],
) -> LaidCheck:
    """A check without its marks."""
    check = policy.by_id.get(cell.check.split("/")[0])
    if check is None:
        raise InputError(f"the plan names check '{cell.check}', which the policy does not have", do="plan again")
    if cell.looks and len(cell.looks) != len(plan.looks.fractions):
        raise InputError(f"check '{cell.check}' has {len(cell.looks)} looks, its plan another number", do="plan again")
    strata = tuple(place[name, id(stratum)] for name, stratum in strata_of(plan.sets, cell))
    sample = np.array([home[prompt] for prompt in sample_of(plan, cell)] if cell.looks else [], dtype=np.int64)

    def first(size: int) -> list[int]:
        return [int(np.count_nonzero(sample[:size] == index)) for index in strata]

    fixed = np.array(first(min(cell.n, cell.n_fixed)), dtype=np.int64)
    taken = np.array([first(size) for size in cell.looks], dtype=np.int64).reshape(len(cell.looks), len(strata))
    sizes = np.minimum(np.array(cell.looks, dtype=np.int64), sample.size)
    return LaidCheck(cell, check, strata, np.zeros_like(taken), sizes, taken, fixed)


def _with_fixed(drafts: list[LaidCheck], strata: int) -> list[LaidCheck]:
    """Checks that were not sized rest, in a plan of a single look, on what the others ask; alone, on everything."""
    most = np.zeros(strata, dtype=np.int64)
    for draft in drafts:
        np.maximum.at(most, list(draft.strata), draft.fixed)
    found = []
    for draft in drafts:
        asked = most[list(draft.strata)]
        if draft.planned.looks and not draft.planned.n_fixed:
            draft = replace(draft, fixed=np.minimum(draft.taken[-1], asked) if asked.any() else draft.taken[-1])
        found.append(draft)
    return found


def _marks(users: list[tuple[LaidCheck, int]]) -> Counts:
    seen = [draft.taken[:, draft.strata.index(index)] for draft, index in users]
    return np.unique(np.concatenate([np.zeros(1, dtype=np.int64), *seen]))


def _with_marks(draft: LaidCheck, marks: list[Counts]) -> LaidCheck:
    found = np.zeros_like(draft.taken)
    for column, index in enumerate(draft.strata):
        found[:, column] = np.searchsorted(marks[index], draft.taken[:, column])
    return replace(draft, marks=found)
