"""``relgate gate``: apply a policy to evidence."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipelines.cli.output import Json, emit, show_decision, show_thresholds, stdout


def gate(
    evidence: Annotated[Path, typer.Argument(help="Evidence file of the candidate.", show_default=False)],
    *,
    policy: Annotated[Path, typer.Option("--policy", help="Policy file.", show_default=False)],
    incumbent: Annotated[
        Path | None,
        typer.Option("--incumbent", help="Evidence in which the incumbent was the subject.", show_default=False),
    ] = None,
    anchor: Annotated[
        Path | None,
        typer.Option("--anchor", help="Evidence in which the policy's anchor was the subject.", show_default=False),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Decision file to write.", show_default=False)
    ] = None,
    report: Annotated[
        Path | None, typer.Option("--report", help="Folder for HTML, Markdown, JUnit and JSON.", show_default=False)
    ] = None,
    store: Annotated[
        str | None,
        typer.Option("--store", help="SQLAlchemy URL of a registry that remembers; default: none.", show_default=False),
    ] = None,
    as_json: Json = False,
) -> None:
    """Decide: promote (exit 0), block (1) or inconclusive (3), re-derived from the per-prompt outcomes.

    Without --store nothing is read or written but files. With it, the decision is recorded with everything it rests on;
    one on the same evidence under the same policy is returned as recorded. Thresholds that changed since the policies
    before are listed.
    """
    from evalharness.database import open_database
    from gates.policy import load_policy
    from gates.registry import Registry
    from pipelines.attempts import exposures_of
    from pipelines.decision_files import write_decision
    from pipelines.recording import EvidenceFile, GateFiles
    from pipelines.reporting import report as write_report
    from pipelines.standing import changed_thresholds, place_of, standing_of

    found = load_policy(policy)
    files = GateFiles(
        EvidenceFile(evidence),
        None if incumbent is None else EvidenceFile(incumbent),
        None if anchor is None else EvidenceFile(anchor),
    )
    registry = None if store is None else Registry(open_database(store))
    known = None if registry is None else files.recorded(registry, found)
    decision = known or files.decide(found, registry)
    if registry is not None and known is None:
        files.record(registry, found, decision)
    subject = files.candidate.measured
    exposures = {} if registry is None else exposures_of(registry, subject.evidence.set_digests)
    if output is not None:
        write_decision(decision, found.policy, evidence, output)
    standing = None
    if registry is not None:
        standing = standing_of(registry, decision, *place_of(subject.evidence, subject.plan))
    paths = None
    if report is not None:
        paths = write_report(
            decision,
            subject.evidence,
            found.policy,
            report,
            outcomes=subject.outcomes,
            plan=subject.plan,
            exposures=exposures,
            standing=standing,
        )
    if as_json:
        emit(
            {
                **decision.summary(),
                "recorded": known is not None,
                "exposures": exposures,
                "changed_thresholds": changed_thresholds(standing),
                "reports": None if paths is None else paths.to_json(),
            }
        )
    else:
        show_decision(decision, stdout())
        show_thresholds(standing, stdout())
        if known is not None:
            print("this decision was recorded already; nothing was written")
        if paths is not None:
            print(f"report: {paths.html}")
    raise typer.Exit(decision.verdict.exit_code)
