"""Pairs of answers for the judge to compare, right and wrong, terse and long, each place as often the better one.

Truth is programmatic: the better answer is the one that meets the rubric; where both do or both do not, it is a tie.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from examples.training.items import Item
from examples.training.judge_orders import with_order
from examples.training.judge_prompt import FAIL, FIRST, PASS, SECOND, TIE, pair_prompt, pair_verdict
from examples.training.written_answers import Given, at_length, empty_words, seen_in, written_golden

_WANTED: Final[tuple[tuple[bool, bool], ...]] = ((True, True), (False, False), (True, False), (False, True))
Combinations = tuple[float, float, float, float]
"""How often both answers, neither, the first or the second alone meet the rubric."""
MORE_DECIDED: Final[Combinations] = (0.22, 0.18, 0.30, 0.30)
EVEN: Final[Combinations] = (0.25, 0.25, 0.25, 0.25)
"""What one answer is worth tells nothing about the other."""
_GIVEN_SHARE, _LONG_SHARE, _ORDERING_SHARE, _EMPTY_SHARE = 0.6, 0.25, 0.15, 0.05


@dataclass(frozen=True)
class ComparedItem:
    """A golden item with the answers several models gave to it."""

    item: Item
    answers: tuple[Given, ...]


def compared_items(items: Sequence[Item], answers: Sequence[Sequence[str]]) -> list[ComparedItem]:
    """Items with the answers of each model (``answers[model][item]``)."""
    return [
        ComparedItem(item, tuple(seen_in(item, answer) for answer in given))
        for item, given in zip(items, zip(*answers, strict=True), strict=True)
    ]


def draw_pair(
    rng: random.Random, compared: Sequence[ComparedItem], combinations: Combinations = EVEN
) -> tuple[Item, Given, Given]:
    """An item and two answers: the models' own or written by program."""
    wanted = rng.choices(_WANTED, combinations)[0]
    chosen = rng.choice(compared)
    for _ in range(3):  # models are right more often than wrong: look for items where one is wrong
        if all(wanted) or not all(answer.meets for answer in chosen.answers):
            break
        chosen = rng.choice(compared)
    first, second = (_answer(rng, chosen, meets) for meets in wanted)
    return chosen.item, first, second


def pair_row(item: Item, first: Given, second: Given) -> tuple[str, str]:
    """The judge's (prompt, taught verdict) for two answers in this order."""
    one, two = ((given.found, PASS if given.meets else FAIL) for given in (first, second))
    return pair_prompt(item, first.text, second.text), pair_verdict(one, two, better(first, second))


def better(first: Given, second: Given) -> int:
    """Which of two answers is better: 1 the first, 2 the second, 0 neither."""
    return TIE if first.meets == second.meets else FIRST if first.meets else SECOND


def _answer(rng: random.Random, compared: ComparedItem, meets: bool) -> Given:
    if not meets and rng.random() < _EMPTY_SHARE:
        return empty_words(rng, compared.item)
    own = [answer for answer in compared.answers if answer.meets == meets]
    given = rng.choice(own) if own and rng.random() < _GIVEN_SHARE else _written(rng, compared.item, meets)
    if given.text and rng.random() < _LONG_SHARE:
        given = at_length(rng, compared.item, given)
    if not meets and rng.random() < _ORDERING_SHARE:
        given = replace(given, text=with_order(rng, given.text, pairs=True))
    return given


def _written(rng: random.Random, item: Item, meets: bool) -> Given:
    while True:
        given = written_golden(rng, item)
        if given.meets == meets:
            return given
