"""Routers in a project: moved by hand, outdated by a model's promotion, gated from a file with a memory."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from evalharness.evidence_files import write_evidence
from gates.staleness import STALE
from golden_sets.errors import InputError
from pipelines.cli.app import run
from pipelines.progress import Progress
from pipelines.router_measuring import NamedRouter
from pipelines.router_place import RouterPlace
from pipelines.router_release import incumbent_of, release_router
from router_training.frozen_test import FrozenTest
from tests.support.projects import edit, write_project
from tests.support.router_releases import POLICY, RouterLine, scored

ROUTER = "router: {small: new, flagship: big}\n"
BIG = """\
name: big
declared_weights: rev-9
engine: {kind: endpoints, runtime: {urls: ['http://127.0.0.1:9/v1']}}
"""


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("base")
    RouterLine(directory).router("any")
    return directory / "base"


@pytest.fixture
def project(tmp_path: Path, base: Path) -> Path:
    write_project(tmp_path, prompts=3)
    shutil.copytree(base, tmp_path / "base")
    (tmp_path / "candidates" / "big.yaml").write_text(BIG)
    (tmp_path / "router-policy.yaml").write_text(POLICY)
    edit(tmp_path, "relgate.yaml", "mlflow: null\n", "mlflow: null\n" + ROUTER)
    return tmp_path


def released(project: Path, name: str = "first", **options: Any) -> NamedRouter:
    """A router made for the project's two candidates, released."""
    place = RouterPlace.open(project)
    serving = place.serving()
    router = RouterLine(project).router(name, small=serving["small"].digest, flagship=serving["flagship"].digest)
    test = FrozenTest.of_pairs(scored())
    result = release_router(place, router, incumbent_of(place, None), test, progress=Progress(quiet=True), **options)
    assert result.decision.verdict == "promote", result.decision.reason
    return router


def relgate(capsys: pytest.CaptureFixture[str], project: Path, *arguments: str) -> tuple[int, Any]:
    capsys.readouterr()
    code = run([*arguments, "--project", str(project), "--json"])
    return code, json.loads(capsys.readouterr().out)


def promote(capsys: pytest.CaptureFixture[str], project: Path, name: str) -> tuple[int, Any]:
    return relgate(capsys, project, "registry", "promote", name, "--channel", "router")


def seed(capsys: pytest.CaptureFixture[str], project: Path, name: str, channel: str) -> Any:
    arguments = ("registry", "promote", name, "--seed", "--channel", channel, "--reason", "first")
    code, document = relgate(capsys, project, *arguments)
    assert code == 0
    return document


def test_the_project_s_candidates_are_the_models_until_their_channels_serve_something(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = RouterPlace.open(project)
    assert {role: one.name for role, one in place.serving().items()} == {"small": "new", "flagship": "big"}
    seed(capsys, project, "new", "flagship")
    assert place.serving()["flagship"].name == "new"


def test_a_router_is_promoted_by_hand_where_files_and_models_are_the_same(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    router = released(project, promote=False)
    place = RouterPlace.open(project)
    default = place.registry.show(incumbent_of(place, None).digest)
    place.registry.promote(
        "router", "production", default.digest, decision_digest=None, expected_generation=0, reason="nothing yet"
    )
    code, document = promote(capsys, project, "first")
    assert (code, document["digest"]) == (0, router.digest)
    code, shown = relgate(capsys, project, "registry", "show", "first")
    assert (code, shown["kind"], shown["serves"]) == (0, "router", ["router/production"])
    assert relgate(capsys, project, "registry", "verify")[1]["ok"]


def test_changed_files_are_not_promoted(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    router = released(project, promote=False)
    head = RouterPlace.open(project).archive.place(router.digest) / "head.safetensors"
    head.write_bytes(head.read_bytes()[:-1] + b"!")
    code, document = promote(capsys, project, "first")
    assert code == 2
    assert "is not the file that the manifest names" in document["error"]["what"]


def test_a_model_that_changed_since_forbids_promotion_and_moving_it_says_so(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    released(project)
    (warning,) = seed(capsys, project, "new", "flagship")["warnings"]
    assert "router/production serves 'first'" in warning
    assert "its evidence is stale" in warning
    relgate(capsys, project, "registry", "rollback", "--channel", "router", "--reason", "the flagship changed")
    code, document = relgate(
        capsys, project, "registry", "promote", "first", "--channel", "router", "--reason", "try again"
    )
    assert code == 2
    assert STALE in document["error"]["what"]


def rollback(capsys: pytest.CaptureFixture[str], project: Path, *version: str) -> tuple[int, Any]:
    return relgate(capsys, project, "registry", "rollback", *version, "--channel", "router", "--reason", "trouble")


def test_going_back_to_a_router_made_for_other_models_is_allowed_and_told(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    released(project)
    seed(capsys, project, "big", "flagship")
    code, document = rollback(capsys, project)
    assert (code, document["name"], document["warnings"]) == (0, "always-flagship", [])
    assert rollback(capsys, project, "first")[1]["warnings"] == []
    rollback(capsys, project, "always-flagship")
    seed(capsys, project, "big", "small")
    code, document = rollback(capsys, project, "first")
    assert (code, document["name"]) == (0, "first")
    (warning,) = document["warnings"]
    assert "router/production serves 'first'" in warning
    assert "measured with small" in warning
    assert "its evidence is stale" in warning


def test_a_channel_does_not_go_back_to_a_router_whose_files_were_changed(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = released(project)
    rollback(capsys, project)
    head = RouterPlace.open(project).archive.place(first.digest) / "head.safetensors"
    whole = head.read_bytes()
    head.write_bytes(whole[:-1] + b"!")
    code, document = rollback(capsys, project, "first")
    assert code == 2
    assert "is not the file that the manifest names" in document["error"]["what"]
    head.write_bytes(whole)
    assert rollback(capsys, project, "first")[0] == 0


def test_the_gate_holds_evidence_against_what_the_registry_serves(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The decision that was recorded while other models were served is not returned for these."""
    released(project)
    place = RouterPlace.open(project)
    event = next(e for e in place.registry.log() if e.type == "evaluated")
    evidence = place.registry.evidence(event.payload["evidence"])
    plan = place.registry.plan(event.payload["plan"])
    write_evidence(evidence, place.registry.blob(evidence.outcomes), project / "router.json", plan)
    store = f"sqlite:///{project / '.relgate' / 'relgate.db'}"

    def gate() -> tuple[int, Any]:
        capsys.readouterr()
        policy = str(project / "router-policy.yaml")
        code = run(["gate", str(project / "router.json"), "--policy", policy, "--store", store, "--json"])
        return code, json.loads(capsys.readouterr().out)

    code, document = gate()
    assert (code, document["recorded"]) == (0, True)
    seed(capsys, project, "new", "flagship")
    code, document = gate()
    assert (code, document["recorded"], document["failed_checks"]) == (1, False, [])
    assert document["reason"].startswith(STALE)
    assert gate()[1]["recorded"]


def test_a_folder_that_is_no_project_needs_no_candidates(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text(POLICY)
    place = RouterPlace.open(tmp_path, policy=tmp_path / "p.yaml")
    assert place.serving() == {}
    assert place.lineage == "router/main"
    assert (tmp_path / ".relgate" / "relgate.db").exists()
    with pytest.raises(InputError, match="no such folder"):
        RouterPlace.open(tmp_path / "nowhere")
