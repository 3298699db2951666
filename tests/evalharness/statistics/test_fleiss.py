"""Agreement among several raters: worked values, missing ratings, clusters, coverage."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from evalharness.statistics import fleiss_kappa, fleiss_kappa_interval, pairwise_agreement_interval
from golden_sets.errors import InputError


def test_worked_by_hand() -> None:
    # Agreeing pairs: 3/3, 3/3, 1/3, 1/3 -> 2/3. Shares of the categories: 7/12 and 5/12 -> 74/144 by chance.
    ratings = [[0, 0, 0], [1, 1, 1], [0, 0, 1], [0, 0, 1]]
    by_chance = (49 + 25) / 144
    assert fleiss_kappa(ratings, categories=2) == pytest.approx((2 / 3 - by_chance) / (1 - by_chance))
    assert pairwise_agreement_interval(ratings, categories=2).value == pytest.approx(2 / 3)


def test_as_statsmodels_has_it() -> None:
    inter_rater = pytest.importorskip("statsmodels.stats.inter_rater")
    ratings = np.random.default_rng(0).integers(0, 4, size=(50, 5))
    ratings[:25, 1:4] = ratings[:25, :1]
    table, _ = inter_rater.aggregate_raters(ratings)
    assert fleiss_kappa(ratings, categories=4) == pytest.approx(inter_rater.fleiss_kappa(table))


def test_a_missing_rating_agrees_with_nothing() -> None:
    complete = [[0, 0], [1, 1], [0, 0], [1, 1]]
    missing: list[list[float]] = [[0, 0], [1, 1], [0, math.nan], [math.nan, math.nan]]
    assert fleiss_kappa(complete, categories=2) == 1.0
    assert pairwise_agreement_interval(missing, categories=2).value == 0.5
    found = fleiss_kappa(missing, categories=2)
    assert found is not None
    assert found < 0.5


def test_one_category_only_is_undefined() -> None:
    found = fleiss_kappa_interval([[0, 0]] * 30, categories=2)
    assert (found.value, found.low, found.high) == (None, None, None)
    assert "undefined" in (found.note or "")


def test_perfect_agreement_has_a_width() -> None:
    found = fleiss_kappa_interval([[0, 0, 0], [1, 1, 1]] * 20, categories=2)
    assert (found.value, found.high) == (1.0, 1.0)
    assert found.low is not None
    assert 0.7 < found.low < 0.95


def rated(rng: np.random.Generator, items: int, raters: int) -> NDArray[np.intp]:
    truth = rng.random((items, 1)) < 0.4
    return (truth ^ (rng.random((items, raters)) < 0.12)).astype(np.intp)


def test_copies_add_nothing_to_what_is_known() -> None:
    ratings = rated(np.random.default_rng(1), 200, 3)
    single = fleiss_kappa_interval(ratings, categories=2)
    copied = fleiss_kappa_interval(np.repeat(ratings, 4, axis=0), np.repeat(np.arange(200), 4), categories=2)
    assert copied.value == pytest.approx(single.value)
    assert copied.low == pytest.approx(single.low)
    assert copied.high == pytest.approx(single.high)
    assert copied.clusters == 200
    bounds = [single.low, single.value, single.high]
    assert bounds == sorted(x for x in bounds if x is not None)


def test_one_sided_bounds_are_the_ends_of_a_wider_interval() -> None:
    ratings = rated(np.random.default_rng(2), 150, 3)
    both = fleiss_kappa_interval(ratings, categories=2, confidence=0.9)
    lower = fleiss_kappa_interval(ratings, categories=2, confidence=0.95, side="lower")
    upper = fleiss_kappa_interval(ratings, categories=2, confidence=0.95, side="upper")
    assert lower.low == pytest.approx(both.low)
    assert upper.high == pytest.approx(both.high)
    assert lower.high is upper.low is None


@pytest.mark.slow
@pytest.mark.parametrize("items", [40, 200])
def test_coverage(items: int) -> None:
    rng = np.random.default_rng(items)
    truth = fleiss_kappa(rated(rng, 400_000, 3), categories=2)
    assert truth is not None
    found = [fleiss_kappa_interval(rated(rng, items, 3), categories=2) for _ in range(1000)]
    covered = sum(i.low is not None and i.high is not None and i.low <= truth <= i.high for i in found)
    assert covered >= 930


@pytest.mark.parametrize("ratings", [[0, 1], [[0], [1]], np.empty((0, 2)), [[0, 2]], [[0, -1]], [[0, 0.5]]])
def test_bad_ratings_are_refused(ratings: object) -> None:
    with pytest.raises(InputError):
        fleiss_kappa(ratings, categories=2)  # type: ignore[arg-type]
