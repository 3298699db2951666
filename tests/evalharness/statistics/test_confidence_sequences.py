import math

import numpy as np
import pytest

from evalharness.statistics import (
    MeanSequence,
    SequenceMethod,
    mean_sequence,
    mean_sequence_interval,
    paired_sequence_interval,
    proportion_lower,
)
from golden_sets.errors import InputError


def lower_wealth(values: list[float], mean: float, alpha: float) -> float:
    """Largest log capital of the bet that the true mean exceeds ``mean``, straight from the published formula."""
    log_capital, best, total, squares = 0.0, -math.inf, 0.5, 0.25
    for t, x in enumerate(values, start=1):
        variance = squares / t
        stake = min(math.sqrt(2 * math.log(1 / alpha) / (variance * t * math.log(1 + t))), 0.5 / mean)
        log_capital += math.log(1 + stake * (x - mean))
        best = max(best, log_capital)
        total += x
        squares += (x - total / (t + 1)) ** 2
    return best


def test_lower_bound_is_where_the_gambler_just_fails_to_win() -> None:
    values = (np.random.default_rng(1).random(300) < 0.7).astype(float).tolist()
    low = mean_sequence_interval(values, side="lower").low
    assert low is not None
    assert lower_wealth(values, low, 0.05) >= math.log(20)
    assert lower_wealth(values, low + 0.0021, 0.05) < math.log(20)


def test_bounds_only_tighten_and_end_at_the_interval() -> None:
    values = np.random.default_rng(2).random(400)
    bounds = mean_sequence(values)
    last = mean_sequence_interval(values)
    assert bounds.low is not None
    assert bounds.high is not None
    assert (np.diff(bounds.low) >= 0).all()
    assert (np.diff(bounds.high) <= 0).all()
    assert (bounds.low[-1], bounds.high[-1]) == (last.low, last.high)
    assert last.low is not None
    assert last.high is not None
    assert 0.4 < last.low < 0.5 < last.high < 0.6


def test_fed_one_by_one_it_is_the_same() -> None:
    sequence = MeanSequence(side="upper", low=-1.0, high=1.0)
    differences = [0.0, 1.0, -1.0, 0.0, 0.0] * 40
    assert sequence.bounds() == (None, 1.0)
    for x in differences:
        sequence.update(x)
    assert sequence.interval() == paired_sequence_interval(differences, side="upper")


def test_paired_sequence_mirrors_when_arms_are_exchanged() -> None:
    differences = np.random.default_rng(3).choice([-1.0, 0.0, 1.0], size=500, p=[0.05, 0.8, 0.15])
    here, there = paired_sequence_interval(differences), paired_sequence_interval(-differences)
    assert here.low is not None
    assert there.high is not None
    assert here.low == pytest.approx(-there.high, abs=1e-9)
    assert here.low > 0


def test_scale_of_the_range_does_not_matter() -> None:
    values = np.random.default_rng(4).random(100)
    unit, wide = mean_sequence_interval(values), mean_sequence_interval(10 + 5 * values, low=10.0, high=15.0)
    assert unit.low is not None
    assert wide.low == pytest.approx(10 + 5 * unit.low)


def test_one_sided_is_tighter_than_two_sided() -> None:
    values = np.random.default_rng(5).random(200)
    one, two = mean_sequence_interval(values, side="lower"), mean_sequence_interval(values)
    assert one.low is not None
    assert two.low is not None
    assert one.high is None
    assert one.low >= two.low


@pytest.mark.parametrize("method", ["betting", "empirical-bernstein"])
@pytest.mark.parametrize("rate", [0.1, 0.5])
def test_looking_after_every_observation_keeps_the_error(method: SequenceMethod, rate: float) -> None:
    rng, wrong, repetitions, n = np.random.default_rng(6), 0, 150, 300
    peeking = 0
    counts = np.arange(1, n + 1)
    for _ in range(repetitions):
        outcomes = (rng.random(n) < rate).astype(float)
        bounds = mean_sequence(outcomes, side="lower", method=method)
        assert bounds.low is not None
        wrong += bool((bounds.low > rate).any())
        peeking += bool((proportion_lower(np.cumsum(outcomes), counts, confidence=0.95) > rate).any())
    # At most 5 %, plus three Monte-Carlo standard errors; a fixed-n bound looked at as often fails far more.
    assert wrong / repetitions <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / repetitions)
    assert peeking / repetitions > 0.15


def test_bad_input_is_refused() -> None:
    with pytest.raises(InputError, match="nothing observed"):
        MeanSequence().interval()
    with pytest.raises(InputError, match="outside"):
        MeanSequence().update(1.5)
    with pytest.raises(InputError, match="outside"):
        MeanSequence().update(math.nan)
    with pytest.raises(InputError, match="range"):
        MeanSequence(low=1.0, high=1.0)
    with pytest.raises(InputError, match="unknown method"):
        mean_sequence([0.5], method="hoeffding")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="empty"):
        paired_sequence_interval([])
