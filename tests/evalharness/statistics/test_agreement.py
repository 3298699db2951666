import numpy as np
import pytest
from numpy.typing import NDArray

from evalharness.statistics import clustered_kappa_interval, cohen_kappa, kappa_interval
from golden_sets.errors import InputError


def test_worked_example() -> None:
    # Observed agreement .70, expected .50: kappa .40.
    assert cohen_kappa([[20, 5], [10, 15]]) == pytest.approx(0.4)


def test_interval_approaches_fleiss_cohen_and_everitt() -> None:
    inter_rater = pytest.importorskip("statsmodels.stats.inter_rater")
    # A table far from symmetric: the variance pairs each cell with the margins of the other rater.
    table = np.array([[610, 6], [193, 541]]) * 100
    reference = inter_rater.cohens_kappa(table)
    interval = kappa_interval(table)
    assert interval.low == pytest.approx(reference.kappa_low, abs=2e-5)
    assert interval.high == pytest.approx(reference.kappa_upp, abs=2e-5)


def test_perfect_agreement_has_a_width() -> None:
    interval = kappa_interval([[30, 0], [0, 30]])
    assert interval.value == 1.0
    assert interval.high == 1.0
    assert interval.low is not None
    assert 0.8 < interval.low < 0.97


def test_one_label_only_is_undefined() -> None:
    assert cohen_kappa([[50, 0], [0, 0]]) is None
    interval = kappa_interval([[50, 0], [0, 0]])
    assert (interval.value, interval.low, interval.high) == (None, None, None)


@pytest.mark.parametrize(
    "table", [[[1, 2, 3], [4, 5, 6]], [[1]], [[0, 0], [0, 0]], [[1, -1], [1, 1]], [[np.nan, 1], [1, 1]]]
)
def test_bad_tables_are_refused(table: list[list[float]]) -> None:
    with pytest.raises(InputError):
        cohen_kappa(table)


def ratings(rng: np.random.Generator, clusters: int, size: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Two raters on clusters of alike answers: the second errs on whole clusters."""
    truth = rng.random(clusters) < 0.4
    wrong = rng.random(clusters) < 0.15
    return np.repeat(truth, size).astype(np.intp), np.repeat(truth ^ wrong, size).astype(np.intp)


def test_plain_ratings_are_those_of_the_table() -> None:
    first, second = ratings(np.random.default_rng(1), 200, 1)
    found = clustered_kappa_interval(first, second, categories=2)
    table = [[int(np.sum((first == i) & (second == j))) for j in (0, 1)] for i in (0, 1)]
    expected = kappa_interval(table)
    assert (found.value, found.low, found.high) == pytest.approx((expected.value, expected.low, expected.high))
    sklearn = pytest.importorskip("sklearn.metrics")
    assert found.value == pytest.approx(sklearn.cohen_kappa_score(first, second))


def test_copies_add_nothing_to_what_is_known_of_kappa() -> None:
    rng = np.random.default_rng(2)
    first, second = ratings(rng, 300, 1)
    single = clustered_kappa_interval(first, second, categories=2)
    copied = clustered_kappa_interval(
        np.repeat(first, 5), np.repeat(second, 5), np.repeat(np.arange(300), 5), categories=2
    )
    assert single.low is not None
    assert single.high is not None
    assert copied.low is not None
    assert copied.value == pytest.approx(single.value)
    assert copied.low == pytest.approx(single.low, abs=0.02)
    assert copied.high == pytest.approx(single.high, abs=0.02)
    assert copied.low < single.low
    assert copied.clusters == 300


def test_weights_undo_unequal_sampling_of_ratings() -> None:
    """A rater's rare category drawn ten times as often: kappa of all, with coverage."""
    rng = np.random.default_rng(3)
    first = (rng.random(20_000) < 0.2).astype(np.intp)
    second = np.where(rng.random(20_000) < 0.9, first, 1 - first)
    truth = cohen_kappa([[int(np.sum((first == i) & (second == j))) for j in (0, 1)] for i in (0, 1)])
    assert truth is not None
    covered, unweighted = 0, []
    for _ in range(200):
        chance = np.where(second == 1, 0.1, 0.01)
        drawn = rng.random(20_000) < chance
        found = clustered_kappa_interval(first[drawn], second[drawn], categories=2, weights=1 / chance[drawn])
        assert found.low is not None
        assert found.high is not None
        covered += found.low <= truth <= found.high
        unweighted.append(clustered_kappa_interval(first[drawn], second[drawn], categories=2).value)
    assert covered >= 182
    assert abs(np.mean([x for x in unweighted if x is not None]) - truth) > 0.02


def test_a_category_that_only_one_rater_uses_counts_as_disagreement() -> None:
    first = np.array([0, 1] * 50)
    second = first.copy()
    second[:10] = 2
    found = clustered_kappa_interval(first, second, categories=3)
    parsed = clustered_kappa_interval(first[10:], second[10:], categories=3)
    assert parsed.value == 1.0
    assert found.value == pytest.approx((0.9 - 0.45) / (1 - 0.45))


def test_bad_ratings_are_refused() -> None:
    with pytest.raises(InputError, match="must lie in"):
        clustered_kappa_interval([0, 2], [0, 1], categories=2)
    with pytest.raises(InputError, match="2 ratings, second 1"):
        clustered_kappa_interval([0, 1], [0], categories=2)
    with pytest.raises(InputError, match="whole category"):
        clustered_kappa_interval([0.5, 1], [0, 1], categories=2)
    with pytest.raises(InputError, match="weights must be above 0"):
        clustered_kappa_interval([0, 1], [0, 1], categories=2, weights=[0, 1])
