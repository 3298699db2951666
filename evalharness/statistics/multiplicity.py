"""More than one claim at once: Holm's procedure, and p-values from one-sided bounds.

Source: Holm, Scandinavian J. Statistics 6 (1979) 65 (family-wise error under any dependence).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from golden_sets.errors import InputError

_SMALLEST_ALPHA = 1e-12
_BISECTIONS = 60


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
    is at least 1e-12 and on the safe side of the bisection.

    Raises:
        InputError: the limit is NaN.
    """
    if math.isnan(limit):
        raise InputError("the limit is NaN")

    def excluded(alpha: float) -> bool:
        edge = bound(1.0 - alpha)
        return edge is not None and (edge > limit if above else edge < limit)

    largest = 1.0 - 1e-9
    if not excluded(largest):
        return 1.0
    if excluded(_SMALLEST_ALPHA):
        return _SMALLEST_ALPHA
    kept, rejecting = _SMALLEST_ALPHA, largest
    for _ in range(_BISECTIONS):
        middle = math.sqrt(kept * rejecting)
        kept, rejecting = (kept, middle) if excluded(middle) else (middle, rejecting)
    return rejecting
