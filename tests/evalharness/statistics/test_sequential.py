import numpy as np
import pytest
from scipy import stats

from evalharness.statistics import (
    Spending,
    binomial_path,
    boundaries,
    crossing,
    design_sequence,
    drift_for_power,
    floor_counts,
    inflation,
    spending,
)
from golden_sets.errors import InputError

TEN = [i / 10 for i in range(1, 11)]
KINDS: tuple[Spending, ...] = ("obrien-fleming", "pocock", "linear", "quadratic", "cubic")


# Reboussin, DeMets, Kim and Lan, Controlled Clinical Trials 21 (2000) 190: five equal looks, two-sided .05.
def test_published_boundaries() -> None:
    looks = [0.2, 0.4, 0.6, 0.8, 1.0]
    assert boundaries(looks, alpha=0.025).z == pytest.approx([4.8769, 3.3569, 2.6803, 2.2898, 2.0310], abs=2e-4)
    pocock = boundaries(looks, alpha=0.025, kind="pocock").z
    assert pocock == pytest.approx([2.4380, 2.4268, 2.4101, 2.3966, 2.3859], abs=2e-4)


def test_one_look_is_the_fixed_test() -> None:
    single = boundaries([1.0], alpha=0.05)
    assert single.z[0] == pytest.approx(stats.norm.ppf(0.95))
    assert single.nominal_alphas[0] == pytest.approx(0.05)
    assert inflation(single) == pytest.approx(1.0)


@pytest.mark.parametrize("kind", KINDS)
def test_alpha_is_spent_exactly_and_as_declared(kind: Spending) -> None:
    bounds = boundaries(TEN, alpha=0.05, kind=kind)
    chances = crossing(TEN, bounds.z, None, 0.0).upper
    assert np.cumsum(chances) == pytest.approx(bounds.spent, abs=1e-8)
    assert bounds.spent[-1] == pytest.approx(0.05)
    assert spending(kind, 0.05, 0.0) == 0.0


@pytest.mark.parametrize("kind", ["obrien-fleming", "quadratic"])
def test_simulated_paths_agree_with_the_integration(kind: Spending) -> None:
    rng, looks = np.random.default_rng(1), np.array([0.1, 0.3, 0.35, 0.9, 1.0])
    bounds = boundaries(looks.tolist(), alpha=0.05, kind=kind)
    sums = np.cumsum(rng.normal(size=(200_000, 5)) * np.sqrt(np.diff(looks, prepend=0)), axis=1) + 1.5 * looks
    crossed = sums / np.sqrt(looks) >= np.array(bounds.z)
    first = np.where(crossed.any(axis=1), crossed.argmax(axis=1), 5)
    simulated = np.bincount(first, minlength=6)[:5] / 200_000
    assert crossing(looks.tolist(), bounds.z, None, 1.5).upper == pytest.approx(simulated, abs=0.005)


def test_power_is_reached_at_its_drift() -> None:
    bounds = boundaries(TEN)
    drift = drift_for_power(TEN, bounds.z, power=0.9)
    assert sum(crossing(TEN, bounds.z, None, drift).upper) == pytest.approx(0.9)
    assert 1.0 < inflation(bounds, power=0.9) < 1.06


def test_default_plan_saves_what_it_promises() -> None:
    design = design_sequence(TEN)
    assert sum(design.outcome(1.0).upper) == pytest.approx(0.9, abs=1e-4)
    assert design.inflation <= 1.08
    assert design.expected_size(1.0) <= 0.70
    assert design.expected_size(2.0) <= 0.40
    assert design.expected_size(-2.0) <= 0.40
    assert max(design.expected_size(m) for m in np.linspace(-2, 2, 21)) <= 1.10


def test_the_wedge_agrees_with_simulated_paths() -> None:
    design = design_sequence(TEN, futility="cubic")
    rng = np.random.default_rng(11)
    for multiple in (-1.0, 0.0, 0.5):
        steps = rng.normal(design.drift * multiple / 10, np.sqrt(0.1), size=(40_000, 10))
        z = np.cumsum(steps, axis=1) / np.sqrt(TEN)
        passed, failed = z >= design.passing.z, z <= -np.array(design.failing.z)
        futile = (np.abs(z) <= design.futility_z) & (np.array(design.futility_z) > 0)
        ends = passed | failed | futile
        ends[:, -1] = True
        first = ends.argmax(axis=1)
        at = np.arange(len(z)), first
        expected = design.outcome(multiple)
        assert passed[at].mean() == pytest.approx(sum(expected.upper), abs=0.01)
        assert failed[at].mean() == pytest.approx(sum(expected.lower), abs=0.01)
        assert ((first + 1) / 10).mean() == pytest.approx(expected.expected_fraction, abs=0.01)


def test_what_is_clearly_worse_fails_instead_of_ending_undecided() -> None:
    design = design_sequence(TEN)
    assert sum(design.outcome(-1.0).lower) >= 0.89
    assert sum(design.outcome(-2.0).lower) >= 0.999


def test_futility_never_spends_alpha() -> None:
    """A run that ignores every futility stop still passes at most alpha at the limit."""
    design = design_sequence(TEN, futility="cubic")
    assert sum(crossing(TEN, design.passing.z, None, 0.0).upper) == pytest.approx(0.05, abs=1e-8)
    assert sum(design.outcome(0.0).upper) <= 0.05


@pytest.mark.parametrize(("floor", "n"), [(0.9, 500), (0.5, 300), (0.98, 1000)])
def test_exact_bounds_at_the_looks_keep_both_errors(floor: float, n: int) -> None:
    design = design_sequence(TEN)
    sizes = [round(n * t) for t in TEN]
    pass_at, fail_at = floor_counts(sizes, floor, design.passing.nominal_alphas, design.failing.nominal_alphas)
    at_limit = binomial_path(sizes, pass_at, fail_at, floor)
    # Brownian boundaries on binomial counts: within half a point of the spent alpha.
    assert sum(at_limit.passed) <= 0.055
    assert sum(at_limit.failed) <= 0.055
    better = binomial_path(sizes, pass_at, fail_at, floor + (1 - floor) / 2)
    assert better.expected_n < at_limit.expected_n < n


def test_one_exact_look_has_the_known_counts() -> None:
    assert floor_counts([500], 0.9, [0.05], [0.05]) == ([462], [438])
    path = binomial_path([500], [462], [438], 0.93)
    assert path.passed[0] == pytest.approx(stats.binom.sf(461, 500, 0.93))
    assert path.failed[0] == pytest.approx(stats.binom.cdf(438, 500, 0.93))
    assert path.expected_n == 500


def test_twenty_unplanned_peeks_promote_far_more_often() -> None:
    sizes = list(range(50, 1001, 50))
    pass_at, _ = floor_counts(sizes, 0.9, [0.05] * 20, [0.05] * 20)
    peeking = sum(binomial_path(sizes, pass_at, [-1] * 20, 0.9).passed)
    assert peeking == pytest.approx(0.175, abs=0.02)


def test_bad_plans_are_refused() -> None:
    with pytest.raises(InputError, match="looks must increase"):
        boundaries([0.5, 0.4, 1.0])
    with pytest.raises(InputError, match="looks must increase"):
        boundaries([0.5, 0.9])
    with pytest.raises(InputError, match="alpha"):
        boundaries([1.0], alpha=0.0)
    with pytest.raises(InputError, match="unknown spending"):
        spending("even", 0.05, 0.5)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="passes and fails"):
        binomial_path([10], [5], [5], 0.5)
    with pytest.raises(InputError, match="sizes must increase"):
        binomial_path([10, 10], [5, 5], [1, 1], 0.5)
    with pytest.raises(InputError, match="above the upper"):
        crossing([1.0], [1.0], [2.0], 0.0)
    with pytest.raises(InputError, match="power"):
        design_sequence(TEN, power=1.0)
