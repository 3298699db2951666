"""``relgate plan``: what would be asked, why that many, and what it costs, before anything runs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from evalharness.plan import Plan, PlannedCell
from gates.wording import number
from pipelines.cli.options import (
    BudgetOption,
    DeadlineOption,
    IncumbentOption,
    LooksOption,
    ProjectOption,
    StoreOption,
    seconds,
)
from pipelines.cli.output import Json, emit, line, stdout, table


def plan(
    candidate: Annotated[
        str | None, typer.Argument(help="Candidate whose price counts (in the digest too).", show_default=False)
    ] = None,
    *,
    project: ProjectOption = Path(),
    incumbent: IncumbentOption = None,
    looks: LooksOption = None,
    budget: BudgetOption = None,
    deadline: DeadlineOption = None,
    requests_per_second: Annotated[
        float | None, typer.Option(help="How fast the engine answers: tells the time.", show_default=False, min=0.001)
    ] = None,
    store: StoreOption = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write the plan as JSON.", show_default=False)
    ] = None,
    as_json: Json = False,
) -> None:
    """Size every cell of the policy by its own base rate; print cells, the naive total beside them, time and cost.

    With a budget or a deadline every size is taken down by one factor until the run fits, and the power left is said.
    """
    from evalharness.evidence_files import plan_document, write_plan
    from pipelines.attempts import PlanOptions, attempt_plans, exposures_of
    from pipelines.planning import POWER_LEEWAY, shortfalls
    from pipelines.project import Project
    from pipelines.totals import totals
    from pipelines.workspace import Workspace

    workspace = Workspace.open(Project.load(project, store=store))
    against = workspace.incumbent(incumbent)
    known = None if against is None else workspace.known_evidence(against.digest)
    subject = None if candidate is None else workspace.project.candidate(candidate)
    made = attempt_plans(
        workspace,
        subject,
        (against, workspace.anchor()),
        PlanOptions(looks, budget, seconds(deadline, "--deadline"), requests_per_second),
    ).next()
    sums = dict(
        totals(
            made,
            workspace.project,
            subject or against,
            known,
            incumbent=against,
            requests_per_second=requests_per_second,
        )
    )
    short = [one.text for one in shortfalls(made)]
    exposures = exposures_of(workspace.registry, made.set_digests)
    also = {"totals": sums, "shortfalls": short, "exposures": exposures}
    if output is not None:
        write_plan(made, output, **also)
    if as_json:
        emit(plan_document(made, **also))
        return
    show_plan(made, sums, exposures)
    if sums["joint_power"] < made.joint_power - POWER_LEEWAY:
        told = f"joint power {sums['joint_power']:.2f} is below the {made.joint_power:.2f} that the policy wants"
        line(stdout(), f"{told}; relgate release refuses such a plan without --accept-power:")
        for one in short:
            line(stdout(), f"  {one}")


def show_plan(made: Plan, sums: dict[str, Any], exposures: Mapping[str, int]) -> None:
    """A plan for people."""
    console = stdout()
    title = f"plan {made.name} ({made.lineage}), attempt {made.attempt}, alpha {made.alpha:.3g}"
    console.print(table(title, _COLUMNS, (_row(cell) for cell in made.cells)))
    count = len(made.looks.fractions)
    if count > 1:
        line(
            console,
            f"{count} looks: {_count(sums['expected_prompts'])} prompts on average at the expected rates, "
            f"{_count(sums['expected_prompts_clear'])} where everything is twice as clear, {sums['prompts']} at most",
        )
    line(
        console,
        f"prompts {sums['prompts']} at most (one size for every cell would take {sums['naive_prompts']}), "
        f"labels {sums['labels']}, joint power {sums['joint_power']:.2f} of {made.joint_power:.2f}",
    )
    _show_sets(made, exposures, console)
    line(console, f"generations {sums['generations']} for {sums['arms']} arm(s), judgments up to {sums['judgments']}")
    line(
        console,
        f"tokens per arm: {sums['prompt_tokens_per_arm']} in, {_count(sums['output_tokens_per_arm'])} out "
        f"({sums['output_tokens_source']})",
    )
    line(console, f"cost: {_known(sums['usd'], '{:.4g} USD')}, {_known(sums['usd_per_arm'], '{:.4g} USD')} per arm")
    time = sums["seconds"]
    line(
        console,
        "time: unknown; --requests-per-second tells it"
        if time is None
        else f"time: {time:.0f} s, {sums['seconds_per_arm']:.0f} s per arm ({sums['seconds_source']}), without judging",
    )
    if sums["gpu_hours"] is not None:
        line(console, f"GPU-hours: {sums['gpu_hours']:.3g}, {_known(sums['gpu_hours_per_arm'], '{:.3g}')} per arm")
    line(console, f"digest {made.digest}")


_COLUMNS = (
    "check / cell",
    "purpose",
    "expected rate",
    "stage",
    "n wanted",
    "available",
    "n at most",
    "on average",
    "if clear",
    "power",
    "note",
)


def _row(cell: PlannedCell) -> tuple[str, ...]:
    return (
        cell.check,
        cell.purpose,
        "-" if cell.rate is None else f"{number(cell.rate, '1')} ({cell.rate_source})",
        str(cell.stage),
        str(cell.n_wanted) if cell.n_wanted else "-",
        str(cell.n_available),
        str(cell.n),
        "-" if cell.expected_n is None else f"{cell.expected_n:.0f}",
        "-" if cell.expected_n_clear is None else f"{cell.expected_n_clear:.0f}",
        "-" if cell.power is None else f"{cell.power:.2f}",
        cell.note or "",
    )


def _show_sets(made: Plan, exposures: Mapping[str, int], console: Console) -> None:
    """Stage, labels, how many versions were measured on it and, where they were declared, weights of every set."""
    for name, planned in made.sets.items():
        asked = sum(len(stratum.prompts) for stratum in planned.strata)
        told = f"set {name} (stage {planned.stage}): {asked} prompts in {len(planned.strata)} strata"
        if planned.labels_per_arm:
            told += f", {planned.labels_per_arm} labelled per arm"
        if exposures.get(name):
            told += f", versions measured on it so far: {exposures[name]}"
        if any(abs(stratum.weight - stratum.available) > 1e-9 for stratum in planned.strata):
            total = sum(stratum.weight for stratum in planned.strata)
            shares = (
                f"{','.join(f'{k}={v}' for k, v in stratum.cell.items())} {stratum.weight / total:.3g}"
                for stratum in planned.strata
            )
            told += f", weights {'; '.join(shares)}"
        line(console, told)


def _count(value: float | None) -> str:
    return "an unknown number" if value is None else f"{value:.0f}"


def _known(value: float | None, form: str) -> str:
    return "unknown" if value is None else form.format(value)
