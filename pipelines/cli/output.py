"""What commands print: one JSON document on stdout, or tables for people; everything else goes to stderr."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from evalharness.evidence import Estimate
from gates.decision import Decision, Status, Verdict
from gates.wording import number
from golden_sets.documents import json_text
from golden_sets.visible_text import visible

if TYPE_CHECKING:
    from gates.reports import Standing
    from pipelines.released import Released

UNEXPECTED = 4
INTERRUPTED = 130

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout; logs go to stderr.")]

_STYLE = {
    Status.PASS: "green",
    Status.FAIL: "bold red",
    Status.INCONCLUSIVE: "yellow",
    Verdict.PROMOTE: "bold green",
    Verdict.BLOCK: "bold red",
    Verdict.INCONCLUSIVE: "bold yellow",
}


def stdout() -> Console:
    """Console for results; wide enough for tables where the output is no terminal."""
    return Console(width=None if sys.stdout.isatty() else 160, soft_wrap=False, emoji=False)


def line(console: Console, text: str, *, style: str | None = None) -> None:
    """One line of plain text: markup and control characters are shown, not obeyed, and only a terminal wraps it."""
    console.print(visible(text), style=style, markup=False, highlight=False, soft_wrap=not console.is_terminal)


def emit(document: Any) -> None:
    """The one JSON document of ``--json``."""
    sys.stdout.write(json_text(document))
    sys.stdout.flush()


def fail(what: str, *, as_json: bool, code: int, where: str | None = None, do: str | None = None) -> int:
    """Report an error on stderr (and in JSON on stdout), and return its exit code."""
    place = f"{where}: " if where else ""
    advice = f"\n  {do}" if do else ""
    sys.stderr.write(visible(f"relgate: {place}{what}{advice}\n"))
    if as_json:
        emit({"error": {"what": what, "where": where, "do": do}, "exit_code": code})
    return code


def table(title: str | None, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    """A table of plain text: markup and control characters in it are shown, not obeyed."""
    found = Table(title=None if title is None else _plain(title), title_justify="left", header_style="bold")
    for name in columns:
        found.add_column(name, overflow="fold")
    for row in rows:
        found.add_row(*(_plain(cell) for cell in row))
    return found


def _plain(text: str) -> str:
    return escape(visible(text))


def styled(status: Status | Verdict) -> str:
    """A status in its colour."""
    return f"[{_STYLE[status]}]{status.value}[/]"


def interval(estimate: Estimate | None) -> str:
    """``86.1 % [84.0 %, 88.0 %]``."""
    if estimate is None or (estimate.value is None and estimate.low is None and estimate.high is None):
        return "-"
    bounds = f"[{number(estimate.low, estimate.unit)}, {number(estimate.high, estimate.unit)}]"
    return f"{number(estimate.value, estimate.unit)} {bounds}".replace("unknown", "-")


def show_decision(decision: Decision, console: Console) -> None:
    """A decision for people: verdict first, then every check."""
    told = f"{styled(decision.verdict)}  {_plain(decision.subject_name)}: {_plain(decision.reason)}"
    console.print(told, highlight=False, soft_wrap=not console.is_terminal)
    found = Table(header_style="bold")
    for name in ("check", "status", "estimate", "limit", "n", "why"):
        found.add_column(name, overflow="fold", justify="right" if name in ("limit", "n") else "left")
    for check in decision.checks:
        found.add_row(
            _plain(check.id),
            styled(check.status),
            _plain(interval(check.estimate)),
            number(check.limit, check.estimate.unit),
            str(check.estimate.n),
            _plain(check.reason + _more(check.more)),
        )
    console.print(found)
    for note in decision.notes:
        line(console, f"note: {note}")


def show_thresholds(standing: Standing | None, console: Console) -> None:
    """Every threshold that is not what it was: in red where that makes it easier to pass."""
    if standing is None:
        return
    from gates.reports.standing_view import change_words

    for since in standing.thresholds:
        if not since.changes:
            continue
        line(console, f"changed thresholds since {since.since}:", style="bold")
        for change in since.changes:
            line(console, f"  {change_words(change)}", style="bold red" if change.loosened else None)


def show_release(result: Released, measured: str, standing: Standing | None = None) -> None:
    """A release for people: its decision, which attempt it was, and what the channel serves now.

    Args:
        result: the release.
        measured: what was measured on the sets, in the plural.
        standing: where its decision stands in the registry.
    """
    console = stdout()
    show_decision(result.decision, console)
    show_thresholds(standing, console)
    told = ", ".join(f"{name} {number}" for name, number in result.exposures.items())
    line(console, f"attempt {result.decision.attempt}; {measured} measured on each set: {told}")
    line(console, f"report: {result.reports.html}")
    if result.promoted:
        line(console, f"{result.state.where} serves {result.state.name} (generation {result.state.generation})")
    if result.awaiting:
        line(console, f"{result.state.where} waits for signatures: {'; '.join(result.awaiting)}", style="bold yellow")
        line(console, "  let them sign: relgate registry sign VERSION --role ROLE --key KEY; then release it again")
    for warning in result.warnings:
        line(console, f"warning: {warning}")


def _more(more: Any) -> str:
    if more is None or more.n == 0:
        return ""
    cost = "" if more.usd is None else f" (about {more.usd:.2g} USD)"
    return f"; about {more.n} more prompts would settle it{cost}"
