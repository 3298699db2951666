"""Which pairs and answers the judge is asked about besides, and what failed requests and known truths make of them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, cast

import pytest

from evalharness.generation_records import Judgment, ParseStatus
from evalharness.judging.labelling import labelled_subsample
from evalharness.judging.pairwise import PairItem, PairJudgment
from evalharness.judging.pointwise import JudgeItem
from evalharness.metrics import METRICS, Measurement, measure, rows_for
from evalharness.outcomes import OutcomeTable
from evalharness.scoring import Answer
from golden_sets.cards import DETECTOR
from pipelines.bench import Bench
from pipelines.probes import pair_rows, repeated_rows
from pipelines.project import JudgingOptions
from tests.support.answers import answer

OPTIONS = JudgingOptions(pairwise="better", pairwise_truth=True)


class Told:
    """Judges whose verdicts are given: the candidate wins every pair; answers pass. Remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def pairwise(self, items: Sequence[PairItem], _rubric: str) -> list[PairJudgment]:
        self.asked += [item.prompt.id for item in items]
        return [PairJudgment(_said("win", 1.0, 0), _said("win", 1.0, 1)) for _ in items]

    async def pointwise(self, items: Sequence[JudgeItem], rubric: str, **_: Any) -> list[Judgment]:
        self.asked += [rubric for _ in items]
        return [_said("pass", 1.0, 0) for _ in items]


def _said(label: str, score: float, order: int) -> Judgment:
    return Judgment("judge", "rubric", "input", order, 0, score, label, "", ParseStatus.TEXT)


def arms(prompt_id: str, *, ours: Any = None, theirs: Any = None, **known: Any) -> list[Answer]:
    """The candidate's and the incumbent's answer to one prompt."""
    return [
        answer("new", prompt_id=prompt_id, arm="candidate", **{**known, **(ours or {})}),
        answer("old", prompt_id=prompt_id, arm="incumbent", **{**known, **(theirs or {})}),
    ]


def pairs_of(answers: Sequence[Answer], options: JudgingOptions = OPTIONS) -> tuple[Measurement, Told]:
    bench = Told()
    rows = asyncio.run(pair_rows(cast("Bench", bench), options, answers))
    table = OutcomeTable.from_rows([*(one.row() for one in answers), *rows])
    spec = METRICS["win_rate"]
    return measure(spec.name, rows_for(spec, table, {}), "candidate", calibrations=()), bench


def test_a_candidate_that_fails_has_lost_the_pair() -> None:
    labelled = {"label_p": 1.0, "person": True}
    well = [one for i in range(60) for one in arms(f"p{i}", ours=labelled, theirs={"label_p": 1.0, "person": False})]
    failed = [one for i in range(60, 100) for one in arms(f"p{i}", ours={"failed": True})]
    found, bench = pairs_of([*well, *failed])
    assert found.lacking is None
    assert (found.n, found.errors) == (100, 40)
    assert found.interval(0.95, "two-sided").value == pytest.approx(0.6)
    assert not {f"p{i}" for i in range(60, 100)} & set(bench.asked)


def test_an_incumbent_that_fails_decides_nothing_for_the_candidate() -> None:
    labels = {"ours": {"label_p": 1.0, "person": True}, "theirs": {"label_p": 1.0, "person": False}}
    well = [one for i in range(60) for one in arms(f"p{i}", **labels)]
    failed = [one for i in range(60, 100) for one in arms(f"p{i}", theirs={"failed": True})]
    found, _ = pairs_of([*well, *failed])
    low = found.interval(0.95, "lower").low
    assert low is not None
    assert low < 0.7


def test_pairs_of_a_set_without_labels_are_not_spoken_for_by_another() -> None:
    labels = {"ours": {"label_p": 1.0, "person": True}, "theirs": {"label_p": 1.0, "person": False}}
    labelled = [one for i in range(60) for one in arms(f"p{i}", **labels)]
    assert pairs_of(labelled)[0].lacking is None
    other = [Answer(**{**vars(one), "asked": _in_another_set(one)}) for i in range(30) for one in arms(f"q{i}")]
    lacking = pairs_of([*labelled, *other])[0].lacking
    assert lacking is not None
    assert "every set" in lacking


def _in_another_set(one: Answer) -> Any:
    asked = one.asked
    return type(asked)(asked.prompt_set.model_copy(update={"name": "other"}), asked.prompt, asked.repeat)


def test_pairs_are_drawn_apart_from_labels() -> None:
    """By the same lots, with both seeds 0, the 200 pairs would be the very 200 prompts that are labelled."""
    names = [f"p{i}" for i in range(1000)]
    labelled = labelled_subsample({("golden-set", name): (True, True) for name in names}, per_arm=200, seed=0).chosen
    _, bench = pairs_of([one for name in names for one in arms(name)], OPTIONS.model_copy(update={"seed": 0}))
    assert len(bench.asked) == 200
    both = sum(("golden-set", name) in labelled for name in bench.asked)
    assert 20 < both < 65


def test_what_the_detector_scored_is_not_judged_again() -> None:
    scored = [answer(prompt_id=f"p{i}", prompt={"rubric": DETECTOR}) for i in range(10)]
    judged = [answer(prompt_id=f"q{i}") for i in range(10)]
    bench = Told()
    rows = asyncio.run(repeated_rows(cast("Bench", bench), OPTIONS, [*scored, *judged]))
    assert bench.asked == ["correctness"] * 10
    assert {row["prompt_id"] for row in rows} == {f"q{i}" for i in range(10)}


def test_another_versions_pairs_are_not_the_candidates() -> None:
    labels = {"ours": {"label_p": 1.0, "person": True}, "theirs": {"label_p": 1.0, "person": False}}
    answers = [one for i in range(60) for one in arms(f"p{i}", **labels)]
    rows = asyncio.run(pair_rows(cast("Bench", Told()), OPTIONS, answers))
    theirs = OutcomeTable.from_rows([*(one.row() for one in answers), *rows])
    mine = OutcomeTable.from_rows([answer(prompt_id=f"p{i}").row() for i in range(60)])
    spec = METRICS["win_rate"]
    joined = rows_for(spec, mine.with_arm("incumbent", theirs), {})
    found = measure(spec.name, joined, "candidate", calibrations=())
    assert found.lacking is not None
