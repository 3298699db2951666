"""``relgate report``: the report of a decision, from its file or from the registry."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from golden_sets.errors import InputError
from pipelines.cli.options import ProjectOption, StoreOption
from pipelines.cli.output import Json, emit
from pipelines.cli.registry.common import ChannelOption, StageOption


def report(
    decision: Annotated[str, typer.Argument(help="Decision file, or digest of a recorded one.", show_default=False)],
    *,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to write into.")] = Path("reports"),
    evidence: Annotated[
        Path | None,
        typer.Option("--evidence", help="Evidence of a decision file; default: as it says.", show_default=False),
    ] = None,
    channel: ChannelOption = None,
    stage: StageOption = None,
    project: ProjectOption = Path(),
    store: StoreOption = None,
    as_json: Json = False,
) -> None:
    """Write the HTML page, Markdown summary, JUnit XML and JSON of a decision.

    That of a recorded decision tells who signed it, what stands against its move, and which thresholds changed, as the
    registry knows it now.
    """
    from evalharness.database import open_database
    from evalharness.evidence_files import plan_beside, read_evidence
    from gates.registry import Registry
    from pipelines.attempts import exposures_of
    from pipelines.decision_files import read_decision
    from pipelines.project import PROJECT_FILE, Project
    from pipelines.reporting import report as write
    from pipelines.router_sections import router_sections
    from pipelines.standing import place_of, standing_of

    if Path(decision).is_file():
        file = read_decision(Path(decision))
        measured, outcomes = read_evidence(evidence or file.evidence)
        if measured.digest != file.decision.evidence_digest:
            raise InputError("this is not the evidence that the decision was made on", where=evidence or file.evidence)
        plan = plan_beside(measured, evidence or file.evidence)
        paths = write(file.decision, measured, file.policy, output, outcomes=outcomes, plan=plan)
    else:
        alone = store is not None and not project.is_file() and not (project / PROJECT_FILE).is_file()
        loaded = None if alone else Project.load(project, store=store)
        registry = Registry(open_database(loaded.store_url if loaded is not None else str(store)))
        found = registry.recorded_decision(decision)
        measured = registry.evidence(found.evidence_digest)
        plan = None if found.plan_digest is None else registry.plan(found.plan_digest)
        place = place_of(measured, plan, channel=channel, stage=stage, project=loaded)
        paths = write(
            found,
            measured,
            registry.policy(found.policy_digest),
            output,
            outcomes=registry.outcomes(measured),
            plan=plan,
            exposures=exposures_of(registry, measured.set_digests),
            sections=router_sections(measured),
            standing=standing_of(registry, found, *place),
        )
    if as_json:
        emit({"reports": paths.to_json()})
    else:
        print(paths.html)
