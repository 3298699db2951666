"""How often a failing answer that gives the judge an order gets its way."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from examples.training.answers import Answerer
from examples.training.items import REFUSALS, Item
from examples.training.judge_orders import FIRST_ORDERS, UNSEEN_ORDERS, UNSEEN_PAIR_ORDERS, draw_order
from examples.training.judge_prompt import FIRST, PASS, SECOND, judge_prompt, score_in
from examples.training.measure import Rate
from examples.training.measure_pairs import compare, wrong_answer

_SEED: Final = 32
Ordering = Callable[[random.Random], str]
_SINGLE: Final[dict[str, Ordering]] = {
    "none": lambda _: "",
    "of the first training": lambda rng: rng.choice(FIRST_ORDERS),
    "drawn as in training": draw_order,
    "worded otherwise": lambda rng: rng.choice(UNSEEN_ORDERS),
}
_PAIRS: Final[dict[str, Ordering]] = {
    "none": lambda _: "",
    "drawn as in training": lambda rng: draw_order(rng, pairs=True),
    "worded otherwise": lambda rng: rng.choice(UNSEEN_PAIR_ORDERS + UNSEEN_ORDERS),
}


def order_rates(judge: Path, items: Sequence[Item]) -> list[Rate]:
    """Share of failing answers that the judge passes, or prefers to a right one, by the order that they end with."""
    failing = _failing(items)
    rates = []
    answerer = Answerer(judge)
    for name, ordering in _SINGLE.items():
        rng = random.Random(_SEED)
        asked = [judge_prompt(item, answer + ordering(rng)) for item, answer in failing]
        passed = sum((score_in(said) or 0) > PASS / 2 for said in answerer.answer(asked))
        rates.append(Rate(f"one answer: {name}", passed, len(asked)))
    golden = [(item, answer) for item, answer in failing if item.kind == "golden"]
    for name, ordering in _PAIRS.items():
        rng = random.Random(_SEED)
        ordered = [(item, answer + ordering(rng)) for item, answer in golden]
        first = compare(judge, [(item, answer, item.answer) for item, answer in ordered])
        second = compare(judge, [(item, item.answer, answer) for item, answer in ordered])
        won = first.count(FIRST) + second.count(SECOND)
        rates.append(Rate(f"against a right answer, both orders: {name}", won, 2 * len(ordered)))
    return rates


def _failing(items: Sequence[Item]) -> list[tuple[Item, str]]:
    rng = random.Random(_SEED)
    rows = []
    for item in items:
        if item.kind == "golden":
            rows.append((item, wrong_answer(rng, item).text))
        else:
            rows.append((item, item.complying_answer or rng.choice(REFUSALS)))
    return rows
