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


@dataclass(frozen=True)
class LimitBounds:
    """The bounds that decide a check of a rate against a limit, look by look."""

    edges: tuple[Edge, ...]
    """The bound that must clear its limit for a pass."""
    wedges: tuple[tuple[Edge, Edge] | None, ...]
    """The bound that must fall short of its limit and the one that must clear it for the check to be given up; None: it
    is not given up there."""


def stopping_at_limit(
    sizes: Sequence[int], bounds: Sequence[LimitBounds], rate: float, direction: Direction
) -> Stopping:
    """The course of a check of a rate against a limit, exactly: the count of successes is followed through the looks.

    Args:
        sizes: prompts at each look, not shrinking.
        bounds: what decides; several where chance decides between them, each as likely as the others.
        rate: chance of the event that the rate counts.
        direction: whether the limit is a floor or a ceiling.
    """
    chance = rate if direction == "floor" else 1 - rate
    needed = _needed(sizes, [b.edges for b in bounds], direction)
    short, clear = (
        _needed(
            sizes, [[(w or (e, e))[end] for w, e in zip(b.wedges, b.edges, strict=True)] for b in bounds], direction
        )
        for end in (0, 1)
    )
    steps = {n: stats.binom.pmf(np.arange(n + 1), n, chance) for n in set(np.diff(sizes, prepend=0).tolist())}
    passed, dropped = np.zeros(needed.shape), np.zeros(needed.shape)
    for part, bound in enumerate(bounds):
        mass = np.ones(1)
        for look, step in enumerate(np.diff(sizes, prepend=0).tolist()):
            mass = np.convolve(mass, steps[step]) if step else mass
            top, low, high = needed[part, look], clear[part, look], min(short[part, look], needed[part, look])
            passed[part, look] = mass[top:].sum()
            mass[top:] = 0.0
            if bound.wedges[look] is not None and low < high:
                dropped[part, look] = mass[low:high].sum()
                mass[low:high] = 0.0
    return Stopping(tuple(sizes), tuple(passed.mean(axis=0).tolist()), tuple(dropped.mean(axis=0).tolist()))


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


def _needed(sizes: Sequence[int], edges: Sequence[Sequence[Edge]], direction: Direction) -> NDArray[np.int64]:
    """Fewest successes whose bound clears the limit, shape (bounds, looks); for a ceiling, non-events are successes."""
    n, values = np.asarray(sizes), np.asarray(edges, dtype=np.float64)
    limits, levels = values[..., 0], values[..., 1]
    limits = limits if direction == "floor" else 1 - limits
    inside = (limits > 0) & (limits < 1)
    counts = stats.binom.isf(levels, n, np.where(inside, limits, 0.5)) + 1
    return np.where(inside, counts, n + 1).astype(np.int64)
