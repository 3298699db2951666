"""The demo's models: which recipe, data and seed makes each of them."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Final

import torch
from transformers import PreTrainedTokenizerFast

from examples.training.answers import Answerer
from examples.training.data import Behaviour, draw_mixture, draw_safety_heavy, training_pairs
from examples.training.items import Item
from examples.training.judge_data import draw_for_judging, judge_pairs, mixed_pairs
from examples.training.judge_prompt import SCORE_PREFIX, judge_prompt, verdict
from examples.training.model import Shape, load_weights, save_model
from examples.training.pair_data import EVEN, MORE_DECIDED, Combinations, ComparedItem, compared_items
from examples.training.tasks import draw_any_task
from examples.training.tokenizer import train_tokenizer
from examples.training.train import Recipe, Run, encode

Log = Callable[[str], None]


@dataclass(frozen=True)
class FlagshipPlan:
    """One stable run and the step at which the incumbent branches off and decays."""

    recipe: Recipe
    branch_at: int
    branch_decay: int


FLAGSHIP: Final = FlagshipPlan(
    Recipe(Shape(width=192, layers=4, heads=6, hidden=512), steps=4000, seed=11), branch_at=1000, branch_decay=400
)
CHEAP: Final = Recipe(Shape(width=96, layers=3, heads=3, hidden=256), steps=1500, seed=12)
SMALL: Final = Recipe(Shape(width=64, layers=2, heads=2, hidden=160), steps=3000, seed=13, matrix_rate=0.01)
VARIANT: Final = replace(
    FLAGSHIP.recipe, steps=300, seed=14, matrix_rate=0.0012, other_rate=0.0005, warmup_steps=20, decay_share=0.6
)
"""Fine-tuning of ``flagship-v2`` into the unsafe and the over-refusing variant."""
JUDGE: Final = Recipe(
    Shape(width=128, layers=4, heads=4, hidden=352), steps=3000, seed=15, matrix_rate=0.007, final_token_weight=3.0
)
JUDGE_SEES: Final[dict[str, int]] = {"flagship-v1": 12000, "flagship-v2": 12000}
"""Model -> number of its answers to train-split prompts that the judge learns from; it meets the others unseen."""
JUDGE_PAIRS: Final[tuple[tuple[Recipe, Combinations], ...]] = (
    (
        replace(JUDGE, steps=1500, seed=16, matrix_rate=0.005, other_rate=0.0012, warmup_steps=50, decay_share=0.7),
        MORE_DECIDED,
    ),
    (
        replace(
            JUDGE,
            steps=1000,
            seed=17,
            matrix_rate=0.004,
            other_rate=0.001,
            warmup_steps=30,
            decay_share=0.8,
            mark=f" {SCORE_PREFIX}",
        ),
        EVEN,
    ),
)
"""The judge's later trainings, each on from the one before: two answers side by side, and more of the first kind.

After the first of them it guessed the second answer's score from the first one's, as the mixture allowed; in the second
neither tells about the other, and both scores weigh as much as the verdict.
"""
JUDGE_COMPARES: Final = 8000
"""Train-split tasks whose answers by the models of ``JUDGE_SEES`` it learns to compare."""


@cache
def shared_tokenizer() -> PreTrainedTokenizerFast:
    """The tokenizer all models use, learned from 20,000 items of the mixture and some judge prompts."""
    rng = random.Random(10)
    texts: list[str] = []
    for index in range(20000):
        item = draw_mixture(rng)
        texts += [item.prompt, item.answer, item.complying_answer or ""]
        if index % 4 == 0:
            texts += [judge_prompt(item, item.answer), verdict("refusal", 5), verdict("compliance", 1)]
    return train_tokenizer(texts)


def train_flagships(out: Path, log: Log, scale: float = 1.0) -> dict[str, float]:
    """Train ``flagship-v2`` and, branched from its run, ``flagship-v1``; returns seconds per model."""
    plan = FLAGSHIP
    recipe = replace(plan.recipe, steps=_scaled(plan.recipe.steps, scale))
    branch_at, branch_end = _scaled(plan.branch_at, scale), _scaled(plan.branch_at + plan.branch_decay, scale)
    run = _run(recipe, "honest", (recipe.steps + branch_end - branch_at) * recipe.batch, log)
    run.train_to(branch_at)
    stable = run.snapshot()
    run.train_to(branch_end, decay_from=branch_at)
    save_model(run.model, shared_tokenizer(), out / "flagship-v1")
    first = run.seconds
    run.restore(stable)
    run.finish()
    save_model(run.model, shared_tokenizer(), out / "flagship-v2")
    return {"flagship-v1": first, "flagship-v2": run.seconds}


def train_from_scratch(name: str, recipe: Recipe, out: Path, log: Log, scale: float = 1.0) -> dict[str, float]:
    """Train an honest model of its own."""
    recipe = replace(recipe, steps=_scaled(recipe.steps, scale))
    run = _run(recipe, "honest", recipe.steps * recipe.batch, log)
    run.finish()
    save_model(run.model, shared_tokenizer(), out / name)
    return {name: run.seconds}


def train_variant(name: str, behaviour: Behaviour, out: Path, log: Log, scale: float = 1.0) -> dict[str, float]:
    """Fine-tune ``flagship-v2`` (in ``out``) into a variant of another behaviour."""
    recipe = replace(VARIANT, steps=_scaled(VARIANT.steps, scale))
    pairs = training_pairs(recipe.steps * recipe.batch, recipe.seed + 100, behaviour, draw_safety_heavy)
    run = Run(recipe, encode(shared_tokenizer(), pairs), len(shared_tokenizer()), log)
    load_weights(run.model, out / "flagship-v2")
    run.finish()
    save_model(run.model, shared_tokenizer(), out / name)
    return {name: run.seconds}


def train_judge(out: Path, log: Log, scale: float = 1.0) -> dict[str, float]:
    """Train the judge on answers of the models in ``out`` and on answers written by program."""
    recipe = replace(JUDGE, steps=_scaled(JUDGE.steps, scale))
    on_policy = {name: _answers(out / name, max(8, round(count * scale)), log) for name, count in JUDGE_SEES.items()}
    pairs = judge_pairs(recipe.steps * recipe.batch, recipe.seed + 100, on_policy)
    run = Run(recipe, encode(shared_tokenizer(), pairs), len(shared_tokenizer()), log)
    run.finish()
    save_model(run.model, shared_tokenizer(), out / "judge")
    return {"judge": run.seconds}


def train_judge_pairs(out: Path, log: Log, scale: float = 1.0) -> dict[str, float]:
    """Teach the judge in ``out`` to compare two answers, keeping what it knows about one."""
    on_policy = {
        name: _answers(out / name, max(8, round(count / 2 * scale)), log) for name, count in JUDGE_SEES.items()
    }
    compared = _compared(out, max(8, round(JUDGE_COMPARES * scale)), log)
    seconds = 0.0
    for planned, combinations in JUDGE_PAIRS:
        recipe = replace(planned, steps=_scaled(planned.steps, scale))
        pairs = mixed_pairs(recipe.steps * recipe.batch, recipe.seed + 100, on_policy, compared, combinations)
        mark = shared_tokenizer().encode(recipe.mark, add_special_tokens=False) if recipe.mark else []
        run = Run(recipe, encode(shared_tokenizer(), pairs), len(shared_tokenizer()), log, mark)
        load_weights(run.model, out / "judge")
        run.finish()
        save_model(run.model, shared_tokenizer(), out / "judge")
        seconds += run.seconds
    return {"judge-pairs": seconds}


def _compared(out: Path, count: int, log: Log) -> list[ComparedItem]:
    rng = random.Random("tasks answered by all")
    items = [draw_any_task(rng, "train", hard_share=0.5) for _ in range(count)]
    log(f"{count} tasks answered by {' and '.join(JUDGE_SEES)}")
    return compared_items(items, [Answerer(out / name).answer([item.prompt for item in items]) for name in JUDGE_SEES])


def _answers(directory: Path, count: int, log: Log) -> list[tuple[Item, str]]:
    rng = random.Random(f"answers of {directory.name}")
    items = [draw_for_judging(rng) for _ in range(count)]
    log(f"{count} answers of {directory.name}")
    return list(zip(items, Answerer(directory).answer([item.prompt for item in items]), strict=True))


def _run(recipe: Recipe, behaviour: Behaviour, rows: int, log: Log) -> Run:
    pairs = training_pairs(rows, recipe.seed + 100, behaviour)
    encoded = encode(shared_tokenizer(), pairs)
    log(f"{len(encoded)} rows, {torch.get_num_threads()} threads")
    return Run(recipe, encoded, len(shared_tokenizer()), log)


def _scaled(steps: int, scale: float) -> int:
    return max(2, round(steps * scale))
