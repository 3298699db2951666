import math

import numpy as np
import pytest
from scipy import stats

from evalharness.statistics import log_ratio_interval, ratio_of_sums_interval
from golden_sets.errors import InputError


def test_unpaired_limit_is_the_textbook_delta_method() -> None:
    rng = np.random.default_rng(1)
    cost, done = rng.exponential(size=400), (rng.random(400) < 0.7).astype(float)
    interval = ratio_of_sums_interval(cost, done)
    ratio = cost.sum() / done.sum()
    # Cochran (1977), equation 6.13: variance of a ratio from the residuals cost - ratio * done.
    error = math.sqrt(np.sum((cost - ratio * done) ** 2) * 400 / 399) / done.sum() / ratio
    half = stats.t.ppf(0.975, 399) * error
    assert interval.value == pytest.approx(ratio)
    assert interval.low == pytest.approx(ratio * math.exp(-half))
    assert interval.high == pytest.approx(ratio * math.exp(half))


def test_pairing_removes_what_both_arms_share() -> None:
    rng = np.random.default_rng(2)
    base = np.exp(rng.normal(0, 1.5, 300))
    ones = np.ones(300)
    paired = log_ratio_interval(base * 1.2 * np.exp(rng.normal(0, 0.05, 300)), ones, base, ones)
    shuffled = log_ratio_interval(rng.permutation(base) * 1.2, ones, base, ones)
    assert paired.value == pytest.approx(1.2, rel=0.02)
    for interval in (paired, shuffled):
        assert interval.low is not None
        assert interval.high is not None
    assert paired.high is not None
    assert paired.low is not None
    assert shuffled.high is not None
    assert shuffled.low is not None
    assert paired.high / paired.low < 1.05 < shuffled.high / shuffled.low


def test_exchanging_the_arms_inverts_the_interval() -> None:
    rng = np.random.default_rng(3)
    a, b = rng.exponential(size=(2, 100))
    x, y = (rng.random((2, 100)) < 0.8).astype(float)
    here, there = log_ratio_interval(a, x, b, y), log_ratio_interval(b, y, a, x)
    assert here.low is not None
    assert there.high is not None
    assert here.low == pytest.approx(1 / there.high)


def test_identical_arms_have_ratio_one_and_a_width() -> None:
    cost, done = np.full(200, 0.003), np.ones(200)
    interval = log_ratio_interval(cost, done, cost, done)
    assert interval.value == pytest.approx(1.0)
    assert interval.low is not None
    assert interval.high is not None
    assert 0.98 < interval.low < 1 < interval.high < 1.02


def test_copies_within_a_cluster_do_not_narrow() -> None:
    rng = np.random.default_rng(4)
    cost, done = rng.exponential(size=60), (rng.random(60) < 0.8).astype(float)
    single = ratio_of_sums_interval(cost, done)
    copied = ratio_of_sums_interval(np.repeat(cost, 5), np.repeat(done, 5), clusters=np.repeat(np.arange(60), 5))
    assert copied.low == pytest.approx(single.low)
    assert copied.clusters == 60


def test_no_success_and_few_successes_claim_nothing() -> None:
    none = ratio_of_sums_interval([1.0, 2.0], [0.0, 0.0])
    assert (none.value, none.low, none.high) == (None, None, None)
    few = ratio_of_sums_interval([1.0] * 20, [1.0] * 4 + [0.0] * 16)
    assert (few.value, few.low, few.high) == (5.0, None, None)
    assert few.note is not None
    assert "only 4" in few.note


def test_bad_input_is_refused() -> None:
    with pytest.raises(InputError, match="expected 2"):
        ratio_of_sums_interval([1.0, 2.0], [1.0])
    with pytest.raises(InputError, match="numerators"):
        ratio_of_sums_interval([-1.0, 2.0], [1.0, 1.0])
    with pytest.raises(InputError, match="NaN"):
        log_ratio_interval([1.0], [1.0], [math.nan], [1.0])
