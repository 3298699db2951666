"""A router released in a project: both models answer its frozen test, a judge scores them, labels correct the judge."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gates.staleness import STALE
from golden_sets.digests import Digest
from pipelines.cli.app import run
from pipelines.project import Project
from router_training.pairs import Pairs
from router_training.router import Router
from router_training.router_files import SPLITS, write_router
from router_training.splitting import Split, SplitRecord
from tests.support.router_releases import POLICY, write_router_by_length
from tests.support.serving import AddingServer, adding_server

PROJECT = """\
name: sums
judge: judge.yaml
sets: [other.yaml]
mlflow: null
labels: {source: checker}
router: {small: small, flagship: flagship, sets: [routing.yaml]}
"""
FLAGSHIP_POLICY = """\
name: p
version: 1
alpha: 0.05
primary: floor
checks:
  - {id: floor, metric: pass_rate, test: floor, threshold: 0.7}
"""
MODEL = """\
name: NAME
declared_weights: NAME-1
sampling: {temperature: 0.0, max_tokens: 8, seed: 0}
engine: {kind: endpoints, runtime: {urls: ['URL'], served_model: NAME}}
price: {usd_per_million_input_tokens: PRICE, usd_per_million_output_tokens: PRICE}
"""
JUDGE = """\
name: judge
declared_weights: judge-1
engine: {kind: endpoints, runtime: {urls: ['URL'], served_model: judge}}
template: 'Judge {criteria} {question} {reference} [[{answer}]]'
rubrics: [rubric.yaml]
"""
PRICES = {"small": "1", "flagship": "10", "newer": "10"}
PROMPTS = 400


def judged(message: str) -> str:
    """The verdict on an answer that holds its reference; other messages are greeted."""
    if not message.startswith("Judge"):
        return "Hello."
    reference, answer = message.split("?")[-1].split("[[")
    return "Score: 5" if answer.rstrip("]").strip() == reference.strip() else "Score: 1"


@dataclass(frozen=True)
class Work:
    directory: Path
    server: AddingServer
    capsys: pytest.CaptureFixture[str]

    @property
    def project(self) -> Project:
        return Project.load(self.directory)

    def digest(self, name: str) -> Digest:
        return self.project.candidate(name).digest

    def relgate(self, *arguments: str) -> tuple[int, Any]:
        self.capsys.readouterr()
        code = run([*arguments, "--project", str(self.directory), "--json"])
        return code, json.loads(self.capsys.readouterr().out)

    def release(self, *options: str) -> tuple[int, Any]:
        where = ("--cache", str(self.directory / "cache"))
        return self.relgate("router", "release", str(self.directory / "router"), *where, *options)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("base") / "base"
    write_router_by_length(out)
    return out


@pytest.fixture
def server() -> Iterator[AddingServer]:
    with adding_server(small=1.0, flagship=1.0, newer=1.0, judge=1.0) as running:
        running.otherwise = judged
        yield running


@pytest.fixture
def work(tmp_path: Path, server: AddingServer, base: Path, capsys: pytest.CaptureFixture[str]) -> Work:
    (tmp_path / "candidates").mkdir()
    for name, price in PRICES.items():
        text = MODEL.replace("NAME", name).replace("URL", server.url).replace("PRICE", price)
        (tmp_path / "candidates" / f"{name}.yaml").write_text(text)
    for name, text in {
        "relgate.yaml": PROJECT,
        "policy.yaml": FLAGSHIP_POLICY,
        "router-policy.yaml": POLICY,
        "judge.yaml": JUDGE.replace("URL", server.url),
        "rubric.yaml": "{id: correctness, version: '1', criteria: 'Is it right', scale: [1, 5]}\n",
        "routing.yaml": "{name: routing, version: '1', kind: golden, file: routing.jsonl, rubric: correctness}\n",
        "other.yaml": "{name: other, version: '1', kind: golden, file: other.jsonl, rubric: correctness}\n",
    }.items():
        (tmp_path / name).write_text(text)
    sums = [(a, b) for a in range(2, 22) for b in range(30, 30 + PROMPTS // 20)]
    for name, chosen in (("routing", sums), ("other", [(900, 1)])):
        lines = [
            {
                "id": f"{name}-{i}",
                "prompt": f"What is {a} + {b}?",
                "reference": str(a + b),
                "checker": {"kind": "number", "value": str(a + b)},
            }
            for i, (a, b) in enumerate(chosen)
        ]
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    found = Work(tmp_path, server, capsys)
    _router(found, base, [f"What is {a} + {b}?" for a, b in sums])
    return found


def _router(work: Work, base: Path, prompts: list[str]) -> None:
    """A router for the project's two models whose frozen test is half of these prompts."""
    n = len(prompts)
    nothing = np.zeros(n)
    pairs = Pairs(tuple(prompts), tuple(f"routing-{i}" for i in range(n)), nothing, nothing, np.arange(n))
    test, rest = np.arange(0, n, 2), np.arange(1, n, 2)
    split = SplitRecord.of(pairs, Split(rest[: n // 4], rest[n // 4 :], test, test[:0]))
    router = Router.load(base)
    pins = {"small": work.digest("small"), "flagship": work.digest("flagship")}
    files: dict[str, bytes | Path] = {name: base / name for name in router.manifest.files}
    write_router(
        work.directory / "router", router.manifest.model_copy(update=pins), {**files, SPLITS: split.to_bytes()}
    )


def test_both_models_answer_what_the_store_does_not_hold_and_nothing_twice(work: Work) -> None:
    code, document = work.release()
    assert (code, document["verdict"]) == (0, "promote"), document
    assert work.server.asked == {"small": PROMPTS, "flagship": PROMPTS}
    checks = {check["id"]: check for check in document["checks"]}
    assert checks["quality"]["estimate"]["n"] == PROMPTS // 2
    assert checks["quality"]["estimate"]["method"] == "ppi-paired"
    assert 0 < document["flagship_share"]["value"] < 0.5
    assert not any("was not checked" in note for note in document["notes"])
    code, again = work.release("--incumbent", "always-flagship")
    assert (code, again["recorded"]) == (0, True)
    assert work.server.asked == {"small": PROMPTS, "flagship": PROMPTS}


def test_the_judge_s_error_is_corrected_by_labels(work: Work) -> None:
    """The judge likes whatever the small model says; checkers know better."""
    work.server.share_right = {**work.server.share_right, "small": 0.5}
    work.server.otherwise = lambda message: "Score: 5" if message.startswith("Judge") else "Hello."
    code, document = work.release()
    assert (code, document["failed_checks"]) == (1, ["quality"])


def test_a_flagship_that_is_served_now_makes_it_stale(work: Work) -> None:
    assert work.release()[0] == 0
    code, moved = work.relgate("registry", "promote", "newer", "--seed", "--reason", "first", "--channel", "flagship")
    assert code == 0
    assert "its evidence is stale" in moved["warnings"][0]
    code, document = work.release("--incumbent", "always-flagship")
    assert (code, document["verdict"]) == (1, "block")
    assert document["reason"].startswith(f"{STALE}: the flagship is 'newer'")
    assert document["channel"]["serves"] == "router"


def test_a_model_that_is_gone_is_named(work: Work) -> None:
    (work.directory / "candidates" / "small.yaml").unlink()
    text = (work.directory / "relgate.yaml").read_text()
    (work.directory / "relgate.yaml").write_text(text.replace("small: small", "small: newer"))
    code, document = work.release()
    assert code == 2
    assert "the small model that the router was made for" in document["error"]["what"]


def test_a_project_without_routing_sets_says_so(work: Work) -> None:
    text = (work.directory / "relgate.yaml").read_text()
    (work.directory / "relgate.yaml").write_text(text.replace(", sets: [routing.yaml]}", "}"))
    code, document = work.release()
    assert code == 2
    assert "no set to label" in document["error"]["what"]
    shutil.rmtree(work.directory / "router")
    assert work.release()[0] == 2
