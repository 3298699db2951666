"""When a check stops: exact for rates, normal theory otherwise, both against simulation and each other."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import special

from evalharness.plan import Looks
from evalharness.statistics import design_for, power_for_limit, power_for_margin, proportion_lower, proportion_upper
from evalharness.stopping import LimitBounds, pass_levels, stopping_at_limit, stopping_by_design, wedge_levels

FIVE = Looks(fractions=(0.2, 0.4, 0.6, 0.8, 1.0), futility="cubic")
SIZES = (40, 80, 120, 160, 200)


def once(limit: float) -> LimitBounds:
    return LimitBounds(edges=((limit, 0.05),), wedges=(None,))


def planned(limit: float) -> LimitBounds:
    wedges = wedge_levels(FIVE, 0.05, 0.9)
    return LimitBounds(
        edges=tuple((limit, level) for level in pass_levels(FIVE, 0.05)),
        wedges=tuple(None if pair is None else ((limit, pair[0]), (limit, pair[1])) for pair in wedges),
    )


def test_one_look_has_the_power_of_the_exact_bound() -> None:
    found = stopping_at_limit([150], [once(0.8)], 0.9, "floor")
    assert found.power == pytest.approx(power_for_limit(150, 0.8, 0.9, direction="floor", alpha=0.05))
    ceiling = stopping_at_limit([300], [once(0.02)], 0.002, "ceiling")
    assert ceiling.power == pytest.approx(power_for_limit(300, 0.02, 0.002, direction="ceiling", alpha=0.05))
    assert found.expected_n == 150


@pytest.mark.parametrize(("direction", "limit", "rate"), [("floor", 0.8, 0.9), ("ceiling", 0.1, 0.04)])
def test_several_looks_stop_as_often_as_simulated_runs_do(direction: str, limit: float, rate: float) -> None:
    levels, wedges = pass_levels(FIVE, 0.05), wedge_levels(FIVE, 0.05, 0.9)
    found = stopping_at_limit(
        SIZES,
        [planned(limit)],
        rate,
        direction,  # type: ignore[arg-type]
    )
    bound = proportion_lower if direction == "floor" else proportion_upper

    def clears(count: int, n: int, level: float) -> bool:
        edge = float(bound(count, n, confidence=1 - level))
        return edge >= limit if direction == "floor" else edge <= limit

    rng, runs = np.random.default_rng(3), 4000
    counts = np.cumsum(rng.binomial(40, rate, size=(runs, 5)), axis=1)
    table = {
        (look, c): (
            clears(c, n, levels[look]),
            (pair := wedges[look]) is not None and not clears(c, n, pair[0]) and clears(c, n, pair[1]),
        )
        for look, n in enumerate(SIZES)
        for c in np.unique(counts[:, look]).tolist()
    }
    passed, dropped = np.zeros(5), np.zeros(5)
    for run in counts:
        for look, count in enumerate(run.tolist()):
            passes, given_up = table[look, count]
            if passes or given_up:
                (passed if passes else dropped)[look] += 1
                break
    assert np.allclose(np.array(found.passed), passed / runs, atol=0.03)
    assert np.allclose(np.array(found.dropped), dropped / runs, atol=0.03)
    assert 0 < sum(found.dropped) < 0.2


def test_looks_at_the_same_prompts_do_not_break_the_course() -> None:
    sizes = (1, 1, 2, 2, 3)
    found = stopping_at_limit(sizes, [planned(0.3)], 0.99, "floor")
    assert found.sizes == sizes
    assert 0 < found.power <= 1


def test_a_limit_that_cannot_be_reached_is_never_passed() -> None:
    found = stopping_at_limit([50], [once(0.0)], 0.0, "ceiling")
    assert found.power == 0.0


def test_where_chance_decides_between_bounds_the_courses_are_mixed() -> None:
    strict, loose = LimitBounds(((0.85, 0.05),), (None,)), once(0.8)
    powers = [stopping_at_limit([150], [bound], 0.9, "floor").power for bound in (strict, loose)]
    assert powers[0] < powers[1]
    assert stopping_at_limit([150], [strict, loose], 0.9, "floor").power == pytest.approx(sum(powers) / 2)


class TestNormalTheory:
    def test_one_look_keeps_its_power(self) -> None:
        power = power_for_margin(800, 0.04, 0.12, alpha=0.05)
        found = stopping_by_design([800], Looks(), alpha=0.05, design_power=0.9, fixed_power=power)
        assert found.power == pytest.approx(power)

    def test_the_power_of_the_design_is_kept_with_the_inflated_sample(self) -> None:
        """A sample inflated as the design says has the design's power; one that is not has less."""
        drift = np.sqrt(design_for(FIVE.fractions, 0.05, 0.9, "quadratic", "cubic").inflation) * (1.644854 + 1.281552)
        power = float(special.ndtr(drift - 1.644854))
        inflated = stopping_by_design(SIZES, FIVE, alpha=0.05, design_power=0.9, fixed_power=power)
        plain = stopping_by_design(SIZES, FIVE, alpha=0.05, design_power=0.9, fixed_power=0.9)
        assert inflated.power == pytest.approx(0.9, abs=1e-4)
        assert plain.power < 0.88

    def test_a_clearer_effect_stops_earlier(self) -> None:
        near, far = (
            stopping_by_design(SIZES, FIVE, alpha=0.05, design_power=0.9, fixed_power=0.93, effect=effect)
            for effect in (1.0, 2.0)
        )
        assert far.expected_n < 0.7 * near.expected_n < near.sizes[-1]
        assert far.power > near.power
        assert far.ends.sum() == pytest.approx(1.0)

    def test_it_agrees_with_the_exact_course_for_many_prompts(self) -> None:
        sizes = tuple(1000 * k for k in range(1, 6))
        exact = stopping_at_limit(sizes, [planned(0.8)], 0.8175, "floor")
        power = power_for_limit(5000, 0.8, 0.8175, direction="floor", alpha=0.05)
        normal = stopping_by_design(sizes, FIVE, alpha=0.05, design_power=0.9, fixed_power=power)
        assert exact.power == pytest.approx(normal.power, abs=0.01)
        assert exact.expected_n == pytest.approx(normal.expected_n, rel=0.03)


def test_without_futility_nothing_is_given_up() -> None:
    looks = FIVE.model_copy(update={"futility": None})
    assert wedge_levels(looks, 0.05, 0.9) == (None,) * 5
    assert stopping_by_design(SIZES, looks, alpha=0.05, design_power=0.9, fixed_power=0.9).power > 0.87
