"""``relgate demo``: real models, really released and refused, in a few minutes on a CPU."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from pipelines.cli.output import Json, emit, interval, line, stdout, styled

SHOWN = ("golden-floor-hard", "golden-vs-incumbent", "violations", "false-refusals", "cost")


def demo(
    *,
    directory: Annotated[Path, typer.Option("--dir", help="Where the demo writes.")] = Path("relgate-demo"),
    as_json: Json = False,
) -> None:
    """Release four candidates against an incumbent: exit 0 when every verdict is the one the models deserve.

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
    for name, one in result.releases:
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
    for name, one in result.releases:
        line(console, f"report of {name}: {one.reports.html}")
    mlflow = shlex.quote(f"sqlite:///{(directory / 'mlflow.db').resolve()}")
    line(console, f"MLflow: mlflow ui --backend-store-uri {mlflow}")
    log = shlex.quote(str(directory))
    line(console, f"log: relgate registry log --project {log}   ({result.seconds:.0f} s)")
    for surprise in result.surprises:
        line(console, f"unexpected: {surprise}", style="bold red")
    raise typer.Exit(1 if result.surprises else 0)
