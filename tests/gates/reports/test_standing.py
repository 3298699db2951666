"""Signatures, waivers, changed thresholds and the place in the log: shown wherever the verdict is."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from gates.policy_changes import PolicyChange
from gates.reports import (
    ReportInput,
    Signature,
    Standing,
    ThresholdsSince,
    WaiverGiven,
    kept_examples,
    render_html,
    render_json,
    render_junit,
    render_markdown,
)
from golden_sets.digests import digest_json

HOSTILE = "<script>alert(1)</script> @everybody"
LOG, ROOT = digest_json("log"), digest_json("root")

SUBMISSION = Signature(
    person="sam",
    role="submitter",
    place=None,
    signed_at="2026-03-02T09:30:00.000000Z",
    position=31,
    key="a" * 64,
    expires=None,
    comment="",
    counts=True,
    note="counts for flagship/production",
)
APPROVAL = Signature(
    person="max",
    role="ml-owner",
    place="flagship/production",
    signed_at="2026-03-02T10:00:00.000000Z",
    position=32,
    key="b" * 64,
    expires="2026-03-05T10:00:00.000000Z",
    comment=HOSTILE,
    counts=False,
    note="does not count: its key was revoked",
)
WAIVER = WaiverGiven(
    person="sara",
    role="safety-reviewer",
    check="violations",
    lifts=("violations/medium",),
    place="flagship/production",
    reason="the gap is known",
    scope="tenant a",
    control="a person reads every answer",
    expires="2026-04-01T00:00:00.000000Z",
    on_expiry="demote",
    signed_at="2026-03-02T10:05:00.000000Z",
    position=33,
    key="c" * 64,
    counts=True,
    note="counts for flagship/production",
)
LOOSENED = PolicyChange("violations", "threshold", "0.01", "0.02", "safety", loosened=True)
TIGHTENED = PolicyChange("golden-floor", "threshold", "0.75", "0.8", None, loosened=False)
WHOLE = PolicyChange(None, "alpha", "0.05", "0.1", None, loosened=None)
STANDING = Standing(
    channel="flagship",
    stage="production",
    position=29,
    log=LOG,
    size=34,
    root=ROOT,
    pinned="Channel flagship is pinned to policy enterprise version 3 by olga.",
    rules=("Its policy asks for signatures of a submitter and 1 ml-owner.",),
    signatures=(SUBMISSION, APPROVAL),
    waivers=(WAIVER,),
    missing=("1 of ml-owner must approve",),
    thresholds=(ThresholdsSince("policy enterprise version 2", digest_json(2), (LOOSENED, TIGHTENED, WHOLE)),),
)


@pytest.fixture
def signed(blocked: ReportInput) -> ReportInput:
    checks = tuple(check.model_copy(update={"waivable": True}) for check in blocked.decision.checks)
    decision = blocked.decision.model_copy(update={"checks": checks})
    return replace(blocked, decision=decision, standing=STANDING)


def test_the_page_says_who_signed_and_what_is_missing(signed: ReportInput) -> None:
    page = render_html(signed)
    assert "What stands against flagship/production: 1 of ml-owner must approve." in page
    assert "<li>1 of ml-owner must approve</li>" in page
    assert '<th scope="row">sam</th><td>submitter</td><td>the decision</td>' in page
    assert '<td class="when">2026-03-02 09:30 UTC<br><span class="muted">event 31</span></td>' in page
    assert f'<code title="{"b" * 64}">{"b" * 12}</code>' in page
    assert "does not count: its key was revoked" in page
    assert "&lt;script&gt;alert(1)" in page
    assert "<script" not in page


def test_the_page_marks_a_waived_check_and_no_other(signed: ReportInput) -> None:
    page = render_html(signed)
    words = (
        "Waived by sara (safety-reviewer) until 2026-04-01 00:00 UTC for tenant a: the gap is known; meanwhile: a "
        "person reads every answer. On expiry the stage goes back to the version before."
    )
    assert page.count(words) == 2  # at a glance, and with the check
    assert page.count('<span class="badge">waived</span>') == 1
    assert "1 of 3 waived" in page


def test_a_waiver_that_does_not_count_marks_nothing(signed: ReportInput) -> None:
    gone = replace(STANDING, waivers=(replace(WAIVER, counts=False, note="does not count: it expired"),))
    page = render_html(replace(signed, standing=gone))
    assert '<span class="badge">waived</span>' not in page
    assert "does not count: it expired" in page
    assert ", waived |" not in render_markdown(replace(signed, standing=gone))


def test_the_page_marks_loosened_thresholds_with_their_owners(signed: ReportInput) -> None:
    page = render_html(signed)
    assert "Since policy enterprise version 2</h3>" in page
    assert page.count("loosened</span>") == 1
    assert '<td class="num">0.01</td>\n    <td class="num">0.02</td><td>safety</td>' in page
    assert "(whole policy)" in page
    assert "1 threshold loosened" in page


def test_the_page_says_how_to_check_it_offline(signed: ReportInput) -> None:
    page = render_html(signed)
    assert f'<code class="digest">{ROOT}</code>' in page
    assert "relgate registry verify --offline" in page
    assert "event 29" in page


def test_once_it_was_acted_on_nothing_is_missing(signed: ReportInput) -> None:
    moved = replace(STANDING, moves=("flagship/production (event 35)",), serves=True, missing=())
    page = render_html(replace(signed, standing=moved))
    assert "It moved flagship/production (event 35); flagship/production serves it now." in page
    canary = replace(STANDING, moves=("flagship/canary (event 35)",))
    told = "It moved flagship/canary (event 35). What stands against flagship/production:"
    assert f"{told}</p>" in render_html(replace(signed, standing=canary))
    assert f"{told} 1 of ml-owner must approve." in render_markdown(replace(signed, standing=canary))
    gone = replace(moved, serves=False)
    assert "flagship/production does not serve it now." in render_html(replace(signed, standing=gone))


def test_the_summary_tells_the_same(signed: ReportInput) -> None:
    text = render_markdown(signed)
    assert "✕ Fail |" in text
    assert "? Inconclusive, waived |" in text
    assert "- violations: threshold 0.01 -&gt; 0.02 (owner safety; LOOSENED)" in text
    assert "- max (ml-owner) approved for flagship/production 2026-03-02 10:00 UTC with key bbbbbbbbbbbb" in text
    assert "**Waivers**" in text
    assert "@everybody" not in text
    assert "<script>" not in text


def test_continuous_integration_reads_waivers_without_turning_green(signed: ReportInput) -> None:
    root = ET.fromstring(render_junit(signed).encode())  # noqa: S314 - our own document
    cases = {case.get("name"): case for case in root.iter("testcase")}
    error = cases["violations/medium"].find("error")
    assert error is not None
    assert "Waived by sara" in (error.text or "")
    told = cases["verdict"].findtext("system-out") or ""
    assert "1 of ml-owner must approve" in told
    assert "LOOSENED" in told
    plain = ET.fromstring(render_junit(replace(signed, standing=None)).encode())  # noqa: S314 - our own document
    assert (root.get("failures"), root.get("errors")) == (plain.get("failures"), plain.get("errors"))


def test_the_document_holds_everything(signed: ReportInput) -> None:
    standing = json.loads(render_json(signed))["report"]["standing"]
    assert standing["signatures"][1]["key"] == "b" * 64
    assert standing["waivers"][0]["lifts"] == ["violations/medium"]
    assert standing["missing"] == ["1 of ml-owner must approve"]
    (since,) = standing["changed_thresholds"]
    assert [change["loosened"] for change in since["changes"]] == [True, False, None]
    assert (standing["position"], standing["size"], standing["root"]) == (29, 34, ROOT)


def test_without_a_registry_nothing_is_said(release: ReportInput) -> None:
    page = render_html(release)
    assert "signatures-title" not in page
    assert "registry export" not in page
    assert json.loads(render_json(release))["report"]["standing"] is None


def test_failing_prompts_survive_in_the_document(blocked: ReportInput, tmp_path: Path) -> None:
    path = tmp_path / "decision.json"
    path.write_text(render_json(blocked), encoding="utf-8")
    kept = kept_examples(path, blocked.decision.digest)
    again = replace(blocked, examples=kept)
    assert render_json(again) == render_json(blocked)
    assert len(kept) == len(blocked.examples)
    assert kept[0] == blocked.examples[0]
    assert kept_examples(path, digest_json("another decision")) == ()
    assert kept_examples(tmp_path / "none.json", blocked.decision.digest) == ()
    path.write_text(json.dumps({"decision": blocked.decision.digest}))
    assert kept_examples(path, blocked.decision.digest) == ()
