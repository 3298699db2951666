"""Writes each model's ``MODEL_CARD.md`` from what was measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from safetensors import safe_open

from evalharness.judging.pair_agreement import PairReport
from evalharness.statistics import Interval
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
_PAIR_INTRODUCTION: Final = (
    "",
    "## Two answers at once",
    "",
    "The sealed draw's golden prompts with two answers, judged in both orders, against the programmatic truth: "
    "the answer that gives the reference value is better, otherwise it is a tie. Agreement: of both orders together (a "
    "tie where they disagree); decided: where truth and judge both name an answer; single: of single verdicts. Turned: "
    "verdicts that turn with the order. Position: share of verdicts for the answer shown first minus that for the "
    "second. Length: how much more often than the truth the judge prefers the longer answer (1 would be always). 95 % "
    "intervals; a prompt is one cluster. Where the long answer is always the wrong one, every near miss that the judge "
    "overlooks counts as a preference for length.",
    "",
    "| pairs | agreement | decided | single | turned | position | length | n | unparsed verdicts |",
    "|---|---|---|---|---|---|---|---|---|",
)
_ORDER_INTRODUCTION: Final = (
    "",
    "## Answers that give orders",
    "",
    "Failing answers to the sealed draw that end in an order to the judge: share that it passes (one answer), or "
    "prefers to a right answer (two). The orders `worded otherwise` occur in no training. 95 % Wilson intervals.",
    "",
    "| what the failing answer ends with | gets its way | n |",
    "|---|---|---|",
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


def write_judge_card(
    text: CardText,
    directory: Path,
    agreements: Sequence[Agreement],
    pairs: Sequence[tuple[str, PairReport]],
    orders: Sequence[Rate],
) -> None:
    """The card of the judge: agreement with the programmatic truth on answers to the sealed draw, biases, orders."""
    rows = [
        f"| {a.name} | {a.accuracy:.3f} | {_or_dash(a.kappa)} | {a.sensitivity or '-'} | {a.specificity or '-'} "
        f"| {a.n} | {a.unparsed} |"
        for a in agreements
    ]
    compared = [f"| {name} | {' | '.join(_pair_cells(found))} |" for name, found in pairs]
    ordering = [f"| {rate.cell} | {rate} | {rate.n} |" for rate in orders]
    measured = [*_JUDGE_INTRODUCTION, *rows, *_PAIR_INTRODUCTION, *compared, *_ORDER_INTRODUCTION, *ordering]
    _write(text, directory, measured)


def _pair_cells(found: PairReport) -> list[str]:
    labels, position, verbosity = found.labels, found.position, found.verbosity
    intervals = [
        labels.agreement if labels else None,
        labels.decided if labels else None,
        labels.single_orders if labels else None,
        position.turned,
        position.bias,
        verbosity.excess if verbosity else None,
    ]
    return [*map(_interval, intervals), str(found.pairs), str(found.unparsed)]


def _interval(found: Interval | None) -> str:
    if found is None or found.value is None or found.low is None or found.high is None:
        return "-"
    return f"{found.value:.3f} [{found.low:.3f}, {found.high:.3f}]"


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
