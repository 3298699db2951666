"""RouteLLM's metrics: equal to its published computation where that is defined, and defined where it is not."""

from __future__ import annotations

import csv

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from golden_sets.errors import InputError
from router_training.frontier import Ranking, apgr, apgr_fixed, cpt, decile_thresholds
from router_training.resampling import Resamples, percentile_interval
from tests.support.shared_data import DATA, needs_data

Floats = npt.NDArray[np.float64]


def routellm(scores: Floats, small: Floats, flagship: Floats) -> tuple[float, list[float]]:
    """Its definitions, written down anew: deciles of the scores, trapezoid, interpolation."""
    _, thresholds = pd.qcut(pd.Series(scores), 10, retbins=True)
    chosen = [scores >= t for t in thresholds[:-1]] + [scores > thresholds[-1]]
    shares = np.array([c.mean() for c in chosen])[::-1]
    quality = np.array([np.where(c, flagship, small).mean() for c in chosen])[::-1]
    low, high = small.mean(), flagship.mean()
    middles = (quality[1:] + quality[:-1]) / 2
    area = ((middles - low) * np.diff(shares)).sum() / (high - low)
    return area, [float(np.interp(low + level * (high - low), quality, shares)) for level in (0.5, 0.8)]


def drawn(scores: npt.ArrayLike, delta: Floats, resamples: Resamples) -> Floats:
    """APGR on every resample."""
    ranking = Ranking(scores, delta)
    return np.concatenate([ranking.deciles(times).apgr for times in resamples.chunks()])


def scored(seed: int, n: int = 400, signal: float = 1.0) -> tuple[Floats, Floats, Floats]:
    rng = np.random.default_rng(seed)
    small, flagship = (rng.random(n) < 0.6).astype(float), (rng.random(n) < 0.85).astype(float)
    return signal * (flagship - small) + rng.normal(size=n), small, flagship


@given(st.integers(0, 10_000), st.integers(30, 200))
def test_equals_the_published_computation(seed: int, n: int) -> None:
    # Where a decile falls on a prompt exactly, its computation leaves to rounding whether that prompt is in.
    assume((n - 1) % 5 != 0)
    scores, small, flagship = scored(seed, n, signal=3.0)
    if flagship.mean() <= small.mean():
        assert apgr(scores, flagship - small) is None
        return
    area, shares = routellm(scores, small, flagship)
    found = Ranking(scores, flagship - small).deciles()
    assert apgr(scores, flagship - small) == pytest.approx(area, abs=1e-12)
    if (np.diff(found.recovered) > 0).all():
        assert [cpt(scores, flagship - small, level) for level in (0.5, 0.8)] == pytest.approx(shares, abs=1e-12)


def test_a_constant_score_is_random_routing_exactly() -> None:
    _, small, flagship = scored(1)
    constant, delta = np.zeros(small.size), flagship - small
    assert apgr(constant, delta) == pytest.approx(0.5, abs=1e-15)
    assert cpt(constant, delta, 0.5) == pytest.approx(0.5)
    assert cpt(constant, delta, 0.8) == pytest.approx(0.8)


@given(st.integers(0, 1000))
def test_only_the_order_counts(seed: int) -> None:
    scores, small, flagship = scored(seed)
    delta = flagship - small
    assert apgr(np.exp(scores / 2) + 7, delta) == apgr(scores, delta)


def test_prompts_of_one_score_are_never_torn_apart() -> None:
    scores, small, flagship = scored(3)
    rough, delta = np.round(scores), flagship - small
    order = np.random.default_rng(0).permutation(rough.size)
    assert apgr(rough, delta) == pytest.approx(apgr(rough[order], delta[order]))
    levels = np.array([(rough >= value).mean() for value in np.unique(rough)] + [0.0])
    for share in Ranking(rough, delta).deciles().shares:
        assert np.abs(levels - share).min() < 1e-12


def test_cpt_takes_the_first_crossing_of_a_frontier_that_falls_again() -> None:
    delta = np.array([1.0] * 30 + [-1.0] * 20 + [1.0] * 20 + [0.0] * 30)
    # Recovered: 1 after 30 %, then down to a third, then 1 again.
    assert cpt(np.arange(100)[::-1], delta, 0.5) == pytest.approx(0.15)
    assert cpt(np.arange(100)[::-1], delta, 1.0) == pytest.approx(0.3)


def test_a_finer_grid_cuts_less_off_a_curved_frontier() -> None:
    scores, small, flagship = scored(5, 5000, signal=3.0)
    fine, coarse = (apgr(scores, flagship - small, points=points) for points in (100, 10))
    assert fine is not None
    assert coarse is not None
    assert coarse < fine < coarse + 0.01


def test_without_a_gap_nothing_is_recovered_and_nothing_is_nan() -> None:
    scores, small, _ = scored(2)
    assert apgr(scores, np.zeros(400)) is None
    assert cpt(scores, -small, 0.5) is None
    assert apgr_fixed(scores, np.zeros(400), scores) is None


def test_where_some_resamples_have_no_gap_there_are_no_bounds() -> None:
    scores, delta = np.arange(6.0), np.array([1.0, -1.0, 1.0, -1.0, 1.0, 0.0])
    draws = drawn(scores, delta, Resamples(np.arange(6), draws=100))
    interval = percentile_interval(apgr(scores, delta), draws, np.arange(6))
    assert (interval.low, interval.high) == (None, None)
    assert "undefined in" in (interval.note or "")


def test_thresholds_fixed_beforehand_are_held_whatever_share_they_give() -> None:
    scores, small, flagship = scored(4, 5000)
    delta = flagship - small
    own = apgr(scores, delta)
    assert own is not None
    assert apgr_fixed(scores, delta, scores) == pytest.approx(own, abs=0.002)
    assert apgr_fixed(scores, delta, np.full(100, 50.0)) == pytest.approx(0.5), "all thresholds out of reach"
    shares = Ranking(scores, delta).fixed(decile_thresholds(scores + 1)).shares
    assert shares[0] == 0.0
    assert shares[-1] == 1.0
    assert 0 < shares[5] < 0.3, "the scores of the test lie lower: fewer calls at each threshold"


@given(st.integers(0, 500))
def test_a_resample_counts_prompts_as_often_as_they_were_drawn(seed: int) -> None:
    scores, small, flagship = scored(seed, 60)
    rough, delta = np.round(scores, 1), flagship - small
    times = np.random.default_rng(seed).integers(0, 4, 60)
    if (times * delta).sum() <= 0:
        return
    rows = np.repeat(np.arange(60), times)
    ranking, drawn = Ranking(rough, delta), Ranking(rough[rows], delta[rows]).deciles()
    for found in (ranking.deciles(times), ranking.deciles(np.stack([times, times]))):
        assert np.ravel(found.apgr)[0] == pytest.approx(float(drawn.apgr))
        assert np.ravel(found.cpt(0.5))[0] == pytest.approx(float(drawn.cpt(0.5)))


def test_intervals_cover_and_differences_of_routers_are_paired() -> None:
    covered, width, independent = 0, [], []
    truth = apgr(*_against(scored(10**6, 400_000)))
    for seed in range(100):
        scores, delta = _against(scored(seed))
        resamples = Resamples(np.arange(400), draws=200, seed=seed)
        first = drawn(scores, delta, resamples)
        interval = percentile_interval(apgr(scores, delta), first, resamples.groups)
        assert interval.low is not None
        assert interval.high is not None
        assert truth is not None
        covered += interval.low <= truth <= interval.high
        noisy = scores + np.random.default_rng(seed).normal(size=400) * 0.1
        second = drawn(noisy, delta, resamples)
        width.append(np.std(first - second))
        independent.append(np.hypot(np.std(first), np.std(second)))
    assert 88 <= covered <= 100
    assert np.mean(width) < 0.4 * np.mean(independent)


def _against(sample: tuple[Floats, Floats, Floats]) -> tuple[Floats, Floats]:
    scores, small, flagship = sample
    return scores, flagship - small


@pytest.mark.parametrize(
    ("scores", "delta"), [([], []), ([1.0], [1.0, 0.0]), ([np.nan, 1.0], [0.0, 1.0]), ([1.0, 2.0], [np.inf, 0.0])]
)
def test_bad_numbers_are_refused(scores: list[float], delta: list[float]) -> None:
    with pytest.raises(InputError):
        apgr(scores, delta)
    with pytest.raises(InputError):
        cpt([1.0, 2.0], [1.0, 0.0], 50)


@needs_data
@pytest.mark.shared_data
def test_length_alone_scores_as_published() -> None:
    with (DATA / "routing_mmlu.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    delta = np.array(
        [float(r["flagship_correct"] in ("1", "True")) - float(r["small_correct"] in ("1", "True")) for r in rows]
    )
    characters = np.array([len(r["prompt"]) for r in rows])
    assert apgr(characters, delta, points=100) == pytest.approx(0.586, abs=0.0006)
    draws = drawn(characters, delta, Resamples(np.arange(len(rows)), draws=200))
    assert np.std(draws) == pytest.approx(0.010, abs=0.002)
