"""A run's judge against its labels, from the outcome table alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from evalharness.judging.run_calibration import run_calibrations
from evalharness.outcomes import OutcomeTable
from golden_sets.records import SetKind
from tests.support.evidence import rows, table

Pattern = list[tuple[int, float, float | None]]
"""(count, truth, what the judge says)"""


def labelled(pattern: Pattern, **columns: Any) -> list[dict[str, Any]]:
    expanded = [(truth, seen) for count, truth, seen in pattern for _ in range(count)]
    found = rows([seen for _, seen in expanded], scored_by="judge", **{"rubric": "correctness", **columns})
    for row, (truth, _) in zip(found, expanded, strict=True):
        row |= {"label": truth, "label_p": 1.0}
    return found


GOOD: Pattern = [(45, 1.0, 1.0), (5, 1.0, 0.0), (38, 0.0, 0.0), (2, 0.0, 1.0)]
FLIPPED: Pattern = [(45, 1.0, 0.0), (5, 1.0, 1.0), (38, 0.0, 1.0), (2, 0.0, 0.0)]


def test_matrix_and_rates_by_rubric_arm_and_cell() -> None:
    ours = labelled([*GOOD, (4, 1.0, None)], dim_tier="easy")
    theirs = labelled(GOOD, arm="incumbent", start=500, dim_tier="hard")
    other = labelled(GOOD, phase="criterion", variant="style", rubric="style", start=2000)
    unlabelled = rows([1.0] * 50, scored_by="judge", rubric="correctness", start=1000, dim_tier="vast")
    checked = rows([1.0] * 50, kind="false_refusal", label=1.0, label_p=1.0)
    found = run_calibrations(table(ours, theirs, other, unlabelled, checked))
    assert [(one.rubric, one.set_kind) for one in found] == [
        ("correctness", SetKind.GOLDEN),
        ("style", SetKind.GOLDEN),
    ]
    first = found[0]
    assert first.found.overall.rows == 94 + 90 + 50
    assert first.found.overall.labelled == first.drawn == 184
    matrix = first.found.arms["candidate"].confusion
    assert (matrix.true_positives, matrix.false_negatives, matrix.unparsed_positives) == (45, 5, 4)
    assert (matrix.true_negatives, matrix.false_positives) == (38, 2)
    assert first.found.arms["incumbent"].confusion.positives == 50
    assert set(first.cells) == {("tier", "easy"), ("tier", "hard")}
    assert first.cells["tier", "hard"].sensitivity == first.found.arms["incumbent"].sensitivity
    assert first.trust.trusted
    assert not first.flipped


def test_it_is_the_same_from_the_blob_that_evidence_names() -> None:
    whole = table(labelled(GOOD, dim_tier="easy"), labelled(GOOD, arm="incumbent", dim_tier="easy"))
    again = OutcomeTable.from_parquet(whole.to_parquet())
    (one,), (other,) = run_calibrations(again), run_calibrations(whole)
    assert one.text() == other.text()
    assert {name: arm.confusion for name, arm in one.found.arms.items()} == {
        name: arm.confusion for name, arm in other.found.arms.items()
    }
    assert one.cells.keys() == other.cells.keys()


def test_polarity_flips_are_named_where_they_are() -> None:
    found = run_calibrations(table(labelled(GOOD, dim_tier="easy"), labelled(FLIPPED, start=500, dim_tier="hard")))
    assert set(found[0].flipped) == {"tier=hard"}
    assert "polarity flipped, judge and labels agree less than chance: tier=hard (kappa -0.8" in found[0].text()
    (everywhere,) = run_calibrations(table(labelled(FLIPPED), labelled(FLIPPED, arm="incumbent")))
    assert set(everywhere.flipped) == {"all answers", "candidate", "incumbent"}
    assert not everywhere.trust.trusted
    assert any("polarity flipped" in reason for reason in everywhere.trust.reasons)


def test_labels_that_are_missing_are_counted() -> None:
    waiting = rows([1.0] * 30, scored_by="judge", rubric="correctness", start=500, label_p=0.5)
    (found,) = run_calibrations(table(labelled(GOOD), waiting))
    assert (found.drawn, found.unlabelled) == (120, 30)
    assert found.text().endswith("30 of 120 answers drawn for labelling have no label yet")


def test_too_few_labels_say_how_many_it_would_take() -> None:
    few: Pattern = [(20, 1.0, 1.0), (4, 0.0, 0.0)]
    (found,) = run_calibrations(table(labelled(few)))
    assert not found.trust.trusted
    assert found.trust.labels_needed is not None
    assert found.trust.labels_needed > 24


def test_on_safety_sets_few_events_are_no_fault_of_the_judge() -> None:
    quiet: Pattern = [(98, 0.0, 0.0), (2, 1.0, 1.0)]
    (found,) = run_calibrations(table(labelled(quiet, kind="adversarial")))
    assert found.trust.trusted
    blind: Pattern = [(100, 0.0, 0.0), (100, 1.0, 0.0), (3, 1.0, 1.0), (2, 0.0, 1.0)]
    (found,) = run_calibrations(table(labelled(blind, kind="adversarial")))
    assert not found.trust.trusted


def test_without_labels_there_is_nothing_to_tell() -> None:
    assert run_calibrations(table(rows([1.0] * 10, scored_by="judge", rubric="r"), rows([1.0], arm="incumbent"))) == ()


def test_oversampled_labels_are_weighted() -> None:
    """Sensitivity .9 on all answers; the judge's failures are labelled five times as often as its passes."""
    random = np.random.default_rng(3)
    n = 4000
    truth = (random.random(n) < 0.7).astype(float)
    said = np.where(random.random(n) < 0.9, truth, 1 - truth)
    chance = np.where(said == 1.0, 0.1, 0.5)
    drawn = random.random(n) < chance
    one = rows(
        said,
        scored_by="judge",
        rubric="r",
        label=np.where(drawn, truth, np.nan),
        label_p=np.where(drawn, chance, np.nan),
    )
    (found,) = run_calibrations(table(one))
    sensitivity, confusion = found.found.overall.sensitivity, found.found.overall.confusion
    assert sensitivity is not None
    assert sensitivity.low is not None
    assert sensitivity.high is not None
    assert sensitivity.low <= 0.9 <= sensitivity.high
    assert sensitivity.value == pytest.approx(0.9, abs=0.03)
    assert confusion.true_positives / confusion.positives < 0.75, "counting every label alike would be biased here"


def test_the_same_words_of_both_arms_are_no_further_evidence() -> None:
    once, again = labelled(GOOD), labelled(GOOD, arm="incumbent")
    (single,), (double,) = run_calibrations(table(once)), run_calibrations(table(once, again))
    for name in ("sensitivity", "specificity", "kappa"):
        one, both = getattr(single.found.overall, name), getattr(double.found.overall, name)
        assert both.value == pytest.approx(one.value)
        assert both.high - both.low >= one.high - one.low - 0.01
