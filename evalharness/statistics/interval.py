"""The one record of this room: a point estimate with its confidence bounds."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from evalharness.statistics._inputs import Vector
from golden_sets.errors import InputError

Side = Literal["two-sided", "lower", "upper"]
"""``lower`` / ``upper``: a one-sided bound AT the stated confidence, with no bound on the other side."""

OneSide = Literal["lower", "upper"]
"""The side of a one-sided bound."""

_ORDER_SLACK = 1e-9


@dataclass(frozen=True, slots=True)
class Interval:
    """A point estimate with its confidence bounds, checked when it is made.

    Raises:
        InputError: confidence outside (0, 1), n < 1, a NaN, or bounds in the wrong order.
    """

    value: float | None
    """Point estimate; None where it is undefined."""
    low: float | None
    """Lower bound; None where there is none (one-sided, or n too small). May be infinite for latencies."""
    high: float | None
    """Upper bound; None where there is none. May be infinite for latencies (failed requests)."""
    confidence: float
    """Confidence of the bounds, in (0, 1). One-sided bounds hold at exactly this level."""
    method: str
    """Method that made the bounds, e.g. ``clopper-pearson``, ``tango``, ``order-statistic``."""
    n: int
    """Observations used; the independent units are in ``clusters``."""
    clusters: int | None = None
    """Number of independent units, where clustering was applied."""
    note: str | None = None
    """What a reader must know, e.g. why a bound is missing and what n it would take."""

    def __post_init__(self) -> None:
        """Refuse what cannot be an interval."""
        check_confidence(self.confidence)
        if self.n < 1:
            raise InputError(f"an interval needs at least one observation, got n = {self.n}")
        numbers = [x for x in (self.low, self.value, self.high) if x is not None]
        if any(math.isnan(x) for x in numbers):
            raise InputError(f"an interval cannot hold NaN: {self.low}, {self.value}, {self.high}")
        ends = [x for x in (self.low, self.high) if x is not None]
        # Below 50 % a one-sided bound lies on the far side of the estimate: only the ends are then in order.
        ordered = numbers if self.confidence >= 0.5 else ends
        if any(a > b + _ORDER_SLACK * max(1.0, abs(b)) for a, b in itertools.pairwise(ordered)):
            raise InputError(f"bounds out of order: low {self.low}, value {self.value}, high {self.high}")

    def to_json(self) -> dict[str, Any]:
        """Plain JSON data; an infinite number becomes null (``note`` says that it was infinite)."""
        infinite = [
            name
            for name, x in (("value", self.value), ("low", self.low), ("high", self.high))
            if x is not None and math.isinf(x)
        ]
        remark = f"infinite: {', '.join(infinite)}" if infinite else None
        return {
            "value": _finite(self.value),
            "low": _finite(self.low),
            "high": _finite(self.high),
            "confidence": self.confidence,
            "method": self.method,
            "n": self.n,
            "clusters": self.clusters,
            "note": "; ".join(text for text in (self.note, remark) if text) or None,
        }


def _finite(x: float | None) -> float | None:
    return x if x is not None and math.isfinite(x) else None


def check_confidence(confidence: float) -> float:
    """Return the confidence, or refuse it when it is not strictly between 0 and 1.

    Raises:
        InputError: outside (0, 1), or NaN.
    """
    if not 0.0 < confidence < 1.0:
        raise InputError(f"confidence must be strictly between 0 and 1, got {confidence}", do="write 95 % as 0.95")
    return float(confidence)


def check_confidences(confidence: ArrayLike) -> Vector:
    """Return confidences as an array, or refuse them when any is not strictly between 0 and 1.

    Raises:
        InputError: any outside (0, 1), or NaN.
    """
    levels = np.asarray(confidence, dtype=np.float64)
    if not ((levels > 0) & (levels < 1)).all():
        raise InputError(f"confidence must be strictly between 0 and 1, got {levels}", do="write 95 % as 0.95")
    return levels


def tails(confidence: float, side: Side) -> tuple[float | None, float | None]:
    """Confidence of the (lower, upper) one-sided bound that make up an interval; None where there is no bound.

    Raises:
        InputError: confidence outside (0, 1), or an unknown side.
    """
    check_confidence(confidence)
    if side == "two-sided":
        return (1.0 + confidence) / 2.0, (1.0 + confidence) / 2.0
    if side == "lower":
        return confidence, None
    if side == "upper":
        return None, confidence
    raise InputError(f"unknown side '{side}'", do="use two-sided, lower or upper")


def without_bounds(
    value: float | None, confidence: float, method: str, n: int, note: str, *, clusters: int | None = None
) -> Interval:
    """An interval that claims nothing, and says why: callers read it as inconclusive."""
    return Interval(value, None, None, confidence, method, n, clusters, note)
