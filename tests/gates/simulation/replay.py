"""Simulated counts as outcomes of prompts, so that the real gate can be put to the same releases."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from evalharness.drawing import PromptId
from evalharness.evidence import Calibration
from evalharness.outcomes import Arm, OutcomeTable
from gates.course import Course
from gates.decision import Decision
from gates.gate import gate
from gates.simulation.batches import Batch
from gates.simulation.drawing import Drawn
from golden_sets.records import Prompt, PromptSet, SetKind
from tests.support.evidence import Row
from tests.support.plans import evidence_of

Pair = tuple[bool, bool]
"""Of the candidate's and the incumbent's answer."""
Outcomes = tuple[int, int]
"""Seen and true: differences, or outcomes of the candidate."""
BY_DIFFERENCE: Mapping[int, Pair] = {1: (True, False), 0: (False, False), -1: (False, True)}


@dataclass(frozen=True)
class Answered:
    """One prompt of one simulated release."""

    seen: Pair
    """Whether the event is seen."""
    true: Pair | None = None
    """Whether it is true, where that is known: the prompt is labelled."""
    confirmed: bool = False
    """Whether adjudication confirms what is seen in the candidate's answer."""


def gate_on(batch: Batch, release: int, sets: Sequence[PromptSet]) -> tuple[Decision, int]:
    """What the real gate decides about one simulated release, driving the run itself; and the prompts it asked."""
    layout = batch.sampler.layout
    course, answers, rows = Course(layout.policy, layout.plan), _answers(batch, release), list[Row]()
    prompts = {(s.name, p.id): (s, p) for s in sets for p in s.prompts}
    calibrations: list[Calibration] = []
    while (asked := course.wanted()) is not None:
        for key in asked:
            judged = batch.sampler.judge_of(prompts[key][0].kind) is not None
            rows += [_row(arm, *prompts[key], answers[key], judged=judged) for arm in ("candidate", "incumbent")]
        calibrations = _calibrations(batch, release, len(course.looks))
        course.look(OutcomeTable.from_rows(rows), calibrations)
    measured = evidence_of(layout.plan, OutcomeTable.from_rows(rows), course.looks, calibrations)
    return gate(layout.policy, measured), course.looks[-1].prompts


def _answers(batch: Batch, release: int) -> dict[PromptId, Answered]:
    """Outcomes of every prompt that agree with the counts of a release, in the committed order of each stratum."""
    layout = batch.sampler.layout
    found: dict[PromptId, Answered] = {}
    strata = [(name, s) for name, planned in sorted(layout.plan.sets.items()) for s in planned.strata]
    for (name, stratum), laid, drawn in zip(strata, layout.strata, batch.drawn, strict=True):
        for mark, size in enumerate(laid.steps.tolist()):
            states = _states(drawn, mark, release, size, judged=batch.sampler.judge_of(laid.kind) is not None)
            ids = stratum.prompts[int(laid.marks[mark]) : int(laid.marks[mark + 1])]
            found.update({(name, prompt): state for prompt, state in zip(ids, states, strict=True)})
    return found


def _states(drawn: Drawn, mark: int, release: int, size: int, *, judged: bool) -> list[Answered]:
    def step(counts: NDArray[np.int32], *place: int) -> int:
        return int(counts[(*place, mark + 1, release)]) - int(counts[(*place, mark, release)])

    arm: Arm = "incumbent"
    ours = step(drawn.events["candidate"])
    if arm not in drawn.wins:
        return [Answered((True, False))] * ours + [Answered((False, False))] * (size - ours)
    wins, losses = step(drawn.wins[arm]), step(drawn.losses[arm])
    if not judged:
        states = [(True, True)] * (ours - wins) + [(True, False)] * wins + [(False, True)] * losses
        return [Answered(pair) for pair in states + [(False, False)] * (size - len(states))]
    places = sorted(BY_DIFFERENCE)
    labelled = np.array([[step(drawn.labelled[arm], i, j) for j in range(3)] for i in range(3)])
    known = np.array([[step(drawn.labelled_seen, s, t) for t in range(2)] for s in range(2)])
    found: list[Answered] = []
    for (f, y), alike in _levels(labelled, known).items():
        for (s, t), count in alike.items():
            found += [Answered(_pair(f, s), _pair(y, t))] * count
    rest = {f: step(drawn.unlabelled[arm], place) for place, f in enumerate(places)}
    both = step(drawn.unlabelled_seen, 1) - rest[1]
    for f, count in rest.items():
        found += [Answered((True, True) if f == 0 and k < both else BY_DIFFERENCE[f]) for k in range(count)]
    flagged = [k for k, one in enumerate(found) if one.seen[0]]
    for k in flagged[: step(drawn.confirmed)]:
        found[k] = replace(found[k], confirmed=True)
    return found


def _pair(difference: int, ours: int) -> Pair:
    """Outcomes of both arms from their difference and the candidate's."""
    return bool(ours), bool(ours - difference)


def _levels(differences: NDArray[np.int64], ours: NDArray[np.int64]) -> dict[Outcomes, dict[Outcomes, int]]:
    """Labelled prompts by differences (seen, true) and by the candidate's outcomes (seen, true) that agree with both
    tables of counts: where the arms do not differ, the candidate's outcome is free.

    A circle of four choices: once one is made, the others follow.
    """
    table = {(f, y): int(differences[f + 1, y + 1]) for f in (-1, 0, 1) for y in (-1, 0, 1)}
    left = {(s, t): int(ours[s, t]) for s in (0, 1) for t in (0, 1)}
    for f, y in itertools.product((-1, 1), repeat=2):
        left[(f + 1) // 2, (y + 1) // 2] -= table[f, y]
    for first in range(table[1, 0] + 1):
        up_true = first, table[1, 0] - first
        high = min(table[0, 1], left[1, 1] - up_true[0])
        low = min(table[0, -1], left[1, 0] - up_true[1])
        down = min(table[-1, 0], left[0, 1] - (table[0, 1] - high))
        spare = {
            (1, 1): left[1, 1] - up_true[0] - high,
            (1, 0): left[1, 0] - up_true[1] - low,
            (0, 1): left[0, 1] - (table[0, 1] - high) - down,
            (0, 0): left[0, 0] - (table[0, -1] - low) - (table[-1, 0] - down),
        }
        if min(high, low, down, *spare.values()) >= 0:
            found = {
                (f, y): {((f + 1) // 2, (y + 1) // 2): table[f, y]} for f, y in itertools.product((-1, 1), repeat=2)
            }
            found[1, 0] = {(1, 1): up_true[0], (1, 0): up_true[1]}
            found[0, 1] = {(1, 1): high, (0, 1): table[0, 1] - high}
            found[0, -1] = {(1, 0): low, (0, 0): table[0, -1] - low}
            found[-1, 0] = {(0, 1): down, (0, 0): table[-1, 0] - down}
            found[0, 0] = spare
            return found
    raise AssertionError("the counts of differences and of the candidate's answers contradict each other")


def _calibrations(batch: Batch, release: int, look: int) -> list[Calibration]:
    found = []
    for kind in SetKind:
        judge = batch.sampler.judge_of(kind)
        if judge is None or not any(s.kind is kind for s in batch.sampler.layout.strata):
            continue
        positives, hits, negatives, rejections = (
            int(x) for x in batch.sampler.calibration(kind, batch.drawn, look)[:, release]
        )
        if kind is not SetKind.GOLDEN:
            positives, hits = positives + judge.positives, hits + int(batch.controls[kind][release])
        found.append(
            Calibration(
                rubric="rubric",
                set_kind=kind,
                positives=positives,
                true_positives=hits,
                negatives=negatives,
                true_negatives=rejections,
            )
        )
    return found


def _row(arm: str, of: PromptSet, prompt: Prompt, answer: Answered, *, judged: bool) -> Row:
    place = 0 if arm == "candidate" else 1
    row: Row = {
        "arm": arm,
        "phase": "quality",
        "set_kind": of.kind.value,
        "set_name": of.name,
        "prompt_id": prompt.id,
        "prompt_digest": prompt.digest,
        "cluster": prompt.id,
        "outcome": float(answer.seen[place]),
        "scored_by": "judge" if judged else "checker",
        **{f"dim.{key}": value for key, value in prompt.dimensions.items()},
    }
    if judged:
        row["rubric"] = "rubric"
        if of.kind is not SetKind.GOLDEN and answer.seen[place]:
            row["adjudicated"] = float(answer.confirmed)
        if answer.true is not None:
            row.update(label=float(answer.true[place]), label_p=1.0)
    return row
