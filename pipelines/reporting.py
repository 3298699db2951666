"""What a report shows, gathered from a decision, its evidence and, where they are at hand, the answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import yaml

from evalharness.evidence import Evidence
from evalharness.outcomes import OutcomeTable
from evalharness.plan import Plan
from evalharness.scoring import Answer
from gates.decision import Decision
from gates.policy import Policy
from gates.reports import (
    FailingExample,
    JudgedAnswer,
    ReportInput,
    ReportPaths,
    Section,
    Standing,
    kept_examples,
    write_report,
)
from gates.reports.model import is_failure
from golden_sets.digests import short
from golden_sets.records import SetKind
from golden_sets.version import relgate_version

EXAMPLES_PER_SET = 25
"""Failing prompts shown of each kind of set; the counts beside them are complete."""


def report(
    decision: Decision,
    evidence: Evidence,
    policy: Policy,
    directory: Path,
    *,
    outcomes: OutcomeTable | None = None,
    plan: Plan | None = None,
    answers: Sequence[Answer] = (),
    exposures: Mapping[str, int] | None = None,
    sections: Sequence[Section] = (),
    standing: Standing | None = None,
) -> ReportPaths:
    """Write the report of a decision into its own folder below ``directory``.

    Where no answers are at hand, the failing prompts of a report of this decision that lies there are kept.

    Args:
        decision: the verdict and its checks.
        evidence: what it was made on.
        policy: what it was made by.
        directory: where the reports of all decisions lie.
        outcomes: the per-prompt outcomes, where they are at hand.
        plan: the plan of planned evidence.
        answers: the answers, where they are at hand: failing ones become examples.
        exposures: how many subjects each set has measured, by its name, where that is counted.
        sections: what else the report is to tell.
        standing: where the decision stands in a registry.

    Raises:
        InfrastructureError: it cannot be written.
    """
    folder = report_folder(decision, directory)
    inputs = ReportInput(
        decision=decision,
        evidence=evidence,
        policy=yaml.safe_dump(policy.model_dump(mode="json", exclude_defaults=True), sort_keys=False, width=120),
        generated_at=datetime.now(UTC).isoformat(timespec="seconds"),
        relgate=relgate_version(),
        plan=plan,
        outcomes=outcomes,
        examples=failing_examples(answers) or kept_examples(ReportPaths.below(folder).json, decision.digest),
        exposures=exposures or {},
        sections=tuple(sections),
        standing=standing,
    )
    return write_report(inputs, folder)


def report_folder(decision: Decision, directory: Path) -> Path:
    """The folder of one decision's report."""
    safe = "".join(c if c.isalnum() or c in "-_." else "-" for c in decision.subject_name)
    return directory / f"{safe}-{short(decision.digest)}"


def report_paths(decision: Decision, directory: Path) -> ReportPaths:
    """Where the files of one decision's report lie, or would."""
    return ReportPaths.below(report_folder(decision, directory))


def failing_examples(answers: Sequence[Answer]) -> tuple[FailingExample, ...]:
    """Prompts on which the candidate failed: regressions first, a bounded number of each kind of set."""
    theirs = {_key(a): a for a in answers if a.arm == "incumbent" and a.phase == "quality"}
    failing: dict[SetKind, list[FailingExample]] = {}
    for answer in answers:
        if answer.arm != "candidate" or answer.phase != "quality" or not _failed(answer):
            continue
        incumbent = theirs.get(_key(answer))
        failing.setdefault(answer.asked.kind, []).append(
            FailingExample(
                set_kind=answer.asked.kind,
                set_name=answer.asked.prompt_set.name,
                prompt_id=answer.asked.prompt.id,
                question="\n\n".join(m.content for m in answer.asked.prompt.messages),
                candidate=_judged(answer),
                incumbent=None if incumbent is None else _judged(incumbent),
                reference=answer.asked.prompt.reference,
                dimensions=answer.asked.prompt.dimensions,
                repeat=answer.asked.repeat,
            )
        )
    return tuple(
        example
        for examples in failing.values()
        for example in sorted(examples, key=lambda e: not e.is_regression)[:EXAMPLES_PER_SET]
    )


def _failed(answer: Answer) -> bool:
    if answer.generation.error is not None:
        return True
    return answer.outcome is None or is_failure(answer.asked.kind, answer.outcome)


def _judged(answer: Answer) -> JudgedAnswer:
    judgment, error = answer.judgment, answer.generation.error
    return JudgedAnswer(
        text=answer.generation.text,
        outcome=answer.outcome,
        error=None if error is None else error.value,
        score=None if judgment is None else judgment.score,
        rationale=None if judgment is None else judgment.rationale,
        label=answer.label,
        adjudicated=answer.adjudicated,
    )


def _key(answer: Answer) -> tuple[str, str, int]:
    return (answer.asked.prompt_set.name, answer.asked.prompt.id, answer.asked.repeat)
