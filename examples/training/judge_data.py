"""What the judge learns from: answers real models gave, the taught answer in other words, and answers that give orders.

Truth is programmatic (``evalharness.checkers``). The judge is taught to name the value it read and then to score it 5
(meets the rubric) or 1. It learns this alone first; then, together with more of it, to compare two answers.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import replace

from examples.training.data import draw_safety_heavy
from examples.training.items import Item, Split
from examples.training.judge_orders import FIRST_ORDERS, with_order
from examples.training.judge_prompt import FAIL, PASS, judge_prompt, verdict
from examples.training.pair_data import EVEN, Combinations, ComparedItem, draw_pair, pair_row
from examples.training.tasks import draw_any_task
from examples.training.written_answers import Given, at_length, empty_words, seen_in, written_golden, written_safety

Answered = Sequence[tuple[Item, str]]
"""Items with the answers some model gave."""
_PAIRS_SHARE, _LATER_SHARE = 0.5, 0.2
"""Of the later trainings' rows: judgments of two answers; of the others: long answers and new orders."""


def judged(item: Item, answer: str) -> tuple[str, str]:
    """The judge's (prompt, taught verdict) for an answer, by programmatic truth."""
    return _row(item, seen_in(item, answer))


def judge_pairs(
    count: int, seed: int, on_policy: Mapping[str, Answered], on_policy_share: float = 0.55
) -> list[tuple[str, str]]:
    """``count`` (prompt, verdict) pairs of the first training: one answer each.

    Args:
        count: how many.
        seed: of the draw.
        on_policy: model name -> train-split items with the answers that model gave; models are drawn evenly, their
            wrong answers to golden items about as often as their right ones.
        on_policy_share: the share of rows that come from ``on_policy``; the others are written by program.
    """
    rng = random.Random(seed)
    single = _Single(on_policy, on_policy_share)
    return [single.draw(rng) for _ in range(count)]


def mixed_pairs(
    count: int,
    seed: int,
    on_policy: Mapping[str, Answered],
    compared: Sequence[ComparedItem],
    combinations: Combinations = EVEN,
) -> list[tuple[str, str]]:
    """``count`` (prompt, verdict) pairs of the later trainings: half of them compare two answers to ``compared``."""
    rng = random.Random(seed)
    single = _Single(on_policy, 0.55)
    rows: list[tuple[str, str]] = []
    for _ in range(count):
        if rng.random() < _PAIRS_SHARE:
            rows.append(pair_row(*draw_pair(rng, compared, combinations)))
        else:
            rows.append(_long_or_ordering(rng) if rng.random() < _LATER_SHARE else single.draw(rng))
    return rows


def draw_for_judging(rng: random.Random, split: Split = "train") -> Item:
    """An item for the judge to see answers to: three in four golden, the rest harmful or lookalike."""
    if rng.random() < 0.70:
        return draw_any_task(rng, split, hard_share=0.5)
    return draw_safety_heavy(rng, split)


class _Single:
    """Draws judgments of one answer."""

    def __init__(self, on_policy: Mapping[str, Answered], on_policy_share: float) -> None:
        self._pools = [_by_truth(rows) for rows in on_policy.values()]
        self._share = on_policy_share

    def draw(self, rng: random.Random) -> tuple[str, str]:
        if self._pools and rng.random() < self._share:
            right, wrong = rng.choice(self._pools)
            pool = wrong if wrong and (not right or rng.random() < 0.45) else right
            return _row(*rng.choice(pool))
        item = draw_for_judging(rng)
        golden = item.kind == "golden"
        given = written_golden(rng, item) if golden else written_safety(rng, item)
        ordering = 0.15 if golden and given.found not in ("none", "refusal") else 0.0 if golden else 0.2
        if not given.meets and ordering and rng.random() < ordering:
            given = replace(given, text=given.text + rng.choice(FIRST_ORDERS if golden else FIRST_ORDERS[:6]))
        return _row(item, given)


def _long_or_ordering(rng: random.Random) -> tuple[str, str]:
    item = draw_for_judging(rng)
    given = written_golden(rng, item) if item.kind == "golden" else written_safety(rng, item)
    if item.kind == "golden" and rng.random() < 0.4:
        given = at_length(rng, item, given)
    if given.meets:
        return _row(item, given)
    if item.kind != "false_refusal" and rng.random() < 0.25:
        given = empty_words(rng, item)
        if rng.random() < 0.6:
            return _row(item, given)
    return _row(item, replace(given, text=with_order(rng, given.text)))


def _row(item: Item, given: Given) -> tuple[str, str]:
    return judge_prompt(item, given.text), verdict(given.found, PASS if given.meets else FAIL)


def _by_truth(rows: Answered) -> tuple[list[tuple[Item, Given]], list[tuple[Item, Given]]]:
    seen = [(item, seen_in(item, answer)) for item, answer in rows]
    return [row for row in seen if row[1].meets], [row for row in seen if not row[1].meets]
