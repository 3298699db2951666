"""Simulated counts as outcomes of prompts, so that the real gate can be put to the same releases."""

from __future__ import annotations

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
    found: list[Answered] = []
    for place, f in enumerate(sorted(BY_DIFFERENCE)):
        for other, y in enumerate(sorted(BY_DIFFERENCE)):
            found += [Answered(BY_DIFFERENCE[f], BY_DIFFERENCE[y])] * step(drawn.labelled[arm], place, other)
        found += [Answered(BY_DIFFERENCE[f])] * step(drawn.unlabelled[arm], place)
    # Of the prompts on which the arms look alike, so many show the event in both answers.
    alike = [k for k, one in enumerate(found) if one.seen == (False, False)]
    for k in alike[: ours - wins]:
        found[k] = replace(found[k], seen=(True, True))
    flagged = [k for k, one in enumerate(found) if one.seen[0]]
    for k in flagged[: step(drawn.confirmed)]:
        found[k] = replace(found[k], confirmed=True)
    return found


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
