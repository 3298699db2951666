import math

import numpy as np
import pytest
from scipy import stats

from evalharness.statistics import (
    Direction,
    limit_at_looks,
    look_alphas,
    paired_lower,
    power_for_limit,
    power_for_limit_at_looks,
    power_for_margin,
    proportion_interval,
    proportion_lower,
    proportion_upper,
    size_for_half_width,
    size_for_limit,
    size_for_margin,
    textbook_size,
)
from golden_sets.errors import InputError


def half_width(rate: float, n: int) -> float:
    interval = proportion_interval(rate * n, n)
    assert interval.low is not None
    assert interval.high is not None
    return (interval.high - interval.low) / 2


@pytest.mark.parametrize(("rate", "wanted"), [(0.8, 0.02), (0.5, 0.05), (0.005, 0.01), (0.0, 0.01), (1.0, 0.1)])
def test_size_for_half_width_is_the_smallest(rate: float, wanted: float) -> None:
    n = size_for_half_width(rate, wanted)
    assert half_width(rate, n) <= wanted < half_width(rate, n - 1)


def test_textbook_formula() -> None:
    assert textbook_size(0.5, 0.05) == 385
    assert textbook_size(0.8, 0.02) == 1537
    assert textbook_size(0.0, 0.02) == 1


def test_size_to_prove_below_one_percent_without_failures() -> None:
    assert size_for_limit(0.01, 0.0, direction="ceiling") == 299
    assert power_for_limit(299, 0.01, 0.0, direction="ceiling") == 1.0
    assert power_for_limit(298, 0.01, 0.0, direction="ceiling") == 0.0


def test_power_is_the_chance_to_reach_the_passing_count() -> None:
    assert power_for_limit(500, 0.9, 0.94, direction="floor") == pytest.approx(stats.binom.sf(461, 500, 0.94))
    # At the limit itself the power is the error rate.
    assert power_for_limit(500, 0.9, 0.9, direction="floor") <= 0.05


@pytest.mark.parametrize(
    ("limit", "rate", "direction"), [(0.9, 0.95, "floor"), (0.02, 0.003, "ceiling"), (0.8, 0.85, "floor")]
)
def test_power_holds_from_the_size_on(limit: float, rate: float, direction: Direction) -> None:
    n = size_for_limit(limit, rate, direction=direction, power=0.9)
    powers = [power_for_limit(m, limit, rate, direction=direction) for m in range(n, n + 300)]
    assert min(powers) >= 0.9
    assert power_for_limit(n - 1, limit, rate, direction=direction) < 0.9


def test_a_ceiling_mirrors_a_floor() -> None:
    assert size_for_limit(0.1, 0.05, direction="ceiling") == size_for_limit(0.9, 0.95, direction="floor")


def test_size_for_margin_starts_from_the_textbook() -> None:
    z = stats.norm.ppf(0.95) + stats.norm.ppf(0.8)
    assert size_for_margin(0.03, 0.09) == pytest.approx(z**2 * 0.09 / 0.03**2, rel=0.08)
    assert size_for_margin(0.03, 0.09, true_difference=0.01) < size_for_margin(0.03, 0.09)


def test_power_for_margin_is_what_tangos_bound_reaches() -> None:
    n, rng = size_for_margin(0.03, 0.09), np.random.default_rng(1)
    wins, losses, _ = rng.multinomial(n, [0.045, 0.045, 0.91], size=4000).T
    reached = np.mean(paired_lower(wins, losses, n, confidence=0.95) > -0.03)
    assert reached == pytest.approx(0.8, abs=0.03)
    assert power_for_margin(n, 0.03, 0.09) == pytest.approx(0.8, abs=0.01)


def test_no_discordance_needs_z_squared_over_margin() -> None:
    n, z = size_for_margin(0.03, 0.0), stats.norm.ppf(0.95)
    assert n == math.ceil(z**2 * (1 - 0.03) / 0.03 + 1e-9)


def test_what_cannot_be_proved_is_refused() -> None:
    with pytest.raises(InputError, match="passing side"):
        size_for_limit(0.9, 0.9, direction="floor")
    with pytest.raises(InputError, match="needs about"):
        size_for_limit(0.5, 0.50001, direction="floor")
    with pytest.raises(InputError, match="cannot be proved"):
        size_for_margin(0.03, 0.09, true_difference=-0.03)
    with pytest.raises(InputError, match="discordance"):
        size_for_margin(0.03, 0.01, true_difference=0.02)
    with pytest.raises(InputError, match="half_width"):
        size_for_half_width(0.5, 0.0)
    with pytest.raises(InputError, match=r"write 90 % as 0\.9"):
        size_for_half_width(90, 0.05)
    with pytest.raises(InputError, match="floor or ceiling"):
        size_for_limit(0.9, 0.95, direction="above")  # type: ignore[arg-type]


def looks_of(direction: Direction) -> tuple[list[int], tuple[float, ...]]:
    fractions = (0.25, 0.5, 0.75, 1.0)
    return [round(600 * t) for t in fractions], look_alphas(fractions, 0.05, "quadratic")


@pytest.mark.parametrize(("limit", "rate", "direction"), [(0.9, 0.94, "floor"), (0.1, 0.06, "ceiling")])
def test_power_over_looks_is_what_simulated_releases_reach(limit: float, rate: float, direction: Direction) -> None:
    sizes, alphas = looks_of(direction)
    rng = np.random.default_rng(2)
    counts = np.cumsum(rng.binomial(np.diff(sizes, prepend=0), rate, size=(20_000, 4)), axis=1)
    if direction == "floor":
        cleared = proportion_lower(counts, sizes, confidence=1 - np.array(alphas)) >= limit
    else:
        cleared = proportion_upper(counts, sizes, confidence=1 - np.array(alphas)) <= limit
    power = power_for_limit_at_looks(sizes, limit, rate, direction=direction, pass_alphas=alphas)
    assert power == pytest.approx(cleared.any(axis=1).mean(), abs=0.012)
    path = limit_at_looks(sizes, limit, rate, direction=direction, pass_alphas=alphas, fail_alphas=alphas)
    assert np.cumsum(path.passed) == pytest.approx(np.maximum.accumulate(cleared, axis=1).mean(axis=0), abs=0.012)
    assert path.expected_n < 600
    # Not to fail early leaves the chance to pass all but as it was.
    assert power - 0.001 < sum(path.passed) <= power


def test_one_look_is_the_fixed_plan_and_more_looks_keep_alpha() -> None:
    one = power_for_limit_at_looks([500], 0.9, 0.94, direction="floor", pass_alphas=[0.05])
    assert one == pytest.approx(power_for_limit(500, 0.9, 0.94, direction="floor"))
    sizes, alphas = looks_of("floor")
    assert power_for_limit_at_looks(sizes, 0.9, 0.9, direction="floor", pass_alphas=alphas) <= 0.055
    assert power_for_limit_at_looks(sizes, 0.1, 0.1, direction="ceiling", pass_alphas=[0.05] * 4) > 0.06


def test_looks_that_cannot_be_are_refused() -> None:
    with pytest.raises(InputError, match="one entry per look"):
        power_for_limit_at_looks([100, 200], 0.9, 0.95, direction="floor", pass_alphas=[0.05])
    with pytest.raises(InputError, match="sizes must increase"):
        power_for_limit_at_looks([200, 100], 0.9, 0.95, direction="floor", pass_alphas=[0.01, 0.05])
