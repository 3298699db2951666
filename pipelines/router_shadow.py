"""Shadow validation of a router: the log is routed, some of it replayed and judged, and what was learnt is kept."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from golden_sets.documents import json_text, write_whole
from pipelines.progress import Progress
from pipelines.router_replays import Scorer
from router_training.shadow.alerts import NewCluster
from router_training.shadow.labels import labelled_rows, to_label_rows, write_rows
from router_training.shadow.page import render_shadow
from router_training.shadow.raising import clusters_since
from router_training.shadow.summary import ShadowSummary, summarise
from router_training.shadow.traffic import read_batches
from router_training.shadow.watching import Watch

POLL_S = 1.0
"""How often a log that grows is looked at."""
TO_LABEL = 50
"""Prompts of a new cluster that are worth labelling, at most."""


@dataclass(frozen=True)
class ShadowRun:
    """What one run did, and all that is known after it."""

    taken: int
    """Requests that were new."""
    malformed: tuple[str, ...]
    """Lines that were passed over, and why."""
    summary: ShadowSummary
    clusters: tuple[NewCluster, ...]
    """What is new since the change that an alert told of; none without one."""


async def run_shadow(
    watch: Watch,
    log: Path,
    scorer: Scorer | None,
    progress: Progress,
    *,
    columns: Mapping[str, str],
    follow: bool = False,
    until: float | None = None,
) -> ShadowRun:
    """Read what has come since the last run, route and test it, replay what is drawn, and tell.

    Args:
        watch: the router's watch.
        log: the traffic log.
        scorer: of replays; None: nothing is replayed now.
        progress: tells people.
        columns: our names of the log's keys to theirs.
        follow: whether to wait for more when the log ends.
        until: stop following then, by the monotonic clock; None: until interrupted.

    Raises:
        InputError: a bad log.
        InfrastructureError: a model died; everything finished is kept.
    """
    taken = 0
    malformed: list[str] = []
    if scorer is not None and (left := watch.waiting()):
        watch.score(await scorer.score(left))  # of a run that was cut off
    with progress.bar("routing requests", None) as advance:
        while True:
            for batch in read_batches(log, watch.store.places(), columns=columns):
                taken += watch.take(batch, log)
                malformed += batch.malformed
                advance(taken, taken)
                if scorer is not None and (waiting := watch.waiting()):
                    watch.score(await scorer.score(waiting))
            if not follow or (until is not None and time.monotonic() >= until):
                break
            await asyncio.sleep(POLL_S)
    began = [alert.began for alert in watch.alerts() if alert.kind == "drift" and alert.began is not None]
    clusters = clusters_since(watch.watched, min(began), examples=TO_LABEL) if began else ()
    return ShadowRun(taken, tuple(malformed), summarise(watch), clusters)


def write_shadow(watch: Watch, run: ShadowRun, directory: Path) -> dict[str, str]:
    """Write the page, the summary, the alerts, the labelled replays and the prompts worth labelling.

    Returns:
        Where each lies.

    Raises:
        InfrastructureError: something cannot be written.
    """
    places = {
        "page": directory / "shadow.html",
        "summary": directory / "shadow.json",
        "alerts": directory / "alerts.jsonl",
        "labelled": directory / "labelled.jsonl",
        "to_label": directory / "to-label.jsonl",
    }
    page = render_shadow(watch, run.summary, run.clusters)
    write_whole(places["page"], page.encode())
    write_whole(places["summary"], json_text(run.summary.to_json()).encode())
    write_rows(places["alerts"], run.summary.records())
    write_rows(places["labelled"], labelled_rows(watch))
    write_rows(places["to_label"], to_label_rows(watch, run.clusters))
    return {name: str(place) for name, place in places.items()}
