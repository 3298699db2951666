import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from scipy import optimize, stats

from evalharness.statistics import PairedMethod, paired_interval, paired_lower, paired_upper
from golden_sets.errors import InputError


def low_of(wins: int, losses: int, n: int, confidence: float = 0.95, method: PairedMethod = "tango") -> float:
    low = paired_interval(wins, losses, n, confidence=confidence, side="lower", method=method).low
    assert low is not None
    return low


def score_by_likelihood(wins: int, losses: int, n: int, difference: float) -> float:
    """Tango's statistic with the nuisance parameter found by maximising the multinomial likelihood numerically."""

    def loss(q: float) -> float:
        cells = ((wins, q + difference), (losses, q), (n - wins - losses, 1 - 2 * q - difference))
        return -sum(count * math.log(max(p, 1e-300)) for count, p in cells if count)

    q = optimize.minimize_scalar(
        loss, bounds=(max(0.0, -difference), (1 - difference) / 2), method="bounded", options={"xatol": 1e-13}
    ).x
    return (wins - losses - n * difference) / math.sqrt(n * (2 * q + difference - difference**2))


def test_forty_wins_and_fifty_two_losses_of_a_thousand() -> None:
    assert round(100 * low_of(40, 52, 1000), 2) == -2.81


@pytest.mark.parametrize(("wins", "losses", "n"), [(40, 52, 1000), (3, 9, 60), (12, 2, 50), (0, 5, 80), (7, 0, 100)])
def test_bounds_are_where_the_maximum_likelihood_score_crosses(wins: int, losses: int, n: int) -> None:
    interval = paired_interval(wins, losses, n)
    z = stats.norm.ppf(0.975)
    assert interval.low is not None
    assert interval.high is not None
    assert score_by_likelihood(wins, losses, n, interval.low) == pytest.approx(z, abs=2e-4)
    assert score_by_likelihood(wins, losses, n, interval.high) == pytest.approx(-z, abs=2e-4)


def test_no_discordant_pair_still_has_width() -> None:
    z = stats.norm.ppf(0.95)
    assert low_of(0, 0, 100) == pytest.approx(-(z**2) / (100 + z**2), abs=1e-9)
    both = paired_interval(0, 0, 50)
    assert both.low is not None
    assert both.high is not None
    assert both.low == pytest.approx(-both.high)
    assert both.high > 0.05


def test_all_losses_and_all_wins_reach_the_ends() -> None:
    assert low_of(0, 50, 50) == -1.0
    assert paired_interval(50, 0, 50, side="upper").high == 1.0
    assert 0.88 < low_of(50, 0, 50) < 1


tables = some.integers(1, 300).flatmap(
    lambda n: some.integers(0, n).flatmap(lambda b: some.tuples(some.just(b), some.integers(0, n - b), some.just(n)))
)


@settings(deadline=None, max_examples=60)
@given(tables, some.sampled_from([0.6, 0.9, 0.95, 0.999]))
def test_interval_contains_the_estimate_and_mirrors_when_arms_are_exchanged(
    table: tuple[int, int, int], confidence: float
) -> None:
    wins, losses, n = table
    here = paired_interval(wins, losses, n, confidence=confidence)
    there = paired_interval(losses, wins, n, confidence=confidence)
    assert here.low is not None
    assert here.high is not None
    assert there.low is not None
    assert -1 <= here.low <= (wins - losses) / n <= here.high <= 1
    assert here.high - here.low > 1e-6
    assert here.high == pytest.approx(-there.low, abs=1e-9)


@settings(deadline=None, max_examples=60)
@given(tables)
def test_turning_a_loss_into_a_tie_or_a_tie_into_a_win_never_lowers_the_bound(table: tuple[int, int, int]) -> None:
    wins, losses, n = table
    base = float(paired_lower(wins, losses, n, confidence=0.95))
    if losses:
        assert float(paired_lower(wins, losses - 1, n, confidence=0.95)) >= base - 1e-9
    if wins + losses < n:
        assert float(paired_lower(wins + 1, losses, n, confidence=0.95)) >= base - 1e-9


def test_arrays_agree_with_single_calls() -> None:
    wins, losses = np.array([0, 4, 10]), np.array([3, 4, 0])
    assert paired_lower(wins, losses, 60, confidence=0.95).tolist() == [
        low_of(int(b), int(c), 60) for b, c in zip(wins, losses, strict=True)
    ]
    assert np.allclose(
        paired_upper(wins, losses, 60, confidence=0.95), -paired_lower(losses, wins, 60, confidence=0.95)
    )


def error_of_losses_only(n: int, loss_rate: float, method: PairedMethod) -> float:
    """Chance that the lower bound exceeds the true difference -loss_rate, over all counts of losses."""
    counts = range(n + 1)
    chances = stats.binom.pmf(counts, n, loss_rate)
    return float(
        sum(p for k, p in zip(counts, chances, strict=True) if p > 1e-6 and low_of(0, k, n, method=method) > -loss_rate)
    )


def test_exact_method_keeps_its_error_where_the_score_bound_does_not() -> None:
    # No loss in 40 happens in .935^40 = 6.8 % of samples, and the score bound is then -6.3 points.
    assert error_of_losses_only(40, 0.065, "tango") > 0.06
    assert error_of_losses_only(40, 0.065, "exact") <= 0.05


def test_exact_method_equals_clopper_pearson_without_wins() -> None:
    assert low_of(0, 0, 100, method="exact") == pytest.approx(-(1 - 0.05 ** (1 / 100)), abs=1e-4)
    assert low_of(40, 52, 1000, method="exact") == pytest.approx(-0.0281, abs=2e-4)


@settings(max_examples=15, deadline=None)
@given(some.integers(0, 12), some.integers(0, 12))
def test_exact_bound_contains_the_estimate(wins: int, losses: int) -> None:
    assert -1 <= low_of(wins, losses, 60, method="exact") <= (wins - losses) / 60


@pytest.mark.parametrize(
    ("wins", "losses", "n"), [(-1, 2, 10), (2, -1, 10), (6, 6, 10), (0, 0, 0), (math.nan, 0, 10), (0, 0, math.nan)]
)
def test_bad_counts_are_refused(wins: float, losses: float, n: float) -> None:
    with pytest.raises(InputError):
        paired_interval(wins, losses, n)


def test_exact_method_needs_whole_counts() -> None:
    with pytest.raises(InputError, match="whole counts"):
        paired_interval(1.5, 0, 10, method="exact")
