"""Releases as attempts: through the real commands, against models that a small server on this machine answers for."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from gates.registry import Registry
from pipelines.attempts import attempt_plans
from pipelines.cli.app import run
from pipelines.project import Project
from pipelines.workspace import Workspace
from tests.support.serving import AddingServer, adding_server

PROJECT = """\
name: sums
policy: policy.yaml
sets: [golden.yaml]
mlflow: null
"""
POLICY = """\
name: small
version: 1
alpha: 0.05
primary: floor
attempts: spend
checks:
  - {id: floor, metric: pass_rate, test: floor, threshold: 0.8, expected: 0.97}
"""
CARD = """\
name: golden
version: 1
kind: golden
file: golden.jsonl
scoring: checker
"""
CANDIDATE = """\
name: {name}
declared_weights: {name}
sampling: {{temperature: {temperature}, max_tokens: 8, seed: 0}}
engine:
  kind: endpoints
  version: x
  runtime: {{urls: ["{url}"]}}
"""
MODELS = {"v1": 0.97, "v2": 0.97, "v3": 0.97, "weak": 0.3}


@dataclass(frozen=True)
class Work:
    """A project whose models a server answers for."""

    directory: Path
    server: AddingServer
    capsys: pytest.CaptureFixture[str]

    @property
    def registry(self) -> Registry:
        return Workspace.open(Project.load(self.directory)).registry

    def __call__(self, *arguments: str, code: int | None = 0) -> Any:
        """The JSON document of a command that ends with this code."""
        self.capsys.readouterr()
        found = run([*arguments, "--project", str(self.directory), "--json"])
        printed = self.capsys.readouterr()
        assert code in (None, found), printed.err
        return json.loads(printed.out)

    def release(self, name: str, *options: str, code: int | None = 0) -> Any:
        return self("release", name, "--no-promote", *options, code=code)

    def evaluate(self, name: str) -> Path:
        path = self.directory / f"{name}.evidence.json"
        self("eval", name, "-o", str(path))
        return path

    def gate(self, evidence: Path, *options: str) -> tuple[int, Any]:
        self.capsys.readouterr()
        policy = str(self.directory / "policy.yaml")
        code = run(["gate", str(evidence), "--policy", policy, *options, "--json"])
        return code, json.loads(self.capsys.readouterr().out)

    def edit(self, file: str, pattern: str, replacement: str) -> None:
        path = self.directory / file
        text, count = re.subn(pattern, replacement, path.read_text(), flags=re.MULTILINE)
        assert count
        path.write_text(text)

    def candidate(self, name: str, temperature: float = 0.0) -> None:
        text = CANDIDATE.format(name=name, temperature=temperature, url=self.server.url)
        (self.directory / "candidates" / f"{name}.yaml").write_text(text)

    def prompts(self, count: int) -> None:
        lines = [
            {"id": f"p{i}", "prompt": f"What is {i} + {i + 1}?", "checker": {"kind": "number", "value": str(2 * i + 1)}}
            for i in range(count)
        ]
        (self.directory / "golden.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))

    def answered(self, model: str) -> int:
        """Sums that a model has answered."""
        return sum(len(seeds) for (name, _), seeds in self.server.seeds.items() if name == model)

    def events(self, type_: str) -> list[Any]:
        return [event.payload for event in self.registry.log() if event.type == type_]


@pytest.fixture
def work(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Work]:
    """Seeded with v1."""
    with adding_server(**MODELS) as server:
        found = Work(tmp_path, server, capsys)
        (tmp_path / "candidates").mkdir()
        for name, text in (("relgate.yaml", PROJECT), ("policy.yaml", POLICY), ("golden.yaml", CARD)):
            (tmp_path / name).write_text(text)
        for name in MODELS:
            found.candidate(name)
        found.prompts(300)
        found("registry", "promote", "v1", "--seed", "--reason", "first")
        yield found


def test_every_subject_is_an_attempt_with_an_alpha_of_its_own(work: Work) -> None:
    first, second = work.release("v2"), work.release("v3")
    assert [d["attempt"] for d in (first, second)] == [1, 2]
    assert [d["exposures"] for d in (first, second)] == [{"golden": 1}, {"golden": 2}]
    alphas = [work.registry.decision(d["decision"]).alpha for d in (first, second)]
    assert alphas == pytest.approx([0.05 * 6 / 3.141592653589793**2 / k**2 for k in (1, 2)])
    attempts = work.events("attempted")
    assert [(a["name"], a["lineage"], a["number"]) for a in attempts] == [
        ("v2", "flagship/main", 1),
        ("v3", "flagship/main", 2),
    ]
    assert work("registry", "verify")["ok"]
    summary = Path(second["reports"]["markdown"]).read_text()
    assert "Attempt 2 of its lineage." in summary
    assert "Versions measured on each set so far: golden 2." in summary


def test_the_same_release_again_returns_the_decision_and_spends_nothing(work: Work) -> None:
    first = work.release("v2")
    work.release("v3")
    before, asked = work.registry.log(), work.server.asked.total()
    again = work.release("v2")
    assert (again["recorded"], again["decision"], again["attempt"]) == (True, first["decision"], 1)
    assert (work.registry.log(), work.server.asked.total()) == (before, asked)


@pytest.mark.parametrize(
    ("file", "pattern", "replacement"),
    [
        ("relgate.yaml", "^name: sums", "name: sums\nseed: 7"),
        ("policy.yaml", "^version: 1", "version: 2"),
        ("relgate.yaml", "^name: sums", "name: sums\ngeneration: {repeats: 2}"),
    ],
)
def test_the_same_subject_asked_otherwise_is_another_attempt(
    work: Work, file: str, pattern: str, replacement: str
) -> None:
    assert work.release("v2")["attempt"] == 1
    work.edit(file, pattern, replacement)
    assert work.release("v2", code=None)["attempt"] == 2


def test_another_line_of_work_counts_for_itself_but_wears_the_same_sets(work: Work) -> None:
    work.release("v2")
    work.edit("relgate.yaml", "^name: sums", "name: sums\nline: tuned")
    found = work.release("v3")
    assert (found["attempt"], found["exposures"]) == (1, {"golden": 2})


def test_looking_first_and_planning_afterwards_does_not_work(work: Work) -> None:
    """The answers were there when the plan was made: no gate takes them, and a release asks again."""
    work.evaluate("v2")
    seen = work.server.asked["v2"]
    work.edit("policy.yaml", "threshold: 0.8", "threshold: 0.85")
    evidence = work.evaluate("v2")
    assert json.loads(evidence.read_text())["evidence"]["exploratory"] > 0
    code, document = work.gate(evidence)
    assert (code, document["verdict"]) == (3, "inconclusive")
    assert "exploratory" in document["reason"]
    before = work.server.asked["v2"]
    released = work.release("v2")
    assert released["verdict"] == "promote"
    assert work.registry.evidence(released["evidence"]).exploratory == 0
    assert work.server.asked["v2"] - before == seen, "what was seen under the first plan is asked again"


def test_a_recorded_look_at_older_answers_does_not_stand_in_the_way_of_the_release(work: Work) -> None:
    work.evaluate("v2")
    work.edit("policy.yaml", "threshold: 0.8", "threshold: 0.85")
    evidence = work.evaluate("v2")
    code, looked = work.gate(evidence, "--store", Project.load(work.directory).store_url)
    assert (code, looked["verdict"], looked["attempt"]) == (3, "inconclusive", 2)
    released = work.release("v2")
    assert (released["verdict"], released["recorded"], released["attempt"]) == ("promote", False, 2)
    assert work.release("v2")["recorded"]
    assert len(work.events("attempted")) == 2


def test_a_block_on_older_answers_stands(work: Work) -> None:
    work.evaluate("weak")
    work.edit("policy.yaml", "threshold: 0.8", "threshold: 0.85")
    assert work.gate(work.evaluate("weak"), "--store", Project.load(work.directory).store_url)[0] == 1
    asked = work.server.asked.total()
    assert work.release("weak", code=1)["recorded"]
    assert work.server.asked.total() == asked


def test_an_evaluation_under_the_very_same_plan_is_reused(work: Work) -> None:
    work.evaluate("v2")
    asked = work.server.asked.total()
    released = work.release("v2")
    assert (released["attempt"], released["generated"], work.server.asked.total()) == (1, 0, asked)
    assert work.registry.evidence(released["evidence"]).exploratory == 0


def test_answers_drawn_again_have_other_seeds(work: Work) -> None:
    work.candidate("v2", temperature=1.0)
    work.evaluate("v2")
    work.edit("relgate.yaml", "^name: sums", "name: sums\nseed: 7")
    work.release("v2", code=None)
    twice = [seeds for (model, _), seeds in work.server.seeds.items() if model == "v2" and len(seeds) > 1]
    assert twice
    assert all(len(set(seeds)) == len(seeds) for seeds in twice)


def test_looking_at_results_is_an_attempt_but_measuring_the_incumbent_is_none(work: Work) -> None:
    work.evaluate("v1")
    assert work.events("attempted") == []
    work.evaluate("weak")
    assert work.release("v2")["attempt"] == 2


def test_evidence_of_an_evaluation_is_gated_as_the_attempt_it_was(work: Work) -> None:
    first, second = work.evaluate("weak"), work.evaluate("v2")
    store = Project.load(work.directory).store_url
    code, document = work.gate(second, "--store", store)
    assert (code, document["attempt"], document["recorded"]) == (0, 2, False)
    assert work.gate(first, "--store", store)[0] == 1
    assert [a["number"] for a in work.events("attempted")] == [1, 2]
    assert work("registry", "verify")["ok"]


def test_whoever_is_faster_takes_the_number_that_was_foretold(work: Work) -> None:
    workspace = Workspace.open(Project.load(work.directory))
    incumbent = workspace.incumbent(None)
    slow, fast = (
        attempt_plans(workspace, workspace.project.candidate(name), (incumbent, None)) for name in ("v2", "v3")
    )
    assert (slow.next().attempt, fast.next().attempt) == (1, 1)
    assert fast.begin() == fast.next()
    planned = slow.begin()
    assert (planned.attempt, planned.alpha) == (2, workspace.project.policy.policy.alpha_of(2))
    assert attempt_plans(workspace, None, (incumbent, None)).next().attempt == 3
    assert slow.begin() is planned


def test_a_plan_without_the_policys_power_is_refused_unless_it_is_accepted(work: Work) -> None:
    work.prompts(20)
    before = work.registry.log()
    refused = work.release("v2", code=2)
    assert "power" in refused["error"]["what"]
    assert "--accept-power" in refused["error"]["do"]
    assert (work.registry.log(), work.server.asked.total()) == (before, 0)
    accepted = work.release("v2", "--accept-power", code=None)
    assert accepted["attempt"] == 1
    assert work.release("v2", code=None)["recorded"], "a recorded decision was accepted once"


def test_an_interrupted_release_goes_on_as_the_same_attempt(work: Work) -> None:
    work.evaluate("v2")
    work.edit("relgate.yaml", "^name: sums", "name: sums\nseed: 7\ngeneration: {retries: 0, concurrency: 1}")
    seen = work.answered("v2")
    work.server.fails_after = work.server.asked.total() + 10
    work.release("v2", code=4)
    kept = work.answered("v2") - seen
    assert kept == 10
    work.server.fails_after = None
    released = work.release("v2")
    assert released["attempt"] == 2
    assert [a["number"] for a in work.events("attempted")] == [1, 2]
    assert work.answered("v2") - seen == released["checks"][0]["estimate"]["n"], "nothing finished is asked twice"


def test_the_log_shows_attempts_to_people(work: Work) -> None:
    work.release("v2")
    work.capsys.readouterr()
    assert run(["registry", "log", "--project", str(work.directory)]) == 0
    (line,) = [line for line in work.capsys.readouterr().out.splitlines() if "attempted" in line]
    assert "name=v2" in line
    assert "number=1" in line
