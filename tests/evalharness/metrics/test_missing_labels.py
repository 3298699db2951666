"""Drawn answers without a label: no number of the judge may rest on the part that somebody chose to label."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from evalharness.evidence import Calibration
from evalharness.metrics import compare, measure
from evalharness.outcomes import OutcomeTable
from golden_sets.records import SetKind
from tests.support.evidence import rows, table

GOOD = Calibration(
    rubric="r", set_kind=SetKind.GOLDEN, positives=100, true_positives=95, negatives=100, true_negatives=95
)
SAFE = GOOD.model_copy(update={"set_kind": SetKind.ADVERSARIAL})


def judged(missing: int, *, arm: str = "candidate", kind: str = "golden", failed: int = 0) -> list[dict[str, Any]]:
    """500 judged answers, 100 of them drawn for labelling; of these some have no label, because nobody gave one or
    because the request failed."""
    outcomes = np.array([float(i % 5 != 0) for i in range(500)])
    found = rows(outcomes, arm=arm, kind=kind, scored_by="judge", rubric="r")
    for i, row in enumerate(found[:100]):
        row |= {"label_p": 0.2, "label": None if i < missing + failed else row["outcome"]}
        if missing <= i < missing + failed:
            row |= {"error": "timeout", "outcome": None, "scored_by": None, "rubric": None}
    return found


@pytest.mark.parametrize(
    ("metric", "kind", "calibration"),
    [("pass_rate", "golden", GOOD), ("violation_rate", "adversarial", SAFE), ("usd_per_success", "golden", GOOD)],
)
def test_a_rate_lacks_the_labels_that_are_missing(metric: str, kind: str, calibration: Calibration) -> None:
    def lacking(missing: int) -> str | None:
        outcomes = OutcomeTable.from_rows({**row, "usd": 0.01} for row in judged(missing, kind=kind))
        return measure(metric, outcomes, "candidate", calibrations=[calibration]).lacking

    assert lacking(0) is None
    assert lacking(12) == (
        "labels of all answers that were drawn for labelling: 12 of 100 have no label yet "
        "(label them in the run's to-label file)"
    )
    assert "1 of 100 has no label yet" in (lacking(1) or "")


def test_a_failed_request_has_no_words_to_label() -> None:
    assert measure("pass_rate", table(judged(0, failed=3)), "candidate", calibrations=[GOOD]).lacking is None


def test_labels_missing_elsewhere_count_where_the_judges_error_was_measured_elsewhere() -> None:
    partly = GOOD.model_copy(update={"unlabelled": 7, "by_arm": {"incumbent": {"labelled": 93}}})
    own = measure("pass_rate", table(judged(0)), "candidate", calibrations=[partly])
    assert own.lacking is None, "every drawn answer of this arm in this cell has its label"
    undrawn = [{**row, "label": None, "label_p": None} for row in judged(0)]
    found = measure("pass_rate", table(undrawn), "candidate", calibrations=[partly])
    assert "7 of 100 have no label yet" in (found.lacking or "")


def test_a_comparison_lacks_the_labels_of_either_arm() -> None:
    def lacking(ours: int, theirs: int) -> str | None:
        both = table(judged(ours), judged(theirs, arm="incumbent"))
        return compare("pass_rate", both, calibrations=[GOOD]).lacking

    assert lacking(0, 0) is None
    assert "5 of 200 have no label yet" in (lacking(2, 3) or "")
    assert "3 of 200" in (lacking(0, 3) or "")


def test_without_any_source_of_labels_a_calibration_is_what_is_lacking() -> None:
    plain = rows([1.0] * 100, scored_by="judge", rubric="r")
    found = measure("pass_rate", table(plain), "candidate", calibrations=[])
    assert found.lacking == "a calibration of the judge under rubric 'r' on golden sets: label some answers"


@pytest.mark.parametrize("flips", [{"kappa_high": -0.2}, {"by_arm": {"candidate": {"kappa_high": -0.2}}}])
def test_a_judge_with_its_polarity_flipped_corrects_nothing(flips: dict[str, Any]) -> None:
    flipped = GOOD.model_copy(update=flips)
    found = measure("pass_rate", table(judged(0)), "candidate", calibrations=[flipped])
    assert "polarity flipped" in (found.lacking or "")
    both = table(judged(0), judged(0, arm="incumbent"))
    assert "polarity flipped" in (compare("pass_rate", both, calibrations=[flipped]).lacking or "")
