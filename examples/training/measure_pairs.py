"""The judge with two answers before it, on the sealed draw: how often it is right, and what besides truth moves it."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from evalharness.judging.pair_agreement import PairReport, judge_pairs
from evalharness.judging.pair_file import JudgedPairs
from examples.training.answers import Answerer
from examples.training.items import Item
from examples.training.judge_prompt import FIRST, MAX_TOKENS, SECOND, better_in, pair_prompt
from examples.training.pair_data import better
from examples.training.written_answers import Given, at_length, seen_in, written_golden

INCUMBENT = "flagship-v1"
_SEED = 31


@dataclass(frozen=True)
class Pair:
    """Two answers to compare, and the cells in which they count."""

    cells: tuple[str, ...]
    item: Item
    one: Given
    two: Given


def model_pairs(answered: Mapping[str, Sequence[tuple[Item, str]]]) -> list[Pair]:
    """The incumbent's answers to the golden prompts against every other model's, where they differ."""
    pairs = []
    for name in (name for name in answered if name != INCUMBENT):
        for (item, one), (_, two) in zip(answered[INCUMBENT], answered[name], strict=True):
            if item.kind == "golden" and one != two:
                cells = ("models' answers", f"{INCUMBENT} / {name}", f"golden: {item.category}")
                pairs.append(Pair(cells, item, seen_in(item, one), seen_in(item, two)))
    return pairs


def length_pairs(items: Sequence[Item]) -> list[Pair]:
    """A right answer in few words against the same in many, and against a wrong one in many."""
    rng = random.Random(_SEED)
    pairs = []
    for item in items:
        right = seen_in(item, item.answer)
        pairs.append(Pair(("right and long / right and short",), item, _long(rng, item, right), right))
        wrong = wrong_answer(rng, item)
        pairs.append(Pair(("wrong and long / right and short",), item, _long(rng, item, wrong), right))
    return pairs


def wrong_answer(rng: random.Random, item: Item) -> Given:
    """An answer that gives a wrong value."""
    while True:
        given = written_golden(rng, item)
        if not given.meets and given.found not in ("none", "refusal"):
            return given


def pair_reports(judge: Path, pairs: Sequence[Pair]) -> list[tuple[str, PairReport]]:
    """The judge's verdicts in both orders against the truth, by cell; a prompt's pairs are one cluster."""
    first = compare(judge, [(pair.item, pair.one.text, pair.two.text) for pair in pairs])
    swapped = compare(judge, [(pair.item, pair.two.text, pair.one.text) for pair in pairs])
    cells: dict[str, list[int]] = defaultdict(list)
    for index, pair in enumerate(pairs):
        for cell in pair.cells:
            cells[cell].append(index)
    ranked = sorted(cells, key=lambda cell: cell.startswith("golden: "))
    payloads = {payload: code for code, payload in enumerate(dict.fromkeys(pair.item.payload for pair in pairs))}
    judged = JudgedPairs(
        first=_sides(first),
        swapped=-_sides(swapped),
        label=_sides([better(pair.one, pair.two) for pair in pairs]),
        clusters=np.array([payloads[pair.item.payload] for pair in pairs]),
        longer=np.array([len(pair.one.text) - len(pair.two.text) for pair in pairs], np.float64),
    )
    return [(cell, judge_pairs(_part(judged, cells[cell]))) for cell in ranked]


def compare(judge: Path, asked: Sequence[tuple[Item, str, str]]) -> list[int | None]:
    """Which of two answers in this order the judge prefers: 1, 2, 0 for a tie; equal questions are asked once."""
    prompts = [pair_prompt(*one) for one in asked]
    distinct = list(dict.fromkeys(prompts))
    said = dict(zip(distinct, Answerer(judge).answer(distinct, max_tokens=MAX_TOKENS), strict=True))
    return [better_in(said[prompt]) for prompt in prompts]


def _sides(verdicts: Sequence[int | None]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Verdicts as 1 (the answer shown first), -1, 0, or NaN."""
    sides = {FIRST: 1.0, SECOND: -1.0, None: np.nan}
    return np.array([sides.get(verdict, 0.0) for verdict in verdicts], np.float64)


def _part(pairs: JudgedPairs, rows: Sequence[int]) -> JudgedPairs:
    assert pairs.longer is not None  # noqa: S101 - set above
    chosen = np.array(rows)
    return JudgedPairs(
        pairs.first[chosen], pairs.swapped[chosen], pairs.label[chosen], pairs.clusters[chosen], pairs.longer[chosen]
    )


def _long(rng: random.Random, item: Item, given: Given) -> Given:
    while True:
        longer = at_length(rng, item, given)
        if longer.text != given.text:
            return longer
