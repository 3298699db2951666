"""``relgate release``: evaluate, gate, register, report and promote, in one command."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipelines.cli.options import (
    BudgetOption,
    DeadlineOption,
    IncumbentOption,
    LooksOption,
    ProjectOption,
    StoreOption,
    seconds,
)
from pipelines.cli.output import Json, emit, show_release


def release(
    candidate: Annotated[str, typer.Argument(help="Name of a candidate, or its file.", show_default=False)],
    *,
    project: ProjectOption = Path(),
    incumbent: IncumbentOption = None,
    promote: Annotated[
        bool, typer.Option("--promote/--no-promote", help="Move the channel when the decision allows it.")
    ] = True,
    accept_power: Annotated[
        bool, typer.Option("--accept-power", help="Release although the plan's power is below the policy's.")
    ] = False,
    looks: LooksOption = None,
    budget: BudgetOption = None,
    deadline: DeadlineOption = None,
    store: StoreOption = None,
    as_json: Json = False,
) -> None:
    """Release a candidate: promote (exit 0), block (1), inconclusive (3), or passed and awaiting signatures (5).

    Where the policy wants signatures, the key that RELGATE_KEY names signs the decision as its submitter.

    A decision on the same subject, plan, policy and incumbent is returned as recorded and spends nothing. So is the
    decision about a candidate that the channel serves already, where no --incumbent is named. Everything else is
    another attempt of the project's line of work on these sets: counted, and asked afresh under a plan of its own.
    """
    from evalharness.candidate import Candidate
    from evalharness.event_loop import run_async
    from pipelines.attempts import PlanOptions
    from pipelines.fleet import Fleet
    from pipelines.progress import Progress
    from pipelines.project import Project
    from pipelines.promotion import tell_expiries
    from pipelines.release import Release, served_already
    from pipelines.release import release as run
    from pipelines.standing import changed_thresholds, standing_of
    from pipelines.workspace import Workspace

    options = PlanOptions(looks=looks, budget=budget, deadline=seconds(deadline, "--deadline"))
    workspace = Workspace.open(Project.load(project, store=store))
    tell_expiries(workspace.project, workspace.registry, Progress())
    subject = workspace.project.candidate(candidate)

    async def against(other: Candidate | None) -> Release:
        async with Fleet(workspace.project.logs) as fleet:
            return await run(
                workspace,
                subject,
                other,
                fleet=fleet,
                progress=Progress(),
                promote=promote,
                accept_power=accept_power,
                options=options,
            )

    served = served_already(workspace, subject) if incumbent is None else None
    result = served or run_async(against(workspace.incumbent(incumbent)))
    standing = standing_of(workspace.registry, result.decision, result.state.channel, result.state.stage)
    if as_json:
        emit({**result.to_json(), "changed_thresholds": changed_thresholds(standing)})
    else:
        show_release(result, "versions", standing)
    raise typer.Exit(result.exit_code)
