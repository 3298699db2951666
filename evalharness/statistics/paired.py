"""Intervals for the difference of two paired proportions: candidate against incumbent on the same prompts.

Source: Tango, Statistics in Medicine 17 (1998) 891; the exact method is described in `paired_exact`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from evalharness.statistics._inputs import count
from evalharness.statistics.interval import Interval, Side, tails
from evalharness.statistics.paired_exact import exact_paired_lower
from evalharness.statistics.tango import paired_lower
from golden_sets.errors import InputError

PairedMethod = Literal["tango", "exact"]


def paired_interval(
    wins: float,
    losses: float,
    n: float,
    *,
    confidence: float = 0.95,
    side: Side = "two-sided",
    method: PairedMethod = "tango",
) -> Interval:
    """Interval for P(win) - P(loss) over ``n`` independent pairs: candidate minus incumbent on the same prompts.

    ``wins``: prompts only the candidate passes; ``losses``: prompts only the incumbent passes; the other
    ``n - wins - losses`` agree. A score interval: it never has zero width, also without a single discordant pair
    (then the lower bound is -z^2 / (n + z^2)). 40 wins, 52 losses, n = 1000: lower one-sided 95 % bound -0.0281.
    ``method="exact"`` (whole counts only) is never below its confidence, at more time and a little more width.

    Raises:
        InputError: negative counts, wins + losses above n, confidence outside (0, 1), unknown side or method,
            fractional counts for the exact method.
    """
    pairs = count(n, "n", at_least=1)
    if count(wins, "wins") + count(losses, "losses") > pairs * (1 + 1e-12):
        raise InputError(f"wins + losses = {wins + losses:g} exceeds n = {n:g}")
    below, above = tails(confidence, side)
    bound = _lower_bound(method, wins, losses, pairs)
    opposite = _lower_bound(method, losses, wins, pairs)
    low = None if below is None else bound(below)
    high = None if above is None else -opposite(above)
    return Interval((wins - losses) / pairs, low, high, confidence, method, max(1, round(pairs)))


def _lower_bound(method: str, wins: float, losses: float, n: float) -> Callable[[float], float]:
    """The lower bound as a function of its one-sided confidence."""
    if method == "tango":
        return lambda confidence: float(paired_lower(wins, losses, n, confidence=confidence))
    if method != "exact":
        raise InputError(f"unknown method '{method}'", do="use tango or exact")
    if any(x != round(x) for x in (wins, losses, n)):
        raise InputError(f"the exact method needs whole counts, got {wins}, {losses}, {n}", do="use tango")
    return lambda confidence: exact_paired_lower(round(wins), round(losses), round(n), confidence=confidence)
