"""``relgate router shadow``: watch a router's traffic."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipelines.cli.options import ProjectOption, StoreOption, pairs, seconds
from pipelines.cli.output import Json, emit, line, stdout, table
from pipelines.cli.router.options import RouterArgument

if TYPE_CHECKING:
    from pipelines.router_shadow import ShadowRun

ALERT = 1
"""Exit code while an alert stands."""


def shadow(
    directory: RouterArgument,
    *,
    traffic: Annotated[
        Path,
        typer.Option(
            "--traffic",
            help="JSONL log: prompt, time (seconds or ISO 8601), optionally id, family, reference, rubric, checker.",
            show_default=False,
        ),
    ],
    state: Annotated[
        Path | None,
        typer.Option(
            "--state", help="Folder of what is remembered between runs.", show_default=".relgate/shadow/ROUTER"
        ),
    ] = None,
    sample: Annotated[float, typer.Option("--sample", help="Share of small-routed requests that are replayed.")] = 0.05,
    rate_limit: Annotated[
        float, typer.Option("--rate-limit", help="Replays per second, at most.", min=0.001, max=10_000)
    ] = 5.0,
    scores: Annotated[
        Path | None,
        typer.Option(
            "--scores",
            help="CSV or JSONL with small_score and flagship_score by id or prompt, instead of asking the models.",
            show_default=False,
        ),
    ] = None,
    column: Annotated[
        list[str] | None,
        typer.Option("--column", help="FIELD=COLUMN of the scores file; log.FIELD=KEY of the log.", show_default=False),
    ] = None,
    no_replay: Annotated[bool, typer.Option("--no-replay", help="Route and test only; replays wait.")] = False,
    rubric: Annotated[
        str | None, typer.Option("--rubric", help="Rubric by which replayed answers are judged.", show_default=False)
    ] = None,
    alpha: Annotated[
        float, typer.Option("--alpha", help="Chance that any alert ever rings although nothing is wrong.")
    ] = 0.05,
    seed: Annotated[int, typer.Option("--seed", help="Of the sampling.")] = 0,
    follow: Annotated[bool, typer.Option("--follow", help="Wait for more when the log ends.")] = False,
    for_: Annotated[str | None, typer.Option("--for", help="Follow so long: 2h, 90m, 600.", show_default=False)] = None,
    label_out: Annotated[
        Path | None,
        typer.Option("--label-out", help="JSONL of labelled replays, as 'router train' reads it.", show_default=False),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="Folder for the page, alerts, labels and prompts to label.", show_default=False
        ),
    ] = None,
    project: ProjectOption = Path(),
    store: StoreOption = None,
    as_json: Json = False,
) -> None:
    """Route a traffic log, test it for drift, replay a sample through the flagship, and raise alerts.

    Where the last run stopped this one goes on; a request is counted once. Exit code 1 while an alert stands. All
    tests may be looked at after every request: --alpha bounds the chance that any of them ever rings without cause.
    """
    from evalharness.event_loop import run_async
    from golden_sets.digests import short
    from golden_sets.errors import InputError
    from pipelines.fleet import Fleet
    from pipelines.progress import Progress
    from pipelines.project import Project
    from pipelines.router_replays import FileScorer, ModelScorer, Scorer
    from pipelines.router_shadow import run_shadow, write_shadow
    from pipelines.workspace import Workspace
    from router_training.router import Router
    from router_training.shadow.labels import labelled_rows, write_rows
    from router_training.shadow.store import ShadowStore, locked
    from router_training.shadow.watching import ShadowSettings, Watch

    settings = ShadowSettings(sample=sample, seed=seed, false_alarm=alpha)
    if scores is not None and no_replay:
        raise InputError("--scores and --no-replay exclude each other")
    mapped = pairs(column, "--column")
    of_log = {name.removeprefix("log."): key for name, key in mapped.items() if name.startswith("log.")}
    of_scores = {name: key for name, key in mapped.items() if not name.startswith("log.")}
    limit = seconds(for_, "--for")
    router, progress = Router.load(directory), Progress()
    workspace = None
    if scores is None and not no_replay:
        workspace = Workspace.open(Project.load(project, store=store))
    base = Path(".relgate") if workspace is None else workspace.project.data
    folder = state or base / "shadow" / short(router.digest)
    until = time.monotonic() + limit if limit is not None else None

    async def go(watch: Watch, scorer: Scorer | None) -> ShadowRun:
        return await run_shadow(
            watch, traffic, scorer, progress, columns=of_log, follow=follow or until is not None, until=until
        )

    async def with_models(watch: Watch, there: Workspace) -> ShadowRun:
        async with Fleet(there.project.logs) as fleet:
            scorer = ModelScorer(there, fleet, router.manifest, progress, rubric=rubric, rate=rate_limit)
            return await go(watch, scorer)

    with locked(folder):
        kept = ShadowStore(folder)
        try:
            watch = Watch(router, kept, settings)
            of_file = None if scores is None else FileScorer(scores, of_scores, {})
            run = run_async(go(watch, of_file) if workspace is None else with_models(watch, workspace))
            written = {} if output is None else write_shadow(watch, run, output)
            if label_out is not None:
                write_rows(label_out, labelled_rows(watch))
                written["labelled"] = str(label_out)
        finally:
            kept.close()
    missing = 0 if of_file is None else of_file.missing
    if as_json:
        emit(
            {
                **run.summary.to_json(),
                "taken": run.taken,
                "malformed": list(run.malformed),
                "without_scores": missing,
                "new_clusters": [one.to_json() for one in run.clusters],
                "state": str(folder),
                "files": written,
            }
        )
    else:
        _show(run, written, missing)
    if run.summary.alerts:
        raise typer.Exit(ALERT)


def _show(run: ShadowRun, written: dict[str, str], missing: int) -> None:
    console, summary = stdout(), run.summary
    line(console, f"{run.taken:,} new requests, {summary.requests:,} in all")
    rows = [
        (one.name, f"{one.evidence:.3g}", f"{one.needed:.3g}", "-" if one.rang_at is None else f"{one.rang_at:,}")
        for one in summary.tests
    ]
    console.print(table(None, ("test", "evidence", "alarm at", "rang at request"), rows))
    share = "-" if summary.flagship_share is None else f"{summary.flagship_share:.1%}"
    line(console, f"flagship share {share}, forecast {summary.forecast_flagship_share:.1%}")
    line(
        console,
        f"{summary.sampled:,} requests drawn for replay: {summary.scored:,} scored, {summary.unscored:,} could not be, "
        f"{summary.waiting:,} wait",
    )
    if summary.mean_delta is not None and summary.large is not None:
        line(console, f"mean delta of small-routed requests {_interval(summary.mean_delta)}")
        line(console, f"P(delta > .12) {_interval(summary.large)}, limit 25.0 %")
    if missing:
        line(console, f"warning: {missing} replays have no scores in the file")
    for text in run.malformed[:5]:
        line(console, f"warning: passed over: {text}")
    if len(run.malformed) > 5:
        line(console, f"warning: passed over {len(run.malformed) - 5} further lines")
    for alert in summary.alerts:
        line(console, f"ALERT {alert.kind} at request {alert.request:,}: {alert.what}", style="bold red")
        line(console, f"  {alert.do}")
    if summary.notices:
        last = summary.notices[-1]
        line(console, f"notice: P75 above .12 on {len(summary.notices)} of {len(summary.days)} days; last: {last.what}")
    for delay in summary.delays:
        line(
            console,
            f"  {delay.alert}: {delay.passed:,} requests from the first of '{delay.family}', {delay.of_family:,} of it",
        )
    if not summary.alerts:
        line(console, "no alert", style="bold green")
    for name, place in written.items():
        line(console, f"{name.replace('_', ' ')}: {place}")


def _interval(found: Any) -> str:
    return f"{_percent(found.value)} [{_percent(found.low)}, {_percent(found.high)}]"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f} %"
