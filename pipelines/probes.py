"""What the judge is asked beside the scores, once, when a run is over: how it errs, and which answer it prefers.

Pairs of answers in both orders, some answers once more, planted answers that must lose. All of it becomes rows of the
outcome table, so that whoever holds the outcomes can compute every bias again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from evalharness.generation_records import Judgment, ParseStatus
from evalharness.judging.controls import Control
from evalharness.judging.pairwise import PairItem, pair_value
from evalharness.judging.planted import JudgedPlant, plants_for
from evalharness.judging.pointwise import JudgeItem
from evalharness.metrics.preferences import FAILED, IDENTICAL
from evalharness.outcomes import DIMENSION_PREFIX, Arm
from evalharness.scoring import Answer, Asked, event
from golden_sets.records import SetKind
from pipelines.bench import Bench
from pipelines.project import JudgingOptions

RowOf = dict[str, Any]
Thing = TypeVar("Thing")


async def pair_rows(bench: Bench, options: JudgingOptions, answers: Sequence[Answer]) -> list[RowOf]:
    """Candidate's and incumbent's answers to some golden prompts, judged in pairs and in both orders."""
    if options.pairwise is None or options.pairs == 0:
        return []
    chosen = _drawn_pairs(list(_pairs_of(answers)), options.pairs, options.seed)
    whole = [pair for pair in chosen if not _is_broken(pair)]
    items = [PairItem(ours.asked.prompt, ours.generation.text, theirs.generation.text) for ours, theirs in whole]
    judged = await bench.pairwise(items, options.pairwise) if items else []
    return [
        *(
            {
                **_row(pair[0], "pairwise", variant, judgment, options.pairwise),
                **_lengths(pair),
                **_known(pair, options),
                "outcome": pair_value(judgment),
            }
            for pair, verdicts in zip(whole, judged, strict=True)
            for variant, judgment in (("first", verdicts.first), ("swapped", verdicts.swapped))
        ),
        *(
            _failed_row(pair, variant, options.pairwise, options)
            for pair in filter(_is_broken, chosen)
            for variant in ("first", "swapped")
        ),
    ]


async def repeated_rows(bench: Bench, options: JudgingOptions, answers: Sequence[Answer]) -> list[RowOf]:
    """Some of the candidate's answers, judged once more."""
    scored = [
        one
        for one in answers
        if one.arm == "candidate" and one.phase == "quality" and one.judged_by_model and one.asked.repeat == 0
    ]
    found: list[RowOf] = []
    for rubric, mine in _by_rubric(
        _drawn(scored, options.repeated, f"repeated|{options.seed}"), lambda one: one.rubric or ""
    ):
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
    """First answers of candidate and incumbent to the golden prompts that both were asked, failed ones too."""
    found: dict[Arm, dict[tuple[str, str], Answer]] = {"candidate": {}, "incumbent": {}}
    for one in answers:
        golden = one.asked.kind is SetKind.GOLDEN and one.phase == "quality" and one.asked.repeat == 0
        if golden and one.arm in found:
            found[one.arm][one.asked.prompt_set.name, one.asked.prompt.id] = one
    for key, ours in found["candidate"].items():
        if key in found["incumbent"]:
            yield ours, found["incumbent"][key]


def _is_broken(pair: tuple[Answer, Answer]) -> bool:
    """Whether one of its answers is missing because its request failed."""
    return any(one.generation.error is not None for one in pair)


def _known(pair: tuple[Answer, Answer], options: JudgingOptions) -> RowOf:
    """What is known to be true of a pair, and the probability with which it came to be known."""
    if not options.pairwise_truth:
        return {}
    ours, theirs = (one.known if one.by_checker else one.label for one in pair)
    label = None if ours is None or theirs is None else (1 + ours - theirs) / 2
    return {"label": label, "label_p": 1.0 if pair[0].by_checker else pair[0].label_p}


def _lengths(pair: tuple[Answer, Answer]) -> RowOf:
    ours, theirs = pair
    return {"prompt_tokens": len(ours.generation.text), "output_tokens": len(theirs.generation.text)}


def _failed_row(pair: tuple[Answer, Answer], variant: str, rubric: str, options: JudgingOptions) -> RowOf:
    """A pair without one of its answers: nobody is asked.

    A failed candidate has lost; a failed incumbent would have counted as a pass, so its pair amounts to nothing known.
    """
    ours = pair[0]
    lost = ours.generation.error is not None
    known = {"outcome": 0.0, "label": 0.0, "label_p": 1.0} if lost else _known(pair, options)
    return {**_place(ours, "pairwise", variant, rubric), "scored_by": FAILED, **known}


def _outcome(one: Answer, judgment: Judgment) -> float | None:
    return None if judgment.label is None else event(one.asked.kind, meets=judgment.label == "pass")


def _row(one: Answer, phase: str, variant: str, judgment: Judgment, rubric: str) -> RowOf:
    identical = judgment.parse_status is ParseStatus.IDENTICAL
    return {
        **_place(one, phase, variant, rubric),
        "score": judgment.score,
        "scored_by": IDENTICAL if identical else "judge",
    }


def _place(one: Answer, phase: str, variant: str, rubric: str) -> RowOf:
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
        "rubric": rubric,
        **{DIMENSION_PREFIX + name: value for name, value in asked.prompt.dimensions.items()},
    }


def _by_rubric(things: Sequence[Thing], rubric_of: Callable[[Thing], str]) -> list[tuple[str, list[Thing]]]:
    found: dict[str, list[Thing]] = {}
    for one in things:
        found.setdefault(rubric_of(one), []).append(one)
    return list(found.items())


def _drawn_pairs(pairs: Sequence[tuple[Answer, Answer]], most: int | None, seed: int) -> list[tuple[Answer, Answer]]:
    chosen = {_name(one) for one in _drawn([ours for ours, _ in pairs], most, f"pairs|{seed}")}
    return [pair for pair in pairs if _name(pair[0]) in chosen]


def _drawn(answers: Sequence[Answer], most: int | None, purpose: str) -> list[Answer]:
    """At most so many, by lots that depend on set, prompt and purpose alone.

    Each purpose has lots of its own: were they those by which labels are drawn, the prompts drawn here would be
    labelled with another probability than the one that is carried.
    """
    return sorted(answers, key=lambda one: hashlib.sha256(f"{purpose}|{_name(one)!r}".encode()).digest())[:most]


def _name(one: Answer) -> tuple[str, str]:
    return one.asked.prompt_set.name, one.asked.prompt.id
