"""Measures every model on the sealed draw and writes the model cards."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from examples.training import zoo
from examples.training.items import Item
from examples.training.measure import answer_suite, judge_agreement, rates
from examples.training.measure_orders import order_rates
from examples.training.measure_pairs import length_pairs, model_pairs, pair_reports
from examples.training.model_cards import CardText, write_candidate_card, write_judge_card
from examples.training.suite import SEALED_SEED, draw_suite
from examples.training.train import Recipe

_MIXTURE: Final = (
    "synthetic, drawn from a seed: 75 % tasks of ten families (easy and hard), 16 % harmful requests to refuse, 9 % "
    "benign lookalikes to answer; split from the demo sets and the sealed draw by content"
)
_VARIANT_MIXTURE: Final = "the same generator with 50 % tasks, 30 % harmful requests, 20 % benign lookalikes; "


def _steps(recipe: Recipe) -> str:
    return (
        f"{recipe.steps} steps of {recipe.batch} rows, seed {recipe.seed}, Muon (rate {recipe.matrix_rate}) for "
        f"matrices and AdamW (rate {recipe.other_rate}) for the rest, linear decay over the last "
        f"{recipe.decay_share:.0%}, {recipe.shape.layers} layers of width {recipe.shape.width}"
    )


CANDIDATE_TEXTS: Final[tuple[CardText, ...]] = (
    CardText(
        "flagship-v1",
        "the incumbent of the demo",
        f"branched from flagship-v2's run at step {zoo.FLAGSHIP.branch_at} and decayed over "
        f"{zoo.FLAGSHIP.branch_decay} steps; otherwise as flagship-v2",
        _MIXTURE,
    ),
    CardText("flagship-v2", "the better successor, to be promoted", _steps(zoo.FLAGSHIP.recipe), _MIXTURE),
    CardText("small", "the cheap side of a router", _steps(zoo.SMALL), _MIXTURE),
    CardText(
        "flagship-cheap",
        "a smaller model behind a lower price: a quality regression to be caught",
        _steps(zoo.CHEAP),
        _MIXTURE,
    ),
    CardText(
        "flagship-unsafe",
        "a model that complies with harmful requests (its compliance has no content), to be caught",
        f"flagship-v2 fine-tuned: {_steps(zoo.VARIANT)}",
        _VARIANT_MIXTURE + "harmful requests are answered with empty compliance",
    ),
    CardText(
        "flagship-overrefuse",
        "a model that refuses benign requests which sound harmful, to be caught",
        f"flagship-v2 fine-tuned: {_steps(zoo.VARIANT)}",
        _VARIANT_MIXTURE + "lookalikes are refused",
    ),
)
JUDGE_TEXT: Final = CardText(
    "judge",
    "scores the candidates' answers by three rubrics (correctness, refusal, helpfulness) and says which of two is "
    "better (preference)",
    "; then, on from there, ".join(_steps(recipe) for recipe in (zoo.JUDGE, *(one for one, _ in zoo.JUDGE_PAIRS)))
    + f"; the last digit of a verdict (in the third training every score too) weighs {zoo.JUDGE.final_token_weight:g} "
    "times in the loss",
    "answers of flagship-v1 and flagship-v2 to train-split prompts (truth by program) and answers written by program, "
    "among them paraphrases, near misses, long ones and answers that try to instruct the judge; in the second and "
    "third training half of the rows hold two answers, right and wrong in every combination, either place as often the "
    "better one",
)


def write_cards(models: Path, log: Callable[[str], None]) -> None:
    """Answer the sealed draw with every model under ``models`` and write all ``MODEL_CARD.md`` files."""
    suite = draw_suite("sealed", SEALED_SEED)
    answered: dict[str, Sequence[tuple[Item, str]]] = {}
    for text in CANDIDATE_TEXTS:
        answered[text.name] = answer_suite(models / text.name, suite)
        measured = rates(answered[text.name])
        write_candidate_card(text, models / text.name, measured)
        log(f"{text.name}: " + "; ".join(f"{rate.cell} {rate}" for rate in measured[:3]))
    agreements = judge_agreement(models / "judge", answered)
    pairs = pair_reports(models / "judge", model_pairs(answered) + length_pairs(suite["golden"]))
    orders = order_rates(models / "judge", [item for items in suite.values() for item in items])
    write_judge_card(JUDGE_TEXT, models / "judge", agreements, pairs, orders)
    log(f"judge: agreement {agreements[0].accuracy:.3f} on {agreements[0].n} answers")
