"""Arrays in, arrays out: what `relgate simulate` calls agrees with the interval functions a gate calls."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from evalharness.statistics import (
    Interval,
    OneSide,
    corrected_rate_bound,
    corrected_rate_interval,
    paired_lower,
    paired_upper,
    ppi_paired_bound,
    ppi_paired_interval,
    proportion_interval,
    proportion_lower,
    tango_z,
    violation_upper,
    violation_upper_bound,
)
from golden_sets.errors import InputError

SIDES: tuple[OneSide, ...] = ("lower", "upper")
LEVELS = np.array([0.6, 0.9, 0.95, 0.999])


def end(interval: Interval, side: OneSide) -> float:
    found = interval.low if side == "lower" else interval.high
    return np.nan if found is None else found


def same(got: NDArray[np.float64], wanted: list[float]) -> None:
    assert got.tolist() == pytest.approx(wanted, abs=1e-9, nan_ok=True)


def test_score_clears_a_limit_where_the_bound_does() -> None:
    rng = np.random.default_rng(1)
    n = rng.integers(1, 400, 600)
    wins, losses, _ = np.array([rng.multinomial(m, rng.dirichlet([0.3, 0.5, 3.0])) for m in n]).T
    limit, level = rng.uniform(-0.2, 0.2, 600), rng.choice(LEVELS, 600)
    z = tango_z(wins, losses, n, limit)
    assert ((paired_lower(wins, losses, n, confidence=level) >= limit) == (z >= stats.norm.ppf(level))).all()
    assert ((paired_upper(wins, losses, n, confidence=level) <= limit) == (z <= -stats.norm.ppf(level))).all()


def test_score_is_mcnemars_at_zero_difference() -> None:
    assert tango_z([40, 9, 0], [52, 3, 0], [1000, 60, 60], 0.0) == pytest.approx(
        [-12 / np.sqrt(92), 6 / np.sqrt(12), 0.0]
    )
    assert (tango_z(0, [1, 2], 2, 1.0) < 0).all()


def test_bounds_take_a_confidence_for_each_count() -> None:
    k, n = np.array([[0], [3], [50]]), 50
    for method in ("clopper-pearson", "wilson", "jeffreys"):
        low = proportion_lower(k, n, confidence=LEVELS, method=method)
        single = [
            end(proportion_interval(int(x), n, confidence=float(c), side="lower", method=method), "lower")
            for x in k.ravel()
            for c in LEVELS
        ]
        same(low.ravel(), single)
    with pytest.raises(InputError, match="confidence"):
        proportion_lower(k, n, confidence=[0.9, 1.0])


@pytest.mark.parametrize("side", SIDES)
def test_corrected_rates(side: OneSide) -> None:
    rng, size = np.random.default_rng(2), 400
    n, labelled = rng.integers(1, 500, size), rng.integers(0, 60, (2, size))
    counts = (
        rng.binomial(n, rng.random(size)), n,
        rng.binomial(labelled[0], rng.uniform(0.3, 1.0, size)), labelled[0],
        rng.binomial(labelled[1], rng.uniform(0.3, 1.0, size)), labelled[1],
    )  # fmt: skip
    level = rng.choice(LEVELS, size)
    bound = corrected_rate_bound(*counts, confidence=level, side=side)
    same(
        bound,
        [
            end(corrected_rate_interval(*(int(x) for x in row), confidence=float(c), side=side), side)
            for *row, c in zip(*counts, level, strict=True)
        ],
    )
    assert 50 < np.isnan(bound).sum() < 350


def test_violation_bounds() -> None:
    rng = np.random.default_rng(3)
    k, found, level = rng.integers(0, 20, 100), rng.integers(0, 51, 100), rng.choice(LEVELS, 100)
    same(
        violation_upper_bound(k, 300, found, 50, confidence=level),
        [
            end(violation_upper(int(a), 300, int(b), 50, confidence=float(c)), "upper")
            for a, b, c in zip(k, found, level, strict=True)
        ],
    )
    with pytest.raises(InputError, match="alpha_split"):
        violation_upper_bound(k, 300, found, 50, alpha_split=0.0)


def judged_table(rng: np.random.Generator) -> tuple[NDArray[np.int_], NDArray[np.int_]]:
    """Counts of unlabelled and labelled prompts; from few labels to many, from useless judges to perfect ones."""
    truth = np.array([rng.uniform(0, 0.2), 0.0, rng.uniform(0, 0.2)])
    truth[1] = 1 - truth.sum()
    quality = rng.choice([0.0, 0.3, 0.9, 1.0])
    joint = quality * np.diag(truth) + (1 - quality) * np.outer(truth, truth)
    labelled = rng.multinomial(rng.choice([5, 12, 60, 300]), joint.ravel()).reshape(3, 3)
    return rng.multinomial(rng.choice([0, 100, 2000]), joint.sum(axis=1)), labelled


@pytest.mark.parametrize("side", SIDES)
def test_prediction_powered_pairs(side: OneSide) -> None:
    rng = np.random.default_rng(4)
    tables = [judged_table(rng) for _ in range(300)]
    level = rng.choice(LEVELS, 300)
    methods, singles = set(), []
    for (rest, table), confidence in zip(tables, level, strict=True):
        judged, true = np.repeat([-1.0, 0.0, 1.0], 3), np.tile([-1.0, 0.0, 1.0], 3)
        f = np.concatenate([np.repeat(judged, table.ravel()), np.repeat([-1.0, 0.0, 1.0], rest)])
        y = np.repeat(true, table.ravel())
        single = ppi_paired_interval(f, np.arange(f.size) < y.size, y, confidence=float(confidence), side=side)
        methods.add(single.method)
        singles.append(end(single, side))
    bounds = ppi_paired_bound(
        np.array([rest for rest, _ in tables]),
        np.array([t for _, t in tables]),
        confidence=level,
        side=side,
        method="auto",
    )
    same(bounds, singles)
    assert methods == {"ppi-paired", "labels-only-exact", "labels-only-tango"}
    assert 10 < np.isnan(bounds).sum() < 150


def test_one_set_of_labels_serves_many_samples_and_levels() -> None:
    rng = np.random.default_rng(5)
    (_, labelled), rest = judged_table(rng), rng.multinomial(500, [0.05, 0.9, 0.05], size=(7, 1))
    grid = ppi_paired_bound(rest, labelled, confidence=LEVELS, side="lower")
    assert grid.shape == (7, 4)
    assert grid[3, 2] == ppi_paired_bound(rest[3, 0], labelled, confidence=0.95, side="lower")
    assert (np.diff(grid, axis=1) < 0).all()


def test_bad_tables_are_refused() -> None:
    with pytest.raises(InputError, match="shapes"):
        ppi_paired_bound(np.zeros(3), np.zeros((3, 2)), confidence=0.95, side="lower")
    with pytest.raises(InputError, match="at least 0"):
        ppi_paired_bound(np.zeros(3), np.full((3, 3), -1), confidence=0.95, side="lower")
