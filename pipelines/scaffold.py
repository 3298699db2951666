"""New project directories, made from the demo project: what ``relgate init`` and ``relgate demo`` start from."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import yaml

from golden_sets.errors import InfrastructureError, InputError
from pipelines.project import PROJECT_FILE
from pipelines.resources import examples_directory

COPIED = ("policy.yaml", "router-policy.yaml", "controls.jsonl", "traffic.jsonl", "sets", "rubrics")
_MODEL = re.compile(r"^model: *(\S+).*$", re.MULTILINE)
_DATA = re.compile(r"^data: .*$", re.MULTILINE)
_EXAMPLE = "# promotion:\n"
_STAGE = re.compile(r"^stage: .*$", re.MULTILINE)
_NAME = re.compile(r"^name: .*$", re.MULTILINE)


def scaffold(
    directory: Path, candidates: Sequence[str], *, name: str, data: str = ".relgate", signed: bool = False
) -> list[Path]:
    """Make a project directory with the demo's sets, policy, judge and the named candidates.

    Candidate and judge files point to the models that ship with relgate; everything else is copied.

    Args:
        directory: where.
        candidates: names of the demo's candidates.
        name: the project's name.
        data: folder of what relgate writes.
        signed: let the policy want signatures, as the example in its comments says; releases go to the canary then.

    Returns:
        The files at the top, for a person to look at.

    Raises:
        InputError: there is a project already, or no such candidate.
        InfrastructureError: the directory cannot be written.
    """
    source = examples_directory() / "demo"
    if (directory / PROJECT_FILE).exists():
        raise InputError("there is a project already", where=directory, do="choose another directory")
    if directory.exists() and not directory.is_dir():
        raise InputError("this is a file, not a directory", where=directory, do="choose another name")
    is_new = not directory.exists()
    try:
        (directory / "candidates").mkdir(parents=True, exist_ok=True)
        for item in COPIED:
            _copy(source / item, directory / item)
        if signed:
            policy = directory / "policy.yaml"
            policy.write_text(with_signatures(policy.read_text(encoding="utf-8")), encoding="utf-8")
        _point_to_model(source / "judge.yaml", directory / "judge.yaml")
        for candidate in candidates:
            _point_to_model(source / "candidates" / f"{candidate}.yaml", directory / "candidates" / f"{candidate}.yaml")
        text = (source / PROJECT_FILE).read_text(encoding="utf-8")
        text = _with_value(_DATA, "data", data, text)
        text = _with_value(_NAME, "name", name, text)
        text = _with_value(_STAGE, "stage", "canary", text) if signed else text
        (directory / PROJECT_FILE).write_text(text, encoding="utf-8")  # last: it is what makes this a project
    except OSError as error:  # also shutil.Error, which lists what it could not copy and has no strerror
        if is_new:
            shutil.rmtree(directory, ignore_errors=True)
        raise InfrastructureError(
            f"the project cannot be written ({error.strerror or 'some files could not be copied'})",
            where=directory,
            do="free some space or choose another place",
        ) from error
    return [directory / PROJECT_FILE, directory / "policy.yaml", directory / "judge.yaml", directory / "candidates"]


def with_signatures(policy: str) -> str:
    """The text of the demo's policy with its example of ``promotion`` no longer a comment."""
    start = policy.index(_EXAMPLE)
    return policy[:start] + re.sub(r"^# ", "", policy[start:], flags=re.MULTILINE)


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, dirs_exist_ok=True)
    else:
        shutil.copyfile(source, target)


def _point_to_model(source: Path, target: Path) -> None:
    """Copy a candidate or judge file, its relative model directory made absolute."""
    text = source.read_text(encoding="utf-8")
    found = _MODEL.search(text)
    if found is None:
        raise InputError("the file names no model directory", where=source)
    model = (source.parent / found[1]).resolve()
    target.write_text(_with_value(_MODEL, "model", str(model), text), encoding="utf-8")


def _with_value(line: re.Pattern[str], key: str, value: str, text: str) -> str:
    """``text`` with the value of one key's line replaced, quoted: names and paths may hold ``:``, ``#`` or quotes."""
    quoted = yaml.safe_dump(value, default_style='"', allow_unicode=True, width=sys.maxsize).strip()
    return line.sub(lambda _: f"{key}: {quoted}", text, count=1)
