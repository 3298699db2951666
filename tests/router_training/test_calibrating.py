"""Calibration: strictly increasing whatever the data, right where the truth is known, measured without flattery."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special

from golden_sets.errors import InputError
from router_training.calibrating import (
    brier,
    calibrated,
    debiased_calibration_error,
    ece,
    fit_delta,
    fit_p_hard,
    reliability,
)
from router_training.records import Curve

Floats = npt.NDArray[np.float64]


def increasing(curve: Curve) -> bool:
    return bool((np.diff(curve.x) > 0).all() and (np.diff(curve.y) > 0).all())


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.floats(-1e3, 1e3), st.booleans(), st.integers(0, 5), st.floats(-1, 1)), min_size=2, max_size=60
    )
)
def test_every_curve_is_strictly_increasing_and_within_its_range(rows: list[tuple[float, bool, int, float]]) -> None:
    x, hard = np.array([r[0] for r in rows]), np.array([r[1] for r in rows])
    groups, delta = np.array([r[2] for r in rows]), np.array([r[3] for r in rows])
    p, expected = fit_p_hard(x, hard, groups), fit_delta(x, delta, groups)
    assert increasing(p)
    assert increasing(expected)
    assert p.y[0] > 0
    assert p.y[-1] < 1
    assert expected.y[0] >= -1
    assert expected.y[-1] <= 1


@pytest.mark.parametrize("shape", ["line", "curved", "steps"])
def test_known_probabilities_are_found_again(shape: str) -> None:
    truths: dict[str, Callable[[Floats], Floats]] = {
        "line": lambda x: np.asarray(special.expit(2 * x - 1.5)),
        "curved": lambda x: np.asarray(special.ndtr(x) ** 3 * 0.9),
        "steps": lambda x: np.where(x < 0.5, 0.1, 0.6),
    }
    errors = []
    for seed in range(10):
        rng = np.random.default_rng(seed)
        x = rng.normal(size=3000)
        hard = rng.random(3000) < truths[shape](x)
        curve = fit_p_hard(x, hard, np.arange(3000))
        fresh = rng.normal(size=2000)
        errors.append(np.abs(calibrated(curve, fresh) - truths[shape](fresh)).mean())
    assert np.mean(errors) < 0.03


def test_order_is_kept_beyond_the_calibration_prompts() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=500)
    curve = fit_p_hard(x, rng.random(500) < special.expit(x), np.arange(500))
    beyond = np.linspace(x.min() - 0.4 * np.ptp(x), x.max() + 0.4 * np.ptp(x), 300)
    assert (np.diff(calibrated(curve, beyond)) > 0).all()


def test_predictions_that_say_the_opposite_are_not_believed() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=2000)
    hard = rng.random(2000) < special.expit(-3 * x)
    p = calibrated(fit_p_hard(x, hard, np.arange(2000)), x)
    assert p == pytest.approx(hard.mean(), abs=0.02)
    expected = calibrated(fit_delta(x, -x / 4, np.arange(2000)), x)
    assert np.ptp(expected) < 1e-5


@pytest.mark.parametrize("label", [False, True])
def test_one_label_leaves_room_for_the_other(label: bool) -> None:
    p = calibrated(fit_p_hard(np.arange(8.0), np.full(8, label), np.arange(8)), np.arange(8.0))
    assert p == pytest.approx(0.9 if label else 0.1, abs=1e-5)


def test_groups_keep_copies_from_deciding_the_shape() -> None:
    """Isotonic steps fit copies perfectly; held out with their group they gain nothing."""
    rng = np.random.default_rng(3)
    x = rng.normal(size=60)
    hard = rng.random(60) < special.expit(x)
    copies = np.repeat(np.arange(60), 40)
    apart = fit_p_hard(x[copies], hard[copies], np.arange(copies.size))
    together = fit_p_hard(x[copies], hard[copies], copies)
    truth = special.expit(np.linspace(-1.5, 1.5, 50))
    error = {
        name: np.abs(calibrated(curve, np.linspace(-1.5, 1.5, 50)) - truth).mean()
        for name, curve in (("apart", apart), ("together", together))
    }
    assert error["together"] < error["apart"]


def test_the_errors_of_known_forecasts() -> None:
    p, hard = np.repeat([0.2, 0.6], 500), np.r_[np.arange(500) < 150, np.arange(500) < 300]
    assert ece(p, hard) == pytest.approx(0.05)
    assert [b.n for b in reliability(p, hard)] == [500, 500], "prompts of one probability share a bin"
    assert brier(p, hard) == pytest.approx(np.mean((p - hard) ** 2))
    assert brier([0.5, 0.5], [0, 1]) == 0.25


def test_a_perfect_forecast_shows_noise_that_the_debiased_error_takes_off() -> None:
    plain, debiased = [], []
    for seed in range(200):
        rng = np.random.default_rng(seed)
        p = rng.random(1000)
        hard = rng.random(1000) < p
        plain.append(ece(p, hard))
        debiased.append(debiased_calibration_error(p, hard) ** 2)
    spread = 0.8 * np.mean(np.sqrt(p * (1 - p)) * np.sqrt(10 / 1000))
    assert np.mean(plain) == pytest.approx(spread, rel=0.15)
    assert np.mean(debiased) < 0.5 * np.mean(plain) ** 2


@pytest.mark.parametrize(
    ("x", "y", "groups"), [([1.0], [0.0], [0]), ([1.0, 2.0], [0.0], [0, 1]), ([np.nan, 1.0], [0.0, 1.0], [0, 1])]
)
def test_bad_numbers_are_refused(x: list[float], y: list[float], groups: list[int]) -> None:
    with pytest.raises(InputError):
        fit_p_hard(x, y, np.array(groups))
    with pytest.raises(InputError):
        fit_delta(x, y, np.array(groups))
    with pytest.raises(InputError):
        ece([1.2, 0.1], [1, 0])
