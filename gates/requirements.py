"""What a policy asks of a sample: its checks, cell by cell, in the planner's words."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from evalharness.cell_sizes import POWERED
from evalharness.outcome_columns import SET_KEYS
from evalharness.plan import Basis, Purpose, Requirement
from gates.policy import Check, Policy
from golden_sets.errors import InputError
from golden_sets.records import Prompt, PromptSet, SetKind


def requirements(
    policy: Policy,
    sets: Sequence[PromptSet],
    *,
    attempt: int = 1,
    where: Mapping[str, str] | None = None,
    checked: Collection[str] = (),
) -> list[Requirement]:
    """One requirement per check and cell, each with the power that gives the whole policy its joint power.

    Args:
        policy: the policy.
        sets: the sets it is applied to.
        attempt: which attempt of its lineage is planned: the policy's rule makes the error rate of it.
        where: ``file:line`` of each check, for messages.
        checked: names of the sets that programmatic checkers score: their prompts' own rubrics judge nothing.

    Raises:
        InputError: a check that matches no prompt, names a rubric that judges only some, or splits by a dimension that
            some of its prompts lack.
    """
    expanded = [
        (check, cell)
        for check in policy.checks
        for cell in _cells(check, sets, (where or {}).get(check.id), frozenset(checked))
    ]
    sized = sum(_purpose(check) in POWERED for check, _ in expanded)
    power = policy.joint_power ** (1 / max(1, sized))
    return [
        Requirement(
            check="/".join([check.id, *cell.values()]),
            purpose=_purpose(check),
            metric=check.metric,
            set_kind=SetKind(cell["set"]) if "set" in cell else check.set_kind,
            set_name=cell.get("set_name", check.where.get("set_name")),
            rubric=cell.get("rubric", check.where.get("rubric")),
            cell=_dimensions({**check.where, **cell}),
            limit=check.limit,
            quantile=check.quantile,
            alpha=policy.alpha_of(attempt),
            power=power,
            basis=basis_of(check),
            half_width=check.half_width,
        )
        for check, cell in expanded
    ]


def _purpose(check: Check) -> Purpose:
    if check.spec.family == "quantile":
        return "quantile"
    if check.spec.family == "judge":
        return "calibration"
    if check.spec.family == "rate" and check.test == "non_inferiority":
        return "margin"
    if check.spec.family in ("rate", "reliability"):
        return "floor" if check.test == "floor" else "ceiling"
    return "display"


def basis_of(check: Check) -> Basis:
    """Which outcomes a check rests on."""
    family = check.spec.family
    if family == "reliability":
        return "requests"
    measured_apart = family == "quantile" or check.spec.denominator == "e2e_s"
    return "end" if measured_apart or family in ("judge", "share") or check.spec.is_probed else "sample"


def _dimensions(selector: Mapping[str, str]) -> dict[str, str]:
    """A selector without what it says about set and rubric: the rest are dimensions of prompts."""
    return {k: v for k, v in selector.items() if k not in SET_KEYS}


def _cells(check: Check, sets: Sequence[PromptSet], where: str | None, checked: frozenset[str]) -> list[dict[str, str]]:
    prompts = [
        (s, p)
        for s in sets
        if (check.set_kind is None or s.kind is check.set_kind) and check.where.get("set_name", s.name) == s.name
        for p in s.prompts
        if all(p.dimensions.get(k) == v for k, v in _dimensions(check.where).items())
    ]
    if not prompts:
        raise InputError(
            f"check '{check.id}' matches no prompt of the sets",
            where=where,
            do="add such prompts, or take the check out of the policy",
        )
    _require_rubric(check, prompts, where, checked)
    found: set[tuple[str, ...]] = set()
    homeless: list[str] = []
    for prompt_set, prompt in prompts:
        values = [_value(prompt_set, prompt, key) for key in check.each]
        present = tuple(value for value in values if value is not None)
        if len(present) == len(values):
            found.add(present)
        else:
            homeless.append(prompt.id)
    if homeless:
        raise InputError(
            f"check '{check.id}': {len(homeless)} of the {len(prompts)} prompts it is about have no "
            f"{' or '.join(check.each)} (the first is '{homeless[0]}')",
            where=where,
            do="give every prompt a value, so that none drops out of the check in silence",
        )
    return [dict(zip(check.each, values, strict=True)) for values in sorted(found)]


def _require_rubric(
    check: Check, prompts: Sequence[tuple[PromptSet, Prompt]], where: str | None, checked: frozenset[str]
) -> None:
    """A rubric that a check names must judge every prompt it is about, so that none drops out of it in silence."""
    rubric = check.where.get("rubric")
    without = [
        p.id
        for s, p in prompts
        if rubric is not None and rubric not in s.criteria and (rubric != p.rubric or s.name in checked)
    ]
    if without:
        raise InputError(
            f"check '{check.id}': {len(without)} of the {len(prompts)} prompts it is about are not judged by rubric "
            f"'{rubric}' (the first is '{without[0]}')",
            where=where,
            do="name the rubric under 'criteria' in the set's card, or choose the prompts with set_name",
        )


def _value(prompt_set: PromptSet, prompt: Prompt, key: str) -> str | None:
    if key == "set":
        return prompt_set.kind.value
    return prompt_set.name if key == "set_name" else prompt.dimensions.get(key)
