"""More than one claim at once: Holm's procedure, and p-values from one-sided bounds.

Source: Holm, Scandinavian J. Statistics 6 (1979) 65 (family-wise error under any dependence).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from scipy import special

from golden_sets.errors import InputError

_SMALLEST_ALPHA = 1e-12
_LARGEST_Z = float(-special.ndtri(_SMALLEST_ALPHA))
_SMALLEST_Z = float(special.ndtri(1e-9))
_PRECISION = 4e-8
"""Width of the last bracket in z: the p-value is right to less than 1e-6 of itself."""
_TRUNCATION = 0.2 / (_LARGEST_Z - _SMALLEST_Z)


def holm(p_values: Sequence[float], alpha: float) -> list[bool]:
    """Which hypotheses are rejected with a family-wise error rate of at most ``alpha``, in the order given.

    Raises:
        InputError: a p-value outside [0, 1] or NaN, alpha outside (0, 1).
    """
    if not 0.0 < alpha < 1.0:
        raise InputError(f"alpha must be strictly between 0 and 1, got {alpha}")
    if any(not 0.0 <= p <= 1.0 for p in p_values):
        raise InputError(f"p-values must lie in [0, 1], got {list(p_values)}")
    rejected = [False] * len(p_values)
    for step, index in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        if p_values[index] > alpha / (len(p_values) - step):
            break
        rejected[index] = True
    return rejected


def p_value_by_inversion(bound: Callable[[float], float | None], limit: float, *, above: bool) -> float:
    """Smallest alpha at which a one-sided bound at confidence 1 - alpha excludes ``limit``; 1.0 when none does.

    ``bound(confidence)`` is the lower bound when ``above`` (the claim is that the parameter lies above the limit),
    else the upper bound; it must tighten as confidence falls. None means no bound, which excludes nothing. The answer
    is at least 1e-12, right to 1e-6 of itself, and errs on the safe side.

    Raises:
        InputError: the limit is NaN.
    """
    if math.isnan(limit):
        raise InputError("the limit is NaN")

    def beyond(z: float) -> float:
        """How far the bound at confidence Phi(z) lies beyond the limit; it excludes the limit above 0."""
        edge = bound(float(special.ndtr(z)))
        return -math.inf if edge is None else edge - limit if above else limit - edge

    inside, outside = _SMALLEST_Z, _LARGEST_Z
    beyond_inside, beyond_outside = beyond(inside), beyond(outside)
    if not beyond_inside > 0:
        return 1.0
    if beyond_outside > 0:
        return _SMALLEST_ALPHA
    # The ITP method (Oliveira and Takahashi, ACM Trans. Math. Softw. 47 (2021) 5): regula falsi that is truncated and
    # projected so that it never takes more than one step more than bisection, also for bounds that jump.
    budget = math.ceil(math.log2((outside - inside) / _PRECISION)) + 1
    for step in range(budget + 1):
        width, middle = outside - inside, (inside + outside) / 2
        if width <= _PRECISION:
            break
        slack = _PRECISION * 2.0 ** (budget - step - 1) - width / 2
        guess = (beyond_inside * outside - beyond_outside * inside) / (beyond_inside - beyond_outside)
        if not math.isfinite(guess):
            guess = middle
        towards = math.copysign(1.0, middle - guess)
        truncation = _TRUNCATION * width**2
        guess = guess + towards * truncation if truncation <= abs(middle - guess) else middle
        z = guess if abs(guess - middle) <= slack else middle - towards * slack
        found = beyond(z)
        if found > 0:
            inside, beyond_inside = z, found
        else:
            outside, beyond_outside = z, found
    return float(special.ndtr(-inside))
