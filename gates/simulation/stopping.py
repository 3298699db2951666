"""When a check stops: what each of its looks says, until it passes, fails, or has neither in reach any more."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gates.simulation.bounds import Bound, Mask


@dataclass(frozen=True)
class LookLevels:
    """One-sided levels of a check at one look."""

    to_pass: float
    to_fail: float
    """Holm's first step: what the look spends of alpha over the number of checks."""
    give_up: float | None
    """Level, below one half, of the two bounds between which neither pass nor fail is in reach any more
    (`SequentialDesign.futility_z`); None: the check goes on."""


def stopping(bounds: Sequence[Bound], levels: Sequence[LookLevels], releases: int) -> tuple[Mask, Mask, Mask]:
    """What each look of a check says until it stops, shape (looks, releases) each: passes, fails, neither any more.

    Args:
        bounds: the check at its looks.
        levels: the levels of each look.
        releases: how many.
    """
    passes, fails, futile = (np.zeros((len(bounds), releases), dtype=np.bool_) for _ in range(3))
    still_open = np.ones(releases, dtype=np.bool_)
    for look, (bound, level) in enumerate(zip(bounds, levels, strict=True)):
        # Each question is asked only of the releases that the one before it left open.
        passes[look, still_open] = bound.among(still_open).clears((level.to_pass,))[0]
        rest = below = still_open & ~passes[look]
        if level.give_up is not None and rest.any():
            part = bound.among(rest)
            strong, weak = part.clears((level.give_up, 1 - level.give_up))
            futile[look, rest] = part.exists(level.give_up) & ~strong & weak
            below = rest.copy()
            below[rest] = ~weak
        if below.any():
            fails[look, below] = bound.among(below).violates(level.to_fail)
        still_open = rest & ~fails[look] & ~futile[look]
    return passes, fails, futile
