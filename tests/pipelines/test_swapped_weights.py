"""Weights that are swapped after they were registered, or between their check and their loading, reach nobody."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from golden_sets.errors import InputError
from pipelines.cli.app import run
from pipelines.fleet import Fleet
from pipelines.project import Project
from pipelines.scaffold import scaffold
from pipelines.workspace import Workspace
from tests.support.serving import AddingServer, adding_server

POLICY = """\
name: small
version: 1
alpha: 0.05
primary: floor
checks:
  - {id: floor, metric: pass_rate, where: {set: golden}, test: floor, threshold: 0.3}
"""
SUMS = 60


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of tests need not age for two seconds."""
    monkeypatch.setattr("evalharness.loaded_files.SETTLED_NS", 20_000_000)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """One candidate with a copy of the demo's files."""
    directory = tmp_path / "project"
    scaffold(directory, ["flagship-v1"], name="small")
    shipped = Project.load(directory).candidate("flagship-v1").directory
    assert shipped is not None
    shutil.copytree(shipped, tmp_path / "models" / "flagship-v1")
    replace(directory / "candidates" / "flagship-v1.yaml", "^model: .*$", "model: ../../models/flagship-v1")
    replace(directory / "relgate.yaml", "^mlflow: .*$", "mlflow: null")
    return directory


def replace(path: Path, pattern: str, text: str) -> None:
    changed, count = re.subn(pattern, text, path.read_text(), flags=re.MULTILINE)
    assert count
    path.write_text(changed)


def asked_of(project: Path, server: AddingServer) -> Path:
    """Make the project ask a server for sums; the candidate still has its files."""
    (project / "policy.yaml").write_text(POLICY)
    (project / "relgate.yaml").write_text(
        "name: small\nsets: [sums.yaml]\nlabels: {source: checker}\nmlflow: null\nrefusals: {classify: false}\n"
    )
    (project / "sums.yaml").write_text("{name: sums, version: '1', kind: golden, file: sums.jsonl, scoring: checker}\n")
    lines = [
        {"id": str(i), "prompt": f"What is {i} + 5?", "checker": {"kind": "number", "value": str(i + 5)}}
        for i in range(SUMS)
    ]
    (project / "sums.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    candidate = project / "candidates" / "flagship-v1.yaml"
    written = yaml.safe_load(candidate.read_text())
    written["engine"] = {"kind": "endpoints", "runtime": {"urls": [server.url]}}
    candidate.write_text(yaml.safe_dump(written))
    return project


def events(project: Path) -> list[str]:
    return [event.type for event in Workspace.open(Project.load(project)).registry.log()]


def model_of(project: Path) -> Path:
    """The copy, which may be changed."""
    directory = project.parent / "models" / "flagship-v1"
    assert Project.load(project).candidate("flagship-v1").directory == directory
    return directory


def other_weights(model: Path) -> None:
    data = bytearray((model / "model.safetensors").read_bytes())
    data[-1] ^= 1
    (model / "model.safetensors").write_bytes(data)


def other_tokenizer(model: Path) -> None:
    path = model / "tokenizer_config.json"
    path.write_text(path.read_text() + " ")


def a_file_more(model: Path) -> None:
    (model / "added_tokens.json").write_text("{}")


def by_symlink(model: Path) -> None:
    weights = model / "model.safetensors"
    weights.rename(model.parent / "elsewhere.safetensors")
    weights.symlink_to(model.parent / "elsewhere.safetensors")


def directory_by_symlink(model: Path) -> None:
    shutil.copytree(model, model.with_name("other"))
    other_weights(model.with_name("other"))
    shutil.rmtree(model)
    model.symlink_to("other")


SWAPS = (other_weights, other_tokenizer, a_file_more, by_symlink, directory_by_symlink)


@pytest.mark.parametrize("swap", SWAPS)
def test_what_was_swapped_since_it_was_hashed_is_not_started(project: Path, swap: Callable[[Path], None]) -> None:
    candidate = Project.load(project).candidate("flagship-v1")
    swap(model_of(project))

    async def go() -> None:
        async with Fleet(project / "logs") as fleet:
            await fleet.get(candidate)

    with pytest.raises(InputError, match=r"its files are not those of its manifest|is a symlink to"):
        asyncio.run(go())
    assert not (project / "logs").exists(), "no engine was started"


def test_a_swap_while_the_answers_are_asked_leaves_no_evidence(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An engine may read a file late; so the run ends, and what it measured is recorded nowhere."""
    with adding_server(**{"flagship-v1": 1.0}) as server:
        model = model_of(asked_of(project, server))
        honest, swapped = server._answer, False

        def answer(*asked: Any) -> str:
            nonlocal swapped
            if not swapped:
                swapped = True
                other_tokenizer(model)
            return honest(*asked)

        server._answer = answer  # type: ignore[method-assign, assignment]
        assert run(["release", "flagship-v1", "--accept-power", "--project", str(project), "--json"]) == 2
        told = json.loads(capsys.readouterr().out)["error"]["what"]
        assert "'flagship-v1': its files changed meanwhile (tokenizer_config.json is" in told
        assert swapped
        assert not {"evaluated", "decided", "promoted"} & set(events(project))


@pytest.mark.parametrize("swap", SWAPS)
def test_a_version_whose_files_were_swapped_after_its_decision_is_not_promoted(
    project: Path, capsys: pytest.CaptureFixture[str], swap: Callable[[Path], None]
) -> None:
    with adding_server(**{"flagship-v1": 1.0}) as server:
        asked_of(project, server)
        command = ["release", "flagship-v1", "--accept-power", "--no-promote", "--project", str(project), "--json"]
        assert run(command) == 0, capsys.readouterr().err
    swap(model_of(project))
    capsys.readouterr()
    assert run(["registry", "promote", "flagship-v1", "--project", str(project), "--json"]) == 2
    told = json.loads(capsys.readouterr().out)["error"]["what"]
    assert "the registered manifest says" in told or "is not in the registered manifest" in told or "symlink" in told
    assert "promoted" not in events(project)


def test_other_sampling_under_a_versions_name_is_not_promoted(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with adding_server(**{"flagship-v1": 1.0}) as server:
        asked_of(project, server)
        command = ["release", "flagship-v1", "--accept-power", "--no-promote", "--project", str(project), "--json"]
        assert run(command) == 0
    candidate = project / "candidates" / "flagship-v1.yaml"
    candidate.write_text(re.sub(r"max_tokens: \d+", "max_tokens: 7", candidate.read_text()))
    capsys.readouterr()
    assert run(["registry", "promote", "flagship-v1", "--project", str(project), "--json"]) == 2
    assert (
        "sampling.max_tokens is 7, the registered manifest says" in json.loads(capsys.readouterr().out)["error"]["what"]
    )
    assert "promoted" not in events(project)


@pytest.mark.vllm
@pytest.mark.slow
async def test_a_swap_and_back_while_vllm_starts_is_refused_and_nothing_lives_on(project: Path) -> None:
    """Between the check and the load: the files read in the end are the honest ones, and nobody can know it."""
    candidate = Project.load(project).candidate("flagship-v1")
    model = model_of(project)
    log = project / "logs" / "flagship-v1.log"
    before = set(psutil.Process().children(recursive=True))

    def swap_and_back() -> None:
        while not log.exists():
            time.sleep(0.02)
        weights, kept = model / "model.safetensors", model.parent / "kept"
        weights.rename(kept)
        shutil.copyfile(kept, weights)
        other_weights(model)
        time.sleep(0.5)
        kept.replace(weights)

    swapping = asyncio.create_task(asyncio.to_thread(swap_and_back))
    with pytest.raises(InputError, match=r"touched while the engine loaded them \(.*model\.safetensors"):
        async with Fleet(project / "logs") as fleet:
            await fleet.get(candidate)
    await swapping
    assert Project.load(project).candidate("flagship-v1").digest == candidate.digest
    left = [p for p in set(psutil.Process().children(recursive=True)) - before if p.is_running()]
    assert left == []
