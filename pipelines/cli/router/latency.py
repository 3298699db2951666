"""``relgate router latency``: how long a router takes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from pipelines.cli.options import pairs
from pipelines.cli.output import Json, emit, line, stdout, table
from pipelines.cli.router.options import ColumnOption, RouterArgument, WhereOption
from pipelines.progress import Progress

if TYPE_CHECKING:
    from router_training.latency_records import Decided, RouterLatency, SettingLatency, Timing

CROWDED = 0.95
"""Below this share of a core the reader is told that the machine was busy with other things."""


def latency(
    directory: RouterArgument,
    *,
    prompts: Annotated[
        Path | None,
        typer.Option(
            "--prompts",
            help="CSV or JSONL with a column 'prompt'; default: built-in prompts of 8 to 256 tokens.",
            show_default=False,
        ),
    ] = None,
    column: ColumnOption = None,
    where: WhereOption = None,
    threads: Annotated[
        list[int] | None,
        typer.Option("--threads", help="Threads per prompt; repeatable.", min=1, show_default="1 and 2"),
    ] = None,
    calls: Annotated[
        int, typer.Option("--calls", help="Timed calls per number of threads and prompt length.", min=1)
    ] = 500,
    seed: Annotated[int, typer.Option("--seed", help="Of the order and of the built-in prompts.")] = 0,
    as_json: Json = False,
) -> None:
    """Measure encoding and head, apart and together, one prompt at a time, by prompt length.

    The overall numbers are those of the fewest threads over all lengths. Up to 10 ms at P99 a router can decide within
    the request; beyond 15 ms prompts are better classified when they enter the queue.
    """
    from router_training.latency import measure_latency
    from router_training.latency_prompts import read_prompts

    asked = None
    if prompts is not None:
        asked = read_prompts(prompts, columns=pairs(column, "--column"), where=pairs(where, "--where"))
    with Progress().bar("timing the router", None) as advance:
        found = measure_latency(
            directory,
            asked,
            source=None if prompts is None else str(prompts),
            threads=threads or (1, 2),
            calls=calls,
            seed=seed,
            progress=advance,
        )
    if as_json:
        emit(found.to_json())
    else:
        _show(found)


def _show(found: RouterLatency) -> None:
    console = stdout()
    columns = ("threads", "tokens", "calls", "P50 ms", "P99 ms", "encode P50", "encode P99", "head P50", "head P99")
    console.print(table(None, columns, [_row(setting) for setting in found.settings]))
    _tell(console, "all lengths", found)
    if found.to_128_tokens is not None:
        _tell(console, "up to 128 tokens", found.to_128_tokens)
    for batch in found.throughput:
        each = f"{batch.prompts_per_s_per_core:.0f} prompts/s per core"
        line(console, f"a batch of {batch.prompts}, {batch.workers} at once: {each}")
    line(console, f"on {found.processor}, {found.cores} cores; asked: {found.prompts}")
    if found.cpu is not None and found.core_share < CROWDED:
        line(console, f"the thread had a core for {found.core_share:.0%} of the time: other processes slowed it down;")
        line(console, "the wall clock tells of them, too: measure again on an idle machine")
    line(console, f"-> {found.recommendation}", style="bold")


def _row(setting: SettingLatency) -> tuple[str, ...]:
    tokens = "longer" if setting.tokens is None else f"<= {setting.tokens}"
    stages = (text for stage in (setting.encode, setting.head) for text in _stage(stage))
    return (str(setting.threads), tokens, str(setting.n), f"{setting.p50_ms:.2f}", f"{setting.p99_ms:.2f}", *stages)


def _stage(timing: Timing | None) -> tuple[str, str]:
    return ("-", "-") if timing is None else (f"{timing.p50_ms:.2f}", f"{timing.p99_ms:.2f}")


def _tell(console: Console, what: str, times: Decided) -> None:
    bound = "" if times.p99_high_ms is None else f" (with 95 % confidence at most {times.p99_high_ms:.2f})"
    computed = "" if times.cpu is None else f"; computing alone {times.cpu.p50_ms:.2f} and {times.cpu.p99_ms:.2f} ms"
    line(console, f"{what}: P50 {times.p50_ms:.2f} ms, P99 {times.p99_ms:.2f} ms{bound}{computed}; {times.n} calls")
