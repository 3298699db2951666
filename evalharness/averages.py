"""How many prompts a plan with several looks takes on average: checks stop at different looks and share strata."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Demand:
    """What one check asks."""

    counts: NDArray[np.int64]
    """Prompts of each stratum by each look, shape (looks, strata)."""
    ends: NDArray[np.float64]
    """Chance that each look is the check's last, shape (looks,)."""


def expected_prompts(demands: Sequence[Demand], planned: NDArray[np.int64]) -> float:
    """Prompts asked on average: of every stratum as many as the check that goes furthest takes.

    Checks are taken as independent, and those that are not sized as settled with the others; strata that no sized check
    is about count in full. A failure, which ends the run, is left out of account.

    Args:
        demands: one for every sized check.
        planned: prompts of each stratum that may be asked, shape (strata,).
    """
    total = 0.0
    for stratum, most in enumerate(planned.tolist()):
        mine = [(d.counts[:, stratum], d.ends) for d in demands if d.counts[-1, stratum] > 0]
        if not mine:
            total += most
            continue
        values = np.unique(np.concatenate([counts for counts, _ in mine]))
        # P(max <= v) is the product over the checks of their chances to stop by then.
        at_most = np.prod([[ends[counts <= v].sum() for v in values] for counts, ends in mine], axis=0)
        total += float(values @ np.diff(at_most, prepend=0.0))
    return total
