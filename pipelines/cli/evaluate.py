"""``relgate eval``: run a plan for one candidate and write the evidence."""

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
from pipelines.cli.output import Json, emit, interval, line, stdout, table


def evaluate(
    candidate: Annotated[str, typer.Argument(help="Name of a candidate, or its file.", show_default=False)],
    *,
    project: ProjectOption = Path(),
    incumbent: IncumbentOption = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="Evidence file to write.")] = Path("evidence.json"),
    looks: LooksOption = None,
    budget: BudgetOption = None,
    deadline: DeadlineOption = None,
    store: StoreOption = None,
    as_json: Json = False,
) -> None:
    """Evaluate a candidate (and the incumbent beside it) and write evidence: an interval for every metric and cell.

    The plan is recorded before the run and the attempt is counted, unless the channel serves the candidate already: who
    looks at results has tried. What the store already holds is not asked again, so an interrupted run goes on where it
    stopped. Answers that were there before the plan make the evidence exploratory: no gate promotes on it.
    """
    from evalharness.event_loop import run_async
    from evalharness.evidence_files import outcomes_path, write_evidence
    from evalharness.freshness import Freshness
    from evalharness.judging.run_calibration import run_calibrations
    from evalharness.judging.to_label import counts_text, write_to_label
    from pipelines.attempts import PlanOptions, attempt_plans
    from pipelines.evaluate import Arms, Evaluation, agreement_text
    from pipelines.evaluate import evaluate as run
    from pipelines.fleet import Fleet
    from pipelines.progress import Progress
    from pipelines.project import Project
    from pipelines.workspace import Workspace

    options = PlanOptions(looks=looks, budget=budget, deadline=seconds(deadline, "--deadline"))
    workspace = Workspace.open(Project.load(project, store=store))
    subject = workspace.project.candidate(candidate)
    against = workspace.incumbent(incumbent)
    if against is not None and against.digest == subject.digest:
        against = None
    is_incumbent = workspace.current().digest == subject.digest
    anchor = workspace.anchor()
    plans = attempt_plans(workspace, subject, (against, anchor), options)
    plan = plans.next() if is_incumbent else plans.begin()
    workspace.registry.record_policy(workspace.project.policy.policy)
    index = workspace.registry.record_plan(plan)
    ledger_size = workspace.registry.checkpoint().size

    async def go() -> Evaluation:
        async with Fleet(workspace.project.logs) as fleet:
            return await run(
                workspace.project,
                plan,
                Arms(subject, against, anchor),
                store=workspace.store,
                fleet=fleet,
                progress=Progress(),
                plan_index=index,
                freshness=Freshness.under(
                    plan.digest,
                    plan_index=index,
                    ledger_index=ledger_size,
                    reuse_older=True,
                    completed=workspace.registry.was_measured(plan.digest, subject.digest),
                ),
            )

    result = run_async(go())
    workspace.registry.record_evidence(result.evidence, result.blob)
    write_evidence(result.evidence, result.blob, output, plan)
    labels = output.with_suffix(".to-label.jsonl")
    write_to_label(labels, result.to_label, criteria=workspace.project.criteria)
    if as_json:
        emit(
            {
                "evidence": str(output),
                "outcomes": str(outcomes_path(output)),
                "to_label": {"file": str(labels) if result.to_label else None, "answers": len(result.to_label)},
                "digest": result.evidence.digest,
                "plan": plan.digest,
                "attempt": plan.attempt,
                "exploratory": result.evidence.exploratory,
                "generated": result.generated,
                "judged": result.judged,
                "warnings": result.evidence.provenance.details["warnings"],
                "estimates": [e.to_json() for e in result.evidence.estimates],
                "calibrations": [c.to_json() for c in result.evidence.calibrations],
                "judge": [one.to_json() for one in run_calibrations(result.outcomes)],
                "judges": result.evidence.provenance.details["judges"],
                "detector": [c.to_json() for c in result.evidence.detector],
                "labels": result.evidence.provenance.details["labels"],
            }
        )
        return
    rows = [
        (e.metric + ("" if e.quantile is None else f" p{100 * e.quantile:g}"), e.arm, interval(e), str(e.n), e.method)
        for e in result.evidence.estimates
        if not e.cell
    ]
    console = stdout()
    console.print(table(f"{subject.name}: overall estimates", ("metric", "arm", "estimate", "n", "method"), rows))
    for calibration in result.evidence.calibrations:
        line(console, agreement_text(calibration))
    if result.evidence.exploratory:
        line(
            console,
            f"exploratory: {result.evidence.exploratory} answers are older than the plan; no gate promotes on them",
        )
    if result.to_label:
        line(console, f"{counts_text(result.to_label)}: fill in {labels}, name it under labels.file, evaluate again")
    for warning in result.evidence.provenance.details["warnings"]:
        line(console, f"warning: {warning}")
    line(console, f"evidence written to {output} ({result.generated} generated, {result.judged} judged)")
