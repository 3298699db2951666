"""A router trained in a project: both models answer the routing sets, and nothing is asked twice."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pipelines.cli.app import run
from pipelines.project import Project
from router_training import Router
from tests.support.routing_file import write_rows
from tests.support.serving import AddingServer, adding_server

PROJECT = """\
name: sums
sets: [gate.yaml]
mlflow: null
router: {small: small, flagship: flagship, sets: [routing.yaml], max_loss: 0.2}
"""
POLICY = """\
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
price: {usd_per_million_input_tokens: 1, usd_per_million_output_tokens: 1}
"""
SUMS = [(a, b) for a in range(2, 14) for b in range(30, 40)]


@dataclass(frozen=True)
class Work:
    directory: Path
    server: AddingServer
    capsys: pytest.CaptureFixture[str]

    def relgate(self, *arguments: str, code: int = 0) -> dict[str, Any]:
        where = ("--project", str(self.directory), "--cache", str(self.directory / "cache"), "--json")
        self.capsys.readouterr()
        found = run(["router", *arguments, *where])
        document: dict[str, Any] = json.loads(self.capsys.readouterr().out)
        assert found == code, document
        return document

    @property
    def router(self) -> str:
        return str(self.directory / "router")

    def digests(self) -> dict[str, str]:
        project = Project.load(self.directory)
        return {name: project.candidate(name).digest for name in ("small", "flagship")}


@pytest.fixture
def server() -> Iterator[AddingServer]:
    with adding_server(small=0.4, flagship=1.0) as running:
        yield running


@pytest.fixture
def work(tmp_path: Path, server: AddingServer, capsys: pytest.CaptureFixture[str]) -> Work:
    (tmp_path / "candidates").mkdir()
    for name in ("small", "flagship"):
        text = MODEL.replace("NAME", name).replace("URL", server.url)
        (tmp_path / "candidates" / f"{name}.yaml").write_text(text)
    (tmp_path / "relgate.yaml").write_text(PROJECT)
    (tmp_path / "policy.yaml").write_text(POLICY)
    write_set(tmp_path, "routing", SUMS)
    write_set(tmp_path, "gate", [(900, 1), (901, 2)])
    return Work(tmp_path, server, capsys)


def write_set(folder: Path, name: str, sums: list[tuple[int, int]]) -> None:
    card = f"{{name: {name}, version: '1', kind: golden, file: {name}.jsonl, scoring: checker}}\n"
    (folder / f"{name}.yaml").write_text(card)
    lines = [
        {
            "id": f"{name}-{number}",
            "prompt": f"What is {a} + {b}?",
            "reference": str(a + b),
            "checker": {"kind": "number", "value": str(a + b)},
        }
        for number, (a, b) in enumerate(sums)
    ]
    (folder / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def test_both_models_label_the_routing_sets_and_nothing_is_asked_twice(work: Work) -> None:
    found = work.relgate("train", "--out", work.router)
    asked = {"small": len(SUMS), "flagship": len(SUMS)}
    assert work.server.asked == asked
    assert found["generated"] == 2 * len(SUMS)
    assert found["data"]["prompts"] == len(SUMS)
    assert found["data"]["flagship_quality"] == 1.0
    assert 0.25 < found["data"]["small_quality"] < 0.55
    assert found["models"] == {**work.digests(), "judge": None}
    assert found["operating_point"]["max_loss"] == 0.2
    manifest = Router.load(work.router).manifest
    assert (manifest.small, manifest.flagship) == (found["models"]["small"], found["models"]["flagship"])
    again = work.relgate("train", "--out", str(work.directory / "again"))
    assert again["digest"] == found["digest"]
    assert again["generated"] == 0
    assert work.server.asked == asked
    evaluation = work.relgate("eval", work.router)
    assert evaluation["prompts"] == "the router's frozen test"
    assert evaluation["n"] == found["split"]["test"]
    assert evaluation["operation"]["usd"] is not None
    assert work.server.asked == asked


def test_prompts_of_the_gate_are_refused_unless_allowed(work: Work) -> None:
    write_set(work.directory, "gate", [(900, 1), *SUMS[:3]])
    found = work.relgate("train", "--out", work.router, code=2)
    assert "labelled prompts are in evaluation sets, too" in found["error"]["what"]
    assert not Path(work.router).exists()
    found = work.relgate("train", "--out", work.router, "--allow-contamination")
    assert any("in evaluation sets of the project, too" in note for note in found["notes"])


def test_a_file_is_compared_with_the_projects_sets_and_may_name_the_models(work: Work) -> None:
    rows = [
        {"prompt": f"Add {a} to {b} and tell me", "small_score": number % 2, "flagship_score": 1}
        for number, (a, b) in enumerate(SUMS)
    ]
    data = write_rows(work.directory / "data.csv", rows)
    found = work.relgate("train", "--out", work.router, "--data", str(data))
    assert found["models"] == {"small": None, "flagship": None, "judge": None}
    named = ("--small", "small", "--flagship", "flagship")
    found = work.relgate("train", "--out", work.router, "--data", str(data), *named)
    assert found["models"] == {**work.digests(), "judge": None}
    assert not work.server.asked
    write_rows(data, [{**rows[0], "prompt": "What is 900 + 1?"}, *rows[1:]])
    found = work.relgate("train", "--out", work.router, "--data", str(data), code=2)
    assert "'What is 900 + 1?' is 'gate-0' of set 'gate'" in found["error"]["what"]


def test_labels_of_a_file_are_added_to_those_of_the_models(work: Work) -> None:
    rows = [{"prompt": f"Add {a} to {b}", "small_score": 1, "flagship_score": 1} for a, b in SUMS[:30]]
    data = write_rows(work.directory / "data.csv", rows)
    card = str(work.directory / "routing.yaml")
    found = work.relgate("train", "--out", work.router, "--data", str(data), "--set", card)
    assert found["data"]["prompts"] == len(SUMS) + 30
    assert work.server.asked == {"small": len(SUMS), "flagship": len(SUMS)}


def test_a_lone_model_or_an_unknown_one_is_refused(work: Work) -> None:
    lone = work.relgate("train", "--out", work.router, "--small", "small", code=2)
    assert lone["error"]["what"] == "--small and --flagship go together"
    named = ("--small", "small", "--flagship", "nobody")
    assert "unknown candidate 'nobody'" in work.relgate("train", "--out", work.router, *named, code=2)["error"]["what"]


def test_a_project_without_a_router_says_what_to_add(work: Work) -> None:
    path = work.directory / "relgate.yaml"
    path.write_text(PROJECT.replace("router:", "# router:"))
    found = work.relgate("train", "--out", work.router, code=2)
    assert found["error"]["what"] == "the project says nothing of a router"
