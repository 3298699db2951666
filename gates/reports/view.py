"""The page's contents as the template reads them: every number already in words, every list in reading order."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

import yaml
from markupsafe import Markup

from gates.decision import CheckResult, Decision, MoreData, Status
from gates.reports.figures import (
    NO_BOUND,
    NOT_MEASURED,
    Scale,
    confidence,
    count,
    is_measured,
    measured_scale,
    own_scale,
)
from gates.reports.interval_plot import axis_for, axis_is_shared, axis_plot, interval_plot
from gates.reports.model import FailingExample, ReportInput
from gates.reports.standing import Standing
from gates.reports.standing_view import waiver_words
from gates.reports.sureness import SampleCounts, sample_counts
from gates.reports.words import (
    KIND_MEANING,
    KIND_ORDER,
    KIND_TITLES,
    STATUS_MARKS,
    Mark,
    cell_name,
    explain,
    limit_text,
    metric_name,
)
from golden_sets.records import SetKind

FIGURE_SPACE = "\u2007"
"""A blank as wide as a digit."""

_URGENCY = (Status.FAIL, Status.INCONCLUSIVE, Status.PASS)


@dataclass(frozen=True, slots=True)
class CheckRow:
    """One check in one cell."""

    anchor: str
    id: str
    cell: str
    mark: Mark
    value: str
    bounds: str
    limit: str
    candidate: str | None
    incumbent: str
    n: str
    plot: Markup
    reason: str
    remarks: tuple[str, ...]
    more: str | None
    waived: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CheckGroup:
    """One entry of the policy with all its cells."""

    anchor: str
    check: str
    metric: str
    explanation: str
    mark: Mark
    tally: str
    headline: str
    badges: tuple[str, ...]
    method: str
    comparison: bool
    rows: tuple[CheckRow, ...]
    axis: Markup


@dataclass(frozen=True, slots=True)
class ExampleGroup:
    """Failing prompts of one kind of set, regressions first."""

    kind: SetKind
    title: str
    meaning: str
    total: int | None
    regressions: int
    examples: tuple[FailingExample, ...]


def check_groups(report: ReportInput) -> tuple[CheckGroup, ...]:
    """The policy's entries: failed ones first, then inconclusive, then passed; within each, the policy's order."""
    decision = report.decision
    by_check: dict[str, list[CheckResult]] = {}
    for check in decision.checks:
        by_check.setdefault(check.check, []).append(check)
    settings = policy_entries(report.policy)
    groups = [
        _group(index, checks, settings.get(name, {}), decision, report.standing)
        for index, (name, checks) in enumerate(by_check.items())
    ]
    order = [STATUS_MARKS[status].style for status in _URGENCY]
    return tuple(sorted(groups, key=lambda group: order.index(group.mark.style)))


def unsettled(groups: Iterable[CheckGroup]) -> list[CheckRow]:
    """The rows that did not pass, failed ones first."""
    rows = [row for group in groups for row in group.rows if row.mark.style != "pass"]
    return sorted(rows, key=lambda row: row.mark.style != "fail")


def policy_entries(policy: str) -> Mapping[str, Mapping[str, object]]:
    """The checks of a policy's YAML by id: wording only (the quantile of a latency check); empty where unreadable."""
    try:
        document = yaml.safe_load(policy)
    except yaml.YAMLError:
        return {}
    checks = document.get("checks") if isinstance(document, dict) else None
    entries = [c for c in checks if isinstance(c, dict)] if isinstance(checks, list) else []
    return {str(entry.get("id")): entry for entry in entries}


def _group(
    index: int,
    checks: list[CheckResult],
    entry: Mapping[str, object],
    decision: Decision,
    standing: Standing | None,
) -> CheckGroup:
    first = checks[0]
    scale = measured_scale(checks)
    arms = [e for c in checks for e in (c.candidate, c.incumbent) if e is not None]
    own = scale if axis_is_shared(first) or not arms else own_scale(arms)
    axis = axis_for(checks, scale)
    worst = next(status for status in _URGENCY if any(c.status is status for c in checks))
    quantile = entry.get("quantile")
    rows = tuple(
        _row(
            f"check-{index}-{row}",
            check,
            scale,
            own,
            bounds,
            interval_plot(check, axis, scale, key=f"plot-{index}-{row}"),
            () if standing is None else tuple(waiver_words(waiver) for waiver in standing.waived(check.id)),
        )
        for row, (check, bounds) in enumerate(zip(checks, _lined_up(checks, scale), strict=True))
    )
    badges = ["safety: nothing can buy it back"] if first.safety else []
    badges += [] if first.waivable else ["cannot be waived"]
    badges += [f"owner: {first.owner}"] if first.owner else []
    waived = sum(bool(row.waived) for row in rows)
    badges += [f"{waived} of {len(rows)} waived" if len(rows) > 1 else "waived"] if waived else []
    badges += ["primary check"] if first.check == decision.primary else []
    return CheckGroup(
        anchor=f"check-{index}",
        check=first.check,
        metric=metric_name(first.metric),
        explanation=explain(first, scale, quantile if isinstance(quantile, float) else None),
        mark=STATUS_MARKS[worst],
        tally=tally(checks),
        headline=scale.interval(first.estimate) if len(rows) == 1 else tally(checks),
        badges=tuple(badges),
        method=", ".join(sorted({c.estimate.method for c in checks})),
        comparison=not axis_is_shared(first),
        rows=rows,
        axis=axis_plot(axis, checks, scale),
    )


def _lined_up(checks: Sequence[CheckResult], scale: Scale) -> list[str]:
    """The intervals of one column, padded with figure spaces so that their digits stand below each other."""
    lows = [scale.number(c.estimate.low) for c in checks]
    highs = [scale.number(c.estimate.high) for c in checks]
    left, right = max(map(len, lows)), max(map(len, highs))
    return [
        f"[{low.rjust(left, FIGURE_SPACE)}, {high.rjust(right, FIGURE_SPACE)}]"
        for low, high in zip(lows, highs, strict=True)
    ]


def _row(
    anchor: str, check: CheckResult, scale: Scale, own: Scale, bounds: str, plot: Markup, waived: tuple[str, ...]
) -> CheckRow:
    estimate = check.estimate
    measured = is_measured(estimate)
    remarks = []
    if estimate.errors:
        remarks.append(count(estimate.errors, "failed request"))
    if estimate.unscored:
        remarks.append(count(estimate.unscored, "unscored answer"))
    if check.regressed:
        remarks.append(f"worse than the {check.against} beyond chance")
    if check.looks > 1 and check.look is not None:
        remarks.append(f"stopped at look {check.look} of {check.looks}")
    if estimate.note:
        remarks.append(estimate.note)
    sample = count(estimate.n)
    if estimate.clusters is not None and estimate.clusters < estimate.n:
        sample += f" in {count(estimate.clusters, 'cluster')}"
    return CheckRow(
        anchor=anchor,
        id=check.id,
        cell=cell_name(check),
        mark=STATUS_MARKS[check.status],
        value=scale.value(estimate.value) if measured else NOT_MEASURED,
        bounds=bounds if measured else "",
        limit=limit_text(check, scale),
        candidate=None if check.candidate is None else own.value(check.candidate.value),
        incumbent=NO_BOUND if check.incumbent is None else own.value(check.incumbent.value),
        n=sample,
        plot=plot,
        reason=check.reason,
        remarks=tuple(remarks),
        more=None if check.more is None else more_words(check.more),
        waived=waived,
    )


def tally(checks: Sequence[CheckResult]) -> str:
    """``2 failed, 1 inconclusive, 9 passed`` without the empty parts."""
    words = {Status.FAIL: "failed", Status.INCONCLUSIVE: "inconclusive", Status.PASS: "passed"}
    numbers = [(sum(c.status is status for c in checks), words[status]) for status in _URGENCY]
    return ", ".join(f"{number} {word}" for number, word in numbers if number) or "none"


def more_words(more: MoreData) -> str:
    """What would settle an inconclusive check, in words."""
    parts = []
    if more.n:
        parts.append(
            f"{count(more.n, 'more prompt')} in this cell" + ("" if more.usd is None else f", {usd(more.usd)}")
        )
    if more.note:
        parts.append(more.note)
    return "; ".join(parts) or "nothing that more data could settle"


def usd(amount: float) -> str:
    """An amount of money: cents, or three significant digits below one cent."""
    return f"{amount:,.2f} USD" if amount >= 0.01 or amount == 0 else f"{amount:.3g} USD"


def example_groups(report: ReportInput) -> tuple[ExampleGroup, ...]:
    """Failing prompts by kind of set, safety first; within a kind those the incumbent got right come first."""
    totals = {c.set_kind: c.failing for c in counts(report) if c.arm == "candidate"}
    ordered = sorted(report.examples, key=lambda e: (KIND_ORDER.index(e.set_kind), not e.is_regression))
    groups = []
    for kind, members in groupby(ordered, key=lambda e: e.set_kind):
        examples = tuple(members)
        regressions = sum(e.is_regression for e in examples)
        groups.append(
            ExampleGroup(kind, KIND_TITLES[kind], KIND_MEANING[kind], totals.get(kind), regressions, examples)
        )
    return tuple(groups)


def counts(report: ReportInput) -> tuple[SampleCounts, ...]:
    """Sample counts, empty without an outcome table."""
    return () if report.outcomes is None else sample_counts(report.outcomes)


def exposure_words(report: ReportInput) -> str:
    """How many versions each set has measured, the most used set first: ``golden 12, adversarial 3``."""
    ordered = sorted(report.exposures.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{name} {count(number)}" for name, number in ordered)


def one_sided(decision: Decision) -> str:
    """The one-sided confidence of every check: ``95 %``."""
    return confidence(1 - decision.alpha)


def pretty(value: object) -> str:
    """JSON data as indented text."""
    return json.dumps(value, indent=2, ensure_ascii=False, default=str)
