"""The exact paired method against brute force, and what it repairs."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as some
from numpy.typing import NDArray
from scipy import stats

from evalharness.statistics import (
    PairedMethod,
    clustered_paired_p_value,
    paired_interval,
    paired_p_value,
    paired_p_values,
    tango_z,
)
from golden_sets.errors import InputError


def low_of(wins: int, losses: int, n: int, confidence: float = 0.95, method: PairedMethod = "exact") -> float:
    low = paired_interval(wins, losses, n, confidence=confidence, side="lower", method=method).low
    assert low is not None
    return low


def tables_of(n: int, most: int) -> tuple[NDArray[np.int_], NDArray[np.int_]]:
    """All counts of wins and losses with at most ``most`` of either."""
    wins, losses = (x.ravel() for x in np.meshgrid(np.arange(most + 1), np.arange(most + 1)))
    kept = wins + losses <= n
    return wins[kept], losses[kept]


def chances(wins: NDArray[np.int_], losses: NDArray[np.int_], n: int, win: float, loss: float) -> NDArray[np.float64]:
    """Multinomial chance of each table."""
    return np.asarray(stats.multinomial.pmf(np.c_[wins, losses, n - wins - losses], n, [win, loss, 1 - win - loss]))


@pytest.mark.parametrize(
    ("wins", "losses", "n", "difference"),
    [(0, 0, 25, -0.1), (2, 3, 25, -0.2), (1, 6, 25, -0.5), (6, 1, 25, 0.05), (9, 9, 25, -0.3), (0, 2, 12, -0.4)],
)
def test_p_value_is_the_worst_chance_of_a_table_as_favourable(
    wins: int, losses: int, n: int, difference: float
) -> None:
    """Against a sum over all tables on a fine grid of the discordances that the data do not rule out."""
    b, c = tables_of(n, n)
    favourable = tango_z(b, c, n, difference) >= tango_z(wins, losses, n, difference) - 1e-9
    rarer = (1 - abs(difference)) / 2 * np.sin(np.linspace(0, np.pi / 2, 1500)) ** 2
    discordance = 2 * rarer + abs(difference)
    seen = wins + losses
    least = stats.beta.ppf(5e-10, seen, n - seen + 1) if seen else 0.0
    rarer = rarer[(discordance >= least) & (discordance <= stats.beta.isf(5e-10, seen + 1, n - seen))]
    worst = max(
        float(chances(b, c, n, r + max(0.0, difference), r + max(0.0, -difference))[favourable].sum()) for r in rarer
    )
    p = paired_p_value(wins, losses, n, difference, above=True, method="exact")
    assert p == pytest.approx(worst, rel=2e-3)
    mirrored = paired_p_value(losses, wins, n, -difference, above=False, method="exact")
    assert mirrored == p


@settings(max_examples=25, deadline=None)
@given(some.integers(0, 40), some.integers(0, 40), some.sampled_from([100, 1000, 20_000]))
@example(4, 5, 100)
@example(7, 14, 127)
@example(15, 4, 20_000)
@example(17, 27, 300)
def test_bound_lies_just_below_the_differences_that_are_not_rejected(wins: int, losses: int, n: int) -> None:
    """Also where the p-value jumps: tables change places in the order as the difference moves."""
    low, estimate = low_of(wins, losses, n), (wins - losses) / n
    assert -1 <= low <= estimate

    def p(difference: float) -> float:
        return paired_p_value(wins, losses, n, max(difference, -1 + 1e-9), above=True, method="exact")

    assert p(low) <= 0.05
    assert max(p(low + share * (estimate - low)) for share in (0.001, 0.002, 0.003)) > 0.05
    assert max(p(low - share * (estimate - low)) for share in np.linspace(0, 0.12, 25)) <= 0.0525


def test_without_discordant_pairs_it_is_clopper_pearson_at_any_size() -> None:
    for n in (100, 10_000, 1_000_000):
        assert low_of(0, 0, n) == pytest.approx(-(1 - 0.05 ** (1 / n)), rel=5e-3)
    assert low_of(40, 52, 1000) == pytest.approx(-0.0281, abs=2e-4)


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


@pytest.mark.parametrize(
    ("n", "alpha", "worst"), [(60, 0.05, 0.052), (250, 0.05, 0.018), (250, 0.01, 0.03), (250, 0.01, 0.036)]
)
def test_error_of_the_automatic_choice(n: int, alpha: float, worst: float) -> None:
    """Every table summed: few discordant pairs, nearly all on one side of the limit."""
    b, c = tables_of(n, 26)
    score_error = error = 0.0
    for difference in (-0.04, worst):
        z = tango_z(b, c, n, difference)
        score = z >= stats.norm.isf(alpha)
        automatic = score.astype(float)
        # Farther from its critical value the score statistic leaves no doubt.
        for i in np.flatnonzero(np.abs(z - stats.norm.isf(alpha)) < 1.2):
            automatic[i] = paired_p_value(int(b[i]), int(c[i]), n, difference, above=True) <= alpha
        for rarer in (0.0, 0.002, 0.01):
            mass = chances(b, c, n, rarer + max(0.0, difference), rarer + max(0.0, -difference))
            score_error, error = max(score_error, float(mass @ score)), max(error, float(mass @ automatic))
    assert error <= alpha
    assert score_error > 1.4 * alpha


def test_p_values_of_differences_are_those_of_their_counts() -> None:
    differences = [1.0] * 4 + [-1.0] * 9 + [0.0] * 187
    p = clustered_paired_p_value(differences, range(200), difference=-0.1, above=True)
    assert p == paired_p_value(4, 9, 200, -0.1, above=True)
    assert p < 0.01 < clustered_paired_p_value(differences, difference=-0.1, above=False)
    # Copies of every prompt tell no more: by inversion of the clustered interval.
    twice = clustered_paired_p_value(differences * 2, list(range(200)) * 2, difference=-0.1, above=True)
    assert 0.5 * p < twice < 10 * p


def test_score_p_values_where_many_pairs_are_discordant() -> None:
    p = paired_p_value(400, 520, 10_000, 0.0, above=False)
    assert p == pytest.approx(stats.norm.sf(120 / np.sqrt(920)))


def test_bad_input_is_refused() -> None:
    with pytest.raises(InputError, match="strictly between -1 and 1"):
        paired_p_value(1, 2, 10, -1.0, above=True)
    with pytest.raises(InputError, match="exceeds n"):
        paired_p_value(6, 6, 10, 0.0, above=True)
    with pytest.raises(InputError, match="unknown method"):
        paired_p_value(1, 2, 10, 0.0, above=True, method="wald")  # type: ignore[arg-type]


@pytest.mark.parametrize(("n", "difference"), [(20, -0.1), (60, -0.5), (300, -0.03), (1000, 0.01), (5000, 0.02)])
def test_many_p_values_at_once_agree_with_single_ones(n: int, difference: float) -> None:
    rng = np.random.default_rng(6)
    wins, losses, _ = rng.multinomial(n, [0.01 + max(0.0, difference), 0.01 + max(0.0, -difference), 0.0], size=40).T
    shape = (5, 8)
    for above in (True, False):
        many = paired_p_values(wins.reshape(shape), losses.reshape(shape), n, difference, above=above)
        assert many.shape == shape
        single = [paired_p_value(int(b), int(c), n, difference, above=above) for b, c in zip(wins, losses, strict=True)]
        assert many.ravel().tolist() == pytest.approx(single, rel=0.1, abs=1e-8)
        typical = np.abs(many.ravel() / np.array(single) - 1)
        assert np.median(typical) < 0.01


def test_many_p_values_need_whole_counts() -> None:
    with pytest.raises(InputError, match="whole counts"):
        paired_p_values([1.5], [2], 10, 0.0, above=True)
    with pytest.raises(InputError, match="whole counts"):
        paired_p_values([9], [2], 10, 0.0, above=True)
