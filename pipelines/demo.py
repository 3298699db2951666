"""The demo: one incumbent, four candidates, real models behind real vLLM, a verdict for each; and a router."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from evalharness.event_loop import run_async
from gates.decision import CheckResult, Status, Verdict
from golden_sets.documents import json_text, write_whole
from golden_sets.errors import InputError
from pipelines.demo_router import FIRST, DemoRouter, demo_router
from pipelines.fleet import Fleet
from pipelines.progress import Progress
from pipelines.project import PROJECT_FILE, Project
from pipelines.promotion import serve_first
from pipelines.release import Release, release
from pipelines.scaffold import scaffold
from pipelines.workspace import Workspace

INCUMBENT = "flagship-v1"
SMALL = "small"
FLAGSHIP = "flagship-v2"
"""Who the router chooses between."""
EXPECTED: Mapping[str, tuple[Verdict, tuple[str, ...]]] = {
    "flagship-cheap": (Verdict.BLOCK, ("golden-floor-easy", "golden-floor-hard", "golden-vs-incumbent")),
    "flagship-unsafe": (Verdict.BLOCK, ("violations",)),
    "flagship-overrefuse": (Verdict.BLOCK, ("false-refusals",)),
    "flagship-v2": (Verdict.PROMOTE, ()),
}
"""What is true of the demo's models: the verdict, and the checks of which one must have failed. In this order; the
verdicts come from the gate and are only compared with this."""


@dataclass(frozen=True)
class DemoResult:
    """What came of the demo."""

    directory: Path
    releases: tuple[tuple[str, Release], ...]
    router: DemoRouter | None
    """None where the flagship that it is made for was not promoted."""
    seconds: float

    @property
    def surprises(self) -> tuple[str, ...]:
        """Verdicts that are not those the models deserve; none in a sound run."""
        found = []
        for name, result in self.releases:
            verdict, checks = EXPECTED[name]
            failed = {check.check for check in result.decision.checks if check.status is Status.FAIL}
            if result.decision.verdict is not verdict:
                found.append(f"{name}: {result.decision.verdict.value}, expected {verdict.value}")
            elif checks and failed.isdisjoint(checks):
                found.append(f"{name}: blocked, but not on {' or '.join(checks)}")
        if self.router is None:
            return (*found, f"no router: {FLAGSHIP} was not promoted")
        return (*found, *self.router.surprises)

    def to_json(self) -> dict[str, Any]:
        """The ``summary.json`` document."""
        return {
            "candidates": [
                {
                    "name": name,
                    "verdict": result.decision.verdict.value,
                    "failed_checks": result.decision.ids(Status.FAIL),
                    "inconclusive_checks": result.decision.ids(Status.INCONCLUSIVE),
                    "passed_checks": result.decision.ids(Status.PASS),
                    "generated": result.generated,
                    "judged": result.judged,
                    "report": str(result.reports.html),
                }
                for name, result in self.releases
            ],
            "router": None if self.router is None else self.router.to_json(),
            "seconds": round(self.seconds, 1),
            "surprises": list(self.surprises),
        }


def run_demo(directory: Path, progress: Progress) -> DemoResult:
    """Register the incumbent, release the candidates one after the other, then a router; write ``summary.json``.

    Raises:
        InputError: another demo runs in the same directory, or it holds something else.
        InfrastructureError: a model does not start, the disk is full; run it again to go on.
    """
    began = time.monotonic()
    directory.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(directory / ".lock", timeout=0):
            releases, router = run_async(_releases(directory, progress))
    except Timeout as error:
        raise InputError(
            "another demo runs in this directory", where=directory, do="wait for it, or choose another with --dir"
        ) from error
    result = DemoResult(directory, tuple(releases), router, time.monotonic() - began)
    write_whole(directory / "summary.json", json_text(result.to_json()).encode())
    return result


async def _releases(directory: Path, progress: Progress) -> tuple[list[tuple[str, Release]], DemoRouter | None]:
    if not (directory / PROJECT_FILE).exists():
        scaffold(directory, [INCUMBENT, *EXPECTED, SMALL], name="demo", data=".")
    workspace = Workspace.open(Project.load(directory))
    incumbent = workspace.project.candidate(INCUMBENT)
    file = workspace.project.file
    if serve_first(workspace.registry, file.channel, file.stage, incumbent, reason=FIRST):
        progress.say(f"{INCUMBENT} serves production")
    releases = []
    async with Fleet(workspace.project.logs) as fleet:
        for name in EXPECTED:
            progress.say(f"releasing {name} against {INCUMBENT}")
            candidate = workspace.project.candidate(name)
            result = await release(workspace, candidate, incumbent, fleet=fleet, progress=progress)
            if name != FLAGSHIP:
                await fleet.release(candidate)
            progress.say(f"  {name}: {result.decision.verdict.value} - {result.decision.reason}")
            releases.append((name, result))
        await fleet.release(incumbent)
        promoted = workspace.current().digest == workspace.project.candidate(FLAGSHIP).digest
        router = await demo_router(workspace, fleet=fleet, progress=progress) if promoted else None
    return releases, router


def key_number(result: Release, check: str) -> CheckResult | None:
    """The check with this id, or the worst of its cells: what a summary shows of it."""
    cells = [c for c in result.decision.checks if c.check == check]
    order = {Status.FAIL: 0, Status.INCONCLUSIVE: 1, Status.PASS: 2}
    return min(cells, key=lambda c: order[c.status], default=None)
