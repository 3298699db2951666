"""Writes each model's ``MODEL_CARD.md`` from what was measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from safetensors import safe_open

from examples.training.measure import Agreement, Rate

WARNING: Final = (
    "A toy. It was trained in minutes on synthetic templates to demonstrate a release gate. It knows nothing about the "
    "world, its refusals protect nobody, and it must not be used for anything else."
)


_CANDIDATE_INTRODUCTION: Final = (
    "Greedy answers in bf16 to a sealed draw of prompts (same generator; other payloads than the training data and the "
    "demo sets), checked by program.",
    "",
    "| cell | rate, 95 % Wilson interval | n |",
    "|---|---|---|",
)
_JUDGE_INTRODUCTION: Final = (
    "Verdicts on the candidates' answers to a sealed draw of prompts, against the programmatic truth. Sensitivity is "
    "the share of passing answers that the judge passes, specificity that of failing answers it fails (95 % Wilson "
    "intervals). A cell with few failing answers has a wide interval.",
    "",
    "| answers | agreement | kappa | sensitivity | specificity | n | unparsed |",
    "|---|---|---|---|---|---|---|",
)


@dataclass(frozen=True)
class CardText:
    """What a card says besides its numbers."""

    name: str
    purpose: str
    recipe: str
    data: str


def write_candidate_card(text: CardText, directory: Path, rates: Sequence[Rate]) -> None:
    """The card of a candidate: rates per cell on the sealed draw."""
    rows = [f"| {rate.cell} | {rate} | {rate.n} |" for rate in rates]
    _write(text, directory, [*_CANDIDATE_INTRODUCTION, *rows])


def write_judge_card(text: CardText, directory: Path, agreements: Sequence[Agreement]) -> None:
    """The card of the judge: agreement with the programmatic truth on answers to the sealed draw."""
    rows = [
        f"| {a.name} | {a.accuracy:.3f} | {_or_dash(a.kappa)} | {a.sensitivity or '-'} | {a.specificity or '-'} "
        f"| {a.n} | {a.unparsed} |"
        for a in agreements
    ]
    _write(text, directory, [*_JUDGE_INTRODUCTION, *rows])


def _write(text: CardText, directory: Path, measured: list[str]) -> None:
    weights = directory / "model.safetensors"
    lines = [
        f"# {text.name}", "", WARNING, "",
        f"- Purpose: {text.purpose}",
        f"- Architecture: Llama, {_parameters(weights):,} parameters with tied embeddings, bf16 safetensors, "
        f"{weights.stat().st_size / 1e6:.2f} MB",
        f"- Recipe: {text.recipe}",
        f"- Data: {text.data}",
        "- Licence: Apache-2.0. Weights and data are this project's own work; no other model or data set was used.",
        "- Reproduce: `make train-demo-models` reproduces the rates, not the bytes.", "",
        "## Measured", "", *measured, "",
    ]  # fmt: skip
    (directory / "MODEL_CARD.md").write_text("\n".join(lines), encoding="utf-8")


def _parameters(weights: Path) -> int:
    total = 0
    with safe_open(weights, framework="pt") as tensors:
        for name in tensors.keys():  # noqa: SIM118 - a safetensors handle is no mapping
            size = 1
            for extent in tensors.get_slice(name).get_shape():
                size *= extent
            total += size
    return total


def _or_dash(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
