import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some
from scipy import stats

from evalharness.statistics import (
    holm,
    p_value_by_inversion,
    paired_interval,
    proportion_interval,
    quantile_interval,
)
from golden_sets.errors import InputError


def test_worked_example_steps_down() -> None:
    # Sorted .005, .01, .03, .04 against .0125, .0167, .025, .05: the third stops it.
    assert holm([0.01, 0.04, 0.03, 0.005], 0.05) == [True, False, False, True]
    assert holm([], 0.05) == []


@given(some.lists(some.floats(0, 1), min_size=1, max_size=12))
def test_rejects_exactly_the_adjusted_p_values_within_alpha(p_values: list[float]) -> None:
    """Holm (1979) restated as adjusted p-values: the largest (m - j + 1) p_(j) over all p_(j) not above one's own."""
    ranked = sorted(p_values)
    scaled = [(len(ranked) - j) * p for j, p in enumerate(ranked)]
    adjusted = [max(scaled[: ranked.index(p) + 1]) for p in p_values]
    clear = [a for a in adjusted if abs(a - 0.05) > 1e-12]
    if len(clear) == len(adjusted):
        assert holm(p_values, 0.05) == [a <= 0.05 for a in adjusted]


def test_twenty_true_nulls_are_rarely_rejected_together() -> None:
    rng = np.random.default_rng(1)
    families = rng.random((4000, 20))
    family_wise = np.mean([any(holm(row.tolist(), 0.05)) for row in families])
    single = np.mean((families <= 0.05).any(axis=1))
    assert family_wise <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 4000)
    assert single > 0.6


def test_inverting_clopper_pearson_gives_the_binomial_p_value() -> None:
    def lower(confidence: float) -> float | None:
        return proportion_interval(462, 500, confidence=confidence, side="lower", method="clopper-pearson").low

    def upper(confidence: float) -> float | None:
        return proportion_interval(430, 500, confidence=confidence, side="upper", method="clopper-pearson").high

    above = stats.binomtest(462, 500, 0.9, alternative="greater").pvalue
    below = stats.binomtest(430, 500, 0.9, alternative="less").pvalue
    assert p_value_by_inversion(lower, 0.9, above=True) == pytest.approx(above, abs=1e-9)
    assert p_value_by_inversion(upper, 0.9, above=False) == pytest.approx(below, abs=1e-9)


def test_inverting_tango_gives_the_score_p_value_also_above_one_half() -> None:
    def lower(confidence: float) -> float | None:
        return paired_interval(40, 52, 1000, confidence=confidence, side="lower", method="tango").low

    p = p_value_by_inversion(lower, -0.0280727, above=True)
    assert p == pytest.approx(0.05, abs=1e-4)
    # McNemar: z = -12 / sqrt(92).
    assert p_value_by_inversion(lower, 0.0, above=True) == pytest.approx(stats.norm.sf(-12 / math.sqrt(92)), abs=1e-6)


def test_a_bound_that_jumps_gives_the_alpha_of_its_jump() -> None:
    """Order statistics: the lower bound of the median of 30 values passes the ninth at P(Bin(30, 1/2) >= 10)."""
    values = np.arange(1.0, 31.0)
    asked = []

    def lower(confidence: float) -> float | None:
        asked.append(confidence)
        return quantile_interval(values, 0.5, confidence=confidence, side="lower").low

    expected = stats.binom.cdf(9, 30, 0.5)
    assert p_value_by_inversion(lower, 9.5, above=True) == pytest.approx(expected, rel=1e-6)
    assert p_value_by_inversion(lower, 9.5, above=True) >= expected
    assert len(asked) < 80


@pytest.mark.parametrize("limit", [0.70, 0.85, 0.90, 0.95])
def test_the_p_value_is_just_enough_and_found_with_few_questions(limit: float) -> None:
    asked = []

    def lower(confidence: float) -> float | None:
        asked.append(confidence)
        return proportion_interval(930, 1000, confidence=confidence, side="lower", method="clopper-pearson").low

    p = p_value_by_inversion(lower, limit, above=True)
    questions = len(asked)
    bounds = [lower(1 - p), lower(1 - p * (1 - 2e-6))]
    assert bounds[0] is not None
    assert bounds[1] is not None
    assert p == 1e-12 or bounds[1] <= limit < bounds[0] + 1e-12
    assert questions <= 20


def test_no_bound_means_no_evidence() -> None:
    assert p_value_by_inversion(lambda _: None, 0.5, above=True) == 1.0
    assert p_value_by_inversion(lambda _: 0.9, 0.5, above=True) == 1e-12


def test_bad_input_is_refused() -> None:
    with pytest.raises(InputError):
        holm([0.5, math.nan], 0.05)
    with pytest.raises(InputError):
        holm([0.5], 0.0)
    with pytest.raises(InputError):
        p_value_by_inversion(lambda _: None, math.nan, above=True)
