"""How many prompts one cell takes, and the power that a number of prompts has, by the method that will decide."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from scipy import special

from evalharness.plan import Looks, Requirement
from evalharness.statistics import (
    power_for_limit,
    power_for_margin,
    quantile_n_for_bound,
    size_for_limit,
    size_for_margin,
)
from evalharness.statistics.sequential_levels import design_for
from golden_sets.errors import InputError

SIZED = ("floor", "ceiling", "margin")
"""Purposes that are sized for a power."""
ASSUMED_SENSITIVITY = 0.95
"""Lower bound of the judge's sensitivity that safety cells are sized for."""
QUANTILE_SLACK = 2.0
"""Latency buckets get this many times the least n at which a bound exists: a bound at the maximum is of little use."""
LARGEST_EXACT_SIZE = 1_000_000
"""Above this a size is no longer searched for: it is this number, and a note gives the first estimate."""


@dataclass(frozen=True)
class CellSize:
    """What one cell takes."""

    fixed: int
    """Prompts when looked at once; 0: not sized."""
    wanted: int
    """Prompts at most, over all looks."""
    note: str | None = None
    """Why it could not be sized, or not exactly."""


def size(requirement: Requirement, rate: float | None, looks: Looks, *, judged: bool) -> CellSize:
    """The size of one cell.

    Args:
        requirement: what must be shown.
        rate: the rate to expect (discordance for a margin); None: unknown.
        looks: when the run is looked at.
        judged: whether a judge scores the answers.

    Raises:
        InputError: an expected rate that is none.
    """
    found = _fixed(requirement, rate, judged=judged)
    if requirement.purpose not in SIZED or found.fixed == 0:
        return found
    factor = inflation(requirement, looks)
    return CellSize(found.fixed, math.ceil(factor * found.fixed - 1e-9), found.note)


def inflation(requirement: Requirement, looks: Looks) -> float:
    """Maximum sample of the planned looks over that of a single one, of equal error rate and power."""
    if len(looks.fractions) == 1 or requirement.basis == "end":
        return 1.0
    design = design_for(looks.fractions, requirement.alpha, requirement.power, looks.spending, looks.futility)
    return design.inflation


def power(requirement: Requirement, rate: float | None, n: int, looks: Looks, *, judged: bool) -> float | None:
    """Power of a cell with ``n`` prompts at most; None where it is not sized or cannot be passed."""
    if rate is None or requirement.limit is None or n == 0:
        return None
    limit, alpha = _limit_and_alpha(requirement, judged=judged)
    n = max(1, math.floor(n / inflation(requirement, looks) + 1e-9))
    if requirement.purpose == "margin":
        return power_for_margin(n, abs(limit), rate, alpha=alpha)
    if requirement.purpose == "floor":
        return power_for_limit(n, limit, rate, direction="floor", alpha=alpha)
    if requirement.purpose == "ceiling":
        return power_for_limit(n, limit, rate, direction="ceiling", alpha=alpha)
    return None


def _fixed(requirement: Requirement, rate: float | None, *, judged: bool) -> CellSize:
    purpose, wanted = requirement.purpose, requirement.power
    if purpose == "quantile":
        assert requirement.quantile is not None  # noqa: S101 - latency checks have one
        least = math.ceil(QUANTILE_SLACK * quantile_n_for_bound(requirement.quantile, 1 - requirement.alpha))
        return CellSize(least, least)
    if purpose not in SIZED or rate is None:
        return CellSize(0, 0)
    if not 0 <= rate <= 1:
        raise InputError(f"the expected rate {rate:g} is no rate", do="expect a number between 0 and 1")
    limit, alpha = _limit_and_alpha(requirement, judged=judged)
    if purpose == "margin":
        estimate = _about_for_margin(abs(limit), rate, alpha, wanted)
        if estimate > LARGEST_EXACT_SIZE:
            return _capped(f"a margin of {abs(limit):.3g} takes about {estimate:.2g} prompts")
        n = size_for_margin(abs(limit), rate, alpha=alpha, power=wanted)
        return CellSize(n, n)
    direction: Literal["floor", "ceiling"] = "floor" if purpose == "floor" else "ceiling"
    if (rate <= limit) if direction == "floor" else (rate >= limit):
        note = f"the expected rate {rate:.3g} does not meet the limit {limit:.3g}: no sample size will pass it"
        return CellSize(0, 0, note)
    estimate = _about_for_limit(limit, rate, alpha, wanted)
    if estimate > LARGEST_EXACT_SIZE:
        near = f"the expected rate {rate:.6g} is so near the limit {limit:.6g}"
        return _capped(f"{near} that about {estimate:.2g} prompts are wanted")
    n = size_for_limit(limit, rate, direction=direction, alpha=alpha, power=wanted)
    return CellSize(n, n)


def _capped(note: str) -> CellSize:
    return CellSize(LARGEST_EXACT_SIZE, LARGEST_EXACT_SIZE, note)


def _limit_and_alpha(requirement: Requirement, *, judged: bool) -> tuple[float, float]:
    """A judged ceiling pays for the judge's sensitivity: half of alpha, and a limit shrunk by it."""
    assert requirement.limit is not None  # noqa: S101 - floors, ceilings and margins have one
    if judged and requirement.purpose == "ceiling":
        return requirement.limit * ASSUMED_SENSITIVITY, requirement.alpha / 2
    return requirement.limit, requirement.alpha


def _about_for_limit(limit: float, rate: float, alpha: float, power: float) -> float:
    """First estimate of `size_for_limit`: ((z_a sd(limit) + z_b sd(rate)) / distance)^2, at least what a sample
    without a single failure takes.

    Chow, Shao, Wang and Lokhnygina, Sample Size Calculations in Clinical Research (3rd ed., 2018), chapter 4.
    """
    z_alpha, z_power = -float(special.ndtri(alpha)), max(0.0, float(special.ndtri(power)))
    spread = z_alpha * math.sqrt(limit * (1 - limit)) + z_power * math.sqrt(rate * (1 - rate))
    failing = 1 - limit if rate > limit else limit
    without_failures = math.log(alpha) / math.log1p(-failing)
    return max((spread / (rate - limit)) ** 2, without_failures)


def _about_for_margin(margin: float, discordance: float, alpha: float, power: float) -> float:
    """First estimate of `size_for_margin`: (z_a + z_b)^2 psi / margin^2, at least z_a^2 / margin where nothing differs.

    Chow et al. (2018), chapter 4; the second term is the variance that Tango's interval keeps without discordance.
    """
    z_alpha, z_power = -float(special.ndtri(alpha)), float(special.ndtri(power))
    return max((z_alpha + z_power) ** 2 * discordance / margin**2, z_alpha**2 / margin)
