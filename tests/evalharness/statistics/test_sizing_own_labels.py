"""Power and labels of a judged rate that labels of its own answers correct."""

from __future__ import annotations

import numpy as np
import pytest

from evalharness.statistics import Direction, OneSide, labels_for_labelled_limit, power_for_labelled_limit
from evalharness.statistics.power_tuning import guarded_bound, power_tuned
from evalharness.statistics.prediction_powered_tables import table_contributions
from golden_sets.errors import InputError


def simulated(
    n: int, labels: int, limit: float, true: float, judge: tuple[float, float], direction: Direction, alpha: float
) -> float:
    """Share of samples in which the bound clears the limit."""
    rng, draws, (sens, spec) = np.random.default_rng(4), 3000, judge
    chances = np.array([[(1 - true) * spec, true * (1 - sens)], [(1 - true) * (1 - spec), true * sens]])
    table = rng.multinomial(labels, chances.ravel(), size=draws).reshape(draws, 2, 2).astype(float)
    rest = rng.multinomial(n - labels, chances.sum(axis=1), size=draws).astype(float)
    estimate = power_tuned(table_contributions(rest, table, (draws,), (0.0, 1.0)), squared_shares=1 / labels)
    side: OneSide = "lower" if direction == "floor" else "upper"
    bound = guarded_bound(estimate, labels, labels, confidence=1 - alpha, side=side)
    return float(np.mean(bound >= limit if direction == "floor" else bound <= limit))


@pytest.mark.parametrize("alpha", [0.05, 0.005])
@pytest.mark.parametrize("judge", [(0.9, 0.9), (0.98, 0.85), (1.0, 1.0), (0.6, 0.5)])
@pytest.mark.parametrize(
    ("limit", "true", "direction"), [(0.8, 0.85, "floor"), (0.9, 0.95, "floor"), (0.3, 0.2, "ceiling")]
)
def test_power_is_what_the_bound_reaches(
    limit: float, true: float, direction: Direction, judge: tuple[float, float], alpha: float
) -> None:
    for n, labels in ((500, 400), (1500, 300), (2000, 150), (300, 300)):
        power = power_for_labelled_limit(n, labels, limit, true, *judge, direction=direction, alpha=alpha)
        assert power == pytest.approx(simulated(n, labels, limit, true, judge, direction, alpha), abs=0.06)


def labels_needed(n: int, quality: float = 0.9) -> int | None:
    return labels_for_labelled_limit(n, 0.8, 0.86, sensitivity=quality, specificity=quality, direction="floor")


def test_labels_are_the_fewest_and_fewer_behind_a_good_judge_or_beside_more_answers() -> None:
    labels = labels_needed(800)
    assert labels is not None

    def power(count: int) -> float:
        return power_for_labelled_limit(800, count, 0.8, 0.86, 0.9, 0.9, direction="floor")

    assert power(labels) >= 0.8 > power(labels - 1)
    good, more, blind = labels_needed(800, 0.98), labels_needed(2000), labels_needed(800, 0.5)
    assert good is not None
    assert more is not None
    assert blind is not None
    assert max(good, more) < labels < blind
    assert labels_needed(150) is None


def test_a_ceiling_on_failures_is_a_floor_on_passes() -> None:
    floor = power_for_labelled_limit(800, 200, 0.8, 0.86, 0.95, 0.9, direction="floor")
    assert floor == pytest.approx(power_for_labelled_limit(800, 200, 0.2, 0.14, 0.9, 0.95, direction="ceiling"))


def test_bad_input_is_refused() -> None:
    with pytest.raises(InputError, match="labels must lie"):
        power_for_labelled_limit(10, 11, 0.5, 0.6, 1, 1, direction="floor")
    with pytest.raises(InputError, match="n must be"):
        power_for_labelled_limit(0, 0, 0.5, 0.6, 1, 1, direction="floor")
    with pytest.raises(InputError, match="unknown direction"):
        power_for_labelled_limit(10, 10, 0.5, 0.6, 1, 1, direction="above")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="cannot prove"):
        labels_for_labelled_limit(100, 0.8, 0.8, sensitivity=0.9, specificity=0.9, direction="floor")
