"""Who a release is compared with, where nobody is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.project import Project
from pipelines.workspace import Workspace
from tests.support.projects import edit, write_project


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = write_project(tmp_path)
    for name in ("old", "older"):
        text = (folder / "candidates" / "new.yaml").read_text().replace("name: new", f"name: {name}")
        (folder / "candidates" / f"{name}.yaml").write_text(text.replace("rev-2", name))
    edit(folder, "relgate.yaml", "name: p\n", "name: p\nstage: canary\n")
    return folder


def seed(workspace: Workspace, name: str, stage: str) -> None:
    digest = workspace.registry.register_candidate(workspace.project.candidate(name))
    workspace.registry.promote(
        "flagship", stage, digest, decision_digest=None, expected_generation=0, reason="the first version"
    )


def test_a_stage_that_serves_nothing_is_compared_with_production(folder: Path) -> None:
    workspace = Workspace.open(Project.load(folder))
    assert workspace.incumbent(None) is None
    seed(workspace, "old", "production")
    incumbent = workspace.incumbent(None)
    assert incumbent is not None
    assert incumbent.name == "old"


def test_a_stage_is_compared_with_what_it_serves(folder: Path) -> None:
    workspace = Workspace.open(Project.load(folder))
    seed(workspace, "older", "canary")
    seed(workspace, "old", "production")
    incumbent = workspace.incumbent(None)
    assert incumbent is not None
    assert incumbent.name == "older"
    named = workspace.incumbent("new")
    assert named is not None
    assert named.name == "new"
