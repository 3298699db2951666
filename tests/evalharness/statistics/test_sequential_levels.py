import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from evalharness.statistics import Spending, boundaries, design_for, design_sequence, holm, look_alphas, overall_level
from golden_sets.errors import InputError

TEN = tuple(i / 10 for i in range(1, 11))
UNEVEN = (0.1, 0.3, 0.35, 0.9, 1.0)
KINDS: tuple[Spending, ...] = ("obrien-fleming", "pocock", "linear", "quadratic", "cubic")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("fractions", [TEN, UNEVEN, (0.5, 1.0)])
def test_levels_agree_with_the_boundaries_they_invert(fractions: tuple[float, ...], kind: Spending) -> None:
    for level in (3e-7, 1e-4, 0.0041, 0.05, 0.137, 0.49):
        nominal = np.array(boundaries(fractions, alpha=level, kind=kind).nominal_alphas)
        back = np.array([float(overall_level(fractions, k, p, kind)) for k, p in enumerate(nominal)])
        resolved = nominal > 1e-15
        assert back[resolved] == pytest.approx(level, rel=1e-4)
        assert (back[resolved] >= level * (1 - 1e-6)).all()
        # What lies beyond the table is reported larger than it is, never smaller.
        assert (back[~resolved] >= level).all()


def test_a_claim_at_a_look_is_a_level_of_at_most_alpha() -> None:
    alphas = look_alphas(TEN, 0.05, "quadratic")
    assert alphas == boundaries(TEN, alpha=0.05, kind="quadratic").nominal_alphas
    for look, nominal in enumerate(alphas):
        assert overall_level(TEN, look, 0.999 * nominal, "quadratic") <= 0.05
        assert overall_level(TEN, look, 1.001 * nominal, "quadratic") > 0.05


@pytest.mark.parametrize("kind", KINDS)
def test_levels_rise_with_the_nominal_p_value(kind: Spending) -> None:
    p = np.concatenate(([0.0], np.geomspace(1e-20, 1.0, 400)))
    for look in range(len(UNEVEN)):
        levels = overall_level(UNEVEN, look, p, kind)
        assert (np.diff(levels) >= 0).all()
        assert levels[-1] == 1.0
        assert levels[0] >= 1e-9


def test_one_look_changes_nothing() -> None:
    p = np.array([0.0, 1e-14, 0.05, 0.6, 1.0])
    assert (overall_level((1.0,), 0, p, "pocock") == p).all()
    assert look_alphas((1.0,), 0.05, "pocock") == (0.05,)


def test_designs_are_those_of_design_sequence() -> None:
    cached = design_for(UNEVEN, 0.05, 0.9, "quadratic", "cubic")
    assert cached == design_sequence(UNEVEN, alpha=0.05, power=0.9, kind="quadratic", futility="cubic")
    assert design_for(UNEVEN, 0.05, 0.9, "quadratic", "cubic") is cached


def sequential_p_values(fractions: tuple[float, ...], z: NDArray[np.float64], kind: Spending) -> NDArray[np.float64]:
    """Running minimum over looks (last axis) of the overall levels of Brownian paths."""
    levels = [overall_level(fractions, k, stats.norm.sf(z[..., k]), kind) for k in range(len(fractions))]
    return np.minimum.accumulate(np.stack(levels, axis=-1), axis=-1)


@pytest.mark.parametrize("kind", KINDS)
def test_running_minimum_is_a_p_value_at_every_look(kind: Spending) -> None:
    rng, paths = np.random.default_rng(1), 40_000
    steps = np.sqrt(np.diff(UNEVEN, prepend=0.0))
    z = np.cumsum(rng.normal(size=(paths, len(UNEVEN))) * steps, axis=1) / np.sqrt(UNEVEN)
    final = sequential_p_values(UNEVEN, z, kind)[:, -1]
    for level in (0.01, 0.05, 0.2):
        error = 3 * np.sqrt(level * (1 - level) / paths)
        # Exactly the level: the boundary that spends it was crossed at some look or other.
        assert np.mean(final <= level) == pytest.approx(level, abs=error)


def test_holm_over_looks_keeps_the_family_wise_error() -> None:
    """Twenty correlated hypotheses, five of them false, ten looks; a claim at any look counts."""
    rng, families, alpha = np.random.default_rng(2), 4000, 0.05
    shape = (families, 20, 10)
    noise = np.sqrt(0.5) * rng.normal(size=shape) + np.sqrt(0.5) * rng.normal(size=(families, 1, 10))
    drift = np.where(np.arange(20) < 5, 4.0, 0.0)[:, None] * np.array(TEN)
    z = (np.cumsum(noise * np.sqrt(0.1), axis=-1) + drift) / np.sqrt(TEN)
    p = sequential_p_values(TEN, z, "quadratic")[..., -1]
    claims = np.array([holm(row.tolist(), alpha) for row in p])
    assert claims[:, 5:].any(axis=1).mean() <= alpha + 3 * np.sqrt(alpha * (1 - alpha) / families)
    assert claims[:, :5].mean() > 0.5
    # Without spending, claims of the best nominal p-value over the looks are wrong far more often.
    naive = np.array([holm(row.tolist(), alpha) for row in stats.norm.sf(z).min(axis=-1)])
    assert naive[:, 5:].any(axis=1).mean() > 0.1


def test_bad_input_is_refused() -> None:
    with pytest.raises(InputError, match="p-values"):
        overall_level(TEN, 0, [0.1, float("nan")], "pocock")
    with pytest.raises(InputError, match="look 10 is not one of the 10"):
        overall_level(TEN, 10, 0.1, "pocock")
    with pytest.raises(InputError, match="looks must increase"):
        look_alphas((0.5, 0.9), 0.05, "pocock")
    with pytest.raises(InputError, match="unknown spending"):
        overall_level((1.0,), 0, 0.1, "even")  # type: ignore[arg-type]
