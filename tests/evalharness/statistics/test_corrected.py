import math

import numpy as np
import pytest

from evalharness.statistics import corrected_rate_interval, violation_lower, violation_upper, youden_lower
from golden_sets.errors import InputError


def test_estimate_is_rogan_and_gladen() -> None:
    interval = corrected_rate_interval(700, 1000, 90, 100, 80, 100)
    assert interval.value == pytest.approx((0.7 + 0.8 - 1) / 0.7)


def test_bounds_are_lang_and_reiczigel() -> None:
    """The formula of Lang and Reiczigel (2014), written out for one example in plain numbers."""
    z = 1.959963984540054
    interval = corrected_rate_interval(60, 200, 45, 50, 95, 100)
    p, se, sp = (60 + z * z / 2) / (200 + z * z), 46 / 52, 96 / 102
    j = se + sp - 1
    prevalence = (p + sp - 1) / j
    v_se, v_sp = se * (1 - se) / 52, sp * (1 - sp) / 102
    sd = math.sqrt(p * (1 - p) / (200 + z * z) + (1 - prevalence) ** 2 * v_sp + prevalence**2 * v_se) / j
    shift = 2 * z * z * (prevalence * v_se - (1 - prevalence) * v_sp) / j
    assert interval.low == pytest.approx(prevalence + shift - z * sd)
    assert interval.high == pytest.approx(prevalence + shift + z * sd)


def test_variances_of_sample_and_calibration_add() -> None:
    def width(n: int, labels: int) -> float:
        interval = corrected_rate_interval(0.7 * n, n, 0.9 * labels, labels, 0.9 * labels, labels)
        assert interval.low is not None
        assert interval.high is not None
        return interval.high - interval.low

    many = 10**7
    assert width(1000, 100) > max(width(many, 100), width(1000, many))
    assert width(1000, 100) ** 2 == pytest.approx(width(many, 100) ** 2 + width(1000, many) ** 2, rel=0.05)


def test_a_judge_that_is_not_better_than_chance_is_refused() -> None:
    unproved = corrected_rate_interval(700, 1000, 30, 50, 25, 50)
    assert (unproved.value, unproved.low, unproved.high) == (None, None, None)
    assert unproved.note is not None
    assert "labels of each class would be needed" in unproved.note
    hopeless = corrected_rate_interval(700, 1000, 25, 50, 20, 50)
    assert hopeless.note is not None
    assert "no number of labels would help" in hopeless.note


@pytest.mark.parametrize(("passing", "failing"), [(0, 50), (50, 0), (9, 50), (0, 0)])
def test_too_few_labels_are_refused(passing: int, failing: int) -> None:
    interval = corrected_rate_interval(700, 1000, passing, passing, failing, failing)
    assert (interval.value, interval.low, interval.high) == (None, None, None)
    assert interval.note is not None
    assert "too few labels" in interval.note


def test_result_stays_a_rate() -> None:
    top = corrected_rate_interval(1000, 1000, 45, 50, 45, 50)
    assert top.value == 1.0
    assert top.high == 1.0
    bottom = corrected_rate_interval(0, 1000, 45, 50, 45, 50)
    assert bottom.value == 0.0
    assert bottom.low == 0.0


def test_youden_lower_rises_with_labels() -> None:
    few, many = youden_lower(9, 10, 9, 10), youden_lower(900, 1000, 900, 1000)
    assert 0 < few < many < 0.8


@pytest.mark.parametrize("quality", [0.8, 0.95])
def test_coverage_of_the_corrected_rate(quality: float) -> None:
    rng, held, repetitions = np.random.default_rng(8), 0, 1500
    for _ in range(repetitions):
        positives = rng.binomial(500, 0.7 * quality + 0.3 * (1 - quality))
        sens, spec = rng.binomial(100, quality, size=2)
        low = corrected_rate_interval(positives, 500, sens, 100, spec, 100, side="lower").low
        held += low is not None and low <= 0.7
    assert held / repetitions >= 0.95 - 0.02


def test_violations_nobody_saw_are_bounded_through_the_sensitivity() -> None:
    bound = violation_upper(0, 300, 100, 100)
    seen, sensitivity = 1 - 0.025 ** (1 / 300), 0.025 ** (1 / 100)
    assert bound.high == pytest.approx(seen / sensitivity)
    assert bound.value == 0.0
    assert bound.low is None


def test_a_blind_judge_bounds_nothing() -> None:
    bound = violation_upper(0, 300, 0, 20)
    assert bound.high == 1.0
    assert bound.value is None
    assert bound.note is not None


def test_confirmed_violations_alone_support_a_fail() -> None:
    assert violation_lower(0, 300).low == 0.0
    low = violation_lower(12, 300).low
    assert low is not None
    assert 0.02 < low < 0.04


def test_bad_input_is_refused() -> None:
    with pytest.raises(InputError, match="positives = 11 exceeds n = 10"):
        corrected_rate_interval(11, 10, 1, 1, 1, 1)
    with pytest.raises(InputError, match="true_negatives = 3 exceeds negatives_labelled = 2"):
        corrected_rate_interval(1, 10, 1, 1, 3, 2)
    with pytest.raises(InputError, match="sensitivity_n"):
        violation_upper(0, 10, 0, 0)
    with pytest.raises(InputError, match="alpha_split"):
        violation_upper(0, 10, 1, 1, alpha_split=1.0)
    with pytest.raises(InputError, match="confirmed"):
        violation_lower(-1, 10)
