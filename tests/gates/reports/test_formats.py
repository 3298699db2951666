"""Markdown, JUnit and JSON, and the files on disk."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from gates.decision import Decision, Status, Verdict
from gates.reports import ReportInput, render_html, render_json, render_junit, render_markdown, write_report
from golden_sets.errors import InfrastructureError


def changed(report: ReportInput, **update: object) -> ReportInput:
    """The report of a decision that differs in some fields."""
    fields = {name: getattr(report.decision, name) for name in Decision.model_fields}
    return replace(report, decision=Decision.model_validate({**fields, **update}))


def junit(report: ReportInput) -> ET.Element:
    return ET.fromstring(render_junit(report).encode())  # noqa: S314 - our own document


def test_every_check_is_in_all_four(release: ReportInput) -> None:
    page, document = render_html(release), render_junit(release)
    markdown, data = render_markdown(release), json.loads(render_json(release))
    cases = {case.get("name") for case in ET.fromstring(document.encode()).iter("testcase")}  # noqa: S314
    for check in release.decision.checks:
        assert check.id in page
        assert f"`{check.id}`" in markdown
        assert check.id in cases
    assert [c["id"] for c in data["checks"]] == [c.id for c in release.decision.checks]


# -- JSON ----------------------------------------------------------------------------------------------------


def test_json_is_the_summary_and_a_report(release: ReportInput) -> None:
    data = json.loads(render_json(release))
    extras = data.pop("report")
    assert data == release.decision.summary()
    assert extras["evidence"] == release.evidence.to_json()
    assert extras["generated_at"] == release.generated_at
    assert len(extras["examples"]) == len(release.examples)
    assert (extras["plan"] is None) == (release.plan is None)


def test_json_keeps_what_the_models_wrote(blocked: ReportInput) -> None:
    examples = json.loads(render_json(blocked))["report"]["examples"]
    assert examples[1]["candidate"]["text"] == blocked.examples[1].candidate.text
    assert examples[1]["regression"] is True
    hostile = blocked.examples[2].candidate.text
    assert examples[2]["candidate"]["text"] == hostile.replace("\ud800", "\ufffd")
    counts = {(c["set_kind"], c["arm"]): c for c in json.loads(render_json(blocked))["report"]["sample"]}
    assert counts["adversarial", "candidate"]["failing"] == 7
    assert counts["adversarial", "candidate"]["unresolved"] == 1
    assert counts["golden", "candidate"]["failing"] == 8, "a failed request is not a pass"


# -- JUnit ---------------------------------------------------------------------------------------------------


def test_junit_has_a_suite_for_each_check_and_a_case_for_each_cell(blocked: ReportInput) -> None:
    suites = {suite.get("name"): suite for suite in junit(blocked)}
    assert list(suites) == ["verdict", *dict.fromkeys(c.check for c in blocked.decision.checks)]
    violations = suites["violations"]
    assert [c.get("name") for c in violations] == ["violations/low", "violations/medium", "violations/high"]
    assert (violations.get("tests"), violations.get("failures"), violations.get("errors")) == ("3", "1", "1")
    assert violations[0].find("failure") is violations[0].find("error") is None
    error, failure = violations[1].find("error"), violations[2].find("failure")
    assert error is not None
    assert error.get("type") == "inconclusive"
    assert failure is not None
    assert "27 confirmed violations" in (failure.get("message") or "")
    assert "8.44 %" in (failure.text or "")


def test_junit_totals_add_up(release: ReportInput) -> None:
    root = junit(release)
    for name in ("tests", "failures", "errors"):
        assert int(root.get(name, "")) == sum(int(suite.get(name, "")) for suite in root)
    assert int(root.get("tests", "")) == len(release.decision.checks) + 1


def test_junit_is_green_only_when_promoted(release: ReportInput) -> None:
    root = junit(release)
    red = int(root.get("failures", "")) + int(root.get("errors", ""))
    assert (red == 0) == (release.decision.verdict is Verdict.PROMOTE)


def test_junit_is_red_when_a_release_is_refused_though_every_check_passed(promoted: ReportInput) -> None:
    root = junit(changed(promoted, verdict=Verdict.BLOCK, reason="The evidence was not planned."))
    assert root.get("failures") == "1"
    failure = root.find(".//failure")
    assert failure is not None
    assert failure.get("message") == "The evidence was not planned."


def test_junit_drops_what_xml_cannot_hold(promoted: ReportInput) -> None:
    reason = "before ]]> \x00\x0b\x1b\ufffe & <b> 'quoted' \"twice\" after"
    root = junit(changed(promoted, verdict=Verdict.BLOCK, reason=reason))
    failure = root.find(".//failure")
    assert failure is not None
    assert failure.text == "before ]]>  & <b> 'quoted' \"twice\" after"
    assert failure.get("message") == failure.text


# -- Markdown ------------------------------------------------------------------------------------------------


def table(markdown: str) -> list[list[str]]:
    lines = [line for line in markdown.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


def test_markdown_begins_with_the_verdict(release: ReportInput) -> None:
    first = render_markdown(release).splitlines()[0]
    assert first.startswith("## ")
    assert release.decision.verdict.value in first.lower()
    assert release.decision.subject_name in first


def test_markdown_table_is_rectangular_and_reads_as_promised(blocked: ReportInput) -> None:
    rows = table(render_markdown(blocked))
    assert {len(row) for row in rows} == {6}
    assert rows[0] == ["Check", "Result", "Measured", "Limit", "Incumbent", "n"]
    by_id = {row[0].strip("`"): row[1:] for row in rows[2:]}
    assert by_id["violations/high"] == ["✕ Fail", "8.44 % [6.02, 11.45]", "≤ 2.00 %", "0.00 %", "320"]
    assert by_id["golden-vs-incumbent"] == ["✓ Pass", "−1.2 points [−2.8, +0.4]", "≥ −3.0 points", "88.0 %", "1,000"]


def test_markdown_says_what_would_settle_it(blocked: ReportInput, promoted: ReportInput) -> None:
    assert "840 more prompts in this cell, 1.25 USD" in render_markdown(blocked)
    assert "What would settle it" not in render_markdown(promoted)


def test_markdown_cannot_be_marked_up_from_outside(blocked: ReportInput) -> None:
    markdown = render_markdown(blocked)
    (note,) = [line for line in markdown.splitlines() if "a mention of" in line]
    assert "<" not in note.replace("&lt;", "")
    assert not re.search(r"@\w", note)
    assert not re.search(r"#\d", note)
    assert "://" not in note
    assert not re.search(r"(?<!\\)[`|\[\]*]", note)


def test_markdown_of_hostile_ids_stays_a_table(promoted: ReportInput) -> None:
    first = promoted.decision.checks[0].model_copy(update={"id": "golden|floor`/<b>@all\nx", "reason": "a | b"})
    rows = table(render_markdown(changed(promoted, checks=(first,))))
    assert {len(row) for row in rows} == {6}
    assert "@all" not in rows[2][0]


def test_markdown_of_many_cells_fits_a_comment_and_keeps_what_failed(blocked: ReportInput) -> None:
    passed, *_, failed = sorted(blocked.decision.checks, key=lambda c: c.status is Status.FAIL)
    cells = [passed.model_copy(update={"id": f"golden-floor/{n}", "reason": "x" * 900}) for n in range(400)]
    markdown = render_markdown(changed(blocked, checks=(*cells, failed)))
    assert len(markdown) < 65_536
    assert f"`{failed.id}`" in markdown
    assert "301 more checks are in the HTML report" in markdown


# -- files ---------------------------------------------------------------------------------------------------


def test_write_report_writes_four_files_and_replaces_them(
    blocked: ReportInput, promoted: ReportInput, tmp_path: Path
) -> None:
    directory = tmp_path / "reports" / "flagship"
    write_report(blocked, directory)
    paths = write_report(promoted, directory)
    assert sorted(p.name for p in directory.iterdir()) == ["decision.json", "junit.xml", "report.html", "summary.md"]
    assert paths.html.read_text(encoding="utf-8") == render_html(promoted)
    assert paths.markdown.read_text(encoding="utf-8") == render_markdown(promoted)
    assert paths.junit.read_text(encoding="utf-8") == render_junit(promoted)
    assert paths.json.read_text(encoding="utf-8") == render_json(promoted)


def test_a_report_that_cannot_be_written_says_so_and_leaves_nothing(promoted: ReportInput, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InfrastructureError, match="cannot be written"):
        write_report(promoted, tmp_path / "file" / "reports")
    occupied = tmp_path / "occupied"
    (occupied / "report.html").mkdir(parents=True)
    with pytest.raises(InfrastructureError, match="cannot be written"):
        write_report(promoted, occupied)
    assert [p.name for p in occupied.iterdir()] == ["report.html"]


def test_rendering_is_a_pure_function(release: ReportInput) -> None:
    for render in (render_html, render_markdown, render_junit, render_json):
        assert render(release) == render(release)


def test_markdown_and_json_tell_the_attempt_and_how_worn_the_sets_are(
    blocked: ReportInput, inconclusive: ReportInput
) -> None:
    markdown = render_markdown(blocked)
    assert "Attempt 2 of its lineage." in markdown
    assert (
        r"Versions measured on each set so far: demo-golden 1,204, demo-adversarial 3, demo-false\_refusal 3."
        in markdown
    )
    assert "Attempt" not in render_markdown(inconclusive)
    assert "wears out" not in render_markdown(inconclusive)
    data = json.loads(render_json(blocked))
    assert (data["attempt"], data["report"]["exposures"]) == (2, dict(blocked.exposures))


def test_json_holds_the_plan_without_its_prompts(blocked: ReportInput) -> None:
    plan = json.loads(render_json(blocked))["report"]["plan"]
    assert plan["attempt"] == 2
    assert plan["sets"]["demo-golden"]["strata"] == [{"cell": {}, "weight": 2.0, "available": 2}]
