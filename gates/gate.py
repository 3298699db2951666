"""The gate: from evidence and policy to a decision, re-derived from the per-prompt outcomes every time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Sized
from dataclasses import dataclass, replace
from typing import Literal

from evalharness.evidence import Evidence
from evalharness.metrics import rows_for, rows_of_cells
from evalharness.outcomes import OutcomeTable
from evalharness.plan import Plan
from evalharness.prompt_rows import PromptRows
from evalharness.statistics import holm
from gates.checking import conclude, examine
from gates.course import follow
from gates.decision import CheckResult, Decision, Status, Verdict
from gates.fitting import misfit, require_fit
from gates.policy import Check, Policy
from gates.staleness import Serving, stale, unchecked
from golden_sets.digests import short
from golden_sets.errors import InputError


@dataclass(frozen=True)
class Measured:
    """Evidence with the outcomes it names."""

    evidence: Evidence
    outcomes: OutcomeTable
    plan: Plan | None = None
    """The plan it names; None: unplanned."""


def gate(
    policy: Policy,
    candidate: Measured,
    incumbent: Measured | None = None,
    *,
    anchor: Measured | None = None,
    require_plan: bool = False,
    unplanned: str | None = None,
    serving: Serving | None = None,
    where: Mapping[str, str] | None = None,
) -> Decision:
    """Apply a policy.

    Planned evidence is followed through its plan (`gates.course`): every check rests on its own committed sample, at
    the look at which it stopped. Other evidence, and what was planned under another policy, is examined once, whole.

    Args:
        policy: the checks.
        candidate: evidence of the candidate; it may hold the other arms as well.
        incumbent: evidence in which the incumbent was the subject, when it was measured apart.
        anchor: the same for the policy's anchor.
        require_plan: refuse to promote on unplanned evidence (a policy's own ``require_plan`` wins).
        unplanned: why the evidence is to be taken as unplanned, where the caller knows more than the evidence tells.
        serving: of a router: the models it would choose from now. Evidence that was measured with others is stale, and
            blocks whatever its checks say. None: not known.
        where: ``file:line`` of each check, for messages.

    Raises:
        InputError: a check that matches no cell, evidence on other sets or prompts, a plan that is missing or another
            than the evidence names, a record of the run that its outcomes contradict, an anchor that is another
            version than the policy names.
    """
    joined = candidate
    for arm, other in (("incumbent", incumbent), ("anchor", anchor)):
        joined = joined if other is None else beside(joined, other, "anchor" if arm == "anchor" else "incumbent")
    evidence, plan = joined.evidence, _plan_of(candidate)
    _require_anchor(policy, evidence)
    unplanned = unplanned or _unplanned(policy, plan, joined)
    applies = unplanned is None
    if plan is not None and applies:
        require_fit(policy, plan, joined.outcomes)
        course = follow(
            policy,
            plan,
            joined.outcomes,
            evidence.calibrations,
            evidence.looks,
            same_arms=incumbent is None and anchor is None,
        )
        checks = course.results(joined.outcomes, evidence.calibrations)
    else:
        checks = _at_once(policy, joined, where or {})
    must_plan = policy.require_plan if policy.require_plan is not None else require_plan
    refusals = _refusals(joined, unplanned=unplanned, must_plan=must_plan)
    outdated = stale(evidence, serving)
    verdict, reason = _verdict(checks, refusals, outdated)
    return Decision(
        verdict=verdict,
        reason=reason,
        subject_name=evidence.subject_name,
        subject_digest=evidence.subject_digest,
        policy_name=policy.name,
        policy_version=policy.version,
        policy_digest=policy.digest,
        evidence_digest=candidate.evidence.digest,
        incumbent_evidence_digest=None if incumbent is None else incumbent.evidence.digest,
        anchor_evidence_digest=None if anchor is None else anchor.evidence.digest,
        incumbent_name=evidence.incumbent_name,
        incumbent_digest=evidence.incumbent_digest,
        anchor_name=evidence.anchor_name,
        anchor_digest=evidence.anchor_digest,
        plan_digest=evidence.plan_digest,
        alpha=plan.alpha if plan is not None and applies else policy.alpha,
        attempt=plan.attempt if plan is not None and applies else None,
        primary=policy.primary,
        superior=_superior(checks, policy),
        checks=tuple(checks),
        refusals=(*refusals, *(() if outdated is None else (outdated,))),
        notes=(*_notes(joined, unplanned), *unchecked(evidence, serving)),
    )


def beside(candidate: Measured, other: Measured, arm: Literal["incumbent", "anchor"] = "incumbent") -> Measured:
    """Put another version's own evidence beside the candidate's.

    Raises:
        InputError: the two were measured on different sets, or scored by different judges.
    """
    ours, theirs = candidate.evidence, other.evidence
    if ours.set_digests != theirs.set_digests:
        names = sorted(
            n for n in {*ours.set_digests, *theirs.set_digests} if ours.set_digests.get(n) != theirs.set_digests.get(n)
        )
        raise InputError(
            f"candidate '{ours.subject_name}' and {arm} '{theirs.subject_name}' were measured on different "
            f"versions of set(s) {', '.join(names)}",
            do="measure both on the same sets",
        )
    if ours.judge_digest != theirs.judge_digest:
        raise InputError(
            f"candidate '{ours.subject_name}' and {arm} '{theirs.subject_name}' were scored by different judges",
            do="score both by the same judge",
        )
    named = {f"{arm}_name": theirs.subject_name, f"{arm}_digest": theirs.subject_digest}
    return replace(
        candidate,
        evidence=ours.model_copy(update={**named, "calibrations": ours.calibrations or theirs.calibrations}),
        outcomes=candidate.outcomes.with_arm(arm, other.outcomes),
    )


def _plan_of(measured: Measured) -> Plan | None:
    """The plan of evidence.

    Raises:
        InputError: it is missing, or another than the evidence names.
    """
    named, plan = measured.evidence.plan_digest, measured.plan
    if (None if plan is None else plan.digest) != named:
        told = "is not at hand" if plan is None else f"is not the one given ({short(plan.digest)})"
        raise InputError(
            f"the plan that the evidence of '{measured.evidence.subject_name}' names, {named and short(named)}, {told}",
            do="keep the plan's file beside the evidence, or evaluate again",
        )
    return plan


def _require_anchor(policy: Policy, evidence: Evidence) -> None:
    named = policy.anchor
    if named is None or evidence.anchor_digest is None or named in (evidence.anchor_name, evidence.anchor_digest):
        return
    raise InputError(
        f"policy '{policy.name}' compares with the anchor '{named}', the evidence is beside '{evidence.anchor_name}'",
        do="give the evidence of the version that the policy names",
    )


def _at_once(policy: Policy, measured: Measured, where: Mapping[str, str]) -> list[CheckResult]:
    """Every check on all outcomes there are, once."""
    table, calibrations = measured.outcomes, measured.evidence.calibrations
    rows = _selection(measured)
    # A new version of a policy must not win back the error rate that attempts have spent.
    alpha = policy.alpha if measured.plan is None else min(policy.alpha, measured.plan.alpha)
    examined = [
        examine(
            "/".join([check.id, *cell.values()]),
            check,
            {**check.where, **cell},
            rows_for(check.spec, rows(check, cell), {**check.where, **cell}),
            policy,
            calibrations,
            alpha=alpha,
        )
        for check in policy.checks
        for cell in _cells(check, table, where.get(check.id))
    ]
    # Fail is a claim of regression over many cells: Holm keeps its family-wise error at alpha.
    rejected = holm([1.0 if e.p_fail is None else e.p_fail for e in examined], alpha)
    return [
        conclude(
            one,
            Status.FAIL if fails else Status.PASS if one.passes else Status.INCONCLUSIVE,
            policy,
            p_fail=one.p_fail,
        )
        for one, fails in zip(examined, rejected, strict=True)
    ]


def _selection(measured: Measured) -> Callable[[Check, Mapping[str, str]], OutcomeTable]:
    """The rows a check rests on: all, or those that keep the proportions of a plan for another policy."""
    table, plan = measured.outcomes, measured.plan
    if plan is None:
        return lambda _check, _cell: table
    by_prompt = PromptRows(table)

    def rows(check: Check, cell: Mapping[str, str]) -> OutcomeTable:
        pooled = check.spec.family in ("rate", "ratio", "share") and check.spec.denominator != "e2e_s"
        return by_prompt.in_proportion(plan, {**check.where, **cell}) if pooled else table

    return rows


def _cells(check: Check, table: OutcomeTable, where: str | None) -> list[dict[str, str]]:
    """The cells a check splits into.

    Raises:
        InputError: none: a check that matches nothing must not pass in silence.
    """
    try:
        rows = rows_of_cells(check.spec, table, check.where)
        cells = rows.cells(check.each) if len(rows) else []
        homeless = rows.without(check.each) if len(rows) else []
    except InputError as error:
        raise InputError(f"check '{check.id}': {error.what}", where=where, do=error.do) from error
    if homeless:
        raise InputError(
            f"check '{check.id}': {_count(homeless, 'outcome')} it is about have no {' or '.join(check.each)} "
            f"(the first is of prompt '{homeless[0]}')",
            where=where,
            do="give every prompt a value, so that none drops out of the check in silence",
        )
    if not cells:
        selector = ", ".join(f"{k}={v}" for k, v in check.where.items()) or "every row"
        split = f" split by {', '.join(check.each)}" if check.each else ""
        raise InputError(
            f"check '{check.id}' matches no cell of the evidence ({selector}{split})",
            where=where,
            do="evaluate the sets it speaks of, or take the check out of the policy",
        )
    return cells


def _verdict(checks: list[CheckResult], refusals: Sequence[str], outdated: str | None) -> tuple[Verdict, str]:
    failed = [c.id for c in checks if c.status is Status.FAIL]
    if outdated is not None:
        also = f"; besides, {_count(failed, 'check')} failed: {', '.join(failed)}" if failed else ""
        return Verdict.BLOCK, outdated + also
    unsettled = [c.id for c in checks if c.status is Status.INCONCLUSIVE]
    if failed:
        return Verdict.BLOCK, f"{_count(failed, 'check')} failed: {', '.join(failed)}"
    if unsettled:
        return Verdict.INCONCLUSIVE, f"{_count(unsettled, 'check')} not settled: {', '.join(unsettled)}"
    if refusals:
        return Verdict.INCONCLUSIVE, "; ".join(refusals)
    return Verdict.PROMOTE, f"all {_count(checks, 'check')} passed"


def _unplanned(policy: Policy, plan: Plan | None, measured: Measured) -> str | None:
    """Why evidence counts as unplanned under this policy; None where it is planned."""
    if plan is None:
        return "no plan was committed to before these outcomes were measured"
    if plan.policy_digest != policy.digest:
        return "the plan committed to before the run was made for another policy"
    return misfit(plan, measured.evidence, measured.outcomes)


def _refusals(measured: Measured, *, unplanned: str | None, must_plan: bool) -> list[str]:
    """Why this evidence cannot be promoted on, whatever its checks say."""
    evidence, plan = measured.evidence, measured.plan
    found = []
    if evidence.exploratory:
        found.append(
            f"{_count(range(evidence.exploratory), 'answer')} of the candidate were there before the plan was made: "
            "exploratory, to be asked again under a plan of their own"
        )
    if unplanned is not None and plan is not None and len(plan.looks.fractions) > 1:
        found.append("the run may have stopped early under another question's plan: evaluate again under this one")
    if must_plan and unplanned is not None:
        found.append(f"{unplanned}, and the policy requires a plan")
    elif must_plan and evidence.plan_index is None:
        found.append("the plan stood in no ledger before the run, and the policy requires that")
    return found


def _superior(checks: list[CheckResult], policy: Policy) -> bool:
    """Whether the primary check may claim superiority: its bound lies beyond the incumbent."""
    mine = [c for c in checks if c.check == policy.primary]
    if not mine or policy.by_id[policy.primary].test != "non_inferiority":
        return False
    if any(c.status is not Status.PASS for c in mine):
        return False
    if policy.by_id[policy.primary].spec.better == "higher":
        return all(c.estimate.low is not None and c.estimate.low > 0 for c in mine)
    return all(c.estimate.high is not None and c.estimate.high < 0 for c in mine)


def _notes(measured: Measured, unplanned: str | None) -> list[str]:
    table = measured.outcomes
    notes = [] if unplanned is None else [f"unplanned: {unplanned}"]
    excluded = int(table.arm("candidate").phase("quality", "latency").client_errors().sum())
    if excluded:
        notes.append(f"{_count(range(excluded), 'client error')} left out of reliability and latency")
    return notes


def _count(things: Sized, noun: str) -> str:
    n = len(things)
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"
