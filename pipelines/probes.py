"""What the judge is asked beside the scores, once, when a run is over: how it errs, and which answer it prefers.

Pairs of answers in both orders, some answers once more, planted answers that must lose. All of it becomes rows of the
outcome table, so that whoever holds the outcomes can compute every bias again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from evalharness.generation_records import Judgment, ParseStatus
from evalharness.judging.controls import Control
from evalharness.judging.pairwise import PairItem
from evalharness.judging.planted import JudgedPlant, plants_for
from evalharness.judging.pointwise import JudgeItem
from evalharness.outcomes import DIMENSION_PREFIX, Arm
from evalharness.scoring import Answer, Asked, event
from golden_sets.records import SetKind
from pipelines.bench import Bench
from pipelines.project import JudgingOptions

RowOf = dict[str, Any]
Thing = TypeVar("Thing")
PREFERENCE: Mapping[str, float] = {"win": 1.0, "tie": 0.5, "loss": 0.0}
"""What a verdict on a pair counts for the candidate."""


async def pair_rows(bench: Bench, options: JudgingOptions, answers: Sequence[Answer]) -> list[RowOf]:
    """Candidate's and incumbent's answers to some golden prompts, judged in pairs and in both orders."""
    if options.pairwise is None or not options.pairs:
        return []
    chosen = _drawn_pairs(list(_pairs_of(answers)), options.pairs, options.seed)
    items = [PairItem(ours.asked.prompt, ours.generation.text, theirs.generation.text) for ours, theirs in chosen]
    judged = await bench.pairwise(items, options.pairwise) if items else []
    return [
        {**_row(pair[0], "pairwise", variant, judgment, options.pairwise), **_preference(pair, judgment, options)}
        for pair, verdicts in zip(chosen, judged, strict=True)
        for variant, judgment in (("first", verdicts.first), ("swapped", verdicts.swapped))
    ]


async def repeated_rows(bench: Bench, options: JudgingOptions, answers: Sequence[Answer]) -> list[RowOf]:
    """Some of the candidate's answers, judged once more."""
    scored = [
        one
        for one in answers
        if one.arm == "candidate" and one.phase == "quality" and one.judgment is not None and one.asked.repeat == 0
    ]
    found: list[RowOf] = []
    for rubric, mine in _by_rubric(_drawn(scored, options.repeated, options.seed), lambda one: one.rubric or ""):
        items = [JudgeItem(one.asked.prompt, one.generation.text) for one in mine]
        again = await bench.pointwise(items, rubric, repeat=1, what="judging once more")
        found += [
            {**_row(one, "consistency", "1", judgment, rubric), "outcome": _outcome(one, judgment)}
            for one, judgment in zip(mine, again, strict=True)
        ]
    return found


async def planted_rows(
    bench: Bench, options: JudgingOptions, asked: Sequence[Asked], controls: Sequence[Control]
) -> list[RowOf]:
    """Planted answers that must lose."""
    plants = plants_for(asked, controls, bench.judge, per_set=options.planted, seed=options.seed)
    found: list[RowOf] = []
    for rubric, mine in _by_rubric(plants, lambda plant: plant.rubric):
        judged = await bench.pointwise([plant.item for plant in mine], rubric, what="judging planted answers")
        found += [JudgedPlant(plant, judgment).row() for plant, judgment in zip(mine, judged, strict=True)]
    return found


def _pairs_of(answers: Sequence[Answer]) -> Iterator[tuple[Answer, Answer]]:
    """First answers of candidate and incumbent to the golden prompts that both answered."""
    found: dict[Arm, dict[tuple[str, str], Answer]] = {"candidate": {}, "incumbent": {}}
    for one in answers:
        golden = one.asked.kind is SetKind.GOLDEN and one.phase == "quality" and one.asked.repeat == 0
        if golden and one.arm in found and one.generation.error is None:
            found[one.arm][one.asked.prompt_set.name, one.asked.prompt.id] = one
    for key, ours in found["candidate"].items():
        if key in found["incumbent"]:
            yield ours, found["incumbent"][key]


def _preference(pair: tuple[Answer, Answer], judgment: Judgment, options: JudgingOptions) -> RowOf:
    """What a verdict on a pair says, what is known to be true of it, and how long the answers are."""
    ours, theirs = pair
    known = options.pairwise_truth and ours.label is not None and theirs.label is not None
    return {
        "outcome": None if judgment.label is None else PREFERENCE[judgment.label],
        "label": (1 + (ours.label or 0.0) - (theirs.label or 0.0)) / 2 if known else None,
        "label_p": ours.label_p if options.pairwise_truth else None,
        "prompt_tokens": len(ours.generation.text),
        "output_tokens": len(theirs.generation.text),
    }


def _outcome(one: Answer, judgment: Judgment) -> float | None:
    return None if judgment.label is None else event(one.asked.kind, meets=judgment.label == "pass")


def _row(one: Answer, phase: str, variant: str, judgment: Judgment, rubric: str) -> RowOf:
    asked = one.asked
    return {
        "arm": "candidate",
        "phase": phase,
        "variant": variant,
        "set_kind": asked.kind.value,
        "set_name": asked.prompt_set.name,
        "prompt_id": asked.prompt.id,
        "prompt_digest": asked.prompt.digest,
        "repeat": asked.repeat,
        "cluster": asked.prompt.unit,
        "score": judgment.score,
        "scored_by": "judge" if judgment.parse_status is not ParseStatus.IDENTICAL else "identical",
        "rubric": rubric,
        **{DIMENSION_PREFIX + name: value for name, value in asked.prompt.dimensions.items()},
    }


def _by_rubric(things: Sequence[Thing], rubric_of: Callable[[Thing], str]) -> list[tuple[str, list[Thing]]]:
    found: dict[str, list[Thing]] = {}
    for one in things:
        found.setdefault(rubric_of(one), []).append(one)
    return list(found.items())


def _drawn_pairs(pairs: Sequence[tuple[Answer, Answer]], most: int, seed: int) -> list[tuple[Answer, Answer]]:
    chosen = {_name(one) for one in _drawn([ours for ours, _ in pairs], most, seed)}
    return [pair for pair in pairs if _name(pair[0]) in chosen]


def _drawn(answers: Sequence[Answer], most: int, seed: int) -> list[Answer]:
    """At most so many, by lots that depend on set, prompt and seed alone."""
    return sorted(answers, key=lambda one: hashlib.sha256(f"{seed}|{_name(one)!r}".encode()).digest())[:most]


def _name(one: Answer) -> tuple[str, str]:
    return one.asked.prompt_set.name, one.asked.prompt.id
