"""New projects, in directories with any name; and names on the console."""

from __future__ import annotations

import errno
import io
import shlex
import shutil
from pathlib import Path

import pytest
from rich.console import Console

import pipelines.scaffold
from golden_sets.errors import InfrastructureError, InputError
from pipelines.cli.app import run
from pipelines.progress import Progress
from pipelines.project import Project
from pipelines.resources import examples_directory
from pipelines.scaffold import scaffold
from pipelines.workspace import Workspace

ODD = ["my: project #1", 'say "hi" & \\1 it\'s', "- {ключ: 値} 🚀", "no", "1.10", "!tag", "tab\there"]


@pytest.mark.parametrize("name", ODD)
def test_a_project_may_have_any_name(tmp_path: Path, name: str) -> None:
    directory = tmp_path / name
    assert run(["init", str(directory)]) == 0
    project = Project.load(directory)
    assert project.file.name == name
    assert project.candidate("flagship-v2").name == "flagship-v2"
    assert project.judges
    assert Workspace.open(project).current().generation == 0
    assert (directory / ".relgate" / "relgate.db").is_file()


def test_the_next_command_can_be_pasted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    directory = tmp_path / "my: project #1"
    assert run(["init", str(directory)]) == 0
    told = capsys.readouterr().out.partition("next:\n")[2].splitlines()
    assert [shlex.split(line) for line in told[:2]] == [["cd", str(directory)], ["relgate", "plan"]]


@pytest.mark.parametrize("place", ["my: models #1", 'the "best" \\1', "値 🚀"])
def test_models_may_lie_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    examples = tmp_path / place
    shutil.copytree(examples_directory() / "demo", examples / "demo")
    for model in ("flagship-v1", "judge"):
        shutil.copytree(examples_directory() / "models" / model, examples / "models" / model)
    monkeypatch.setattr(pipelines.scaffold, "examples_directory", lambda: examples)
    scaffold(tmp_path / "project", ["flagship-v1"], name="p", data="../data: #1")
    project = Project.load(tmp_path / "project")
    assert project.candidate("flagship-v1").directory == examples / "models" / "flagship-v1"
    assert project.data == tmp_path / "data: #1"


def test_a_project_is_never_overwritten(tmp_path: Path) -> None:
    scaffold(tmp_path, ["flagship-v1"], name="p")
    with pytest.raises(InputError, match="already"):
        scaffold(tmp_path, ["flagship-v1"], name="q")


@pytest.mark.parametrize("terminal", [True, False])
def test_progress_shows_names_as_they_are(terminal: bool) -> None:
    out = io.StringIO()
    progress = Progress(Console(file=out, force_terminal=terminal, width=200, color_system=None))
    name = "[bold]m[/] [/nonsense] :rocket:"
    progress.say(name)
    with progress.bar(name, 3) as advance:
        advance(2, 3)
    assert out.getvalue().count(name) >= 2


def test_progress_does_not_wrap_in_a_log() -> None:
    out = io.StringIO()
    progress = Progress(Console(file=out, width=40))
    progress.say("word " * 40)
    with progress.step("word " * 40):
        pass
    assert len(out.getvalue().splitlines()) == 2


def test_a_project_that_cannot_be_written_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(source: object, target: object, **_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(shutil, "copytree", full)
    with pytest.raises(InfrastructureError, match="No space left on device"):
        scaffold(tmp_path / "new", ["flagship-v1"], name="p")
    assert not (tmp_path / "new").exists()


def test_the_example_of_signatures_in_the_policy_is_one_that_works(tmp_path: Path) -> None:
    scaffold(tmp_path / "plain", ["flagship-v2"], name="plain")
    scaffold(tmp_path / "signed", ["flagship-v2"], name="signed", signed=True)
    plain, signed = (Project.load(tmp_path / name).policy.policy for name in ("plain", "signed"))
    assert plain.promotion is None
    assert signed.promotion is not None
    assert signed.promotion.of("production").after == "canary"
    assert signed.promotion.of("production").signatures == {"safety-reviewer": 1, "release-manager": 1}
    assert signed.model_copy(update={"promotion": None}).digest == plain.digest
