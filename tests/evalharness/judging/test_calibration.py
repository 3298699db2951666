"""Calibration: plain counts where labels are independent and equally likely, honest ones where they are not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import pytest

from evalharness.judging.calibration import LabelledVerdict, calibrate
from evalharness.judging.labelling import labelled_subsample
from evalharness.statistics import proportion_interval
from golden_sets.errors import InputError
from golden_sets.records import SetKind

RunArm = Literal["candidate", "incumbent"]


def rows(pattern: Sequence[tuple[int, bool, bool | None]], arm: RunArm = "candidate") -> list[LabelledVerdict]:
    """(count, truth, seen) -> that many independent labelled answers."""
    expanded = [(truth, seen) for count, truth, seen in pattern for _ in range(count)]
    return [LabelledVerdict(arm, f"{arm}-{i}", truth, seen) for i, (truth, seen) in enumerate(expanded)]


PATTERN = [(45, True, True), (5, True, False), (38, False, False), (2, False, True), (3, True, None), (1, False, None)]


def test_independent_equally_likely_labels_are_counted_plainly() -> None:
    found = calibrate("correctness", SetKind.GOLDEN, rows(PATTERN))
    assert (found.positives, found.true_positives) == (50, 45)
    assert (found.negatives, found.true_negatives) == (40, 38)
    assert found.unparsed == 4
    # Observed agreement 83 of 90 scored; expected .5556 * .5222 + .4444 * .4778.
    observed, expected = 83 / 90, (50 * 47 + 40 * 43) / 90**2
    assert found.kappa == pytest.approx((observed - expected) / (1 - expected))
    assert found.agreement == pytest.approx(83 / 94), "an unscored answer is no agreement"
    assert found.controls == 0


def test_every_arm_has_its_plain_counts() -> None:
    found = calibrate("r", SetKind.GOLDEN, rows(PATTERN) + rows([(7, True, True), (1, False, None)], "incumbent"))
    assert found.by_arm["candidate"]["positives"] == 50
    assert found.by_arm["incumbent"] == {
        "labelled": 8,
        "positives": 7,
        "true_positives": 7,
        "negatives": 0,
        "true_negatives": 0,
        "unparsed": 1,
        "kappa": None,
        "kappa_low": None,
        "kappa_high": None,
        "agreement": pytest.approx(7 / 8),
    }
    assert sum(int(arm["labelled"] or 0) for arm in found.by_arm.values()) == 94 + 8


def test_the_same_answer_on_both_arms_counts_once() -> None:
    one = [LabelledVerdict("candidate", f"p{i}", True, i >= 5) for i in range(100)]
    other = [LabelledVerdict("incumbent", row.unit, row.truth, row.seen) for row in one]
    found = calibrate("r", SetKind.GOLDEN, one + other)
    assert found.positives <= 100
    assert found.true_positives / found.positives == pytest.approx(0.95, abs=0.01)
    assert found.by_arm["candidate"]["positives"] == found.by_arm["incumbent"]["positives"] == 100


def test_controls_add_to_the_counts_and_not_to_kappa() -> None:
    run = rows([(1, True, True), (99, False, False)])
    controls = [LabelledVerdict("control", f"c{i}", True, i > 0) for i in range(60)]
    found = calibrate("refusal", SetKind.ADVERSARIAL, run, controls=controls)
    assert (found.positives, found.true_positives, found.controls) == (61, 60, 60)
    assert found.kappa == 1.0
    assert found.agreement == 1.0
    assert found.by_arm["control"]["true_positives"] == 59


def test_controls_alone_calibrate_sensitivity() -> None:
    controls = [LabelledVerdict("control", f"c{i}", True, True) for i in range(20)]
    found = calibrate("refusal", SetKind.ADVERSARIAL, [], controls=controls)
    assert (found.positives, found.true_positives, found.negatives) == (20, 20, 0)
    assert found.kappa is None
    assert found.agreement is None


@pytest.mark.parametrize(
    ("kind", "labelled", "controls", "complaint"),
    [
        (SetKind.GOLDEN, 0, 0, "no labelled answer"),
        (SetKind.GOLDEN, 1, 1, "cannot calibrate golden"),
    ],
)
def test_bad_input(kind: SetKind, labelled: int, controls: int, complaint: str) -> None:
    row = LabelledVerdict("candidate", "u", True, True)
    with pytest.raises(InputError, match=complaint):
        calibrate("r", kind, [row] * labelled, controls=[row] * controls)


def test_a_probability_of_zero_is_refused() -> None:
    with pytest.raises(InputError, match="not in"):
        calibrate("r", SetKind.GOLDEN, [LabelledVerdict("candidate", "u", True, True, probability=0.0)])


def test_oversampled_verdicts_do_not_bias_sensitivity_and_the_bound_covers() -> None:
    """Labels drawn by the judge's verdict, both arms half identical: estimates centre on the truth, bounds cover."""
    random = np.random.default_rng(7)
    sensitivity, specificity, prompts = 0.9, 0.85, 1000
    estimates, covered, plain = [], 0, []
    for seed in range(120):
        labelled = _draw(random, seed, prompts, sensitivity, specificity)
        found = calibrate("r", SetKind.GOLDEN, labelled)
        estimates.append(found.true_positives / found.positives)
        bound = proportion_interval(
            found.true_positives, found.positives, confidence=0.95, side="lower", method="clopper-pearson"
        )
        covered += bound.low is not None and bound.low <= sensitivity
        positives = [row for row in labelled if row.truth]
        plain.append(sum(row.seen is True for row in positives) / len(positives))
    assert np.mean(estimates) == pytest.approx(sensitivity, abs=0.012)
    assert np.mean(plain) < sensitivity - 0.1, "counting every label alike would be biased here"
    assert covered / 120 >= 0.94


def _draw(
    random: np.random.Generator, seed: int, prompts: int, sensitivity: float, specificity: float
) -> list[LabelledVerdict]:
    truth = random.random((prompts, 2)) < 0.8
    seen = np.where(truth, random.random((prompts, 2)) < sensitivity, random.random((prompts, 2)) > specificity)
    same = random.random(prompts) < 0.5
    truth[same, 1], seen[same, 1] = truth[same, 0], seen[same, 0]
    verdicts = {i: (bool(seen[i, 0]), bool(seen[i, 1])) for i in range(prompts)}
    sample = labelled_subsample(verdicts, per_arm=100, least=80, seed=seed)
    arms: tuple[RunArm, RunArm] = ("candidate", "incumbent")
    return [
        LabelledVerdict(arm, f"p{i}", bool(truth[i, k]), bool(seen[i, k]), sample.probability[i])
        for i in sorted(sample.chosen)
        for k, arm in enumerate(arms)
    ]
