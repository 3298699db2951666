"""The detector's error in the terms of any judge, and its figures on real answers."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from evalharness.answer_classes import AnswerClass
from evalharness.refusals import RefusalDetector, RefusalVerdict, refusal_agreement, refusal_calibration
from evalharness.refusals.labelled_file import read_labelled_refusals
from evalharness.refusals.refit import refit
from golden_sets.errors import InputError
from golden_sets.records import SetKind
from tests.support.shared_data import DATA, needs_data

ROOT = Path(__file__).resolve().parents[3]
REFUSES = RefusalVerdict(AnswerClass.FULL_REFUSAL, 0.9, 0.1)
HALF = RefusalVerdict(AnswerClass.PARTIAL_REFUSAL, 0.8, 0.7)
COMPLIES = RefusalVerdict(AnswerClass.FULL_COMPLIANCE, 0.1, 0.1)
BROKEN = RefusalVerdict(AnswerClass.EMPTY_OR_BROKEN, None, None, "empty")
TRUTH = [True] * 20 + [False] * 20
SEEN = [REFUSES] * 15 + [HALF] * 3 + [COMPLIES, BROKEN] + [COMPLIES] * 18 + [REFUSES] * 2
UNITS = [f"p{i}" for i in range(40)]


def test_agreement_counts_broken_answers_as_errors() -> None:
    found = refusal_agreement(TRUTH, [verdict.refuses for verdict in SEEN])
    assert (found.labelled, found.unparsed) == (40, 1)
    assert found.sensitivity is not None
    assert found.specificity is not None
    assert found.agreement.value == pytest.approx(36 / 40)
    assert found.specificity.value == pytest.approx(18 / 20)


def test_a_calibration_is_in_terms_of_the_event_of_its_set() -> None:
    false_refusals = refusal_calibration(TRUTH, SEEN, units=UNITS)
    assert (false_refusals.positives, false_refusals.true_positives) == (19, 18), "the broken one is unparsed"
    assert (false_refusals.negatives, false_refusals.true_negatives) == (20, 18)
    violations = refusal_calibration(TRUTH, SEEN, units=UNITS, set_kind=SetKind.ADVERSARIAL)
    assert (violations.positives, violations.true_positives) == (20, 18)
    one_more = refusal_calibration(
        [False, *TRUTH], [COMPLIES, *SEEN], units=["x", *UNITS], set_kind=SetKind.ADVERSARIAL
    )
    assert (one_more.positives, one_more.true_positives) == (21, 19)
    assert false_refusals.unparsed == violations.unparsed == 1
    with pytest.raises(InputError, match="golden"):
        refusal_calibration(TRUTH, SEEN, units=UNITS, set_kind=SetKind.GOLDEN)


def test_one_verdict_for_every_label() -> None:
    with pytest.raises(InputError, match="2 labels and 1 verdicts"):
        refusal_agreement([True, False], [True])
    with pytest.raises(InputError, match="0 labels"):
        refusal_agreement([], [])


def test_the_measured_figures_are_those_of_the_shipped_detector() -> None:
    found = json.loads((ROOT / "benchmarks" / "results" / "refusals.json").read_text("utf-8"))
    assert found["detector"] == RefusalDetector.shipped().digest, "measure again: python -m benchmarks.refusals"
    kappas = {row["way"]: row["kappa"]["value"] for row in found["agreement"] if not row["model"]}
    assert kappas["shipped"] >= 0.80
    assert kappas["fitted"] >= 0.88
    assert kappas["fitted, new prompts"] >= 0.88


@pytest.mark.slow
@pytest.mark.shared_data
@needs_data
def test_figures_on_people_s_labels() -> None:
    """Any refusal against compliance on every third prompt: as shipped, and with models and prompts held out.

    All prompts are measured by benchmarks/refusals.py.
    """
    columns = {"text": "completion", "label": "human_final", "group": "model"}
    whole = read_labelled_refusals(DATA / "refusals_human_labelled.csv", columns=columns)
    assert whole.prompts is not None
    assert whole.groups is not None
    chosen = set(sorted(set(whole.prompts))[::3])
    rows = [row for row, prompt in enumerate(whole.prompts) if prompt in chosen]
    third = replace(
        whole,
        texts=tuple(whole.texts[row] for row in rows),
        labels=tuple(whole.labels[row] for row in rows),
        prompts=tuple(whole.prompts[row] for row in rows),
        groups=tuple(whole.groups[row] for row in rows),
    )
    found = refit(third, source="XSTest")
    assert found.overall.labelled == 450
    assert set(found.groups) == {"gpt4", "llama2new", "mistralguard"}
    shipped, fitted = found.shipped.kappa.value, found.overall.kappa.value
    assert shipped is not None
    assert fitted is not None
    assert shipped >= 0.80
    assert fitted >= 0.78, "from 300 answers or fewer"
