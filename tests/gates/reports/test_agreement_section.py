"""What the reports say of where the judge errs, of refusals, and of several judges."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from evalharness.outcomes import OutcomeTable
from gates.reports import ReportInput, render_html, render_json

HOSTILE = "<script>alert(1)</script>"


@pytest.fixture
def told(promoted: ReportInput) -> ReportInput:
    """Sixty labelled answers of each arm; the judge has it the wrong way round in the hard cell."""
    rows: list[dict[str, Any]] = []
    for arm in ("candidate", "incumbent"):
        for number in range(60):
            truth, hard = number % 2, number >= 40
            rows.append(
                {
                    "arm": arm,
                    "phase": "quality",
                    "set_kind": "golden",
                    "set_name": "golden",
                    "prompt_id": f"p{number}",
                    "prompt_digest": f"d{number}",
                    "cluster": f"c{number}",
                    "scored_by": "judge",
                    "rubric": "correctness",
                    "outcome": float(truth != hard),
                    "label": float(truth),
                    "label_p": 1.0,
                    "dim.tier": "hard" if hard else "easy",
                    "response": "full_compliance",
                    "detected": "full_refusal" if number < 6 else "full_compliance",
                }
            )
    interval = {"value": 0.8, "low": 0.7, "high": 0.9}
    votes = {"items": 120, "agreement": interval, "kappa": interval, "split": interval, "undecided": 7}
    details = {"judges": {HOSTILE: votes}, "labels": [f"1 label about a prompt that the run does not have: {HOSTILE}"]}
    provenance = promoted.evidence.provenance.model_copy(update={"details": details})
    evidence = promoted.evidence.model_copy(update={"provenance": provenance})
    return replace(promoted, evidence=evidence, outcomes=OutcomeTable.from_rows(rows))


def test_the_page_names_the_cell_in_which_the_judge_is_flipped(told: ReportInput) -> None:
    page = render_html(told)
    assert "tier hard <b>polarity flipped</b>" in page
    assert "tier easy <b>" not in page
    assert "12 of 120" not in page
    assert page.count("6 of 60") == 2
    assert HOSTILE not in page
    assert "&lt;script&gt;" in page


def test_the_document_has_the_same_for_machines(told: ReportInput) -> None:
    judge = json.loads(render_json(told))["report"]["judge"]
    (table,) = judge["agreement"]
    assert table["flipped"] == ["tier=hard"]
    assert {part["cell"]["tier"] for part in table["cells"]} == {"easy", "hard"}
    assert [one["disagree"] for one in judge["responses"]] == [6, 6]
    assert judge["judges"][HOSTILE]["undecided"] == 7


def test_nothing_is_said_where_nothing_was_judged(promoted: ReportInput) -> None:
    page = render_html(replace(promoted, outcomes=None))
    assert "Several judges" not in page
    assert "by detector" not in page
