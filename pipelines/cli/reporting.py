"""``relgate report``: the report of a decision, from its file or from the registry."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from golden_sets.errors import InputError
from pipelines.cli.options import ProjectOption, StoreOption
from pipelines.cli.output import Json, emit


def report(
    decision: Annotated[str, typer.Argument(help="Decision file, or digest of a recorded one.", show_default=False)],
    *,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to write into.")] = Path("reports"),
    evidence: Annotated[
        Path | None,
        typer.Option("--evidence", help="Evidence of a decision file; default: as it says.", show_default=False),
    ] = None,
    project: ProjectOption = Path(),
    store: StoreOption = None,
    as_json: Json = False,
) -> None:
    """Write the HTML page, Markdown summary, JUnit XML and JSON of a decision."""
    from evalharness.database import open_database
    from evalharness.evidence_files import plan_beside, read_evidence
    from gates.registry import Registry
    from pipelines.attempts import exposures_of
    from pipelines.decision_files import read_decision
    from pipelines.project import Project
    from pipelines.reporting import report as write

    if Path(decision).is_file():
        file = read_decision(Path(decision))
        measured, outcomes = read_evidence(evidence or file.evidence)
        if measured.digest != file.decision.evidence_digest:
            raise InputError("this is not the evidence that the decision was made on", where=evidence or file.evidence)
        plan = plan_beside(measured, evidence or file.evidence)
        paths = write(file.decision, measured, file.policy, output, outcomes=outcomes, plan=plan)
    else:
        url = store or Project.load(project).store_url
        registry = Registry(open_database(url))
        found = registry.recorded_decision(decision)
        measured = registry.evidence(found.evidence_digest)
        paths = write(
            found,
            measured,
            registry.policy(found.policy_digest),
            output,
            outcomes=registry.outcomes(measured),
            plan=None if found.plan_digest is None else registry.plan(found.plan_digest),
            exposures=exposures_of(registry, measured.set_digests),
        )
    if as_json:
        emit({"reports": paths.to_json()})
    else:
        print(paths.html)
