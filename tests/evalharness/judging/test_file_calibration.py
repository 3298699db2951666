"""A judge against people, from files: the numbers of independent references, clusters, weights, arms, trust."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from evalharness.judging.file_calibration import agreement, calibrate_answers
from evalharness.judging.labelled_file import LabelledAnswers, read_labelled_answers
from evalharness.judging.trust import labels_needed, trust
from evalharness.statistics import Interval
from golden_sets.errors import InputError
from tests.support.shared_data import DATA, needs_data

Floats = NDArray[np.float64]


def answers(truth: Floats, seen: Floats, **further: object) -> LabelledAnswers:
    n = truth.size
    plain = LabelledAnswers(truth.astype(float), seen.astype(float), np.arange(n), np.ones(n))
    return replace(plain, **further)  # type: ignore[arg-type]


def judged(
    rng: np.random.Generator, n: int, *, rate: float = 0.4, sensitivity: float = 0.9, specificity: float = 0.9
) -> tuple[Floats, Floats]:
    truth = (rng.random(n) < rate).astype(float)
    right = rng.random(n) < np.where(truth == 1, sensitivity, specificity)
    return truth, np.where(right, truth, 1 - truth)


def inside(interval: Interval, value: float) -> bool:
    assert interval.low is not None
    assert interval.high is not None
    return interval.low <= value <= interval.high


def width(interval: Interval) -> float:
    assert interval.low is not None
    assert interval.high is not None
    return interval.high - interval.low


def test_plain_labels_give_the_usual_numbers() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    truth, seen = judged(np.random.default_rng(1), 300, sensitivity=0.8)
    found = agreement(answers(truth, seen))
    assert found.kappa.value == pytest.approx(metrics.cohen_kappa_score(truth, seen))
    assert found.sensitivity is not None
    assert found.specificity is not None
    assert found.youden is not None
    assert found.sensitivity.value == pytest.approx(metrics.recall_score(truth, seen))
    assert found.specificity.value == pytest.approx(metrics.recall_score(1 - truth, 1 - seen))
    assert found.youden.value == pytest.approx(metrics.balanced_accuracy_score(truth, seen, adjusted=True))
    counts = found.confusion
    assert [counts.true_negatives, counts.false_positives, counts.false_negatives, counts.true_positives] == list(
        metrics.confusion_matrix(truth, seen).ravel()
    )
    assert found.agreement.method == "wilson"


def test_unparsed_verdicts_are_disagreements_and_never_dropped() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    truth, seen = judged(np.random.default_rng(2), 200)
    parsed = agreement(answers(truth, seen))
    seen[:20] = np.nan
    found = agreement(answers(truth, seen))
    assert found.unparsed == 20
    assert found.confusion.unparsed_positives + found.confusion.unparsed_negatives == 20
    assert found.confusion.positives + found.confusion.negatives == 200
    assert found.agreement.n == 200
    assert found.agreement.value == pytest.approx(np.mean(seen == truth))
    third = np.where(np.isnan(seen), 2, seen)
    assert found.kappa.value == pytest.approx(metrics.cohen_kappa_score(truth, third))
    assert found.kappa.value is not None
    assert parsed.kappa.value is not None
    assert found.kappa.value < parsed.kappa.value
    assert found.sensitivity is not None
    assert found.sensitivity.n == found.confusion.positives
    assert width(found.judge_rate) > width(parsed.judge_rate)


def test_copies_of_an_answer_count_once() -> None:
    truth, seen = judged(np.random.default_rng(3), 200)
    single = agreement(answers(truth, seen))
    copied = agreement(replace(answers(np.repeat(truth, 4), np.repeat(seen, 4)), clusters=np.repeat(np.arange(200), 4)))
    for name in ("kappa", "agreement", "sensitivity", "specificity", "human_rate", "judge_rate"):
        one, four = getattr(single, name), getattr(copied, name)
        assert four.value == pytest.approx(one.value), name
        assert width(four) > 0.9 * width(one), name


def test_weights_undo_labels_drawn_by_verdict() -> None:
    """Labels drawn mostly where the judge says yes: unweighted, sensitivity looks far better than it is."""
    rng = np.random.default_rng(4)
    values = []
    for _ in range(40):
        truth, seen = judged(rng, 4000, sensitivity=0.6)
        chance = np.where(seen == 1, 0.25, 0.05)
        drawn = rng.random(4000) < chance
        found = agreement(answers(np.where(drawn, truth, np.nan), seen, weights=np.where(drawn, 1 / chance, 1.0)))
        plain = agreement(answers(np.where(drawn, truth, np.nan), seen))
        assert found.sensitivity is not None
        assert plain.sensitivity is not None
        assert found.sensitivity.value is not None
        assert plain.sensitivity.value is not None
        values.append((found.sensitivity.value, plain.sensitivity.value, inside(found.corrected, 0.4)))
    weighted, unweighted, covered = np.mean(values, axis=0)
    assert weighted == pytest.approx(0.6, abs=0.04)
    assert unweighted > 0.8
    assert covered >= 0.85


def test_corrected_rates_use_the_answers_nobody_labelled() -> None:
    truth, seen = judged(np.random.default_rng(5), 2000, sensitivity=0.95, specificity=0.97)
    labelled = np.where(np.arange(2000) < 150, truth, np.nan)
    found = agreement(answers(labelled, seen))
    assert (found.rows, found.labelled) == (2000, 150)
    assert found.corrected.method == "ppi"
    assert width(found.corrected) < 0.75 * width(found.human_rate)
    assert inside(found.corrected, float(truth.mean()))
    assert inside(found.rogan_gladen, float(truth.mean()))


def test_with_every_answer_labelled_the_rate_is_what_people_saw() -> None:
    truth, seen = judged(np.random.default_rng(6), 300, sensitivity=0.7)
    found = agreement(answers(truth, seen))
    assert found.corrected.value == pytest.approx(truth.mean())
    assert found.corrected.note is not None
    assert "every answer is labelled" in found.corrected.note
    # The correction through the judge's error, measured on the very same answers, is an identity.
    assert found.rogan_gladen.value == pytest.approx(truth.mean())


def test_events_too_rare_to_be_corrected_leave_the_labels_alone() -> None:
    truth = np.r_[np.ones(2), np.zeros(98), np.full(900, np.nan)]
    found = agreement(answers(truth, np.r_[np.ones(2), np.zeros(998)]))
    assert found.corrected.low is not None
    assert found.corrected.note is not None
    assert "too rare" in found.corrected.note
    assert "labels alone" in found.corrected.note


def test_a_judge_that_likes_long_answers_is_found_out() -> None:
    rng = np.random.default_rng(7)
    truth = (rng.random(800) < 0.5).astype(float)
    lengths = np.exp(rng.normal(6, 1, 800))
    lean = np.log2(lengths) - np.log2(lengths).mean()
    for slope in (0.0, 0.7):
        seen = (rng.random(800) < 1 / (1 + np.exp(-(2 * truth - 1 + slope * lean)))).astype(float)
        found = agreement(answers(truth, seen, lengths=lengths)).length_bias
        assert found is not None
        assert inside(found, np.exp(slope))
        assert inside(found, 1.0) == (slope == 0.0)
    assert agreement(answers(truth, seen)).length_bias is None
    assert agreement(answers(truth, truth, lengths=lengths)).length_bias is None  # no finite odds


def three_arms(rng: np.random.Generator, *sensitivities: float) -> LabelledAnswers:
    parts = [judged(rng, 300, sensitivity=s) for s in sensitivities]
    truth, seen = (np.concatenate(x) for x in zip(*parts, strict=True))
    names = tuple("abc"[: len(parts)])
    return answers(truth, seen, arms=names, arm=np.repeat(np.arange(len(parts)), 300))


def test_an_arm_that_is_judged_differently_is_named() -> None:
    rng = np.random.default_rng(8)
    found = calibrate_answers(three_arms(rng, 0.9, 0.9, 0.6))
    assert list(found.arms) == ["a", "b", "c"]
    assert ("c", "sensitivity") in {(one.arm, one.rate) for one in found.different_arms}
    assert not [one for one in found.different_arms if one.rate == "specificity"]
    assert trust(found).trusted


def test_equal_arms_are_seldom_called_different() -> None:
    rng = np.random.default_rng(9)
    found = [calibrate_answers(three_arms(rng, 0.85, 0.85)) for _ in range(100)]
    assert sum(bool(one.different_arms) for one in found) <= 10
    assert all(len(one.differences) == 2 for one in found)


def test_a_flipped_judge_is_called_out_also_on_one_arm() -> None:
    rng = np.random.default_rng(10)
    good = three_arms(rng, 0.9, 0.9, 0.9)
    flipped = calibrate_answers(replace(good, seen=1 - good.seen))
    assert flipped.overall.polarity_flipped
    assert "polarity flipped" in trust(flipped).reasons[0]
    on_c = np.where(good.arm == 2, 1 - good.seen, good.seen)
    partly = calibrate_answers(replace(good, seen=on_c))
    assert not partly.overall.polarity_flipped
    assert partly.arms["c"].polarity_flipped
    assert not trust(partly).trusted
    assert "on arm 'c'" in trust(partly).reasons[0]
    assert trust(calibrate_answers(good)).trusted


def test_a_coin_is_never_trusted_and_no_number_of_labels_helps() -> None:
    rng = np.random.default_rng(11)
    verdicts = [
        trust(calibrate_answers(answers(*judged(rng, 500, sensitivity=0.5, specificity=0.5)))) for _ in range(50)
    ]
    assert not any(one.trusted for one in verdicts)
    assert all(one.labels_needed is None for one in verdicts)
    assert all("no number of labels would help" in one.reasons[-1] for one in verdicts)


def test_too_few_labels_say_how_many_it_would_take() -> None:
    truth, seen = np.r_[np.ones(15), np.zeros(15)], np.r_[np.ones(12), np.zeros(15), np.ones(3)]
    found = calibrate_answers(answers(truth, seen))
    verdict = trust(found)
    assert not verdict.trusted
    assert verdict.labels_needed == 50
    assert "30 labelled answers, need at least 50" in verdict.reasons[0]
    assert trust(found, min_labels=30).trusted
    rare = calibrate_answers(answers(np.r_[np.ones(5), np.zeros(95)], np.r_[np.ones(5), np.zeros(95)]))
    assert "5 positive and 95 negative labels, need at least 10 of each" in trust(rare).reasons[0]
    assert trust(rare).labels_needed == pytest.approx(200, abs=5)


def test_the_number_of_labels_that_it_would_take_is_enough() -> None:
    """A judge of sensitivity and specificity 0.7, 50 labels: not shown to be good enough; the number named shows it."""
    few = answers(np.repeat([1.0, 0.0], 25), np.r_[np.ones(17), np.zeros(8), np.zeros(17), np.ones(8)])
    needed = labels_needed(agreement(few))
    assert needed is not None
    assert 50 < needed < 200
    times = -(-needed // 50)
    right, wrong = 17 * times, 8 * times
    enough = answers(
        np.repeat([1.0, 0.0], right + wrong),
        np.r_[np.ones(right), np.zeros(wrong), np.zeros(right), np.ones(wrong)],
    )
    assert not trust(calibrate_answers(few)).trusted
    assert trust(calibrate_answers(enough)).trusted


def test_kappa_must_reach_what_is_asked_on_every_arm_that_shows_it() -> None:
    found = calibrate_answers(three_arms(np.random.default_rng(12), 0.95, 0.95, 0.4))
    kappa = found.overall.kappa.value
    assert kappa is not None
    assert trust(found, min_kappa=0.2).trusted
    assert "is below 0.99" in trust(found, min_kappa=0.99).reasons[0]
    below = trust(found, min_kappa=kappa - 0.01).reasons
    assert len(below) == 1
    assert below[0].startswith("on arm 'c' kappa")


def test_labels_of_one_class_only_are_no_calibration() -> None:
    verdict = trust(calibrate_answers(answers(np.ones(80), np.ones(80))), min_kappa=0.5)
    assert not verdict.trusted
    assert verdict.labels_needed == 90
    assert any("kappa is undefined" in reason for reason in verdict.reasons)


@pytest.mark.parametrize(("min_kappa", "min_labels"), [(1.5, 50), (None, 0)])
def test_bad_thresholds_are_refused(min_kappa: float | None, min_labels: int) -> None:
    found = calibrate_answers(answers(*judged(np.random.default_rng(13), 100)))
    with pytest.raises(InputError):
        trust(found, min_kappa=min_kappa, min_labels=min_labels)


# -- real files --------------------------------------------------------------------------------------------------------

PUBLISHED = [
    ("gpt4_label", None, 0.853, 0.710),
    ("gpt4_label", "gpt4", 0.938, 0.875),
    ("gpt4_label", "llama2new", 0.804, 0.623),
    ("gpt4_label", "mistralguard", 0.816, 0.638),
    ("strmatch_label", None, 0.890, 0.780),
    ("strmatch_label", "gpt4", 0.936, 0.871),
    ("strmatch_label", "llama2new", 0.924, 0.844),
    ("strmatch_label", "mistralguard", 0.809, 0.624),
]


@pytest.mark.shared_data
@needs_data
@pytest.mark.parametrize(("judge", "model", "agreeing", "kappa"), PUBLISHED)
@pytest.mark.parametrize("positive", [("1_full_compliance",), ("2_full_refusal", "3_partial_refusal")])
def test_agreement_with_people_on_xstest(
    judge: str, model: str | None, agreeing: float, kappa: float, positive: tuple[str, ...]
) -> None:
    found = calibrate_answers(
        read_labelled_answers(
            DATA / "refusals_human_labelled.csv",
            columns={"human": "human_final", "judge": judge, "arm": "model"},
            positive=positive,
        )
    )
    part = found.overall if model is None else found.arms[model]
    assert part.agreement.value == pytest.approx(agreeing, abs=5e-4)
    assert part.kappa.value == pytest.approx(kappa, abs=5e-4)


@pytest.mark.shared_data
@needs_data
def test_annotators_and_the_refusals_that_the_judge_does_not_see() -> None:
    path = DATA / "refusals_human_labelled.csv"
    refusals = ("2_full_refusal", "3_partial_refusal")
    columns = {"human": "annotation_1", "judge": "annotation_2"}
    people = agreement(read_labelled_answers(path, columns=columns, positive=refusals))
    assert (people.agreement.value, people.kappa.value) == pytest.approx((0.976, 0.951), abs=5e-4)
    safe = agreement(
        read_labelled_answers(
            path,
            columns={"human": "human_final", "judge": "gpt4_label"},
            where={"model": "llama2new", "safe_prompt": "1"},
            positive=refusals,
        )
    )
    assert safe.human_rate.value == pytest.approx(0.296, abs=5e-4)
    assert safe.judge_rate.value == pytest.approx(0.160, abs=5e-4)
    assert inside(safe.rogan_gladen, 0.296)
    assert not inside(safe.judge_rate, 0.296)


@pytest.mark.shared_data
@needs_data
def test_verdicts_on_80_questions_are_not_6160_independent_ones() -> None:
    columns = {"id": "i", "human": "human_label", "judge": "sm_zou2023universal"}
    path = DATA / "jailbreak_human_labels.csv"
    naive = agreement(read_labelled_answers(path, columns=columns))
    found = agreement(read_labelled_answers(path, columns={**columns, "cluster": "question_sha"}))
    assert found.kappa.clusters == 80
    assert found.kappa.value == pytest.approx(naive.kappa.value)
    assert width(found.kappa) > 1.5 * width(naive.kappa)
    assert found.confusion == naive.confusion
