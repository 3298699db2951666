"""Rubrics that a run will ask for are looked up before any model is started."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest

from golden_sets.errors import InputError
from pipelines.bench import Bench
from pipelines.judge_run import JudgeRun
from pipelines.project import Project
from tests.support.projects import edit, write_project


@pytest.mark.parametrize(
    ("rubric", "message"), [("nope", "no rubric 'nope'"), ("correctness", "scores single answers")]
)
def test_the_rubric_for_pairs_must_be_there_and_compare(tmp_path: Path, rubric: str, message: str) -> None:
    folder = write_project(tmp_path, prompts=3)
    edit(folder, "relgate.yaml", "mlflow: null", f"mlflow: null\njudging: {{pairwise: {rubric}}}")
    project = Project.load(folder)
    assert project.panel is not None
    nobody = cast("Any", None)
    with pytest.raises(InputError, match=message):
        JudgeRun(project, Bench(project.panel, nobody, nobody, nobody))
