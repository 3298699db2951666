import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from scipy import optimize, stats

from evalharness.statistics import PairedMethod, paired_bound, paired_interval, paired_lower, paired_upper
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
    interval = paired_interval(wins, losses, n, method="tango")
    z = stats.norm.ppf(0.975)
    assert interval.low is not None
    assert interval.high is not None
    assert score_by_likelihood(wins, losses, n, interval.low) == pytest.approx(z, abs=2e-4)
    assert score_by_likelihood(wins, losses, n, interval.high) == pytest.approx(-z, abs=2e-4)


def test_no_discordant_pair_still_has_width() -> None:
    z = stats.norm.ppf(0.95)
    assert low_of(0, 0, 100) == pytest.approx(-(z**2) / (100 + z**2), abs=1e-9)
    both = paired_interval(0, 0, 50, method="tango")
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


@pytest.mark.parametrize(
    ("wins", "losses", "n"), [(-1, 2, 10), (2, -1, 10), (6, 6, 10), (0, 0, 0), (math.nan, 0, 10), (0, 0, math.nan)]
)
def test_bad_counts_are_refused(wins: float, losses: float, n: float) -> None:
    with pytest.raises(InputError):
        paired_interval(wins, losses, n)


def test_exact_method_needs_whole_counts() -> None:
    with pytest.raises(InputError, match="whole counts"):
        paired_interval(1.5, 0, 10, method="exact")


def test_exact_bounds_are_taken_where_few_pairs_lie_outside_the_most_frequent_outcome() -> None:
    assert paired_interval(40, 52, 1000).method == "exact"
    assert paired_interval(3, 290, 300).method == "exact"
    assert paired_interval(0, 0, 10).method == "exact"
    assert paired_interval(400, 520, 10_000).method == "tango"
    assert paired_interval(2, 290, 3000).method == "tango"
    assert paired_interval(4.5, 2, 1000).method == "tango"


def test_arrays_take_the_exact_bound_where_single_calls_do() -> None:
    wins, losses = np.array([3, 3, 400]), np.array([5, 5, 520])
    bounds = paired_bound(wins, losses, [1000, 1000, 10_000], confidence=[0.95, 0.99, 0.95], side="upper")
    singles = [
        paired_interval(3, 5, 1000, side="upper").high,
        paired_interval(3, 5, 1000, confidence=0.99, side="upper").high,
        paired_interval(400, 520, 10_000, side="upper").high,
    ]
    assert bounds.tolist() == singles
    assert bounds[0] != paired_upper(3, 5, 1000, confidence=0.95)
    assert bounds[2] == paired_upper(400, 520, 10_000, confidence=0.95)
