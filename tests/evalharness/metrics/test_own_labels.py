"""A judged pass rate rests on labels of the same arm's answers in the same cell, whatever the judge does elsewhere."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from evalharness.judging.calibration import LabelledVerdict, calibrate
from evalharness.metrics import Measurement, measure
from evalharness.metrics.own_labels import MIN_OWN_LABELS
from evalharness.outcomes import Mask, OutcomeTable
from golden_sets.records import SetKind
from tests.support.evidence import rows, table

JUDGED: dict[str, Any] = {"scored_by": "judge", "rubric": "r"}
SHARE = 0.2


def judged(true: Mask, seen: Mask, labelled: Mask, *, share: float = SHARE, **more: Any) -> list[dict[str, Any]]:
    """Judged answers, some labelled."""
    return rows(
        seen.astype(float),
        **JUDGED,
        label=[float(t) if known else None for t, known in zip(true, labelled, strict=True)],
        label_p=[share if known else None for known in labelled],
        **more,
    )


def flawed(rng: np.random.Generator, true: Mask, right: float = 0.95) -> Mask:
    return np.where(rng.random(true.size) < right, true, ~true)


def drawn(rng: np.random.Generator, n: int, share: float = SHARE) -> Mask:
    found = np.zeros(n, dtype=np.bool_)
    found[rng.permutation(n)[: round(share * n)]] = True
    return found


def calibration_on(true: Mask, seen: Mask, labelled: Mask, arm: Any = "candidate") -> list[LabelledVerdict]:
    return [LabelledVerdict(arm, f"p{i}", bool(true[i]), bool(seen[i]), SHARE) for i in np.flatnonzero(labelled)]


def missed(found: Measurement, truth: float) -> bool:
    low = found.interval(0.95, "lower").low
    assert low is not None
    return low > truth


def test_a_candidate_whose_answers_fool_the_judge_gains_nothing() -> None:
    """One answer in ten is wrong in a way that the judge passes; on the incumbent's it is right 95 % of the time.

    The measured error of both arms together let the 95 % bound lie above the truth in most such samples.
    """
    over = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        fooling, labelled = rng.random(1000) < 0.1, drawn(rng, 1000)
        ours, theirs = (rng.random(1000) < 0.85) & ~fooling, rng.random(1000) < 0.8
        seen, other = flawed(rng, ours) | fooling, flawed(rng, theirs)
        both = [*calibration_on(ours, seen, labelled), *calibration_on(theirs, other, labelled, "incumbent")]
        known = calibrate("r", SetKind.GOLDEN, both)
        found = measure("pass_rate", table(judged(ours, seen, labelled)), "candidate", calibrations=[known])
        over += missed(found, 0.765)
    assert over <= 8  # Binomial(60, .05) is at most 8 with probability .995


def test_a_cell_in_which_the_judge_is_worse_gains_nothing() -> None:
    """The judge passes half of the wrong answers to hard prompts, and is right elsewhere."""
    over = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        hard, easy, labelled = rng.random(300) < 0.6, rng.random(900) < 0.95, drawn(rng, 300)
        seen = flawed(rng, hard, 0.97) | (~hard & (rng.random(300) < 0.5))
        elsewhere = calibration_on(easy, flawed(rng, easy, 0.97), drawn(rng, 900))
        known = calibrate("r", SetKind.GOLDEN, [*elsewhere, *calibration_on(hard, seen, labelled)])
        found = measure("pass_rate", table(judged(hard, seen, labelled)), "candidate", calibrations=[known])
        over += missed(found, 0.6)
    assert over <= 8


@pytest.mark.parametrize("side", ["lower", "upper"])
@pytest.mark.parametrize(("labels", "rate"), [(20, 0.5), (20, 0.95), (50, 0.9), (100, 0.99), (100, 0.7)])
def test_bounds_hold_with_few_labels_and_rare_failures(labels: int, rate: float, side: Any) -> None:
    over, n = 0, 400
    for seed in range(100):
        rng = np.random.default_rng(seed)
        true, labelled = rng.random(n) < rate, drawn(rng, n, labels / n)
        found = measure(
            "pass_rate",
            table(judged(true, flawed(rng, true, 0.9), labelled, share=labels / n)),
            "candidate",
            calibrations=[],
        ).interval(0.95, side)
        bound = found.low if side == "lower" else found.high
        assert bound is not None
        over += bound > rate if side == "lower" else bound < rate
    assert over <= 12  # Binomial(100, .05) is at most 12 with probability .9985


def test_unequal_probabilities_are_weighted() -> None:
    """Failures are labelled four times as often as passes."""
    true = np.arange(1000) % 5 != 0
    chance = np.where(true, 0.1, 0.4)
    labelled = np.where(true, np.arange(1000) % 10 == 1, np.arange(1000) % 25 < 10)
    found = [
        {**row, "label_p": p if row["label"] is not None else None}
        for row, p in zip(judged(true, true, labelled), chance, strict=True)
    ]
    value = measure("pass_rate", table(found), "candidate", calibrations=[]).interval(0.95, "two-sided").value
    assert value == pytest.approx(0.8, abs=0.01)


def test_few_labels_in_the_cell_are_lacking_however_many_there_are_elsewhere() -> None:
    rng = np.random.default_rng(0)
    true = rng.random(300) < 0.8
    elsewhere = calibrate("r", SetKind.GOLDEN, calibration_on(true, flawed(rng, true), drawn(rng, 300, 0.9)))

    def lacking(labels: int) -> str | None:
        labelled = np.arange(300) < labels
        cell = table(judged(true, true, labelled))
        return measure("pass_rate", cell, "candidate", calibrations=[elsewhere]).lacking

    assert lacking(MIN_OWN_LABELS) is None
    assert lacking(MIN_OWN_LABELS - 1) == "labels of its own answers (19 of at least 20 in this cell)"
    assert lacking(0) == "labels of its own answers (0 of at least 20 in this cell)"


def test_outcomes_that_were_never_drawn_rest_on_an_error_measured_elsewhere() -> None:
    rng = np.random.default_rng(0)
    true = rng.random(1000) < 0.8
    other = calibration_on(true, flawed(rng, true), drawn(rng, 1000), "incumbent")
    known = calibrate("r", SetKind.GOLDEN, other)
    imported = table(judged(true, flawed(rng, true), np.zeros(1000, dtype=np.bool_)))
    found = measure("pass_rate", imported, "candidate", calibrations=[known])
    assert found.lacking is None
    assert found.interval(0.9, "two-sided").method == "rogan-gladen"


def test_failed_requests_and_checked_answers_need_no_label() -> None:
    true = np.arange(500) % 5 != 0
    labelled = np.arange(500) % 5 < 2
    answers = judged(true, true, labelled)
    lost = [{**row, "outcome": None, "error": "timeout", "label": None} for row in answers[:100]]
    checked = [{**row, "set_name": "checked"} for row in rows(np.ones(500))]

    def value(*parts: list[dict[str, Any]]) -> float:
        found = measure("pass_rate", table(*parts), "candidate", calibrations=[]).interval(0.9, "two-sided")
        assert found.value is not None
        assert found.low is not None
        assert found.high is not None
        assert found.low < found.value < found.high
        return found.value

    assert value(answers) == pytest.approx(0.8, abs=0.01)
    assert value(lost, answers[100:]) == pytest.approx(0.64, abs=0.01)
    assert value(answers, checked) == pytest.approx(0.9, abs=0.01)


def test_labels_of_one_cluster_count_once() -> None:
    """Five answers to each prompt, all alike: a fifth of the labels."""
    rng = np.random.default_rng(1)
    true = np.repeat(rng.random(100) < 0.8, 5)
    labelled = np.repeat(np.arange(100) < 40, 5)
    found = judged(true, true, labelled)
    for i, row in enumerate(found):
        row["cluster"] = f"c{i // 5}"
    alike, apart = (
        measure("pass_rate", OutcomeTable.from_rows(each), "candidate", calibrations=[]).interval(0.95, "two-sided")
        for each in (found, judged(true, true, labelled))
    )
    assert None not in (alike.high, alike.low, apart.high, apart.low)
    assert alike.high - alike.low > 1.5 * (apart.high - apart.low)  # type: ignore[operator]
