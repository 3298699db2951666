from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from evalharness.candidate import Candidate, Engine, Manifest, Runtime
from evalharness.engines.vllm_arguments import fixed_port, runs_on_cpu, vllm_arguments
from golden_sets.errors import InputError


def candidate(directory: Path | None, engine: dict[str, Any], runtime: dict[str, Any], **more: Any) -> Candidate:
    manifest = Manifest(model={}, engine=Engine(kind="vllm", args=engine))
    return Candidate(name="m", manifest=manifest, runtime=Runtime(args=runtime), directory=directory, **more)


def after(arguments: list[str], flag: str) -> str:
    return arguments[arguments.index(flag) + 1]


def test_values_become_flags(tmp_path: Path) -> None:
    engine = {"dtype": "bfloat16", "enforce_eager": True, "enable-prefix-caching": False, "quantization": None}
    runtime = {"max_num_seqs": 64, "middleware": ["a", "b"], "compilation_config": {"level": 0}}
    arguments = vllm_arguments(candidate(tmp_path, engine, runtime), port=8123)
    assert after(arguments, "--dtype") == "bfloat16"
    assert "--enforce-eager" in arguments
    assert "--no-enable-prefix-caching" in arguments
    assert not any("quantization" in a for a in arguments)
    assert after(arguments, "--max-num-seqs") == "64"
    assert arguments[arguments.index("--middleware") + 1 :][:2] == ["a", "b"]
    assert after(arguments, "--compilation-config") == '{"level": 0}'
    assert after(arguments, "--host") == "127.0.0.1"
    assert after(arguments, "--port") == "8123"
    assert after(arguments, "--model") == str(tmp_path)
    assert after(arguments, "--served-model-name") == "m"


def test_defaults_are_safe_and_can_be_changed(tmp_path: Path) -> None:
    plain = vllm_arguments(candidate(tmp_path, {}, {}), port=1)
    assert after(plain, "--load-format") == "safetensors"
    assert "--disable-log-stats" in plain
    changed = vllm_arguments(candidate(tmp_path, {"load_format": "gguf"}, {"disable_log_stats": False}), port=1)
    assert after(changed, "--load-format") == "gguf"
    assert not any("log-stats" in a for a in changed)


def test_the_cpu_build_takes_prompts_whole_where_their_length_is_known(tmp_path: Path) -> None:
    arguments = vllm_arguments(candidate(tmp_path, {"max_model_len": 8192}, {}), port=1)
    assert ("--no-enable-chunked-prefill" in arguments) == runs_on_cpu()
    if runs_on_cpu():
        assert after(arguments, "--max-num-batched-tokens") == "8192"
    chosen = {"max_model_len": 512, "enable_chunked_prefill": True}
    assert "--enable-chunked-prefill" in vllm_arguments(candidate(tmp_path, chosen, {}), port=1)
    assert not any("chunked" in a for a in vllm_arguments(candidate(tmp_path, {}, {}), port=1))


def test_an_adapter_is_served_under_the_candidates_name(tmp_path: Path) -> None:
    arguments = vllm_arguments(candidate(tmp_path, {}, {}, adapter_directory=tmp_path / "lora"), port=1)
    assert after(arguments, "--served-model-name") == "m-base"
    assert after(arguments, "--lora-modules") == f"m={tmp_path / 'lora'}"
    assert "--enable-lora" in arguments


@pytest.mark.parametrize(
    ("engine", "runtime", "message"),
    [
        ({"model": "x"}, {}, "'model' is set by relgate"),
        ({}, {"host": "0.0.0.0"}, "'host' is set by relgate"),  # noqa: S104 - what must be refused
        ({"port": 8000}, {}, "'port' is set by relgate"),
        ({"max-model-len": 512}, {"max_model_len": 1024}, "stands in engine.args and in runtime"),
    ],
)
def test_arguments_that_relgate_owns_or_that_contradict(
    tmp_path: Path, engine: dict[str, Any], runtime: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        vllm_arguments(candidate(tmp_path, engine, runtime), port=1)


@pytest.mark.parametrize("directory", [None, Path("/no/such/model")])
def test_a_missing_model_directory(directory: Path | None) -> None:
    with pytest.raises(InputError, match="no model directory"):
        vllm_arguments(candidate(directory, {}, {}), port=1)


def test_a_fixed_port() -> None:
    assert fixed_port(candidate(None, {}, {})) is None
    assert fixed_port(candidate(None, {}, {"port": 8000})) == 8000
    with pytest.raises(InputError, match="not a port"):
        fixed_port(candidate(None, {}, {"port": "http"}))
