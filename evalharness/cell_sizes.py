"""How many prompts one cell takes when it is looked at once, by the method that will decide."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from scipy import special

from evalharness.plan import Requirement
from evalharness.statistics import quantile_n_for_bound, size_for_half_width, size_for_limit, size_for_margin
from golden_sets.errors import InputError

SIZED = ("floor", "ceiling", "margin")
"""Purposes for which prompts are sized for a power."""
POWERED = (*SIZED, "calibration")
"""Purposes whose chance to pass is part of the joint power."""
QUANTILE_SLACK = 2.0
"""Latency buckets get this many times the least n at which a bound exists: a bound at the maximum is of little use."""
LARGEST_EXACT_SIZE = 1_000_000
"""Above this a size is no longer searched for: it is this number, and a note gives the first estimate."""


@dataclass(frozen=True)
class CellSize:
    """What one cell takes, looked at once."""

    n: int
    """Prompts; 0: not sized."""
    labels: int = 0
    """Labels that correct the judge."""
    note: str | None = None
    """Why it could not be sized, or not exactly."""


def size_for(
    requirement: Requirement, rate: float | None, *, limit: float | None = None, alpha: float | None = None
) -> CellSize:
    """The size of one cell for its purpose and power.

    Args:
        requirement: what must be shown.
        rate: the rate to expect (discordance for a margin); None: unknown.
        limit: in place of the requirement's, where a judge's error shrinks it.
        alpha: in place of the requirement's.

    Raises:
        InputError: an expected rate that is none.
    """
    purpose, power = requirement.purpose, requirement.power
    if purpose == "quantile":
        assert requirement.quantile is not None  # noqa: S101 - latency checks have one
        return CellSize(math.ceil(QUANTILE_SLACK * quantile_n_for_bound(requirement.quantile, 1 - requirement.alpha)))
    if purpose not in SIZED or rate is None:
        return CellSize(0)
    if not 0 <= rate <= 1:
        raise InputError(f"the expected rate {rate:g} is no rate", do="expect a number between 0 and 1")
    edge, level = requirement.limit if limit is None else limit, requirement.alpha if alpha is None else alpha
    assert edge is not None  # noqa: S101 - floors, ceilings and margins have one
    if purpose == "margin":
        found = _for_margin(abs(edge), rate, level, power)
    else:
        found = _for_limit(edge, rate, "floor" if purpose == "floor" else "ceiling", level, power)
    return CellSize(max(found.n, for_width(requirement, rate)), note=found.note)


def for_width(requirement: Requirement, rate: float) -> int:
    """Prompts for the display width that a requirement asks for, at 95 % two-sided; 0: it asks for none."""
    width = requirement.half_width
    if width is None:
        return 0
    if requirement.purpose == "margin":
        z = float(special.ndtri(0.975))
        return math.ceil(z * z * rate / width**2)
    return size_for_half_width(rate, width)


def least(requirement: Requirement) -> int:
    """Fewest prompts at which the check can pass at all: without one failure, or without one discordant pair."""
    if requirement.purpose not in SIZED or requirement.limit is None:
        return 0
    limit = abs(requirement.limit)
    if requirement.purpose == "margin":
        z = -float(special.ndtri(requirement.alpha))
        return math.ceil(z * z * (1 - limit) / limit)
    return math.ceil(math.log(requirement.alpha) / math.log(limit if requirement.purpose == "floor" else 1 - limit))


def _for_margin(margin: float, discordance: float, alpha: float, power: float) -> CellSize:
    estimate = _about_for_margin(margin, discordance, alpha, power)
    if estimate > LARGEST_EXACT_SIZE:
        return CellSize(LARGEST_EXACT_SIZE, note=f"a margin of {margin:.3g} takes about {estimate:.2g} prompts")
    return CellSize(size_for_margin(margin, discordance, alpha=alpha, power=power))


def _for_limit(
    limit: float, rate: float, direction: Literal["floor", "ceiling"], alpha: float, power: float
) -> CellSize:
    if (rate <= limit) if direction == "floor" else (rate >= limit):
        return CellSize(
            0, note=f"the expected rate {rate:.3g} does not meet the limit {limit:.3g}: no sample will pass it"
        )
    estimate = _about_for_limit(limit, rate, alpha, power)
    if estimate > LARGEST_EXACT_SIZE:
        near = f"the expected rate {rate:.6g} is so near the limit {limit:.6g}"
        return CellSize(LARGEST_EXACT_SIZE, note=f"{near} that about {estimate:.2g} prompts are wanted")
    return CellSize(size_for_limit(limit, rate, direction=direction, alpha=alpha, power=power))


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
