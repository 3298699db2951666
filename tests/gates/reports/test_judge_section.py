"""What the reports say of the judge."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from evalharness.estimates import all_biases
from evalharness.outcomes import OutcomeTable
from evalharness.statistics import proportion_interval
from gates.decision import CheckResult, Decision, Status
from gates.reports import ReportInput, render_html, render_json, render_markdown

HOSTILE = "<b>fence</b>|`x`"


def probed() -> OutcomeTable:
    """Both arms' answers with what the judge was asked besides: 24 wins, 6 losses, 30 ties, two successful attacks."""
    rows: list[Mapping[str, Any]] = []
    for number in range(60):
        base = {
            "arm": "candidate",
            "set_kind": "adversarial",
            "set_name": "attacks",
            "prompt_id": f"p{number}",
            "prompt_digest": f"d{number}",
            "cluster": f"c{number}",
            "scored_by": "judge",
            "rubric": "refusal",
        }
        event = {**base, "phase": "quality", "outcome": float(number < 5)}
        rows += [event, {**event, "arm": "incumbent"}]
        first, swapped = (1.0, 1.0) if number < 24 else (0.0, 0.0) if number < 30 else (1.0, 0.0)
        lengths = {"prompt_tokens": 100 + 7 * (number % 9), "output_tokens": 120}
        for variant, outcome in (("first", first), ("swapped", swapped)):
            rows.append({**base, "phase": "pairwise", "variant": variant, "outcome": outcome, **lengths})
        rows.append({**base, "phase": "consistency", "variant": "1", "outcome": float(number < 4)})
        rows.append({**base, "phase": "planted", "variant": "bare:answer", "outcome": float(number >= 57)})
        family = HOSTILE if number < 10 else "order"
        attack = {"variant": f"injection:{family}/plain", "outcome": float(number in (3, 20, 58))}
        rows.append({**base, "phase": "planted", **attack})
    return OutcomeTable.from_rows(rows)


@pytest.fixture(scope="module")
def table() -> OutcomeTable:
    return probed()


@pytest.fixture
def judged(promoted: ReportInput, table: OutcomeTable) -> ReportInput:
    """A promoted release whose policy also bounds the injection rate."""
    found = proportion_interval(2, 57, confidence=0.9, method="clopper-pearson")
    like = promoted.decision.checks[0]
    fields = {name: getattr(like, name) for name in CheckResult.model_fields}
    estimate = like.estimate.model_copy(
        update={
            "metric": "judge_injection_rate",
            "value": found.value,
            "low": found.low,
            "high": found.high,
            "cell": {},
        }
    )
    gated = CheckResult.model_validate(
        {
            **fields,
            "id": "talked-over",
            "check": "talked-over",
            "metric": "judge_injection_rate",
            "test": "ceiling",
            "cell": {},
            "limit": 0.1,
            "status": Status.INCONCLUSIVE,
            "estimate": estimate,
            "incumbent": None,
            "reason": "The upper bound does not clear 10 %.",
        }
    )
    decision = {name: getattr(promoted.decision, name) for name in Decision.model_fields}
    return replace(
        promoted,
        decision=Decision.model_validate({**decision, "checks": (*promoted.decision.checks, gated)}),
        evidence=promoted.evidence.model_copy(update={"estimates": all_biases(table)}),
        outcomes=table,
    )


def section(page: str) -> str:
    return page[page.index('<section id="judge"') : page.index('<section id="sure"')]


def test_every_bias_stands_with_its_interval_and_the_limit_of_its_check(judged: ReportInput) -> None:
    found = section(render_html(judged))
    for name in ("Position bias", "Verbosity bias", "Inconsistency", "Injection rate", "Win rate by the judge's word"):
        assert name.replace("'", "&#39;") in found
    assert found.count('class="plot bias"') == 4
    assert "0 to 70.0\u00a0%" in found
    row = found[found.index("Injection rate") :]
    row = row[: row.index("</tr>")]
    assert "\u2264 10.0\u00a0%" in row
    assert "Inconclusive" in row
    assert "3.5\u00a0%" in row
    assert 'class="limit"' in row
    assert "3 attacks left out" in row
    assert "none" in found[found.index("Position bias") : found.index("Verbosity bias")]


def test_pairs_attacks_and_open_flags_are_counted(judged: ReportInput) -> None:
    found = section(render_html(judged))
    assert "24 wins, 30 ties, 6 losses" in " ".join(found.split())
    assert "5 in attacks" in found
    row = found[found.index('<th scope="row">order</th>') :]
    assert re.findall(r'class="num">(\d+)<', row[: row.index("</tr>")]) == ["47", "1", "0", "3"]


def test_what_others_named_is_escaped(judged: ReportInput) -> None:
    assert "<b>fence</b>" not in render_html(judged)
    assert "<b>fence</b>" not in render_markdown(judged)


def test_markdown_tells_the_same_in_short(judged: ReportInput) -> None:
    text = render_markdown(judged)
    told = text[text.index("**The judge**") :]
    assert "- Position bias: 50.0 %" in told
    assert "(`talked-over`)" in told
    assert "Pairs: 24 won, 30 tied, 6 lost, 0 unscored" in told
    assert "order 1 of 47" in told
    assert "Flagged and not adjudicated, counted as violations: 5 in attacks" in told


def test_json_holds_biases_and_counts(judged: ReportInput, table: OutcomeTable) -> None:
    found = json.loads(render_json(judged))["report"]["judge"]
    assert [b["metric"] for b in found["biases"]] == [e.metric for e in all_biases(table)]
    assert found["pairs"] == {"wins": 24, "ties": 30, "losses": 6, "unscored": 0, "identical": 0}
    assert found["unadjudicated"] == {"attacks": 5}
    assert sum(one["won"] for one in found["planted"]) == 2
    assert sum(one["left_out"] for one in found["planted"]) == 3


def test_without_probes_nothing_is_claimed(promoted: ReportInput) -> None:
    found = section(render_html(promoted))
    assert "What it goes by beside quality" not in found
    assert "Planted answers" not in found
    assert "Sensitivity" in found
    assert json.loads(render_json(promoted))["report"]["judge"]["pairs"] is None
