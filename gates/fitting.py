"""Whether a plan fits the policy it was made for, and evidence the plan it names: a gate takes neither on trust."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from evalharness.drawing import look_sizes
from evalharness.evidence import Evidence
from evalharness.metrics import rows_of_cells
from evalharness.outcomes import OutcomeTable
from evalharness.plan import Plan, PlannedCell
from evalharness.text_columns import joint_codes
from gates.policy import Check, Policy
from gates.requirements import basis_of
from golden_sets.errors import InputError


def require_fit(policy: Policy, plan: Plan, table: OutcomeTable) -> None:
    """A plan must hold every check in every cell, as the policy means it, at the error rate of its attempt.

    Raises:
        InputError: it does not.
    """
    if not math.isclose(plan.alpha, policy.alpha_of(plan.attempt), rel_tol=1e-12):
        raise InputError(
            f"the plan spends alpha {plan.alpha:g}; policy '{policy.name}' gives attempt {plan.attempt} "
            f"{policy.alpha_of(plan.attempt):g}",
            do="plan again",
        )
    for cell in plan.cells:
        check = policy.by_id.get(cell.check.split("/")[0])
        if check is None or not _means(check, cell) or not _looks_fit(plan, cell):
            what = f"the plan's '{cell.check}' is not what policy '{policy.name}' means by it"
            raise InputError(what, do="plan again")
    missing = {check.id for check in policy.checks} - {cell.check.split("/")[0] for cell in plan.cells}
    for check in policy.checks:
        rows = rows_of_cells(check.spec, table, check.where)
        names = ("/".join([check.id, *cell.values()]) for cell in rows.cells(check.each)) if len(rows) else ()
        missing |= {name for name in names if name not in plan.by_check}
    if missing:
        raise InputError(f"the plan does not hold {', '.join(sorted(missing))}", do="plan again")


def misfit(plan: Plan, evidence: Evidence, table: OutcomeTable) -> str | None:
    """Why evidence is not of the run that a plan describes; None where it is."""
    if evidence.incumbent_digest != plan.incumbent_digest:
        return "the plan committed to before the run names another incumbent"
    if evidence.anchor_digest != plan.anchor_digest:
        return "the plan committed to before the run names another anchor"
    if dict(evidence.set_digests) != plan.set_digests or evidence.judge_digest != plan.judge_digest:
        return "the plan committed to before the run names other sets or another judge"
    quality = table.phase("quality")
    for arm in quality.arms:
        rows = quality.arm(arm)
        prompts = joint_codes([rows.codes("set_name"), rows.codes("prompt_id")])
        if len(rows) != plan.repeats * np.unique(prompts).size:
            return f"the plan asks every prompt {plan.repeats} times, the {arm}'s answers are others"
    return None


def _means(check: Check, cell: PlannedCell) -> bool:
    selector = selector_of(cell)
    wanted = {**check.where, **{key: selector.get(key, "") for key in check.each}}
    if check.set_kind is not None:
        wanted["set"] = check.set_kind.value
    values = [selector.get(key, "") for key in check.each]
    return (
        cell.metric == check.metric
        and cell.basis == basis_of(check)
        and selector == wanted
        and cell.check == "/".join([check.id, *values])
    )


def _looks_fit(plan: Plan, cell: PlannedCell) -> bool:
    """Whether a cell's looks are at the planned shares of its sample, where alpha was spent for those."""
    if cell.basis == "end":
        return True
    return cell.looks == look_sizes(plan.looks, cell.n)


def selector_of(cell: PlannedCell) -> Mapping[str, str]:
    """What the rows of a planned cell have in common."""
    found = dict(cell.cell)
    if cell.set_kind is not None:
        found["set"] = cell.set_kind.value
    if cell.set_name is not None:
        found["set_name"] = cell.set_name
    if cell.rubric is not None:
        found["rubric"] = cell.rubric
    return found
