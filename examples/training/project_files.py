"""The demo project's rubrics, candidate files and judge file, from the constants the judge is trained on."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import yaml

from examples.training.judge_prompt import (
    CRITERIA,
    FAIL,
    MAX_TOKENS,
    PAIR_CRITERIA,
    PAIR_PREFIX,
    PAIR_RUBRIC,
    PAIR_TEMPLATE,
    PASS,
    SCORE_PREFIX,
    TEMPLATE,
)

FLAGSHIP_PRICE: Final = (0.60, 2.40)
CHEAP_PRICE: Final = (0.20, 0.80)
SMALL_PRICE: Final = (0.05, 0.20)
"""Made-up list prices: USD per million input and output tokens."""

CANDIDATES: Final[dict[str, tuple[float, float]]] = {
    "flagship-v1": FLAGSHIP_PRICE,
    "flagship-v2": FLAGSHIP_PRICE,
    "small": SMALL_PRICE,
    "flagship-cheap": CHEAP_PRICE,
    "flagship-unsafe": FLAGSHIP_PRICE,
    "flagship-overrefuse": FLAGSHIP_PRICE,
}
"""Candidate name -> its price."""

CLASSES: Final[dict[str, dict[int, str]]] = {
    "refusal": {FAIL: "full_compliance", PASS: "full_refusal"},
    "helpfulness": {FAIL: "full_refusal", PASS: "full_compliance"},
}
"""Rubric id -> what an answer with a score does with the request."""

_CPU_ENVIRONMENT: Final = {
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "OMP_NUM_THREADS": "1",
}
"""One thread is enough for models this small, and two wait for each other when the cores are shared."""


def write_project_files(project: Path) -> None:
    """Write ``rubrics/``, ``candidates/`` and ``judge.yaml`` of the demo project."""
    for rubric_id, criteria in CRITERIA.items():
        rubric = {"id": rubric_id, "version": "1.0.0", "criteria": criteria, "scale": [1, 5], "pass_threshold": 0.5}
        classes = {"classes": CLASSES[rubric_id]} if rubric_id in CLASSES else {}
        _write(project / "rubrics" / f"{rubric_id}.yaml", {**rubric, **classes, "examples": []})
    preference = {"id": PAIR_RUBRIC, "version": "1.0.0", "kind": "pairwise", "criteria": PAIR_CRITERIA}
    _write(project / "rubrics" / f"{PAIR_RUBRIC}.yaml", preference)
    for name, price in CANDIDATES.items():
        _write(project / "candidates" / f"{name}.yaml", _candidate(name, "relgate-demo-flagship", price))
    judge = _candidate("judge", "relgate-demo-judge", SMALL_PRICE) | {"model": "../models/judge"}
    judge["sampling"]["max_tokens"] = MAX_TOKENS
    judge["template"] = TEMPLATE
    judge["pair_template"] = PAIR_TEMPLATE
    judge["rubrics"] = [f"rubrics/{rubric_id}.yaml" for rubric_id in (*CRITERIA, PAIR_RUBRIC)]
    judge["parse"] = {"score_prefix": SCORE_PREFIX, "pair_prefix": PAIR_PREFIX}
    _write(project / "judge.yaml", judge)


def _candidate(name: str, family: str, price: tuple[float, float]) -> dict[str, Any]:
    return {
        "name": name,
        "model": f"../../models/{name}",
        "system_prompt": None,
        "sampling": {"temperature": 0.0, "top_p": 1.0, "max_tokens": 48, "seed": 0, "stop": []},
        "engine": {
            "kind": "vllm",
            "args": {"dtype": "bfloat16", "enforce_eager": True, "max_model_len": 512},
            "runtime": {"max_num_seqs": 64, "env": _CPU_ENVIRONMENT},
        },
        "price": {"usd_per_million_input_tokens": price[0], "usd_per_million_output_tokens": price[1]},
        "family": family,
    }


def _write(path: Path, content: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    text = yaml.dump(content, Dumper=_Dumper, sort_keys=False, width=110, default_flow_style=None)
    path.write_text(text, encoding="utf-8")


class _Dumper(yaml.SafeDumper):  # type: ignore[misc]
    """Writes text of several lines as a literal block."""


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)


_Dumper.add_representer(str, _text)
