import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from scipy import stats

from evalharness.statistics import quantile_interval, quantile_n_for_bound, quantile_ranks
from golden_sets.errors import InputError


def test_ranks_of_p95_at_200() -> None:
    assert quantile_ranks(200, 0.95, side="upper") == (None, 196)
    assert quantile_ranks(200, 0.95, side="lower") == (185, None)
    values = np.random.default_rng(0).permutation(np.arange(1.0, 201.0))
    assert quantile_interval(values, 0.95, side="upper").high == 196
    assert quantile_interval(values, 0.95, side="lower").low == 185
    assert quantile_interval(values, 0.95).value == 190


def test_smallest_sample_for_an_upper_bound() -> None:
    assert quantile_n_for_bound(0.95, 0.95) == 59
    assert quantile_n_for_bound(0.99, 0.95) == 299
    assert quantile_interval(range(59), 0.95, side="upper").high == 58
    short = quantile_interval(range(58), 0.95, side="upper")
    assert short.high is None
    assert short.note == "n too small for any upper bound: need n >= 59"
    assert quantile_interval(range(298), 0.99, side="upper").high is None
    low = quantile_interval(range(20), 0.05, side="lower")
    assert low.low is None
    assert low.note == "n too small for any lower bound: need n >= 59"


def test_failed_requests_are_infinite() -> None:
    few = quantile_interval([0.2] * 196 + [math.inf] * 4, 0.95)
    assert few.value == 0.2
    many = quantile_interval([0.2] * 150 + [math.inf] * 50, 0.95)
    assert many.low == math.inf
    assert many.value == math.inf


@settings(deadline=None, max_examples=60)
@given(some.integers(1, 500), some.floats(0.01, 0.99), some.sampled_from([0.6, 0.9, 0.95, 0.99]))
def test_ranks_are_the_tightest_that_cover(n: int, q: float, confidence: float) -> None:
    low, _ = quantile_ranks(n, q, confidence=confidence, side="lower")
    _, high = quantile_ranks(n, q, confidence=confidence, side="upper")
    ranks = np.arange(1, n + 1)
    lows = ranks[stats.binom.sf(ranks - 1, n, q) >= confidence]
    highs = ranks[stats.binom.cdf(ranks - 1, n, q) >= confidence]
    assert low == (lows.max() if lows.size else None)
    assert high == (highs.min() if highs.size else None)


def test_bad_input_is_refused() -> None:
    with pytest.raises(InputError, match=r"write p95 as 0\.95"):
        quantile_interval([1.0], 95)
    with pytest.raises(InputError, match="empty"):
        quantile_interval([], 0.5)
    with pytest.raises(InputError, match="NaN"):
        quantile_interval([1.0, math.nan], 0.5)
    with pytest.raises(InputError):
        quantile_interval([1.0, -math.inf], 0.5)
