import math

import numpy as np
import pytest
from scipy import stats

from evalharness.statistics import (
    Side,
    clustered_mean_interval,
    clustered_paired_interval,
    clustered_paired_p_value,
    clustered_proportion_interval,
    effective_sample_size,
    paired_interval,
    paired_p_value,
    proportion_interval,
)
from golden_sets.errors import InputError


def test_independent_outcomes_give_the_plain_intervals() -> None:
    outcomes = [1.0] * 45 + [0.0] * 5
    assert clustered_proportion_interval(outcomes, range(50)) == proportion_interval(45, 50, method="clopper-pearson")
    differences = [1.0] * 4 + [-1.0] * 6 + [0.0] * 90
    assert clustered_paired_interval(differences, range(100)) == paired_interval(4, 6, 100)
    assert clustered_paired_interval(differences) == paired_interval(4, 6, 100)


def test_copies_of_one_answer_count_once() -> None:
    rng = np.random.default_rng(1)
    once = (rng.random(100) < 0.6).astype(float)
    copied = clustered_proportion_interval(np.repeat(once, 7), np.repeat(np.arange(100), 7))
    single = proportion_interval(float(once.sum()), 100, method="clopper-pearson")
    assert copied.low is not None
    assert copied.high is not None
    assert single.low is not None
    assert single.high is not None
    width, plain = copied.high - copied.low, single.high - single.low
    # The t-adjustment and C / (C - 1) make it a little wider, never narrower.
    assert plain <= width <= 1.1 * plain
    assert copied.clusters == 100
    assert copied.n == 700


def test_effective_size_lies_between_clusters_and_observations() -> None:
    rng = np.random.default_rng(2)
    codes = np.repeat(np.arange(200), 5)
    rates = rng.beta(2, 2, 200)
    outcomes = (rng.random(1000) < rates[codes]).astype(float)
    # ICC of Beta(2, 2) is 1 / (2 + 2 + 1): DEFF 1 + 4 / 5.
    assert effective_sample_size(outcomes, codes) == pytest.approx(1000 / 1.8, rel=0.15)
    assert effective_sample_size(outcomes) == 1000
    assert effective_sample_size(np.repeat(outcomes[:100], 2), np.repeat(np.arange(100), 2)) <= 101


@pytest.mark.parametrize("events", [0, 1, 10])
def test_few_events_count_clusters_and_say_so(events: int) -> None:
    outcomes = np.zeros(300)
    outcomes[: 3 * events : 3] = 1
    interval = clustered_proportion_interval(outcomes, np.repeat(np.arange(100), 3), side="upper")
    assert interval.note is not None
    assert "100.0 independent units" in interval.note
    expected = stats.beta.ppf(0.95, events / 3 + 1, 100 - events / 3)
    assert interval.high == pytest.approx(expected, abs=1e-9)


def test_unequal_clusters_count_kish_effective_units() -> None:
    codes = np.array([0] * 16 + [1, 2, 3, 4])
    interval = clustered_proportion_interval(np.zeros(20), codes, side="upper")
    assert interval.note is not None
    assert f"{400 / 260:.1f} independent units" in interval.note


@pytest.mark.parametrize("clusters", [1, 2, 5])
def test_a_handful_of_clusters_never_gives_zero_width(clusters: int) -> None:
    codes = np.arange(60) % clusters
    proportion = clustered_proportion_interval(np.ones(60), codes)
    assert proportion.low is not None
    assert proportion.low <= 0.05 ** (1 / clusters)
    paired = clustered_paired_interval(np.zeros(60), codes)
    assert paired.low is not None
    assert paired.high is not None
    assert paired.high - paired.low > 0.5


def test_mean_matches_cluster_robust_regression() -> None:
    statsmodels = pytest.importorskip("statsmodels.api")
    rng = np.random.default_rng(3)
    codes = rng.integers(0, 30, 200)
    values = rng.normal(size=200) + rng.normal(size=30)[codes]
    clusters = len(set(codes.tolist()))
    fit = statsmodels.OLS(values, np.ones(200)).fit(cov_type="cluster", cov_kwds={"groups": codes})
    interval = clustered_mean_interval(values, codes)
    # statsmodels multiplies C / (C - 1) by (n - 1) / (n - k), which is 1 here.
    half = stats.t.ppf(0.975, clusters - 1) * fit.bse[0]
    assert interval.low == pytest.approx(fit.params[0] - half)
    assert interval.high == pytest.approx(fit.params[0] + half)


def test_no_bound_from_one_cluster_or_from_equal_values() -> None:
    one = clustered_mean_interval([1.0, 2.0, 3.0], [7, 7, 7])
    assert (one.value, one.low, one.high) == (2.0, None, None)
    equal = clustered_mean_interval([0.1, 0.1, 0.1])
    assert (equal.low, equal.high) == (None, None)
    assert equal.note is not None


def test_averaged_repeats_keep_their_precision() -> None:
    """Differences averaged over repeats are worth more than one pair each."""
    rng = np.random.default_rng(4)
    fine = rng.choice([-0.125, 0.0, 0.125], size=400)
    coarse = paired_interval(100, 100, 400)
    interval = clustered_paired_interval(fine)
    assert interval.low is not None
    assert coarse.low is not None
    t_half = stats.t.ppf(0.975, 399) * fine.std(ddof=1) / 20
    assert interval.low == pytest.approx(float(fine.mean()) - t_half, abs=0.004)
    assert interval.low > coarse.low


def test_copies_of_few_pairs_take_the_exact_bound_of_their_clusters() -> None:
    once = [1.0] * 2 + [-1.0] * 5 + [0.0] * 193
    copied, codes = np.repeat(once, 5), np.repeat(np.arange(200), 5)
    single = paired_interval(2, 5, 200)
    interval = clustered_paired_interval(copied, codes)
    assert (interval.method, single.method) == ("exact-clustered", "exact")
    assert interval.low == pytest.approx(single.low)
    assert interval.high == pytest.approx(single.high)
    p = clustered_paired_p_value(copied, codes, difference=-0.05, above=True)
    assert p == pytest.approx(paired_p_value(2, 5, 200, -0.05, above=True))


@pytest.mark.parametrize("above", [True, False])
@pytest.mark.parametrize("share", [0.1, 0.4])
def test_p_values_of_clustered_pairs_are_where_their_bound_meets_the_limit(share: float, *, above: bool) -> None:
    """Where the design effect is estimated the size depends on the confidence: found by inversion."""
    rng = np.random.default_rng(6)
    codes = np.repeat(np.arange(150), 4)
    sign = np.where(rng.random(150) < 0.6, 1.0, -1.0)[codes]
    differences = sign * (rng.random(600) < share)
    limit = 0.0 if above else 0.1
    p = clustered_paired_p_value(differences, codes, difference=limit, above=above)
    side: Side = "lower" if above else "upper"
    for factor, clears in ((1.01, True), (0.99, False)):
        found = clustered_paired_interval(differences, codes, confidence=1 - p * factor, side=side)
        edge = found.low if above else found.high
        assert edge is not None
        assert (edge > limit if above else edge < limit) == clears


def test_bad_input_is_refused() -> None:
    with pytest.raises(InputError, match=r"\[0, 1\]"):
        clustered_proportion_interval([0.5, 1.5], [0, 1])
    with pytest.raises(InputError, match="one code for each"):
        clustered_proportion_interval([0.5, 1.0], [0])
    with pytest.raises(InputError, match="NaN at position 1"):
        clustered_mean_interval([0.5, math.nan])
    with pytest.raises(InputError, match="empty"):
        clustered_paired_interval([])
    with pytest.raises(InputError, match="clusters holds NaN"):
        clustered_mean_interval([0.5, 1.0], [0.0, math.nan])


@pytest.mark.slow
@pytest.mark.parametrize(("icc", "rate"), [(0.1, 0.8), (0.5, 0.5), (0.5, 0.02), (0.1, 0.995)])
def test_coverage_with_alike_answers_within_a_cluster(icc: float, rate: float) -> None:
    rng = np.random.default_rng(5)
    codes, scale = np.repeat(np.arange(80), 5), (1 - icc) / icc
    repetitions, low_held, high_held = 1000, 0, 0
    for _ in range(repetitions):
        rates = rng.beta(rate * scale, (1 - rate) * scale, 80)
        outcomes = (rng.random(400) < rates[codes]).astype(float)
        interval = clustered_proportion_interval(outcomes, codes, confidence=0.9)
        assert interval.low is not None
        assert interval.high is not None
        low_held += interval.low <= rate
        high_held += interval.high >= rate
    # Nominal .95 for each bound; four Monte-Carlo standard errors are .028.
    assert min(low_held, high_held) / repetitions >= 0.922


def test_weights_undo_unequal_sampling_of_outcomes() -> None:
    """Hard prompts drawn eight times as often: the weighted interval covers the rate of all, at its level."""
    rng, covered = np.random.default_rng(21), 0
    hard = np.arange(5000) < 1000
    truth = (rng.random(5000) < np.where(hard, 0.5, 0.9)).astype(float)
    chance = np.where(hard, 0.16, 0.02)
    values = []
    for _ in range(400):
        drawn = rng.random(5000) < chance
        found = clustered_proportion_interval(truth[drawn], weights=1 / chance[drawn])
        assert found.value is not None
        assert found.low is not None
        assert found.high is not None
        covered += found.low <= truth.mean() <= found.high
        values.append(found.value)
    assert np.mean(values) == pytest.approx(truth.mean(), abs=0.005)
    assert covered >= 0.94 * 400


def test_equal_weights_change_nothing() -> None:
    outcomes, clusters = np.r_[np.ones(60), np.zeros(40)], np.arange(100) // 2
    plain = clustered_proportion_interval(outcomes, clusters)
    assert clustered_proportion_interval(outcomes, clusters, weights=np.full(100, 7.0)) == plain


def test_no_error_among_unequal_weights_leaves_room_for_the_heaviest() -> None:
    """Ten heavy labels without an error say as little as ten labels, however many light ones stand beside them."""
    weights = np.r_[np.full(10, 50.0), np.ones(90)]
    found = clustered_proportion_interval(np.ones(100), weights=weights, side="lower")
    heavy = proportion_interval(10, 10, side="lower", method="clopper-pearson").low
    many = proportion_interval(100, 100, side="lower", method="clopper-pearson").low
    assert found.low is not None
    assert heavy is not None
    assert many is not None
    assert heavy < found.low < heavy + 0.06 < many
    assert found.note is not None
    assert "thinned" in found.note


def test_bad_weights_are_refused() -> None:
    with pytest.raises(InputError, match="weights must be above 0"):
        clustered_proportion_interval([1.0, 0.0], weights=[1.0, 0.0])
    with pytest.raises(InputError, match="expected 2"):
        clustered_proportion_interval([1.0, 0.0], weights=[1.0])
