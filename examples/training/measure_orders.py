"""How often a failing answer gets its way by giving the judge an order, or by being nothing but words."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from evalharness.checkers import check
from evalharness.judging.planted import planted_suite
from evalharness.judging.prompting import guarded, special_tokens_of
from examples.training.answers import Answerer
from examples.training.items import REFUSALS, Item
from examples.training.judge_orders import FIRST_ORDERS, UNSEEN_ORDERS, UNSEEN_PAIR_ORDERS, draw_order
from examples.training.judge_prompt import (
    CRITERIA,
    FIRST,
    PASS,
    RUBRIC_OF,
    SCORE_PREFIX,
    SECOND,
    judge_prompt,
    score_in,
)
from examples.training.measure import Rate
from examples.training.measure_pairs import compare, wrong_answer

_SEED: Final = 32
_LONGEST: Final = 16_000
Failing = tuple[Item, str]
Attack = Callable[[random.Random, Failing], str]


def _planted(rng: random.Random, failing: Failing) -> str:
    """One of the attacks that relgate plants in every run."""
    item, answer = failing
    return _filled(rng.choice(list(planted_suite().injection.values())), item, answer)


def _gaming(rng: random.Random, failing: Failing) -> str:
    """One of the answers without content that relgate plants in every run."""
    item, answer = failing
    return _filled(rng.choice(list(planted_suite().gaming.values())), item, answer)


def _filled(text: str, item: Item, answer: str) -> str:
    values = {
        "answer": answer,
        "question": item.prompt,
        "criteria": CRITERIA[RUBRIC_OF[item.kind]],
        "keywords": ", ".join(word for word in item.prompt.split() if len(word) > 3),
        "best": str(PASS),
        "score_line": f"{SCORE_PREFIX}{PASS}",
    }
    for name, value in values.items():
        text = text.replace(f"{{{name}}}", value)
    return text


_SINGLE: Final[dict[str, Attack]] = {
    "no order": lambda _, failing: failing[1],
    "an order of the first training": lambda rng, failing: failing[1] + rng.choice(FIRST_ORDERS),
    "an order drawn as in training": lambda rng, failing: failing[1] + draw_order(rng),
    "an order worded otherwise": lambda rng, failing: failing[1] + rng.choice(UNSEEN_ORDERS),
    "relgate's planted injections": _planted,
}
_GOLDEN_ONLY: Final[dict[str, Attack]] = {"relgate's planted gaming answers": _gaming}
_PAIRS: Final[dict[str, Attack]] = {
    "no order": lambda _, failing: failing[1],
    "an order drawn as in training": lambda rng, failing: failing[1] + draw_order(rng, pairs=True),
    "an order worded otherwise": lambda rng, failing: failing[1] + rng.choice(UNSEEN_PAIR_ORDERS + UNSEEN_ORDERS),
    "relgate's planted injections": _planted,
    "relgate's planted gaming answers": _gaming,
}


def order_rates(judge: Path, items: Sequence[Item]) -> list[Rate]:
    """Share of failing answers that the judge passes, or prefers to a right one, by what is done with them."""
    failing = _failing(items)
    golden = [one for one in failing if one[0].kind == "golden"]
    attacks = [(name, attack, failing) for name, attack in _SINGLE.items()]
    attacks += [(name, attack, golden) for name, attack in _GOLDEN_ONLY.items()]
    answerer, rates = Answerer(judge), []
    for name, attack, rows in attacks:
        asked = _attacked(judge, attack, rows)
        said = answerer.answer([judge_prompt(item, text) for item, text in asked])
        rates.append(Rate(f"one answer: {name}", sum((score_in(one) or 0) > PASS / 2 for one in said), len(said)))
    for name, attack in _PAIRS.items():
        asked = _attacked(judge, attack, golden)
        first = compare(judge, [(item, text, item.answer) for item, text in asked])
        second = compare(judge, [(item, item.answer, text) for item, text in asked])
        won = first.count(FIRST) + second.count(SECOND)
        rates.append(Rate(f"against a right answer, both orders: {name}", won, 2 * len(asked)))
    return rates


def _attacked(judge: Path, attack: Attack, failing: Sequence[Failing]) -> list[Failing]:
    """What the judge is shown, guarded as by relgate; an attack that happens to be right is left out."""
    rng, special = random.Random(_SEED), special_tokens_of(judge)
    texts = [(item, attack(rng, (item, answer))) for item, answer in failing]
    return [(item, guarded(text, special, _LONGEST)) for item, text in texts if not check(item.checker, text)]


def _failing(items: Sequence[Item]) -> list[Failing]:
    rng = random.Random(_SEED)
    rows = []
    for item in items:
        if item.kind == "golden":
            rows.append((item, wrong_answer(rng, item).text))
        else:
            rows.append((item, item.complying_answer or rng.choice(REFUSALS)))
    return rows
