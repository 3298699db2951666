"""When one check stops, look by look, at the rate it was sized for: its power and the prompts it really takes.

Exact for rates against a limit (the count of successes is followed through the looks), else by the normal theory of
group-sequential designs, from the power that the same number of prompts would have in one look.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

from evalharness.plan import Looks
from evalharness.statistics import design_for, look_alphas

LARGEST_EXACT_PATH = 20_000
"""Above this the count of successes is no longer followed outcome by outcome."""
_CLOSE_TO_CERTAIN = 1e-9


Direction = Literal["floor", "ceiling"]
Edge = tuple[float, float]
"""Limit and one-sided level of a Clopper-Pearson bound."""


@dataclass(frozen=True)
class Stopping:
    """The chances of one check's course."""

    sizes: tuple[int, ...]
    """Prompts at each look."""
    passed: tuple[float, ...]
    """Chance to pass at each look."""
    dropped: tuple[float, ...]
    """Chance to stop at each look without a pass."""

    @property
    def power(self) -> float:
        """Chance to pass, over all looks."""
        return min(1.0, sum(self.passed))

    @property
    def ends(self) -> NDArray[np.float64]:
        """Chance that each look is the last one, shape (looks,)."""
        chances = np.add(self.passed, self.dropped)
        chances[-1] = max(0.0, 1.0 - chances[:-1].sum())
        return np.asarray(chances / chances.sum(), dtype=np.float64)

    @property
    def expected_n(self) -> float:
        """Prompts taken on average."""
        return float(self.ends @ np.asarray(self.sizes))


def stopping_at_limit(
    sizes: Sequence[int],
    edges: Sequence[Edge],
    wedges: Sequence[tuple[Edge, Edge] | None],
    rate: float,
    direction: Direction,
) -> Stopping:
    """The course of a check of a rate against a limit, exactly: the count of successes is followed through the looks.

    Args:
        sizes: prompts at each look, not shrinking.
        edges: at each look, the bound that must clear its limit.
        wedges: at each look, the bound that must fall short of its limit and the one that must clear it for the check
            to be given up; None: it is not given up there.
        rate: chance of the event that the rate counts.
        direction: whether the limit is a floor or a ceiling.
    """
    chance = rate if direction == "floor" else 1 - rate
    never = (edges[0], edges[0])
    needed = _needed(sizes, edges, direction)
    short, clear = (_needed(sizes, [(wedge or never)[end] for wedge in wedges], direction) for end in (0, 1))
    mass, before = np.ones(1), 0
    passed, dropped = [], []
    for look, (n, wedge) in enumerate(zip(sizes, wedges, strict=True)):
        if n > before:
            mass = np.convolve(mass, stats.binom.pmf(np.arange(n - before + 1), n - before, chance))
            before = n
        counts = np.arange(mass.size)
        passes = counts >= needed[look]
        given_up = ~passes & (counts < short[look]) & (counts >= clear[look]) & (wedge is not None)
        passed.append(float(mass[passes].sum()))
        dropped.append(float(mass[given_up].sum()))
        mass = np.where(passes | given_up, 0.0, mass)
    return Stopping(tuple(sizes), tuple(passed), tuple(dropped))


def stopping_by_design(
    sizes: Sequence[int], looks: Looks, *, alpha: float, design_power: float, fixed_power: float, effect: float = 1.0
) -> Stopping:
    """The course of any check by normal theory.

    Args:
        sizes: prompts at each look.
        looks: when the run is looked at.
        alpha: error rate over all looks.
        design_power: power that the boundaries are made for.
        fixed_power: power of the whole sample in a single look, at the effect expected.
        effect: multiple of that effect.
    """
    chance = min(max(fixed_power, _CLOSE_TO_CERTAIN), 1 - _CLOSE_TO_CERTAIN)
    drift = float(special.ndtri(chance) - special.ndtri(alpha)) * effect
    if len(looks.fractions) == 1:
        return Stopping(tuple(sizes), (float(special.ndtr(drift + special.ndtri(alpha))),), (0.0,))
    design = design_for(looks.fractions, alpha, design_power, looks.spending, looks.futility)
    found = design.outcome(drift / design.drift)
    return Stopping(tuple(sizes), found.upper, tuple(np.add(found.lower, found.inside).tolist()))


def wedge_levels(looks: Looks, alpha: float, design_power: float) -> tuple[tuple[float, float] | None, ...]:
    """At each look, one-sided levels of the bounds between which a check is given up; None: not at that look."""
    if looks.futility is None or len(looks.fractions) == 1:
        return (None,) * len(looks.fractions)
    wedge = design_for(looks.fractions, alpha, design_power, looks.spending, looks.futility).futility_z
    levels = [(float(special.ndtr(-z)), float(special.ndtr(z))) for z in wedge]
    return tuple(pair if pair[0] < pair[1] else None for pair in levels)


def pass_levels(looks: Looks, alpha: float) -> tuple[float, ...]:
    """One-sided level of each look at which a check passes."""
    return look_alphas(looks.fractions, alpha, looks.spending)


def _needed(sizes: Sequence[int], edges: Sequence[Edge], direction: Direction) -> NDArray[np.int64]:
    """Fewest successes at each look whose bound clears the limit; for a ceiling, non-events are the successes."""
    n, limits = np.asarray(sizes), np.array([limit for limit, _ in edges])
    limits = limits if direction == "floor" else 1 - limits
    inside = (limits > 0) & (limits < 1)
    counts = stats.binom.isf([level for _, level in edges], n, np.where(inside, limits, 0.5)) + 1
    return np.where(inside, counts, n + 1).astype(np.int64)
