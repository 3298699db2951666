"""A plan for a policy alone: the planner's sizes for prompt sets that hold as much as it wants.

Sets are imagined for every kind and name that the policy speaks of, with one stratum for each combination of the values
that its checks distinguish, all of equal weight. What a policy does not say (the values of a dimension that a check is
split by) is named by the caller, or counts as one cell.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from evalharness.allocating import DeclaredWeight
from evalharness.cell_design import CellDesign
from evalharness.judge_error import JudgeError
from evalharness.outcome_columns import SET_KEYS
from evalharness.plan import LatencyLoad, Looks, Plan, Requirement
from evalharness.plan_inputs import Expected
from evalharness.planning import ExpectedRate, PlanInputs, make_plan
from gates.policy import Check, Policy
from gates.requirements import requirements
from golden_sets.digests import digest_json
from golden_sets.errors import InputError
from golden_sets.records import Message, Prompt, PromptSet, SetKind

UNKNOWN = "any"
"""The one value of a dimension whose values nobody named."""
OTHER = "other"
"""The prompts that a check leaves out."""
SPARE = 1.4
"""Prompts imagined over what a check is first sized for: the planner may want more for the joint power."""
LEAST_PROMPTS = 100
"""Prompts of every stratum at least: what checks rest on that are not sized."""
MOST_PROMPTS = 100_000
"""Prompts imagined altogether at most."""
MOST_STRATA = 2_000
"""Combinations of values at most."""


@dataclass(frozen=True)
class Imagined:
    """A plan for a policy alone."""

    plan: Plan
    notes: tuple[str, ...]
    """What was assumed."""


@dataclass
class _Set:
    """A set that the policy speaks of."""

    kind: SetKind
    name: str
    values: dict[str, list[str]] = field(default_factory=dict)
    """Values by dimension."""
    rubrics: list[str] = field(default_factory=list)
    """The rubrics that checks on it name."""

    def cells(self) -> Iterator[dict[str, str]]:
        """Every combination of values."""
        names = sorted(self.values)
        for combination in itertools.product(*(self.values[name] for name in names)):
            yield dict(zip(names, combination, strict=True))

    @property
    def strata(self) -> int:
        """How many combinations there are."""
        return math.prod(len(values) for values in self.values.values())

    def concerns(self, check: Check) -> bool:
        """Whether a check is about this set."""
        return check.set_kind in (None, self.kind) and check.where.get("set_name", self.name) == self.name

    def matches(self, requirement: Requirement, cell: Mapping[str, str]) -> bool:
        """Whether one of its combinations belongs to a requirement's cell."""
        about = requirement.set_kind in (None, self.kind) and requirement.set_name in (None, self.name)
        return about and all(cell.get(key) == value for key, value in requirement.cell.items())


def imagined_plan(
    policy: Policy,
    expected: ExpectedRate,
    *,
    looks: Looks | None = None,
    values: Mapping[str, Sequence[str]] | None = None,
    judges: Mapping[SetKind, JudgeError] | None = None,
    labels_per_arm: int | None = None,
    seed: int = 0,
) -> Imagined:
    """Plan for a policy alone.

    Args:
        policy: the policy.
        expected: what to expect of each check.
        looks: when the run is looked at; once when None.
        values: values of the dimensions by which checks are split.
        judges: the judge's error by kind of set, where one scores the answers.
        labels_per_arm: labelled answers per judged set and arm; None: what the checks need.
        seed: of the order in which prompts are drawn.

    Raises:
        InputError: values of a dimension that no check speaks of, too many combinations, rates that cannot be sized.
    """
    notes: list[str] = []
    found = _sets_of(policy, values or {}, notes)
    strata = sum(one.strata for one in found)
    if strata > MOST_STRATA:
        raise InputError(
            f"the policy's checks distinguish {strata} combinations of values", do=f"name at most {MOST_STRATA}"
        )
    tiny = [_prompt_set(one, [1] * one.strata) for one in found]
    asked = requirements(policy, tiny)
    judged = dict(judges or {})
    designs = [_design(one, expected, looks or Looks(), judged) for one in asked]
    counts = _counts(found, designs, notes)
    sets = [_prompt_set(one, sizes) for one, sizes in zip(found, counts, strict=True)]
    compares = {check.against for check in policy.checks if check.compares}
    timed = any(check.spec.family == "quantile" or check.spec.denominator == "e2e_s" for check in policy.checks)
    plan = make_plan(
        PlanInputs(
            name=f"{policy.name} alone",
            lineage="flagship/simulated",
            policy_digest=policy.digest,
            sets=sets,
            requirements=requirements(policy, sets),
            expected=expected,
            incumbent_digest=digest_json("incumbent") if "incumbent" in compares else None,
            anchor_digest=digest_json("anchor") if "anchor" in compares else None,
            judge_digest=digest_json("judge") if judged else None,
            alpha=policy.alpha_of(1),
            joint_power=policy.joint_power,
            repeats=1,
            seed=seed,
            labels_per_arm=policy.labels_per_arm if labels_per_arm is None else labels_per_arm,
            latency=LatencyLoad(rate=1.0) if timed else None,
            judged_kinds=frozenset(kind.value for kind in judged),
            judges={kind.value: judge for kind, judge in judged.items()},
            looks=looks or Looks(),
            weights={one.name: [DeclaredWeight(cell, 1.0) for cell in one.cells()] for one in found if one.values},
        )
    )
    return Imagined(plan, tuple(notes))


def _sets_of(policy: Policy, values: Mapping[str, Sequence[str]], notes: list[str]) -> list[_Set]:
    found: dict[str, _Set] = {}
    for check in policy.checks:
        names = [check.where["set_name"]] if "set_name" in check.where else list(values.get("set_name", ()))
        for name in names if "set_name" in (*check.where, *check.each) else ():
            found.setdefault(name, _Set(check.set_kind or SetKind.GOLDEN, name))
    kinds = {check.set_kind for check in policy.checks if check.set_kind is not None}
    if any("set" in check.each for check in policy.checks):
        kinds |= {SetKind(value) for value in values.get("set", [kind.value for kind in SetKind])}
    for kind in sorted(kinds - {one.kind for one in found.values()}) or ([] if found else [SetKind.GOLDEN]):
        found[kind.value] = _Set(kind, kind.value)
    sets = list(found.values())
    for one in sets:
        named = (check.where["rubric"] for check in policy.checks if "rubric" in check.where and one.concerns(check))
        one.rubrics.extend(dict.fromkeys(named))
        if one.rubrics:
            notes.append(f"set '{one.name}': every rubric is taken to give an answer the same score")
    known = {key for check in policy.checks for key in (*check.each, *check.where)}
    if unknown := sorted(set(values) - known):
        raise InputError(f"no check speaks of '{unknown[0]}'", do=f"they speak of {', '.join(sorted(known)) or 'none'}")
    for one in sets:
        _give_values(one, [check for check in policy.checks if one.concerns(check)], values, notes)
    return sets


def _give_values(one: _Set, checks: Sequence[Check], values: Mapping[str, Sequence[str]], notes: list[str]) -> None:
    split = {key: check.id for check in reversed(checks) for key in check.each if key not in SET_KEYS}
    chosen = {key for check in checks for key in check.where if key not in SET_KEYS}
    for key in sorted({*split, *chosen}):
        named = [check.where[key] for check in checks if key in check.where]
        given = list(dict.fromkeys([*values.get(key, ()), *named]))
        if not given:
            given = [UNKNOWN]
            note = f"check '{split[key]}': the values of {key} are unknown: it counts as one cell"
            if not any(known.startswith(note) for known in notes):
                notes.append(f"{note} (name them with --values {key}=...)")
        elif key not in split and key not in values and len(given) == 1:
            given.append(OTHER)
        one.values[key] = given


def _design(
    requirement: Requirement, expected: ExpectedRate, looks: Looks, judges: Mapping[SetKind, JudgeError]
) -> CellDesign:
    rate = Expected(*expected(requirement))
    judge = None if requirement.set_kind is None else judges.get(requirement.set_kind)
    return CellDesign(requirement, rate.rate, rate.source, looks, judge, rate.level)


def _counts(sets: Sequence[_Set], designs: Sequence[CellDesign], notes: list[str]) -> list[list[int]]:
    """Prompts of every stratum: what the hungriest check takes of it, and a little more."""
    cells = [list(one.cells()) for one in sets]
    counts = [[LEAST_PROMPTS] * len(members) for members in cells]
    for design in designs:
        requirement = design.requirement
        places = [
            (i, j) for i, one in enumerate(sets) for j, cell in enumerate(cells[i]) if one.matches(requirement, cell)
        ]
        if not design.sized or not places:
            continue
        try:
            wanted = design.size(design.fixed_size().n)
        except InputError as error:
            raise InputError(f"check '{requirement.check}': {error.what}", where=error.where, do=error.do) from error
        share = math.ceil(SPARE * wanted / len(places))
        for i, j in places:
            counts[i][j] = max(counts[i][j], share)
    total = sum(map(sum, counts))
    if total > MOST_PROMPTS:
        notes.append(f"{total} prompts would be wanted: the plan is made for {MOST_PROMPTS}")
        counts = [[max(1, count * MOST_PROMPTS // total) for count in members] for members in counts]
    return counts


def _prompt_set(one: _Set, counts: Sequence[int]) -> PromptSet:
    prompts = [
        Prompt(
            id="-".join([*cell.values(), str(number)]),
            messages=(Message(role="user", content=f"{one.name} {' '.join(cell.values())} {number}"),),
            dimensions=cell,
        )
        for cell, count in zip(one.cells(), counts, strict=True)
        for number in range(count)
    ]
    return PromptSet(
        name=one.name, version="imagined", kind=one.kind, prompts=tuple(prompts), criteria=tuple(one.rubrics)
    )
