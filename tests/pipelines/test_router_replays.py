"""Replays: both models are asked, both answers are scored, nothing is asked twice, no faster than allowed."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from golden_sets.errors import InputError
from pipelines.cli.app import run
from pipelines.fleet import Fleet
from pipelines.progress import Progress
from pipelines.project import Project
from pipelines.router_replays import ModelScorer
from pipelines.workspace import Workspace
from router_training.always_flagship import always_flagship
from router_training.records import RouterManifest
from router_training.shadow.store import Waiting
from tests.support.serving import AddingServer, adding_server
from tests.support.shadow_router import labelled, small_router

MANIFEST = always_flagship().manifest
PROJECT = """\
name: p
policy: policy.yaml
judge: judge.yaml
sets: [sums.yaml]
mlflow: null
router: {small: small, flagship: flagship}
"""
MODEL = """\
name: NAME
declared_weights: NAME-1
engine: {kind: endpoints, runtime: {urls: ['URL'], served_model: NAME}}
price: {usd_per_million_input_tokens: 1, usd_per_million_output_tokens: 2}
"""
JUDGE = """\
name: judge
declared_weights: judge-1
engine: {kind: endpoints, runtime: {urls: ['URL'], served_model: judge}}
template: 'Judge {criteria} {question} {reference} [[{answer}]]'
rubrics: [rubric.yaml]
"""


def judged(message: str) -> str:
    """The verdict on an answer that holds its reference; other messages are greeted."""
    if not message.startswith("Judge"):
        return "Hello."
    reference, answer = message.split("?")[-1].split("[[")
    return "Score: 5" if answer.rstrip("]").strip() == reference.strip() else "Score: 1"


@pytest.fixture
def server() -> Iterator[AddingServer]:
    with adding_server(small=0.5, flagship=1.0, judge=1.0) as running:
        running.otherwise = judged
        yield running


@pytest.fixture
def folder(tmp_path: Path, server: AddingServer, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "candidates").mkdir()
    for name in ("small", "flagship"):
        text = MODEL.replace("NAME", name).replace("URL", server.url)
        (tmp_path / "candidates" / f"{name}.yaml").write_text(text)
    (tmp_path / "relgate.yaml").write_text(PROJECT)
    (tmp_path / "judge.yaml").write_text(JUDGE.replace("URL", server.url))
    (tmp_path / "rubric.yaml").write_text("{id: correctness, version: '1', criteria: 'Is it right', scale: [1, 5]}\n")
    return tmp_path


@pytest.fixture
async def fleet(folder: Path) -> AsyncIterator[Fleet]:
    async with Fleet(folder / "logs") as running:
        yield running


def scorer(folder: Path, fleet: Fleet, *, rate: float = 1000.0, manifest: RouterManifest = MANIFEST) -> ModelScorer:
    workspace = Workspace.open(Project.load(folder))
    return ModelScorer(workspace, fleet, manifest, Progress(quiet=True), rubric=None, rate=rate)


def sums(n: int, *, by: str) -> list[Waiting]:
    found = []
    for k in range(n):
        right = str(10 + k + 20)
        expected = {"checker": {"kind": "number", "value": right}} if by == "checker" else {"reference": right}
        found.append(Waiting(k + 1, f"s{k}", f"What is {10 + k} + 20?", expected))
    return found


@pytest.mark.parametrize("by", ["checker", "judge"])
async def test_both_answers_are_scored(folder: Path, fleet: Fleet, server: AddingServer, by: str) -> None:
    found = await scorer(folder, fleet).score(sums(40, by=by))
    assert [one.number for one in found] == list(range(1, 41))
    assert {one.flagship_score for one in found} == {1.0}
    assert {one.small_score for one in found} == {0.0, 1.0}
    assert found[0].small_usd == pytest.approx((8 * 1 + 2 * 2) / 1e6)
    assert server.asked == {"small": 40, "flagship": 40}


async def test_what_was_asked_is_not_asked_again(folder: Path, fleet: Fleet, server: AddingServer) -> None:
    first = await scorer(folder, fleet).score(sums(10, by="judge"))
    second = await scorer(folder, fleet).score(sums(10, by="judge"))
    assert [one.small_score for one in second] == [one.small_score for one in first]
    assert server.asked == {"small": 10, "flagship": 10}


async def test_a_failed_request_scores_nothing(folder: Path, fleet: Fleet, server: AddingServer) -> None:
    (folder / "relgate.yaml").write_text(PROJECT + "generation: {retries: 0}\n")
    server.share_right = {"small": 1.0, "flagship": 1.0, "judge": 1.0}
    server.fails_after = 3
    found = await scorer(folder, fleet).score(sums(3, by="checker"))
    assert [(one.small_score, one.flagship_score) for one in found] == [(1.0, 0.0)] * 3


async def test_replays_come_no_faster_than_allowed(folder: Path, fleet: Fleet) -> None:
    one = scorer(folder, fleet, rate=4.0)
    await one.score(sums(1, by="checker"))  # models are up
    began = time.monotonic()
    await one.score(sums(9, by="checker"))
    assert time.monotonic() - began >= 2.0


async def test_a_router_of_other_models_is_refused(folder: Path, fleet: Fleet) -> None:
    other = MANIFEST.model_copy(update={"small": "sha256:" + "1" * 64})
    with pytest.raises(InputError, match="made for another small model"):
        scorer(folder, fleet, manifest=other)


async def test_without_a_judge_only_checkers_score(folder: Path, fleet: Fleet) -> None:
    (folder / "relgate.yaml").write_text(PROJECT.replace("judge: judge.yaml\n", ""))
    assert len(await scorer(folder, fleet).score(sums(3, by="checker"))) == 3
    with pytest.raises(InputError, match="names no judge"):
        await scorer(folder, fleet).score(sums(3, by="judge"))


async def test_a_project_without_a_router_is_refused(folder: Path, fleet: Fleet) -> None:
    (folder / "relgate.yaml").write_text(PROJECT.replace("router: {small: small, flagship: flagship}\n", ""))
    with pytest.raises(InputError, match="names no models to replay"):
        scorer(folder, fleet)


async def test_a_checker_that_is_none_is_refused(folder: Path, fleet: Fleet) -> None:
    with pytest.raises(InputError, match="request 'x' cannot be replayed"):
        await scorer(folder, fleet).score([Waiting(1, "x", "What is 1 + 2?", {"checker": {"kind": "magic"}})])


def test_the_command_replays_on_the_project_s_models(
    folder: Path, server: AddingServer, capsys: pytest.CaptureFixture[str]
) -> None:
    small_router(folder / "router")
    prompts = labelled(60, 9).prompts
    (folder / "log.jsonl").write_text("".join(json.dumps({"prompt": p, "reference": "Hello."}) + "\n" for p in prompts))
    options = ["--traffic", "log.jsonl", "--sample", "1", "--rate-limit", "1000", "--json"]
    capsys.readouterr()
    assert run(["router", "shadow", "router", *options]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["scored"] == found["sampled"] > 20
    assert found["mean_delta"]["value"] == 0
    assert found["prices"]["small_usd"] > 0
