"""What a policy asks of a sample: its checks, cell by cell, in the planner's words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from evalharness.plan import Purpose, Requirement
from gates.policy import Check, Policy
from golden_sets.errors import InputError
from golden_sets.records import Prompt, PromptSet


def requirements(
    policy: Policy, sets: Sequence[PromptSet], *, where: Mapping[str, str] | None = None
) -> list[Requirement]:
    """One requirement per check and cell, each with the power that gives the whole policy its joint power.

    Raises:
        InputError: a check that matches no prompt.
    """
    expanded = [(check, cell) for check in policy.checks for cell in _cells(check, sets, (where or {}).get(check.id))]
    sized = sum(_purpose(check) in ("floor", "ceiling", "margin") for check, _ in expanded)
    power = policy.joint_power ** (1 / max(1, sized))
    return [
        Requirement(
            check="/".join([check.id, *cell.values()]),
            purpose=_purpose(check),
            metric=check.metric,
            set_kind=check.set_kind,
            set_name=check.where.get("set_name"),
            cell={**_dimensions(check), **cell},
            limit=check.limit,
            quantile=check.quantile,
            alpha=policy.alpha,
            power=power,
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
    if check.spec.family == "rate":
        return "floor" if check.test == "floor" else "ceiling"
    return "display"


def _dimensions(check: Check) -> dict[str, str]:
    return {k: v for k, v in check.where.items() if k not in ("set", "set_name")}


def _cells(check: Check, sets: Sequence[PromptSet], where: str | None) -> list[dict[str, str]]:
    prompts = [
        (s, p)
        for s in sets
        if (check.set_kind is None or s.kind is check.set_kind) and check.where.get("set_name", s.name) == s.name
        for p in s.prompts
        if all(p.dimensions.get(k) == v for k, v in _dimensions(check).items())
    ]
    found = sorted({tuple(_value(s, p, k) for k in check.each) for s, p in prompts}, key=str)
    cells = [dict(zip(check.each, values, strict=True)) for values in found if None not in values]
    if not cells:
        split = f" split by {', '.join(check.each)}" if check.each else ""
        raise InputError(
            f"check '{check.id}' matches no prompt of the sets{split}",
            where=where,
            do="add such prompts, or take the check out of the policy",
        )
    return [{k: str(v) for k, v in cell.items()} for cell in cells]


def _value(prompt_set: PromptSet, prompt: Prompt, key: str) -> str | None:
    if key == "set":
        return prompt_set.kind.value
    return prompt_set.name if key == "set_name" else prompt.dimensions.get(key)
