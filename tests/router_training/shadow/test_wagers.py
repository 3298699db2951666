"""Wagers: what they refuse, and that their state carries over."""

from __future__ import annotations

import json

import numpy as np
import pytest

from golden_sets.errors import InputError
from router_training.shadow.conformal import Ranks
from router_training.shadow.wagers import IntervalBets, MeanBets, Wager


def test_a_wager_goes_on_from_its_state_to_the_last_bit() -> None:
    rng = np.random.default_rng(0)
    values = rng.random(200)
    whole, first = MeanBets(0.4, low=0.0, alpha=0.001), MeanBets(0.4, low=0.0, alpha=0.001)
    for x in values:
        whole.update(x)
    for x in values[:77]:
        first.update(x)
    second = MeanBets(0.4, low=0.0, alpha=0.001)
    second.wager.restore(json.loads(json.dumps(first.wager.state())))
    for x in values[77:]:
        second.update(x)
    assert second.wager.capital == whole.wager.capital
    assert second.wager.steps == whole.wager.steps


def test_it_rings_once_and_then_stands_still() -> None:
    bets = MeanBets(0.1, low=0.0, alpha=0.01)
    rings = [bets.update(1.0) for _ in range(50)]
    assert sum(rings) == 1
    assert bets.wager.rang_at == rings.index(True) + 1
    assert bets.wager.capital >= 100
    assert bets.wager.steps == bets.wager.rang_at


def test_nothing_is_won_or_lost_on_average_at_uniform_p_values() -> None:
    """The factors of every interval bet average to 1 over the unit interval."""
    bets = IntervalBets(np.array([0.0, 0.25, 0.5]), np.array([0.1, 0.5, 1.0]), np.ones(3), alpha=0.5)
    before = bets.wager.capital
    capital = []
    for p in (np.arange(400) + 0.5) / 400:
        one = IntervalBets(np.array([0.0, 0.25, 0.5]), np.array([0.1, 0.5, 1.0]), np.ones(3), alpha=1e-9)
        one.update(float(p))
        capital.append(one.wager.capital)
    assert np.mean(capital) == pytest.approx(before, abs=1e-9)


@pytest.mark.parametrize("alpha", [0.0, 1.0, -0.1])
def test_a_chance_outside_its_range_is_refused(alpha: float) -> None:
    with pytest.raises(InputError, match="chance of a false alarm"):
        Wager(np.array([1.0]), alpha=alpha)


def test_what_cannot_be_bet_on_is_refused() -> None:
    with pytest.raises(InputError, match="sum to 1"):
        Wager(np.array([0.5, 0.2]), alpha=0.1)
    with pytest.raises(InputError, match="above the smallest"):
        MeanBets(0.0, low=0.0, alpha=0.1)
    with pytest.raises(InputError, match="weight"):
        MeanBets(0.1, low=0.0, alpha=0.1).update(0.5, 1.5)
    with pytest.raises(InputError, match="another test"):
        Wager(np.array([1.0]), alpha=0.1).restore({"awake": [0.1, 0.2], "asleep": 0.5, "steps": 3, "rang_at": None})


def test_ranks_among_reference_and_past() -> None:
    ranks = Ranks([1.0, 2.0, 3.0])
    assert ranks.p_value(0.0, 0.5) == 0.125  # of four, half of the first place
    assert ranks.p_value(9.0, 0.0) == 0.8
    assert ranks.p_value(2.0, 0.0) == pytest.approx(2 / 6)
    again = Ranks([1.0, 2.0, 3.0])
    again.extend([0.0, 9.0, 2.0])
    assert again.p_value(2.5, 0.0) == ranks.p_value(2.5, 0.0)
