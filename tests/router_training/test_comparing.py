"""Comparing orders: the gain is the area of the frontier, and its standard error is what resampling says."""

from __future__ import annotations

import numpy as np
import pytest

from router_training.comparing import order_gain, standard_error
from router_training.frontier import apgr


def test_the_gain_is_the_area_under_the_frontier_above_a_random_order() -> None:
    rng = np.random.default_rng(0)
    delta = rng.choice([-1.0, 0.0, 1.0], 3000, p=[0.1, 0.5, 0.4])
    predictions = delta + rng.normal(size=3000)
    gain, _ = order_gain(predictions, delta)
    exact = apgr(predictions, delta, points=1500)
    assert gain / delta.mean() + 0.5 == pytest.approx(exact, abs=2e-4)


def test_ties_count_half() -> None:
    delta = np.array([1.0, 0.0, 0.5, -1.0, 1.0])
    predictions = np.array([2.0, 1.0, 1.0, 1.0, 0.0])
    pairs = [
        delta[i] * (0.5 if predictions[i] == predictions[j] else float(predictions[i] > predictions[j]))
        for i in range(5)
        for j in range(5)
    ]
    gain, contributions = order_gain(predictions, delta)
    assert gain == pytest.approx(sum(pairs) / 25 - delta.mean() / 2)
    assert contributions.sum() == pytest.approx(0)
    assert order_gain(np.zeros(5), delta)[0] == pytest.approx(0)


def test_the_standard_error_is_that_of_a_bootstrap_by_group() -> None:
    rng = np.random.default_rng(1)
    groups = np.repeat(np.arange(150), 4)
    common = rng.normal(size=150)[groups]
    delta = np.clip(common + 0.3 * rng.normal(size=600), -1, 1)
    predictions = common + rng.normal(size=600)
    _, contributions = order_gain(predictions, delta)
    draws = []
    for _ in range(600):
        rows = (rng.integers(0, 150, 150)[:, None] * 4 + np.arange(4)).reshape(-1)
        draws.append(order_gain(predictions[rows], delta[rows])[0])
    found = standard_error(contributions, groups)
    assert found == pytest.approx(float(np.std(draws)), rel=0.15)
    assert found > 1.3 * standard_error(contributions, np.arange(600))
