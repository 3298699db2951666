"""The JSON document: the decision's documented summary, and under ``report`` what the other formats show besides."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from gates.reports.agreement_view import agreement_document
from gates.reports.judge_view import judge_document
from gates.reports.model import FailingExample, JudgedAnswer, ReportInput
from gates.reports.sections import sections_document
from gates.reports.sureness import sample_counts
from gates.reports.text import well_formed
from golden_sets.digests import Digest
from golden_sets.records import SetKind

PROMPTS: Any = {"sets": {"__all__": {"strata": {"__all__": {"prompts"}}}}}
"""The part of a plan that is left out: thousands of ids."""


def render_json(report: ReportInput) -> str:
    """The decision's summary with a key ``report`` added, as indented JSON (UTF-8, a line end at the end)."""
    return json.dumps(well_formed(json_document(report)), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def json_document(report: ReportInput) -> dict[str, Any]:
    """The document as plain data."""
    plan = None
    if report.plan is not None:
        plan = {"digest": report.plan.digest, **report.plan.model_dump(mode="json", exclude=PROMPTS)}
    return {
        **report.decision.summary(),
        "report": {
            "generated_at": report.generated_at,
            "relgate": report.relgate,
            "exposures": dict(report.exposures),
            "standing": None if report.standing is None else report.standing.to_json(),
            "alpha": report.decision.alpha,
            "primary": report.decision.primary,
            "superior": report.decision.superior,
            "evidence": report.evidence.to_json(),
            "plan": plan,
            "policy": report.policy,
            "sample": [] if report.outcomes is None else [asdict(c) for c in sample_counts(report.outcomes)],
            "judge": {**judge_document(report), **agreement_document(report)},
            "examples": [_example(e) for e in report.examples],
            "sections": sections_document(report.sections),
            "links": dict(report.links),
        },
    }


def _example(example: FailingExample) -> dict[str, Any]:
    # asdict would deep-copy the mapping type; a plain dict is wanted
    return {**asdict(example), "dimensions": dict(example.dimensions), "regression": example.is_regression}


def kept_examples(path: Path, decision: Digest) -> tuple[FailingExample, ...]:
    """The failing prompts that a report shows; none where there is no report, or it is not about this decision.

    They are for people to look at: no verdict rests on them.

    Args:
        path: the report's JSON document.
        decision: digest of the decision that it must be about.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if document["decision"] != decision:
            return ()
        return tuple(_read_example(example) for example in document["report"]["examples"])
    except (OSError, ValueError, LookupError, TypeError):
        return ()


def _read_example(data: dict[str, Any]) -> FailingExample:
    fields = {name: value for name, value in data.items() if name != "regression"}
    incumbent = fields["incumbent"]
    return FailingExample(
        **{
            **fields,
            "set_kind": SetKind(fields["set_kind"]),
            "candidate": JudgedAnswer(**fields["candidate"]),
            "incumbent": None if incumbent is None else JudgedAnswer(**incumbent),
        }
    )
