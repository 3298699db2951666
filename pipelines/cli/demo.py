"""``relgate demo``: real models, really released and refused, in a few minutes on a CPU."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from pipelines.cli.output import Json, emit, interval, line, stdout, styled, table
from pipelines.cli.router.options import decimals

if TYPE_CHECKING:
    from pipelines.demo_registry import DemoRegistry
    from pipelines.demo_router import DemoRouter

SHOWN = ("golden-floor-hard", "golden-vs-incumbent", "violations", "false-refusals", "cost")


def demo(
    *,
    directory: Annotated[Path, typer.Option("--dir", help="Where the demo writes.")] = Path("relgate-demo"),
    as_json: Json = False,
) -> None:
    """Release four candidates against an incumbent, then a router between the winner and a small model.

    The winner goes to the canary and to production when three people have signed, each with a key of their own. The
    router's traffic then changes, and the page of its shadow validation shows how soon that is noticed. In the end an
    auditor checks everything, with and without the registry. Exit 0 when every verdict is the one the models deserve
    and the audit finds nothing but what was forged.

    A second run returns the recorded decisions and asks nothing again.
    """
    from pipelines.demo import key_number, run_demo
    from pipelines.progress import Progress

    result = run_demo(directory, Progress())
    if as_json:
        emit(result.to_json())
        raise typer.Exit(1 if result.surprises else 0)
    found = Table(title="relgate demo", title_justify="left", header_style="bold")
    for column in ("candidate", "verdict", "failed (open)", *SHOWN):
        found.add_column(column, overflow="fold", no_wrap=column in ("candidate", "verdict", "failed (open)"))
    for name, one in result.run.releases:
        summary = one.decision.summary()
        numbers = [key_number(one, check) for check in SHOWN]
        found.add_row(
            escape(name),
            styled(one.decision.verdict),
            escape("\n".join([*summary["failed_checks"], *(f"({c})" for c in summary["inconclusive_checks"])]) or "-"),
            *("-" if n is None else escape(interval(n.estimate).replace(" [", "\n[")) for n in numbers),
        )
    console = stdout()
    console.print(found)
    line(console, "intervals: 90 % two-sided, so that each end is a one-sided 95 % bound", style="dim")
    for name, one in result.run.releases:
        line(console, f"report of {name}: {one.reports.html}")
    if result.run.router is not None:
        _show_router(result.run.router)
    _show_registry(result.run.registry, directory)
    mlflow = shlex.quote(f"sqlite:///{(directory / 'mlflow.db').resolve()}")
    line(console, f"MLflow: mlflow ui --backend-store-uri {mlflow}")
    log = shlex.quote(str(directory))
    line(console, f"log: relgate registry log --project {log}   ({result.seconds:.0f} s)")
    for surprise in result.surprises:
        line(console, f"unexpected: {surprise}", style="bold red")
    raise typer.Exit(1 if result.surprises else 0)


def _show_router(found: DemoRouter) -> None:
    console, evaluation, decision = stdout(), found.evaluation, found.release.decision
    console.print(f"\n{styled(decision.verdict)}  {escape(decision.subject_name)}: {escape(decision.reason)}")
    rows = [(c.id, c.status.value, interval(c.estimate), c.reason) for c in decision.checks]
    console.print(table("the router on its frozen test", ("check", "status", "estimate", "why"), rows))
    line(console, f"APGR {decimals(evaluation.apgr)}, length alone {decimals(evaluation.baselines['length'].apgr)}")
    line(console, f"report with its frontier: {found.release.reports.html}")
    summary = found.shadow.summary
    for delay in summary.delays[:1]:
        line(
            console,
            f"drift drill: '{delay.family}' turned up at request {delay.first:,}; {delay.passed:,} requests passed "
            f"until the alert ({delay.of_family:,} of that family), while the cost dashboard stayed green on "
            f"{delay.green_days} of {delay.green_days + delay.red_days} days",
        )
    line(console, f"shadow validation: {found.page}")


def _show_registry(found: DemoRegistry, directory: Path) -> None:
    console, audit = stdout(), found.audit
    line(console, "")
    if found.signed is not None:
        for text in found.signed.refused:
            line(console, f"refused: {text}")
        drill = found.signed.rollback_s
        taken = "" if drill is None else f"; the rollback drill took {1000 * drill:.0f} ms"
        line(console, f"{found.signed.served.where} serves {found.signed.served.name}, signed for{taken}")
    registry = audit.registry
    line(console, f"the log: {registry.size} events, root {registry.root}")
    line(console, "verified in the registry, and offline from a file:", style="bold")
    folder = shlex.quote(str(audit.folder))
    line(console, f"  relgate registry verify --project {shlex.quote(str(directory))}")
    line(
        console,
        f"  relgate registry verify --offline {folder}/release.zip --checkpoint {folder}/checkpoint.json "
        f"--trust {folder}/root.pub",
    )
    line(console, f"a forged copy ({folder}/forged.zip) is found out:")
    for problem in audit.forged.log.problems:
        line(console, f"  {problem}")
