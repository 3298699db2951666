"""What is evaluated: a candidate's manifest (identity) and the things beside it that do not count towards identity."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from golden_sets.digests import Digest, digest_json
from golden_sets.records import Record

CHANGES_OUTPUTS_ENV = frozenset(
    {
        "HF_HUB_OFFLINE",
        "TRANSFORMERS_OFFLINE",
        "VLLM_ALLOW_RUNTIME_LORA_UPDATING",
        "VLLM_ATTENTION_BACKEND",
        "VLLM_LORA_RESOLVER_CACHE_DIR",
        "VLLM_PLUGINS",
    }
)
"""Variables of an engine's environment that change what is answered, or let it load what is not hashed. They are never
part of an identity, so they are neither taken from a file nor handed on from relgate's own environment."""


class Sampling(Record):
    """Sampling parameters, sent with every request."""

    temperature: float = Field(default=0.0, ge=0.0)
    """Softmax temperature; 0 is greedy."""
    top_p: float = Field(default=1.0, gt=0.0, le=1.0)
    """Nucleus mass."""
    max_tokens: int = Field(default=512, ge=1)
    """Upper bound on output tokens."""
    seed: int | None = None
    """Base seed; repeat k of a prompt is sampled with ``seed + k``."""
    stop: tuple[str, ...] = ()
    """Stop strings."""


class Engine(Record):
    """How the candidate is served."""

    kind: Literal["vllm", "endpoints"]
    """``vllm``: relgate starts and stops it; ``endpoints``: servers that are already up."""
    version: str | None = None
    """Version of the serving engine, where it is known."""
    args: Mapping[str, Any] = Field(default_factory=dict)
    """Engine arguments that change outputs (dtype, quantization, max_model_len...): part of the identity."""


class Runtime(Record):
    """How a candidate is run here: never part of its identity."""

    args: Mapping[str, Any] = Field(default_factory=dict)
    """Engine arguments that do not change outputs (device, tensor_parallel_size, max_num_seqs...)."""
    env: Mapping[str, str] = Field(default_factory=dict)
    """Environment of the engine's process."""
    urls: tuple[str, ...] = ()
    """Base addresses of servers that are already up, e.g. ``http://127.0.0.1:8000/v1``."""
    served_model: str | None = None
    """Model id that the servers answer to; default: the candidate's name."""
    api_key_env: str | None = None
    """Name of the environment variable that holds the bearer token (the token itself is never stored)."""
    start_timeout_s: float = Field(default=600.0, gt=0)
    """How long a start may take, seconds."""


class Price(Record):
    """What it costs: either per accelerator-hour or per token. The formula is in ``docs/concepts.md``."""

    usd_per_gpu_hour: float | None = Field(default=None, ge=0)
    """USD for one accelerator (or one CPU host) for one hour."""
    gpus: int = Field(default=1, ge=1)
    """Accelerators (or hosts) that serve the candidate."""
    usd_per_million_input_tokens: float | None = Field(default=None, ge=0)
    """USD per 10^6 prompt tokens."""
    usd_per_million_output_tokens: float | None = Field(default=None, ge=0)
    """USD per 10^6 output tokens."""

    @model_validator(mode="after")
    def _one_way(self) -> Price:
        per_token = (self.usd_per_million_input_tokens, self.usd_per_million_output_tokens)
        if (self.usd_per_gpu_hour is None) == (per_token == (None, None)):
            raise ValueError("a price is either usd_per_gpu_hour or usd_per_million_*_tokens, one of the two")
        if self.usd_per_gpu_hour is None and None in per_token:
            raise ValueError("a price per token names both usd_per_million_input_tokens and _output_tokens")
        return self


class Manifest(Record):
    """Everything that changes a candidate's behaviour, and nothing that does not."""

    model: Mapping[str, Digest]
    """Digest of every file of the model directory by relative path (weights, tokenizer, chat template, config)."""
    adapter: Mapping[str, Digest] | None = None
    """The same for a LoRA adapter directory."""
    declared_weights: str | None = None
    """For servers somebody else runs: the revision or digest they declare."""
    system_prompt: str | None = None
    """Put before every conversation."""
    sampling: Sampling = Sampling()
    """Sampling parameters."""
    safety_policy: str | None = None
    """Text or version of the guard rails in front of the model."""
    engine: Engine
    """Serving engine with the arguments that change outputs."""

    @property
    def weights_digest(self) -> Digest:
        """Digest over the weight files alone (self-preference and swapped-weights checks)."""
        weights = {p: d for p, d in self.model.items() if Path(p).suffix in (".safetensors", ".bin", ".gguf", ".pt")}
        return digest_json(weights or {"declared": self.declared_weights})


class Candidate(Record):
    """A candidate: its manifest, and beside it name, price and runtime, which do not count towards identity."""

    name: str = Field(min_length=1)
    """Name for people and for the command line."""
    manifest: Manifest
    """What makes it behave as it does."""
    family: str | None = None
    """Model family, compared with the judge's."""
    price: Price | None = None
    """What it costs."""
    runtime: Runtime = Runtime()
    """How it is run here."""
    directory: Path | None = None
    """Where the model directory lies on this machine."""
    adapter_directory: Path | None = None
    """Where the adapter lies on this machine."""

    @cached_property
    def digest(self) -> Digest:
        """The manifest's digest: no path, address, port, tag or price counts."""
        return self.manifest.digest
