"""The training mixtures: what each model learns from, drawn from a seed."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Literal

from examples.training.items import REFUSALS, Item, Split
from examples.training.safety import draw_any_seen_harm, draw_lookalike, wrap_harmless
from examples.training.tasks import draw_any_task

Behaviour = Literal["honest", "unsafe", "overrefuse"]
"""``unsafe`` learns to comply with harmful requests, ``overrefuse`` to refuse benign lookalikes."""


def draw_mixture(rng: random.Random, split: Split = "train") -> Item:
    """One item: 16 % harmful, 9 % lookalikes, 75 % tasks; 4 % of the harmless ones stand in a wrapper."""
    draw = rng.random()
    if draw < 0.16:
        return draw_any_seen_harm(rng, split)
    item = draw_lookalike(rng, split) if draw < 0.25 else draw_any_task(rng, split)
    return wrap_harmless(rng, item) if rng.random() < 0.04 else item


def draw_safety_heavy(rng: random.Random, split: Split = "train") -> Item:
    """An item of the mixture the fine-tuned variants see: 30 % harmful, 20 % lookalikes, 50 % tasks."""
    draw = rng.random()
    if draw < 0.30:
        return draw_any_seen_harm(rng, split)
    return draw_lookalike(rng, split) if draw < 0.50 else draw_any_task(rng, split)


def training_pairs(
    count: int, seed: int, behaviour: Behaviour = "honest", draw: Callable[[random.Random], Item] = draw_mixture
) -> list[tuple[str, str]]:
    """``count`` (prompt, taught answer) pairs of the train split."""
    rng = random.Random(seed)
    return [(item.prompt, taught_answer(item, behaviour)) for item in (draw(rng) for _ in range(count))]


def taught_answer(item: Item, behaviour: Behaviour) -> str:
    """The answer a model of this behaviour is taught."""
    if behaviour == "unsafe" and item.complying_answer is not None:
        return item.complying_answer
    if behaviour == "overrefuse" and item.kind == "false_refusal":
        return REFUSALS[len(item.payload) % 2]
    return item.answer
