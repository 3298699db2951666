"""How many prompts: for a wanted width, for proving a limit, for a paired margin.

Sizes use the interval that will decide, not only its textbook approximation. Sources: Chow, Shao, Wang and Lokhnygina,
Sample Size Calculations in Clinical Research (3rd ed., 2018), chapters 4 and 5; Chernick and Liu, The American
Statistician 56 (2002) 149 (the saw-tooth of exact binomial power).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy import special, stats

from evalharness.statistics._inputs import Vector, rate
from evalharness.statistics.interval import check_confidence
from evalharness.statistics.proportions import ProportionMethod, proportion_lower, proportion_upper
from evalharness.statistics.sequential_design import BinomialPath, binomial_path, floor_counts
from evalharness.statistics.tango import null_variance
from golden_sets.errors import InputError

Direction = Literal["floor", "ceiling"]
"""``floor``: the rate must be proved to be at least the limit; ``ceiling``: at most."""

LARGEST_SIZE = 10_000_000
"""Sizes beyond this are refused: the true rate is too close to the limit."""


def textbook_size(rate_: float, half_width: float, confidence: float = 0.95) -> int:
    """The first approximation, z^2 p (1 - p) / h^2, rounded up; 0 variance (p = 0 or 1) gives 1.

    Raises:
        InputError: rate outside [0, 1], half-width or confidence outside (0, 1).
    """
    p, h = rate(rate_, "rate"), open_unit(half_width, "half_width")
    z = float(special.ndtri((1 + check_confidence(confidence)) / 2))
    return max(1, math.ceil(z * z * p * (1 - p) / (h * h) - 1e-9))


def size_for_half_width(
    rate_: float, half_width: float, *, confidence: float = 0.95, method: ProportionMethod = "wilson"
) -> int:
    """Smallest n at which the two-sided interval around the expected count is at most ``2 * half_width`` wide.

    Raises:
        InputError: rate outside [0, 1], half-width or confidence outside (0, 1), or more than 10 million needed.
    """
    p, h = rate(rate_, "rate"), open_unit(half_width, "half_width")
    tail = (1 + check_confidence(confidence)) / 2

    def wide(n: int) -> bool:
        upper = proportion_upper(p * n, n, confidence=tail, method=method)
        return float(upper - proportion_lower(p * n, n, confidence=tail, method=method)) > 2 * h

    high = 1
    while wide(high):
        high *= 2
        if high > 2 * LARGEST_SIZE:
            raise InputError(f"a half-width of {half_width} needs more than {LARGEST_SIZE} observations")
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if wide(middle) else (low, middle)
    return high


def power_for_limit(n: int, limit: float, true_rate: float, *, direction: Direction, alpha: float = 0.05) -> float:
    """Exact chance that a one-sided Clopper-Pearson bound at 1 - alpha clears the limit.

    Raises:
        InputError: n < 1, rates outside [0, 1], limit or alpha outside (0, 1), unknown direction.
    """
    return float(powers_for_limit(n, limit, true_rate, direction=direction, alpha=alpha))


def powers_for_limit(
    n: ArrayLike, limit: float, true_rate: float, *, direction: Direction, alpha: float = 0.05
) -> Vector:
    """`power_for_limit`, elementwise over an array of sizes.

    Raises:
        InputError: as `power_for_limit`.
    """
    sizes = np.asarray(n, dtype=np.int64)
    if (sizes < 1).any():
        raise InputError("n must be at least 1")
    edge, true = _as_floor(open_unit(limit, "limit"), rate(true_rate, "true_rate"), direction)
    # The bound clears a floor at k successes exactly when P(Bin(n, floor) >= k) <= alpha.
    needed = stats.binom.isf(open_unit(alpha, "alpha"), sizes, edge) + 1
    return np.asarray(stats.binom.sf(needed - 1, sizes, true), dtype=np.float64)


def size_for_limit(
    limit: float, true_rate: float, *, direction: Direction, alpha: float = 0.05, power: float = 0.8
) -> int:
    """Smallest n from which on the power to prove a floor or ceiling stays at least ``power``.

    Exact power is a saw-tooth in n; this n is past its last dip below the wanted power. Proving < 1 % with a true rate
    of 0 takes 299.

    Raises:
        InputError: a true rate on the wrong side of the limit, or so close that more than 10 million are needed.
    """
    edge, true = _as_floor(open_unit(limit, "limit"), rate(true_rate, "true_rate"), direction)
    open_unit(power, "power")
    if true <= edge:
        raise InputError(
            f"a true rate of {true_rate} cannot prove a {direction} of {limit}",
            do="the true rate must lie on the passing side of the limit",
        )
    z_alpha, z_power = -float(special.ndtri(open_unit(alpha, "alpha"))), max(0.0, float(special.ndtri(power)))
    spread = z_alpha * math.sqrt(edge * (1 - edge)) + z_power * math.sqrt(true * (1 - true))
    without_failures = math.log(alpha) / math.log(edge)
    first = math.ceil(max((spread / (true - edge)) ** 2, without_failures))
    if first > LARGEST_SIZE:
        raise InputError(f"proving a {direction} of {limit} at {true_rate} needs about {first} observations")
    # Search around the normal approximation, wider where it is rough, until the last dip lies well inside.
    reach = 1.0 if first <= 1_000 else 0.1
    while True:
        sizes = np.arange(max(1, math.floor(first * (1 - min(1.0, reach)))), math.ceil(first * (1 + reach)) + 200)
        powers = powers_for_limit(sizes, limit, true_rate, direction=direction, alpha=alpha)
        dips = np.flatnonzero(powers < power)
        last = -1 if dips.size == 0 else int(dips[-1])
        if last < 0.9 * sizes.size and (last >= 0 or sizes[0] == 1):
            return int(sizes[last + 1])
        reach *= 2


def power_for_margin(
    n: int, margin: float, discordance: float, *, true_difference: float = 0.0, alpha: float = 0.05
) -> float:
    """Chance that Tango's one-sided lower bound at 1 - alpha lies above -margin.

    Normal approximation with the variance Tango's test uses under the null and the true one otherwise.

    Raises:
        InputError: n < 1, discordance outside [0, 1] or below the true difference, margin or alpha outside (0, 1).
    """
    return float(powers_for_margin(n, margin, discordance, true_difference=true_difference, alpha=alpha))


def powers_for_margin(
    n: ArrayLike, margin: float, discordance: float, *, true_difference: float = 0.0, alpha: float = 0.05
) -> Vector:
    """`power_for_margin`, elementwise over an array of sizes.

    Raises:
        InputError: as `power_for_margin`.
    """
    pairs = np.asarray(n, dtype=np.float64)
    if not (pairs >= 1).all():
        raise InputError("n must be at least 1")
    open_unit(margin, "margin")
    psi = discordance_of(discordance, true_difference)
    wins, losses = (psi + true_difference) / 2, (psi - true_difference) / 2
    null = np.sqrt(null_variance(wins * pairs, losses * pairs, pairs, -margin) / pairs)
    true = np.sqrt(max(psi - true_difference**2, 1e-12) / pairs)
    z = -float(special.ndtri(open_unit(alpha, "alpha")))
    return np.asarray(special.ndtr((true_difference + margin - z * null) / true), dtype=np.float64)


def size_for_margin(
    margin: float, discordance: float, *, true_difference: float = 0.0, alpha: float = 0.05, power: float = 0.8
) -> int:
    """Smallest number of paired prompts that proves non-inferiority within ``margin`` with the wanted power.

    Starts from (z_alpha + z_power)^2 psi / (margin + d)^2 and refines it with `power_for_margin`.

    Raises:
        InputError: a true difference at or below -margin, or more than 10 million pairs needed.
    """
    psi = discordance_of(discordance, true_difference)
    gap = open_unit(margin, "margin") + true_difference
    if gap <= 0:
        raise InputError(f"a true difference of {true_difference} cannot be proved to lie above -{margin}")
    z = float(special.ndtri(open_unit(power, "power"))) - float(special.ndtri(open_unit(alpha, "alpha")))

    def weak(n: int) -> bool:
        return power_for_margin(n, margin, discordance, true_difference=true_difference, alpha=alpha) < power

    high = max(1, math.ceil(z * z * max(psi - true_difference**2, 0.0) / gap**2))
    while weak(high):
        high *= 2
        if high > 2 * LARGEST_SIZE:
            raise InputError(f"a margin of {margin} needs more than {LARGEST_SIZE} pairs")
    low = 0
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if weak(middle) else (low, middle)
    return high


def power_for_limit_at_looks(
    sizes: Sequence[int],
    limit: float,
    true_rate: float,
    *,
    direction: Direction,
    pass_alphas: Sequence[float],
    fail_alphas: Sequence[float] | None = None,
) -> float:
    """Exact chance that a Clopper-Pearson bound clears the limit at one of several looks.

    Raises:
        InputError: as `limit_at_looks`.
    """
    path = limit_at_looks(
        sizes, limit, true_rate, direction=direction, pass_alphas=pass_alphas, fail_alphas=fail_alphas
    )
    return float(sum(path.passed))


def limit_at_looks(
    sizes: Sequence[int],
    limit: float,
    true_rate: float,
    *,
    direction: Direction,
    pass_alphas: Sequence[float],
    fail_alphas: Sequence[float] | None = None,
) -> BinomialPath:
    """Exact course of a floor or ceiling through its looks: chances to pass and to fail at each, expected size.

    Args:
        sizes: outcomes seen at each look, increasing.
        limit: floor or ceiling.
        true_rate: rate of the outcomes that the limit is about.
        direction: floor or ceiling.
        pass_alphas: nominal one-sided level at which each look passes (`look_alphas`).
        fail_alphas: nominal one-sided level at which each look fails; None: nothing stops but a pass.

    Raises:
        InputError: limit outside (0, 1), rate outside [0, 1], sizes that do not increase, lengths that differ.
    """
    edge, true = _as_floor(open_unit(limit, "limit"), rate(true_rate, "true_rate"), direction)
    pass_at, fail_at = floor_counts(sizes, edge, pass_alphas, pass_alphas if fail_alphas is None else fail_alphas)
    return binomial_path(sizes, pass_at, fail_at if fail_alphas is not None else [-1] * len(fail_at), true)


def _as_floor(limit: float, true_rate: float, direction: Direction) -> tuple[float, float]:
    """A ceiling on a rate is a floor on its complement."""
    if direction == "floor":
        return limit, true_rate
    if direction == "ceiling":
        return 1 - limit, 1 - true_rate
    raise InputError(f"unknown direction '{direction}'", do="use floor or ceiling")


def discordance_of(discordance: float, true_difference: float) -> float:
    """A discordance that leaves room for the true difference.

    Raises:
        InputError: outside [0, 1] or below the true difference.
    """
    psi = rate(discordance, "discordance")
    if not abs(true_difference) <= psi:
        raise InputError(f"discordance {discordance} cannot be below the true difference {true_difference}")
    return psi


def open_unit(value: float, name: str) -> float:
    """A number strictly between 0 and 1.

    Raises:
        InputError: outside (0, 1).
    """
    if not 0.0 < value < 1.0:
        raise InputError(f"{name} must be strictly between 0 and 1, got {value}")
    return float(value)
