"""``relgate plan``: what would be asked, why that many, and what it costs, before anything runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from evalharness.evidence_files import json_text, write_whole
from evalharness.plan import Plan
from gates.wording import number
from pipelines.cli.options import IncumbentOption, ProjectOption, StoreOption
from pipelines.cli.output import Json, emit, stdout, table


def plan(
    candidate: Annotated[
        str | None, typer.Argument(help="Candidate whose price counts (in the digest too).", show_default=False)
    ] = None,
    *,
    project: ProjectOption = Path(),
    incumbent: IncumbentOption = None,
    requests_per_second: Annotated[
        float | None, typer.Option(help="How fast the engine answers: tells the time.", show_default=False, min=0.001)
    ] = None,
    store: StoreOption = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write the plan as JSON.", show_default=False)
    ] = None,
    as_json: Json = False,
) -> None:
    """Size every cell of the policy by its own base rate; print cells, the naive total beside them, tokens and cost."""
    from pipelines.planning import plan_for, totals
    from pipelines.project import Project
    from pipelines.workspace import Workspace

    workspace = Workspace.open(Project.load(project, store=store))
    against = workspace.incumbent(incumbent)
    known = None if against is None else workspace.known_evidence(against.digest)
    priced = None if candidate is None else workspace.project.candidate(candidate)
    made = plan_for(workspace.project, against, known, candidate=priced)
    sums = dict(totals(made, workspace.project, priced or against, known, requests_per_second=requests_per_second))
    document = {"digest": made.digest, "plan": made.to_json(), "totals": sums}
    if output is not None:
        write_whole(output, json_text(document).encode())
    if as_json:
        emit(document)
        return
    show_plan(made, sums)


def show_plan(made: Plan, sums: dict[str, Any]) -> None:
    """A plan for people."""
    console = stdout()
    rows = [
        (
            cell.check,
            cell.purpose,
            "-" if cell.rate is None else f"{number(cell.rate, '1')} ({cell.rate_source})",
            str(cell.n_wanted) if cell.n_wanted else "-",
            str(cell.n_available),
            str(cell.n),
            "-" if cell.power is None else f"{cell.power:.2f}",
            cell.note or "",
        )
        for cell in made.cells
    ]
    columns = ("check / cell", "purpose", "expected rate", "n wanted", "available", "n asked", "power", "note")
    console.print(table(f"plan {made.name} ({made.lineage})", columns, rows))
    usd = sums["usd_per_arm"]
    lines = [
        f"prompts {sums['prompts']} (one size for every cell would take {sums['naive_prompts']}), "
        f"labels {sums['labels']}, joint power {sums['joint_power']:.2f}",
        f"generations {sums['generations']} for {sums['arms']} arm(s), judgments up to {sums['judgments']}",
        f"tokens per arm: {sums['prompt_tokens_per_arm']} in, {_known(sums['output_tokens_per_arm'])} out "
        f"({sums['output_tokens_source']})",
        "cost per arm: " + ("unknown" if usd is None else f"{usd:.4g} USD"),
    ]
    seconds = sums["seconds_per_arm"]
    told = f"{seconds:.0f} s" if seconds is not None else "unknown; --requests-per-second tells it"
    lines.append(f"time per arm: {told} ({sums['seconds_source']})")
    for line in lines:
        console.print(line, highlight=False, markup=False)
    console.print(f"digest {made.digest}", highlight=False)


def _known(value: int | None) -> str:
    return "an unknown number" if value is None else str(value)
