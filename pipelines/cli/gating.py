"""``relgate gate``: apply a policy to evidence."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipelines.cli.output import Json, emit, show_decision, stdout


def gate(
    evidence: Annotated[Path, typer.Argument(help="Evidence file of the candidate.", show_default=False)],
    *,
    policy: Annotated[Path, typer.Option("--policy", help="Policy file.", show_default=False)],
    incumbent: Annotated[
        Path | None,
        typer.Option("--incumbent", help="Evidence in which the incumbent was the subject.", show_default=False),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Decision file to write.", show_default=False)
    ] = None,
    report: Annotated[
        Path | None, typer.Option("--report", help="Folder for HTML, Markdown, JUnit and JSON.", show_default=False)
    ] = None,
    as_json: Json = False,
) -> None:
    """Decide: promote (exit 0), block (1) or inconclusive (3), re-derived from the per-prompt outcomes."""
    from evalharness.evidence_files import read_evidence
    from gates.gate import Measured
    from gates.gate import gate as decide
    from gates.policy import load_policy
    from pipelines.decision_files import write_decision
    from pipelines.reporting import report as write_report

    found = load_policy(policy)
    subject = Measured(*read_evidence(evidence))
    against = None if incumbent is None else Measured(*read_evidence(incumbent))
    decision = decide(found.policy, subject, against, where=found.where)
    if output is not None:
        write_decision(decision, found.policy, evidence, output)
    paths = None
    if report is not None:
        paths = write_report(decision, subject.evidence, found.policy, report, outcomes=subject.outcomes)
    if as_json:
        emit({**decision.summary(), "reports": None if paths is None else paths.to_json()})
    else:
        show_decision(decision, stdout())
        if paths is not None:
            print(f"report: {paths.html}")
    raise typer.Exit(decision.verdict.exit_code)
