"""The demo: one incumbent, four candidates behind real vLLM, a verdict for each; signatures, a router, an audit."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from evalharness.candidate import Candidate
from evalharness.event_loop import run_async
from gates.decision import CheckResult, Status, Verdict
from gates.registry.channels import PRODUCTION
from golden_sets.documents import json_text, write_whole
from golden_sets.errors import InputError
from pipelines.demo_registry import DemoRegistry, audit, set_up, sign_off
from pipelines.demo_router import FIRST, DemoRouter, demo_router
from pipelines.fleet import Fleet
from pipelines.progress import Progress
from pipelines.project import PROJECT_FILE, Project
from pipelines.promotion import mirror_move, serve_first
from pipelines.release import Release, release, renewed_report
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
class DemoRun:
    """What was done."""

    releases: tuple[tuple[str, Release], ...]
    router: DemoRouter | None
    """None where the flagship that it is made for was not promoted."""
    registry: DemoRegistry


@dataclass(frozen=True)
class DemoResult:
    """What came of the demo."""

    directory: Path
    run: DemoRun
    seconds: float

    @property
    def surprises(self) -> tuple[str, ...]:
        """Verdicts that are not those the models deserve; none in a sound run."""
        found = []
        for name, result in self.run.releases:
            verdict, checks = EXPECTED[name]
            failed = {check.check for check in result.decision.checks if check.status is Status.FAIL}
            if result.decision.verdict is not verdict:
                found.append(f"{name}: {result.decision.verdict.value}, expected {verdict.value}")
            elif checks and failed.isdisjoint(checks):
                found.append(f"{name}: blocked, but not on {' or '.join(checks)}")
            elif verdict is Verdict.PROMOTE and not result.recorded and not result.awaiting:
                found.append(f"{name}: moved without the signatures that its policy wants")
        router = self.run.router
        found += [f"no router: {FLAGSHIP} was not promoted"] if router is None else router.surprises
        return (*found, *self.run.registry.surprises)

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
                    "awaiting": list(result.awaiting),
                    "generated": result.generated,
                    "judged": result.judged,
                    "report": str(result.reports.html),
                }
                for name, result in self.run.releases
            ],
            "router": None if self.run.router is None else self.run.router.to_json(),
            "registry": self.run.registry.to_json(),
            "seconds": round(self.seconds, 1),
            "surprises": list(self.surprises),
        }


def run_demo(directory: Path, progress: Progress) -> DemoResult:
    """Release the candidates one after the other, let people sign, release a router, audit; write ``summary.json``.

    Raises:
        InputError: another demo runs in the same directory, or it holds something else.
        InfrastructureError: a model does not start, the disk is full; run it again to go on.
    """
    began = time.monotonic()
    directory.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(directory / ".lock", timeout=0):
            run = run_async(_run(directory, progress))
    except Timeout as error:
        raise InputError(
            "another demo runs in this directory", where=directory, do="wait for it, or choose another with --dir"
        ) from error
    result = DemoResult(directory, run, time.monotonic() - began)
    write_whole(directory / "summary.json", json_text(result.to_json()).encode())
    return result


async def _run(directory: Path, progress: Progress) -> DemoRun:
    if not (directory / PROJECT_FILE).exists():
        scaffold(directory, [INCUMBENT, *EXPECTED, SMALL], name="demo", data=".", signed=True)
    workspace = Workspace.open(Project.load(directory))
    incumbent = workspace.project.candidate(INCUMBENT)
    file = workspace.project.file
    if serve_first(workspace.registry, file.channel, PRODUCTION, incumbent, reason=FIRST):
        mirror_move(workspace.project, workspace.registry.channel(file.channel, PRODUCTION))
        progress.say(f"{INCUMBENT} serves production")
    people = set_up(workspace, progress)
    signed, flagship = None, workspace.project.candidate(FLAGSHIP)
    with people.submitting():
        async with Fleet(workspace.project.logs) as fleet:
            releases = await _candidates(workspace, incumbent, fleet, progress)
            decision = releases[-1][1].decision
            if decision.verdict is Verdict.PROMOTE:
                signed = await asyncio.to_thread(sign_off, workspace, people, decision, progress)
                await asyncio.to_thread(
                    renewed_report, workspace.registry, decision, workspace.project.reports, signed.served
                )
            served = workspace.registry.channel(file.channel, PRODUCTION).digest == flagship.digest
            router = await demo_router(workspace, fleet=fleet, progress=progress) if served else None
        progress.say("an auditor checks it all, with a public key and a checkpoint from the first day")
        found = await asyncio.to_thread(audit, workspace, people, flagship.digest, progress)
    return DemoRun(tuple(releases), router, DemoRegistry(signed, found))


async def _candidates(
    workspace: Workspace, incumbent: Candidate, fleet: Fleet, progress: Progress
) -> list[tuple[str, Release]]:
    """Release one candidate after the other against the incumbent."""
    releases = []
    for name in EXPECTED:
        progress.say(f"releasing {name} against {INCUMBENT}")
        candidate = workspace.project.candidate(name)
        result = await release(workspace, candidate, incumbent, fleet=fleet, progress=progress)
        if name != FLAGSHIP:
            await fleet.release(candidate)
        progress.say(f"  {name}: {result.decision.verdict.value} - {result.decision.reason}")
        for text in result.awaiting:
            progress.say(f"  {result.state.where} waits: {text}")
        releases.append((name, result))
    await fleet.release(incumbent)
    return releases


def key_number(result: Release, check: str) -> CheckResult | None:
    """The check with this id, or the worst of its cells: what a summary shows of it."""
    cells = [c for c in result.decision.checks if c.check == check]
    order = {Status.FAIL: 0, Status.INCONCLUSIVE: 1, Status.PASS: 2}
    return min(cells, key=lambda c: order[c.status], default=None)
