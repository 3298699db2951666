"""The last part of the demo: a router trained on the released flagship, released by the same gate, then surprised."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gates.decision import Status, Verdict
from gates.registry.channels import PRODUCTION
from golden_sets.reading import LoadedSet
from pipelines.fleet import Fleet
from pipelines.progress import Progress
from pipelines.promotion import mirror_move, serve_first
from pipelines.router_data import Source, labelled_by
from pipelines.router_labels import label_prompts
from pipelines.router_measuring import NamedRouter
from pipelines.router_place import RouterPlace
from pipelines.router_release import RouterRelease, incumbent_of, release_router
from pipelines.router_replays import ModelScorer
from pipelines.router_shadow import ShadowRun, run_shadow, write_shadow
from pipelines.router_testing import test_of_answers
from pipelines.router_training_run import Request, RouterTraining, Training
from pipelines.workspace import Workspace
from router_training.assessing import assess
from router_training.embedding.cache import EmbeddingCache
from router_training.evaluation import RouterEvaluation
from router_training.router import Router
from router_training.router_files import MANIFEST
from router_training.shadow.store import ShadowStore, locked
from router_training.shadow.watching import ShadowSettings, Watch

NAME = "router-v1"
FIRST = "the demo starts with this version in production"
"""Why a channel begins with a version that was never compared."""
TRAFFIC = "traffic.jsonl"
SAMPLE = 0.2
"""Share of small-routed requests that are replayed: more than in production, because the log is short."""
REPLAYS_PER_S = 200.0


@dataclass(frozen=True)
class DemoRouter:
    """What came of the router."""

    router: Router
    training: RouterTraining | None
    """None where it was trained by an earlier run."""
    evaluation: RouterEvaluation
    """On its frozen test, beside the baselines."""
    release: RouterRelease
    shadow: ShadowRun
    page: Path
    """The page of the shadow validation."""

    @property
    def surprises(self) -> tuple[str, ...]:
        """What is not as it must be; nothing in a sound run."""
        found = []
        why = self.router.manifest.operating_point.why_always_flagship
        if why is not None:
            found.append(f"{NAME} sends everything to the flagship: {why}")
        if self.release.decision.verdict is not Verdict.PROMOTE:
            found.append(f"{NAME}: {self.release.decision.verdict.value}, expected promote")
        if not any(alert.kind == "drift" for alert in self.shadow.summary.alerts):
            found.append("the unseen task family raised no alert of drift")
        return tuple(found)

    def to_json(self) -> dict[str, Any]:
        """The ``router`` object of ``summary.json``."""
        summary = self.shadow.summary.to_json()
        return {
            "name": NAME,
            "verdict": self.release.decision.verdict.value,
            "passed_checks": self.release.decision.ids(Status.PASS),
            "operating_point": self.router.manifest.operating_point.to_json(),
            "apgr": self.evaluation.to_json()["apgr"],
            "report": str(self.release.reports.html),
            "alerts": summary["alerts"],
            "delays": summary["delays"],
            "shadow": str(self.page),
        }


async def demo_router(workspace: Workspace, *, fleet: Fleet, progress: Progress) -> DemoRouter:
    """Train, release and watch the router of the demo's project; what an earlier run finished is not done again.

    Raises:
        InputError: bad files.
        InfrastructureError: a model dies, the disk is full; run it again to go on.
    """
    project = workspace.project
    small, flagship = project.candidate(project.router.small), project.candidate(project.router.flagship)
    if serve_first(workspace.registry, "small", PRODUCTION, small, reason=FIRST):
        mirror_move(project, workspace.registry.channel("small", PRODUCTION))
    progress.say(f"labelling prompts for a router between {small.name} and {flagship.name}")
    sets: tuple[LoadedSet, ...] = project.routing_sets
    labels = await label_prompts(workspace, small, flagship, sets, fleet=fleet, progress=progress)
    request = Request(
        out=project.data / "routers" / NAME,
        source=Source(project=project.path),
        cache=project.data / "embeddings.sqlite",
    )
    training = None
    if not (request.out / MANIFEST).is_file():
        found = labelled_by(project, labels, small, flagship)
        training = await asyncio.to_thread(Training.of(request).train, progress, found)
    router = Router.load(request.out)
    progress.say(f"releasing {NAME}")
    pairs, test = test_of_answers(project, router, labels)
    cache = None if request.cache is None else EmbeddingCache(request.cache)
    evaluation = await asyncio.to_thread(assess, router, pairs, cache=cache, progress=progress)
    place = RouterPlace.open(project.path)
    released = release_router(
        place, NamedRouter(NAME, router), incumbent_of(place, None), test, evaluation=evaluation, progress=progress
    )
    progress.say(f"  {NAME}: {released.decision.verdict.value} - {released.decision.reason}")
    progress.say("watching its traffic, in which a task family turns up that it never saw")
    shadow, page = await _watched(workspace, router, fleet, progress)
    return DemoRouter(router, training, evaluation, released, shadow, page)


async def _watched(workspace: Workspace, router: Router, fleet: Fleet, progress: Progress) -> tuple[ShadowRun, Path]:
    project = workspace.project
    folder, out = project.data / "shadow" / NAME, project.reports / f"{NAME}-shadow"
    rubric = "correctness"
    with locked(folder):
        store = ShadowStore(folder)
        try:
            watch = Watch(router, store, ShadowSettings(sample=SAMPLE))
            # A few replays in every batch: a line for each would drown the rest.
            quiet = Progress(quiet=True)
            scorer = ModelScorer(workspace, fleet, router.manifest, quiet, rubric=rubric, rate=REPLAYS_PER_S)
            run = await run_shadow(watch, project.directory / TRAFFIC, scorer, progress, columns={})
            written = write_shadow(watch, run, out)
        finally:
            store.close()
    return run, Path(written["page"])
