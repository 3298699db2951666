"""Sample sizes as textbooks approximate them, to be shown beside the sizes of the bounds that decide.

Source: Chow, Shao, Wang and Lokhnygina, Sample Size Calculations in Clinical Research (3rd ed., 2018), sections 4.1
(one proportion) and 5.2 (McNemar's test).
"""

from __future__ import annotations

import math

from scipy import special

from evalharness.statistics._inputs import rate
from golden_sets.errors import InputError


def textbook_size_for_limit(limit: float, true_rate: float, *, alpha: float = 0.05, power: float = 0.8) -> int:
    """Normal approximation for proving a floor or ceiling on one proportion.

    ((z_alpha sqrt(l (1 - l)) + z_power sqrt(p (1 - p))) / (p - l))^2 for limit l and true rate p, rounded up. Too
    small for rare events: proving < 1 % at a true rate of 0 takes 299, not 268.

    Raises:
        InputError: limit, alpha or power outside (0, 1), true rate outside [0, 1] or equal to the limit.
    """
    edge, p = _open(limit, "limit"), rate(true_rate, "true_rate")
    if p == edge:
        raise InputError(f"a true rate of {true_rate} lies on the limit")
    z_alpha, z_power = _upper_z(alpha, "alpha"), -_upper_z(power, "power")
    spread = z_alpha * math.sqrt(edge * (1 - edge)) + z_power * math.sqrt(p * (1 - p))
    return _rounded_up((spread / (p - edge)) ** 2)


def textbook_size_for_margin(
    margin: float, discordance: float, *, true_difference: float = 0.0, alpha: float = 0.05, power: float = 0.8
) -> int:
    """Normal approximation for a paired margin: (z_alpha + z_power)^2 psi / (margin + d)^2, rounded up.

    psi is the share of prompts on which the two models disagree, d the true difference.

    Raises:
        InputError: margin, alpha or power outside (0, 1), discordance outside [0, 1], a difference at or below -margin.
    """
    gap = _open(margin, "margin") + true_difference
    if not gap > 0:
        raise InputError(f"a true difference of {true_difference} cannot be proved to lie above -{margin}")
    z = _upper_z(alpha, "alpha") - _upper_z(power, "power")
    return _rounded_up(z * z * rate(discordance, "discordance") / gap**2)


def _rounded_up(size: float) -> int:
    return max(1, math.ceil(size - 1e-9))


def _upper_z(tail: float, name: str) -> float:
    return -float(special.ndtri(_open(tail, name)))


def _open(value: float, name: str) -> float:
    if not 0.0 < value < 1.0:
        raise InputError(f"{name} must be strictly between 0 and 1, got {value}")
    return float(value)
