"""``relgate router eval``: a router on prompts that it has never seen, beside its baselines."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipelines.cli.options import ProjectOption, StoreOption, pairs
from pipelines.cli.output import Json, emit, line, stdout, table
from pipelines.cli.router.options import (
    CacheOption,
    ColumnOption,
    DataOption,
    FlagshipOption,
    RouterArgument,
    SetOption,
    SmallOption,
    WhereOption,
    cache_file,
    cores,
    decimals,
    percent,
)

if TYPE_CHECKING:
    from rich.console import Console

    from router_training.evaluation import RouterEvaluation

_BOUND = {"holds": "confirmed here", "exceeded": "EXCEEDED here", "open": "neither confirmed nor contradicted here"}


def evaluate(
    router: RouterArgument,
    *,
    data: DataOption = None,
    column: ColumnOption = None,
    where: WhereOption = None,
    small: SmallOption = None,
    flagship: FlagshipOption = None,
    sets: SetOption = None,
    project: ProjectOption = Path(),
    store: StoreOption = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Folder for report.html and evaluation.json.", show_default=False),
    ] = None,
    cache: CacheOption = None,
    as_json: Json = False,
) -> None:
    """Evaluate a router on labelled prompts: APGR, CPT(50), CPT(80), calibration, and what it does at its threshold.

    Where the file holds prompts that the router was trained on, only its frozen test is evaluated. Beside it stand, on
    the same prompts: random, always small, always flagship, length, kNN, logistic, and an oracle that knows the
    answers.
    """
    from pipelines.progress import Progress
    from pipelines.router_data import Source, labelled, project_of
    from router_training.assessing import assess
    from router_training.embedding.cache import EmbeddingCache
    from router_training.report import write_report
    from router_training.router import Router

    loaded, progress = Router.load(router), Progress()
    source = Source(
        data=tuple(data or ()),
        columns=pairs(column, "--column"),
        where=pairs(where, "--where"),
        small=small,
        flagship=flagship,
        sets=tuple(sets or ()),
        project=project,
        store=store,
        least=1,
    )
    found = labelled(source, project_of(source), progress)
    evaluation = assess(
        loaded, found.pairs, cache=EmbeddingCache(cache_file(cache)), workers=cores(), progress=progress
    )
    if found.notes:
        evaluation = evaluation.model_copy(update={"notes": (*found.notes, *evaluation.notes)})
    report = None if output is None else str(write_report(evaluation, output))
    if as_json:
        emit({"directory": str(router), "report": report, **evaluation.to_json()})
        return
    show_evaluation(evaluation, stdout())
    if report is not None:
        print(f"report written to {report}")


def show_evaluation(found: RouterEvaluation, console: Console) -> None:
    """An evaluation for people: the operating point first, then the frontier beside its baselines."""
    operation = found.operation
    line(console, f"{found.prompts}: {found.n} prompts in {found.groups} groups, head {found.head}")
    rows = [
        ("quality", percent(operation.quality), f"flagship alone {percent(found.flagship_quality)}"),
        (
            "quality given up",
            percent(operation.loss),
            f"at most {100 * operation.max_loss:g} %: {_BOUND[operation.bound]}",
        ),
        ("gap recovered", percent(operation.gap_recovered), f"small alone {percent(found.small_quality)}"),
        ("sent to the flagship", percent(operation.flagship_share), ""),
        ("of them in the band", percent(operation.band_share), ""),
        ("of them unlike training", percent(operation.unlike_share), ""),
        ("cost against the flagship", percent(operation.usd_ratio), ""),
        ("Brier score", decimals(found.calibration.brier), f"base rate {found.calibration.brier_of_base_rate:.3f}"),
        ("calibration error", decimals(found.calibration.ece), f"perfect {found.calibration.ece_of_perfect:.3f}"),
    ]
    console.print(table("At the operating point", ("", "estimate", ""), [row for row in rows if row[1] != "-"]))
    ranked = [
        ("the router", decimals(found.apgr), percent(found.cpt50), percent(found.cpt80), ""),
        ("the router, thresholds fixed before", decimals(found.apgr_fixed), "", "", ""),
        *(
            (name, decimals(rule.apgr), percent(rule.cpt50), percent(rule.cpt80), decimals(rule.apgr_gain))
            for name, rule in found.baselines.items()
            if rule.apgr is not None
        ),
    ]
    columns = ("", "APGR", "CPT(50)", "CPT(80)", "the router's gain")
    console.print(table("Quality against calls to the flagship", columns, ranked))
    if found.families:
        parts = [
            (cell.name, str(cell.n), f"{100 * cell.flagship_share:.1f} %", percent(cell.loss))
            for cell in found.families
        ]
        console.print(table("Families that give up most", ("", "n", "to the flagship", "given up"), parts[:10]))
    for note in found.notes:
        line(console, f"note: {note}")
