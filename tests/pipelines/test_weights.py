"""Files at hand against a registered version: before a promotion, and by ``relgate registry weights``."""

from __future__ import annotations

import json
import shutil
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from golden_sets.digests import Digest
from golden_sets.errors import InputError
from pipelines.cli.app import run
from pipelines.project import Project
from pipelines.weights import require_weights
from pipelines.workspace import Workspace
from tests.support.projects import write_project

CANDIDATE = """\
name: local
model: ../models/local
adapter: ../models/adapter
system_prompt: Be brief.
sampling: {temperature: 0.0, max_tokens: 64}
engine: {kind: endpoints, version: '1', runtime: {urls: ['http://127.0.0.1:9/v1']}}
"""


def weights_file(text: str) -> bytes:
    values = text.encode().ljust(8)[:8]
    header = json.dumps({"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, len(values)]}}).encode()
    return struct.pack("<Q", len(header)) + header + values


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of tests need not age for two seconds."""
    monkeypatch.setattr("evalharness.loaded_files.SETTLED_NS", 20_000_000)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    folder = tmp_path / "project"
    folder.mkdir()
    write_project(folder, prompts=3)
    model, adapter = folder / "models" / "local", folder / "models" / "adapter"
    model.mkdir(parents=True)
    adapter.mkdir()
    (model / "config.json").write_text('{"architectures": ["LlamaForCausalLM"]}')
    (model / "tokenizer.json").write_text('{"vocabulary": 1}')
    (model / "model.safetensors").write_bytes(weights_file("honest"))
    (adapter / "adapter_model.safetensors").write_bytes(weights_file("adapter"))
    (folder / "candidates" / "local.yaml").write_text(CANDIDATE)
    return Workspace.open(Project.load(folder))


@pytest.fixture
def version(workspace: Workspace) -> Digest:
    return workspace.registry.register_candidate(workspace.project.candidate("local"))


@pytest.fixture
def model(workspace: Workspace) -> Path:
    return workspace.project.directory / "models" / "local"


def written(workspace: Workspace, old: str, new: str) -> None:
    path = workspace.project.directory / "candidates" / "local.yaml"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))


def swap_weights(workspace: Workspace) -> None:
    (workspace.project.directory / "models/local/model.safetensors").write_bytes(weights_file("other"))


def swap_adapter(workspace: Workspace) -> None:
    (workspace.project.directory / "models/adapter/adapter_model.safetensors").write_bytes(weights_file("other"))


def swap_tokenizer(workspace: Workspace) -> None:
    (workspace.project.directory / "models/local/tokenizer.json").write_text('{"vocabulary": 2}')


def add_a_file(workspace: Workspace) -> None:
    (workspace.project.directory / "models/local/chat_template.jinja").write_text("{{ messages }}")


def link_weights(workspace: Workspace) -> None:
    weights = workspace.project.directory / "models/local/model.safetensors"
    weights.rename(workspace.project.directory / "elsewhere.safetensors")
    weights.symlink_to(workspace.project.directory / "elsewhere.safetensors")


def link_the_directory(workspace: Workspace) -> None:
    models = workspace.project.directory / "models"
    shutil.copytree(models / "local", models / "other")
    (models / "other" / "model.safetensors").write_bytes(weights_file("other"))
    shutil.rmtree(models / "local")
    (models / "local").symlink_to("other")


def change_sampling(workspace: Workspace) -> None:
    written(workspace, "temperature: 0.0", "temperature: 0.7")


def change_prompt(workspace: Workspace) -> None:
    written(workspace, "Be brief.", "Obey.")


def drop_adapter(workspace: Workspace) -> None:
    written(workspace, "adapter: ../models/adapter\n", "")


SWAPS: list[tuple[Callable[[Workspace], None], str]] = [
    (swap_weights, r"model\.safetensors is [0-9a-f]{12}, the (registered )?manifest says"),
    (swap_adapter, r"adapter_model\.safetensors is [0-9a-f]{12}, the (registered )?manifest says"),
    (swap_tokenizer, r"tokenizer\.json is [0-9a-f]{12}, the (registered )?manifest says"),
    (add_a_file, r"chat_template\.jinja is not in the (registered )?manifest"),
    (link_weights, r"'model\.safetensors' is a symlink to"),
    (link_the_directory, r"model\.safetensors is [0-9a-f]{12}, the (registered )?manifest says"),
    (change_sampling, r"sampling\.temperature is 0\.7, the registered manifest says 0"),
    (change_prompt, r'system_prompt is "Obey\.", the registered manifest says "Be brief\."'),
    (drop_adapter, r"adapter/adapter_model\.safetensors is missing"),
]


def test_the_registered_files_pass_without_a_word(workspace: Workspace, version: Digest) -> None:
    assert require_weights(workspace, version) == ()
    assert require_weights(workspace, version, candidate=workspace.project.candidate("local")) == ()


@pytest.mark.parametrize(("swap", "message"), SWAPS)
def test_something_else_under_the_versions_name_is_refused(
    workspace: Workspace, version: Digest, swap: Callable[[Workspace], None], message: str
) -> None:
    swap(workspace)
    with pytest.raises(InputError, match=message):
        require_weights(workspace, version)


@pytest.mark.parametrize(("swap", "message"), SWAPS)
def test_the_callers_own_candidate_is_read_again(
    workspace: Workspace, version: Digest, swap: Callable[[Workspace], None], message: str
) -> None:
    """It was hashed when it was loaded; what counts is what lies there now."""
    before = workspace.project.candidate("local")
    swap(workspace)
    if swap in (change_sampling, change_prompt, drop_adapter):  # what it says is not read again, and not used
        assert require_weights(workspace, version, candidate=before) == ()
        before = workspace.project.candidate("local")
    with pytest.raises(InputError, match=message):
        require_weights(workspace, version, candidate=before)


def test_what_is_remembered_of_a_file_is_not_asked(
    workspace: Workspace, version: Digest, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("evalharness.model_directory.SETTLED_NS", -(10**12))
    cache = workspace.project.data / "model-digests.json"
    swap_weights(workspace)
    workspace.project.candidate("local")
    entries = json.loads(cache.read_text())
    honest = workspace.registry.show(version).manifest["model"]["model.safetensors"]
    entries[str(model / "model.safetensors")][-1] = honest
    cache.write_text(json.dumps(entries))
    assert workspace.project.candidate("local").digest == version, "the lie is believed where nothing rests on it"
    with pytest.raises(InputError, match=r"model\.safetensors is"):
        require_weights(workspace, version)


def test_the_version_is_found_under_another_name(workspace: Workspace, version: Digest) -> None:
    written(workspace, "name: local", "name: renamed")
    candidates = workspace.project.directory / "candidates"
    (candidates / "local.yaml").rename(candidates / "renamed.yaml")
    (candidates / "broken.yaml").write_text("name: [")
    assert require_weights(workspace, version) == ()


def test_files_that_are_not_here_are_told_of(workspace: Workspace, version: Digest, model: Path) -> None:
    shutil.rmtree(model)
    (warning,) = require_weights(workspace, version)
    assert "the files of 'local'" in warning
    assert "were not read again: model directory '../models/local' does not exist" in warning
    (workspace.project.directory / "candidates" / "local.yaml").unlink()
    (warning,) = require_weights(workspace, version)
    assert warning.endswith("were not read again: no candidate of the project goes by its name")


# -- the command ------------------------------------------------------------------------------------------------------


def asked(workspace: Workspace, *words: str | Path) -> list[str]:
    return ["registry", "weights", "local", *map(str, words), "--project", str(workspace.project.directory), "--json"]


def test_a_directory_and_a_candidate_file_are_compared(
    workspace: Workspace, version: Digest, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    adapter, file = model.parent / "adapter", workspace.project.directory / "candidates" / "local.yaml"
    assert run(asked(workspace, model, "--adapter", adapter)) == 0
    told = json.loads(capsys.readouterr().out)
    assert told == {"ok": True, "version": version, "name": "local", "differences": []}
    assert run(asked(workspace, file)) == 0
    capsys.readouterr()
    assert run(asked(workspace, model)) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["differences"] == ["adapter/adapter_model.safetensors is missing"]
    change_sampling(workspace)
    swap_tokenizer(workspace)
    assert run(asked(workspace, file)[:-1]) == 1
    out = capsys.readouterr().out
    assert "tokenizer.json is " in out
    assert "sampling.temperature is 0.7" in out
    assert f"is not local ({version})" in out


def test_what_cannot_be_compared_is_bad_input(
    workspace: Workspace, version: Digest, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(asked(workspace, tmp_path / "nowhere")) == 2
    command = asked(workspace, tmp_path)
    command[2] = "unknown"
    assert run(command) == 2
