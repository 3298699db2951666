import numpy as np
import pytest
from numpy.typing import NDArray

from evalharness.statistics.logistic import controlled_mean, logistic_fit
from golden_sets.errors import InputError

Floats = NDArray[np.float64]


def drawn(rng: np.random.Generator, n: int, slope: float = 0.8) -> tuple[Floats, Floats]:
    x = np.column_stack([np.ones(n), rng.normal(size=n), rng.integers(0, 2, n)])
    return x, (rng.random(n) < 1 / (1 + np.exp(-(x @ [-0.3, slope, 0.5])))).astype(float)


def test_coefficients_and_robust_errors_are_those_of_statsmodels() -> None:
    api = pytest.importorskip("statsmodels.api")
    x, y = drawn(np.random.default_rng(1), 400)
    clusters = np.arange(400) // 4
    reference = api.Logit(y, x).fit(disp=0, cov_type="cluster", cov_kwds={"groups": clusters})
    fit = logistic_fit(x, y, clusters)
    assert fit is not None
    assert fit.coefficients == pytest.approx(reference.params, rel=1e-6)
    errors = [fit.error(row) for row in np.eye(3)]
    assert errors == pytest.approx(reference.bse, rel=1e-6)
    assert fit.clusters == 100


def test_ties_are_half_a_win() -> None:
    api = pytest.importorskip("statsmodels.api")
    rng = np.random.default_rng(2)
    x, y = drawn(rng, 300)
    y[rng.random(300) < 0.2] = 0.5
    reference = api.GLM(y, x, family=api.families.Binomial()).fit(
        cov_type="cluster", cov_kwds={"groups": np.arange(300)}
    )
    fit = logistic_fit(x, y)
    assert fit is not None
    assert fit.coefficients == pytest.approx(reference.params, rel=1e-6)
    assert [fit.error(row) for row in np.eye(3)] == pytest.approx(reference.bse, rel=1e-6)


def test_the_scale_of_a_feature_does_not_matter() -> None:
    x, y = drawn(np.random.default_rng(3), 300)
    fit, scaled = logistic_fit(x, y), logistic_fit(x * [1, 1e6, 1], y)
    assert fit is not None
    assert scaled is not None
    assert scaled.coefficients * [1, 1e6, 1] == pytest.approx(fit.coefficients, rel=1e-6)


@pytest.mark.slow
def test_intervals_cover_the_coefficient() -> None:
    rng, covered = np.random.default_rng(4), 0
    for _ in range(500):
        x, y = drawn(rng, 150)
        fit = logistic_fit(x, y)
        assert fit is not None
        found = fit.interval(1)
        assert found.low is not None
        assert found.high is not None
        covered += found.low <= 0.8 <= found.high
    assert covered >= 0.93 * 500


@pytest.mark.slow
def test_a_controlled_mean_is_what_is_left_without_the_control() -> None:
    """Wins of an equal model that come from length alone: the plain rate is too high, the controlled one is half."""
    rng, covered, found_out = np.random.default_rng(7), 0, 0
    for _ in range(400):
        length = rng.normal(0.8, 1, 300)
        wins = (rng.random(300) < 1 / (1 + np.exp(-0.6 * length))).astype(float)
        found = controlled_mean(wins, length[:, None])
        assert found.controlled.low is not None
        assert found.controlled.high is not None
        assert found.difference is not None
        assert found.difference.low is not None
        covered += found.controlled.low <= 0.5 <= found.controlled.high
        found_out += found.difference.low > 0
    assert covered >= 0.93 * 400
    assert found_out >= 0.9 * 400


def test_a_control_that_matters_nothing_leaves_the_mean() -> None:
    rng = np.random.default_rng(8)
    x = np.r_[-np.ones(50), np.ones(50)]
    y = np.tile([1.0, 0.0, 1.0, 1.0, 0.5], 20)
    found = controlled_mean(y, x[:, None], rng.permutation(np.arange(100)))
    assert found.controlled.value == pytest.approx(y.mean())
    assert found.difference is not None
    assert found.difference.value == pytest.approx(0.0, abs=1e-12)
    one_sided = controlled_mean(np.ones(50), x[:50, None] + np.arange(50)[:, None])
    assert one_sided.controlled.value is None
    assert one_sided.controlled.note == "no finite regression of the outcomes on the controls"
    assert one_sided.difference is None


def test_outcomes_that_the_features_tell_apart_have_no_finite_estimate() -> None:
    x = np.column_stack([np.ones(40), np.linspace(-1, 1, 40)])
    assert logistic_fit(x, (x[:, 1] > 0).astype(float)) is None
    assert logistic_fit(x[:, :1], np.ones(40)) is None
    quasi = (x[:, 1] > 0.5).astype(float)
    x[:, 1] = quasi  # one side of a binary feature is all alike
    half = quasi * (np.arange(40) % 2)
    assert logistic_fit(x, half) is None


def test_features_that_depend_on_each_other_are_not_told_apart() -> None:
    x, y = drawn(np.random.default_rng(5), 100)
    assert logistic_fit(np.column_stack([x, 2 * x[:, 1]]), y) is None
    assert logistic_fit(np.column_stack([x, np.zeros(100)]), y) is None


def test_few_clusters_give_no_bounds() -> None:
    x, y = drawn(np.random.default_rng(6), 100)
    fit = logistic_fit(x, y, np.arange(100) // 20)
    assert fit is not None
    found = fit.interval(1)
    assert (found.low, found.high) == (None, None)
    assert found.note == "5 independent units: need at least 10"


def test_bad_input_is_refused() -> None:
    with pytest.raises(InputError, match="shape"):
        logistic_fit(np.ones((3, 1)), [0.0, 1.0])
    with pytest.raises(InputError, match="finite"):
        logistic_fit([[np.inf], [1.0]], [0.0, 1.0])
    with pytest.raises(InputError, match=r"\[0, 1\]"):
        logistic_fit(np.ones((2, 1)), [0.0, 2.0])
