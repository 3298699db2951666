"""JUnit XML, as continuous integration reads it: a suite for each check of the policy, a case for each cell.

A failed check is a ``<failure>``, an inconclusive one an ``<error type="inconclusive">``: GitHub's, GitLab's and
Jenkins' readers all count both as not passed, whereas ``<skipped>`` would show an unproven release as green. A suite
of its own, ``verdict``, holds the verdict, so that a release refused for another reason is not green either.
"""

from __future__ import annotations

from xml.etree import ElementTree as ET

from gates.decision import CheckResult, Decision, Status, Verdict
from gates.reports.figures import measured_scale
from gates.reports.interval_plot import describe
from gates.reports.model import ReportInput
from gates.reports.standing import Standing
from gates.reports.standing_view import lead, signature_words, threshold_lines, waiver_words
from gates.reports.text import xml_text
from gates.reports.view import more_words

VERDICT_SUITE = "verdict"
"""Name of the suite that holds the verdict."""


def render_junit(report: ReportInput) -> str:
    """The decision as a JUnit XML document. Characters that XML 1.0 cannot hold are removed."""
    decision = report.decision
    root = ET.Element("testsuites", {"name": xml_text(f"relgate {decision.policy_name}")})
    root.append(_verdict_suite(report))
    by_check: dict[str, list[CheckResult]] = {}
    for check in decision.checks:
        by_check.setdefault(check.check, []).append(check)
    for name, checks in by_check.items():
        suite = ET.SubElement(root, "testsuite", {"name": xml_text(name)})
        for check in checks:
            suite.append(_case(decision, check, checks, report.standing))
    for suite in [root, *root.findall("testsuite")]:
        _count(suite)
    ET.indent(root)
    document: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return document.decode() + "\n"


def _verdict_suite(report: ReportInput) -> ET.Element:
    decision = report.decision
    suite = ET.Element("testsuite", {"name": VERDICT_SUITE, "timestamp": xml_text(report.generated_at)})
    properties = ET.SubElement(suite, "properties")
    for name, value in {
        "verdict": decision.verdict.value,
        "subject": decision.subject_name,
        "subject_digest": decision.subject_digest,
        "incumbent": decision.incumbent_name or "",
        "incumbent_digest": decision.incumbent_digest or "",
        "policy": f"{decision.policy_name} {decision.policy_version}",
        "policy_digest": decision.policy_digest,
        "evidence_digest": decision.evidence_digest,
        "decision_digest": decision.digest,
        "relgate": report.relgate,
    }.items():
        ET.SubElement(properties, "property", {"name": name, "value": xml_text(value)})
    case = _empty_case(decision, VERDICT_SUITE, VERDICT_SUITE)
    if decision.verdict is not Verdict.PROMOTE:
        failed = decision.verdict is Verdict.BLOCK
        _not_passed(case, "failure" if failed else "error", decision.verdict.value, decision.reason, decision.reason)
    if report.standing is not None:
        told = [lead(report.standing), *threshold_lines(report.standing)]
        told += [signature_words(signature) for signature in report.standing.signatures]
        ET.SubElement(case, "system-out").text = xml_text("\n".join(told))
    suite.append(case)
    return suite


def _case(decision: Decision, check: CheckResult, family: list[CheckResult], standing: Standing | None) -> ET.Element:
    case = _empty_case(decision, check.check, check.id)
    lines = [
        check.reason,
        describe(check, measured_scale(family)),
        f"Method: {check.estimate.method}, n = {check.estimate.n}.",
    ]
    if check.more is not None:
        lines.append(f"Would settle it: {more_words(check.more)}.")
    if standing is not None:
        lines += [waiver_words(waiver) for waiver in standing.waived(check.id)]
    if check.status is Status.PASS:
        ET.SubElement(case, "system-out").text = xml_text("\n".join(lines))
    else:
        tag = "failure" if check.status is Status.FAIL else "error"
        _not_passed(case, tag, check.status.value, check.reason, "\n".join(lines))
    return case


def _empty_case(decision: Decision, check: str, name: str) -> ET.Element:
    # Readers expect a time; the gate's own arithmetic takes none worth telling.
    classname = xml_text(f"{decision.policy_name}.{check}")
    return ET.Element("testcase", {"classname": classname, "name": xml_text(name), "time": "0"})


def _not_passed(case: ET.Element, tag: str, kind: str, message: str, body: str) -> None:
    element = ET.SubElement(case, tag, {"type": kind, "message": xml_text(message)})
    element.text = xml_text(body)


def _count(suite: ET.Element) -> None:
    for name, path in (("tests", ".//testcase"), ("failures", ".//failure"), ("errors", ".//error")):
        suite.set(name, str(len(suite.findall(path))))
