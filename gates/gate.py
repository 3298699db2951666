"""The gate: from evidence and policy to a decision, re-derived from the per-prompt outcomes every time."""

from __future__ import annotations

from collections.abc import Mapping, Sized
from dataclasses import dataclass

from evalharness.evidence import Evidence
from evalharness.metrics import rows_for
from evalharness.outcomes import OutcomeTable
from evalharness.statistics import holm
from gates.checking import Examined, conclude, examine
from gates.decision import CheckResult, Decision, Status, Verdict
from gates.policy import Check, Policy
from golden_sets.errors import InputError


@dataclass(frozen=True)
class Measured:
    """Evidence with the outcomes it names."""

    evidence: Evidence
    outcomes: OutcomeTable


def gate(
    policy: Policy,
    candidate: Measured,
    incumbent: Measured | None = None,
    *,
    require_plan: bool = False,
    where: Mapping[str, str] | None = None,
) -> Decision:
    """Apply a policy.

    Args:
        policy: the checks.
        candidate: evidence of the candidate; it may hold the incumbent's arm as well.
        incumbent: evidence in which the incumbent was the subject, when it was measured apart.
        require_plan: refuse to promote on unplanned evidence (a policy's own ``require_plan`` wins).
        where: ``file:line`` of each check, for messages.

    Raises:
        InputError: a check that matches no cell, evidence on other sets or prompts.
    """
    joined = candidate if incumbent is None else beside(candidate, incumbent)
    evidence, table = joined.evidence, joined.outcomes
    calibrations = evidence.calibrations
    examined = [
        examine(check, cell, table, policy, calibrations)
        for check in policy.checks
        for cell in _cells(check, table, (where or {}).get(check.id))
    ]
    checks = _with_holm(examined, policy)
    must_plan = policy.require_plan if policy.require_plan is not None else require_plan
    unplanned = must_plan and evidence.plan_digest is None
    verdict, reason = _verdict(checks, unplanned=unplanned)
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
        incumbent_name=evidence.incumbent_name,
        incumbent_digest=evidence.incumbent_digest,
        plan_digest=evidence.plan_digest,
        alpha=policy.alpha,
        primary=policy.primary,
        superior=_superior(checks, policy),
        checks=tuple(checks),
        notes=tuple(_notes(joined)),
    )


def beside(candidate: Measured, incumbent: Measured) -> Measured:
    """Put the incumbent's own evidence beside the candidate's.

    Raises:
        InputError: the two were measured on different sets, or scored by different judges.
    """
    ours, theirs = candidate.evidence, incumbent.evidence
    if ours.set_digests != theirs.set_digests:
        names = sorted(
            n for n in {*ours.set_digests, *theirs.set_digests} if ours.set_digests.get(n) != theirs.set_digests.get(n)
        )
        raise InputError(
            f"candidate '{ours.subject_name}' and incumbent '{theirs.subject_name}' were measured on different "
            f"versions of set(s) {', '.join(names)}",
            do="measure both on the same sets",
        )
    if ours.judge_digest != theirs.judge_digest:
        raise InputError(
            f"candidate '{ours.subject_name}' and incumbent '{theirs.subject_name}' were scored by different judges",
            do="score both by the same judge",
        )
    return Measured(
        evidence=ours.model_copy(
            update={
                "incumbent_name": theirs.subject_name,
                "incumbent_digest": theirs.subject_digest,
                "calibrations": ours.calibrations or theirs.calibrations,
            }
        ),
        outcomes=candidate.outcomes.with_incumbent(incumbent.outcomes),
    )


def _cells(check: Check, table: OutcomeTable, where: str | None) -> list[dict[str, str]]:
    """The cells a check splits into.

    Raises:
        InputError: none: a check that matches nothing must not pass in silence.
    """
    try:
        rows = rows_for(check.spec, table, check.where).arm("candidate")
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


def _with_holm(examined: list[Examined], policy: Policy) -> list[CheckResult]:
    """Fail is a claim of regression over many cells: Holm keeps its family-wise error at alpha."""
    rejected = holm([1.0 if e.p_fail is None else e.p_fail for e in examined], policy.alpha)
    return [conclude(e, rejected=r, policy=policy) for e, r in zip(examined, rejected, strict=True)]


def _verdict(checks: list[CheckResult], *, unplanned: bool) -> tuple[Verdict, str]:
    failed = [c.id for c in checks if c.status is Status.FAIL]
    unsettled = [c.id for c in checks if c.status is Status.INCONCLUSIVE]
    if failed:
        return Verdict.BLOCK, f"{_count(failed, 'check')} failed: {', '.join(failed)}"
    if unsettled:
        return Verdict.INCONCLUSIVE, f"{_count(unsettled, 'check')} not settled: {', '.join(unsettled)}"
    if unplanned:
        return Verdict.INCONCLUSIVE, "the evidence is unplanned and the policy requires a plan committed before the run"
    return Verdict.PROMOTE, f"all {_count(checks, 'check')} passed"


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


def _notes(measured: Measured) -> list[str]:
    evidence, table = measured.evidence, measured.outcomes
    notes = []
    if evidence.plan_digest is None:
        notes.append("unplanned: no plan was committed to before these outcomes were measured")
    excluded = int(table.arm("candidate").client_errors().sum())
    if excluded:
        notes.append(f"{_count(range(excluded), 'client error')} left out of reliability and latency")
    return notes


def _count(things: Sized, noun: str) -> str:
    n = len(things)
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"
