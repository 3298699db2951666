import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from scipy import optimize, stats

from evalharness.statistics import ProportionMethod, proportion_interval, proportion_lower, proportion_upper
from golden_sets.errors import InputError

METHODS: tuple[ProportionMethod, ...] = ("wilson", "clopper-pearson", "jeffreys")


def high_of(successes: int, n: int, *, confidence: float = 0.95) -> float:
    high = proportion_interval(successes, n, confidence=confidence, side="upper", method="clopper-pearson").high
    assert high is not None
    return high


def low_of(successes: int, n: int, *, confidence: float = 0.95) -> float:
    low = proportion_interval(successes, n, confidence=confidence, side="lower", method="clopper-pearson").low
    assert low is not None
    return low


def test_nothing_seen_in_300_bounds_the_rate_below_one_percent() -> None:
    assert high_of(0, 300) == pytest.approx(1 - 0.05 ** (1 / 300), abs=1e-12)
    assert f"{100 * high_of(0, 300):.3f}" == "0.994"
    assert high_of(0, 299) < 0.01
    assert high_of(0, 298) > 0.01


def test_floor_of_ninety_percent_at_500() -> None:
    assert low_of(462, 500) >= 0.9
    assert low_of(461, 500) < 0.9
    assert high_of(438, 500) < 0.9
    assert high_of(439, 500) >= 0.9


@pytest.mark.parametrize(("successes", "n"), [(3, 20), (19, 20), (50, 200), (462, 500)])
def test_clopper_pearson_is_the_inverted_binomial_tail(successes: int, n: int) -> None:
    lower = optimize.brentq(lambda p: stats.binom.sf(successes - 1, n, p) - 0.05, 1e-9, 1 - 1e-9, xtol=1e-13)
    upper = optimize.brentq(lambda p: stats.binom.cdf(successes, n, p) - 0.05, 1e-9, 1 - 1e-9, xtol=1e-13)
    assert low_of(successes, n) == pytest.approx(lower, abs=1e-9)
    assert high_of(successes, n) == pytest.approx(upper, abs=1e-9)


# Newcombe, Statistics in Medicine 17 (1998) 857, table I: 95 % intervals, methods 3 (score) and 5 (exact).
@pytest.mark.parametrize(
    ("successes", "n", "method", "low", "high"),
    [
        (81, 263, "wilson", 0.2553, 0.3662),
        (15, 148, "wilson", 0.0624, 0.1605),
        (0, 20, "wilson", 0.0, 0.1611),
        (1, 29, "wilson", 0.0061, 0.1718),
        (81, 263, "clopper-pearson", 0.2527, 0.3676),
        (15, 148, "clopper-pearson", 0.0578, 0.1617),
        (0, 20, "clopper-pearson", 0.0, 0.1684),
        (1, 29, "clopper-pearson", 0.0009, 0.1776),
    ],
)
def test_published_examples(successes: int, n: int, method: ProportionMethod, low: float, high: float) -> None:
    interval = proportion_interval(successes, n, method=method)
    assert interval.low == pytest.approx(low, abs=5.1e-5)
    assert interval.high == pytest.approx(high, abs=5.1e-5)


def test_wilson_bounds_solve_the_score_equation() -> None:
    interval = proportion_interval(37, 80, confidence=0.9)
    for bound in (interval.low, interval.high):
        assert bound is not None
        z = (37 / 80 - bound) / math.sqrt(bound * (1 - bound) / 80)
        assert abs(z) == pytest.approx(stats.norm.ppf(0.95), abs=1e-9)


counts = some.integers(1, 400).flatmap(lambda n: some.tuples(some.integers(0, n), some.just(n)))


@settings(deadline=None, max_examples=60)
@given(counts, some.sampled_from(METHODS), some.sampled_from([0.6, 0.9, 0.95, 0.999]))
def test_interval_contains_the_estimate_and_has_width(
    pair: tuple[int, int], method: ProportionMethod, confidence: float
) -> None:
    successes, n = pair
    interval = proportion_interval(successes, n, confidence=confidence, method=method)
    assert interval.low is not None
    assert interval.high is not None
    assert 0 <= interval.low <= successes / n <= interval.high <= 1
    assert interval.high - interval.low > 0


@settings(deadline=None, max_examples=60)
@given(counts, some.sampled_from(METHODS))
def test_one_sided_bounds_lie_inside_the_two_sided_interval(pair: tuple[int, int], method: ProportionMethod) -> None:
    both = proportion_interval(*pair, method=method)
    lower = proportion_interval(*pair, side="lower", method=method)
    upper = proportion_interval(*pair, side="upper", method=method)
    assert lower.high is None
    assert upper.low is None
    assert both.low is not None
    assert both.high is not None
    assert lower.low is not None
    assert upper.high is not None
    assert lower.low >= both.low
    assert upper.high <= both.high


@settings(deadline=None, max_examples=60)
@given(some.integers(2, 300), some.sampled_from(METHODS))
def test_bounds_rise_with_successes_and_mirror_each_other(n: int, method: ProportionMethod) -> None:
    k = np.arange(n + 1)
    low = proportion_lower(k, n, confidence=0.95, method=method)
    high = proportion_upper(k, n, confidence=0.95, method=method)
    assert (np.diff(low) >= 0).all()
    assert (np.diff(high) >= 0).all()
    assert np.allclose(low, 1 - high[::-1], atol=1e-12)


@pytest.mark.parametrize("n", [20, 50, 200, 1000])
def test_clopper_pearson_never_covers_less_than_stated(n: int) -> None:
    k, rates = np.arange(n + 1), np.linspace(0.002, 0.998, 499)
    mass = stats.binom.pmf(k[None, :], n, rates[:, None])
    covered_low = (mass * (proportion_lower(k, n, confidence=0.95) <= rates[:, None])).sum(axis=1)
    covered_high = (mass * (proportion_upper(k, n, confidence=0.95) >= rates[:, None])).sum(axis=1)
    assert covered_low.min() >= 0.95 - 1e-9
    assert covered_high.min() >= 0.95 - 1e-9


@pytest.mark.parametrize(
    ("successes", "n", "confidence"),
    [(-1, 10, 0.95), (11, 10, 0.95), (0, 0, 0.95), (math.nan, 10, 0.95), (1, math.nan, 0.95), (1, 10, 1.0),
     (1, 10, 0.0), (1, 10, 95), (math.inf, 10, 0.95)],
)  # fmt: skip
def test_bad_input_is_refused(successes: float, n: float, confidence: float) -> None:
    with pytest.raises(InputError):
        proportion_interval(successes, n, confidence=confidence)


def test_unknown_method_and_side_are_refused() -> None:
    with pytest.raises(InputError, match="wilson, clopper-pearson or jeffreys"):
        proportion_interval(1, 10, method="normal")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="two-sided, lower or upper"):
        proportion_interval(1, 10, side="larger")  # type: ignore[arg-type]
