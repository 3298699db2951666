"""The Markdown summary: what fits a CI job's page or a comment on a change."""

from __future__ import annotations

from collections.abc import Iterable

from gates.decision import CheckResult, Status
from gates.reports.figures import NO_BOUND, Scale, confidence, count, measured_scale, own_scale
from gates.reports.interval_plot import axis_is_shared
from gates.reports.judge_view import judge_view
from gates.reports.model import ReportInput
from gates.reports.standing import Standing
from gates.reports.standing_view import lead, signature_words, threshold_lines, waiver_words
from gates.reports.text import markdown_code, markdown_text, shortened
from gates.reports.view import exposure_words, more_words, tally
from gates.reports.words import SETS_WEAR_OUT, STATUS_MARKS, VERDICT_MARKS, VERDICT_MEANING, limit_text
from golden_sets.digests import short

MOST_ROWS = 100
"""Rows of the table; the rest of the passed checks is only counted (a GitHub comment ends at 65,536 characters)."""
LONGEST_REASON = 300
"""Characters of one reason."""


def render_markdown(report: ReportInput) -> str:
    """The decision as GitHub-flavoured Markdown: verdict, table of checks, reasons, what would settle it.

    Whatever was not written here is escaped: no markup, mention, link or table cell can come from a name or reason.
    """
    decision = report.decision
    mark = VERDICT_MARKS[decision.verdict]
    lines = [
        f"## {mark.symbol} {mark.word}: {markdown_text(decision.subject_name)}",
        "",
        f"{_reason(decision.reason)} {VERDICT_MEANING[decision.verdict]}",
        "",
        _against(report),
        "",
        *_table(decision.checks, report.standing),
        *_section("Failed", [_why(c) for c in decision.checks if c.status is Status.FAIL]),
        *_section("Inconclusive", [_why(c) for c in decision.checks if c.status is Status.INCONCLUSIVE]),
        *_section("What would settle it", _settling(decision.checks)),
        *_section("Notes", [_reason(note) for note in decision.notes]),
        *_standing(report.standing),
        *_further(report),
        *_judge(report),
        *_exposure(report),
        f"Intervals hold at {confidence(1 - 2 * decision.alpha)}, "
        f"each end at one-sided {confidence(1 - decision.alpha)}. "
        f"Decision {markdown_code(short(decision.digest))}, evidence {markdown_code(short(decision.evidence_digest))}, "
        f"policy {markdown_code(short(decision.policy_digest))}; relgate {markdown_text(report.relgate)}.",
    ]
    return "\n".join(lines) + "\n"


def _against(report: ReportInput) -> str:
    decision = report.decision
    against = "no incumbent" if decision.incumbent_name is None else markdown_text(decision.incumbent_name)
    text = (
        f"Against {against}, policy {markdown_text(decision.policy_name)} version "
        f"{markdown_text(decision.policy_version)}. Checks: {tally(decision.checks)}."
    )
    if decision.attempt is not None:
        text += f" Attempt {decision.attempt} of its lineage."
    if decision.superior:
        text += f" Better than the incumbent on the primary check {markdown_code(decision.primary)}."
    return text


def _table(checks: tuple[CheckResult, ...], standing: Standing | None) -> list[str]:
    unsettled = [c for c in checks if c.status is not Status.PASS]
    passed = [c for c in checks if c.status is Status.PASS]
    scales = {name: measured_scale([c for c in checks if c.check == name]) for name in {c.check for c in checks}}
    shown = {id(c) for c in [*unsettled, *passed][:MOST_ROWS]}
    lines = [
        "| Check | Result | Measured | Limit | Incumbent | n |",
        "|:--|:--|--:|--:|--:|--:|",
        *(_table_row(c, scales[c.check], standing) for c in checks if id(c) in shown),
        "",
    ]
    if len(checks) > len(shown):
        lines += [f"{count(len(checks) - len(shown))} more checks are in the HTML report.", ""]
    return lines


def _table_row(check: CheckResult, scale: Scale, standing: Standing | None) -> str:
    mark = STATUS_MARKS[check.status]
    waived = standing is not None and bool(standing.waived(check.id))
    incumbent = NO_BOUND
    if check.incumbent is not None:
        own = scale if axis_is_shared(check) else own_scale([e for e in (check.candidate, check.incumbent) if e])
        incumbent = own.value(check.incumbent.value)
    cells = [
        markdown_code(check.id),
        f"{mark.symbol} {mark.word}{', waived' if waived else ''}",
        scale.interval(check.estimate),
        limit_text(check, scale),
        incumbent,
        count(check.estimate.n),
    ]
    return "| " + " | ".join(cells) + " |"


def _why(check: CheckResult) -> str:
    return f"{markdown_code(check.id)}: {_reason(check.reason)}"


def _settling(checks: Iterable[CheckResult]) -> list[str]:
    return [f"{markdown_code(c.id)}: {markdown_text(more_words(c.more))}" for c in checks if c.more is not None]


def _reason(text: str) -> str:
    return markdown_text(shortened(text, LONGEST_REASON))


def _standing(standing: Standing | None) -> list[str]:
    """Changed thresholds, signatures and waivers; nothing where there is no registry."""
    if standing is None:
        return []
    signed = [lead(standing), *(signature_words(signature) for signature in standing.signatures)]
    waived = [f"{waiver.check}: {waiver_words(waiver)} {waiver.note}" for waiver in standing.waivers]
    return [
        *_section("Changed thresholds", [_reason(line) for line in threshold_lines(standing)]),
        *_section("Signatures", [_reason(line) for line in signed]),
        *_section("Waivers", [markdown_text(line) for line in waived]),
    ]


def _further(report: ReportInput) -> list[str]:
    """Sections that were made elsewhere: their words and tables, no drawings."""
    lines = []
    for section in report.sections:
        lines += _section(section.title, [_reason(text) for text in section.text])
        for listing in section.listings:
            rows = [listing.columns, *listing.rows[:MOST_ROWS]]
            head, *rest = ["| " + " | ".join(markdown_text(cell) for cell in row) + " |" for row in rows]
            ruler = "|:--|" + "--:|" * (len(listing.columns) - 1)
            lines += [markdown_text(listing.caption) + ":", "", head, ruler, *rest, ""]
    return lines


def _judge(report: ReportInput) -> list[str]:
    """The judge's error, biases and their limits, pairs, successful attacks, open flags; nothing without a judge."""
    seen = judge_view(report)
    lines = [
        f"{markdown_text(row.rubric)}: sensitivity {markdown_text(row.sensitivity)}, specificity "
        f"{markdown_text(row.specificity)}, kappa {row.kappa}, unparsed {row.unparsed}"
        for row in seen.calibrations
        if row.arm is None
    ]
    for bias in (*seen.biases, *seen.preferences):
        gated = "".join(f"; {c.mark.symbol} {c.limit} ({markdown_code(c.check)})" for c in bias.checks)
        note = f" ({markdown_text(bias.note)})" if bias.note else ""
        lines.append(
            f"{markdown_text(bias.name)}: {bias.value} {markdown_text(bias.bounds)}, n = {bias.n}{gated}{note}"
        )
    if seen.wins is not None:
        won = seen.wins
        lines.append(f"Pairs: {won.wins} won, {won.ties} tied, {won.losses} lost, {won.unscored} unscored")
    successful = [f"{markdown_text(f.family)} {f.won} of {f.planted}" for f in seen.attacks if f.won]
    if seen.attacks:
        lines.append(f"Attacks that succeeded: {', '.join(successful) or 'none'}")
    if seen.unadjudicated:
        waiting = ", ".join(f"{count(n)} in {markdown_text(name)}" for name, n in seen.unadjudicated.items())
        lines.append(f"Flagged and not adjudicated, counted as violations: {waiting}")
    return _section("The judge", lines)


def _exposure(report: ReportInput) -> list[str]:
    if not report.exposures:
        return []
    return [f"Versions measured on each set so far: {markdown_text(exposure_words(report))}. {SETS_WEAR_OUT}", ""]


def _section(title: str, items: list[str]) -> list[str]:
    if not items:
        return []
    rest = [f"- and {count(len(items) - MOST_ROWS)} more in the HTML report"] if len(items) > MOST_ROWS else []
    return [f"**{markdown_text(title)}**", "", *(f"- {item}" for item in items[:MOST_ROWS]), *rest, ""]
