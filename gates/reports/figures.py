"""Numbers for people: one scale for everything that is compared, so that the digits line up and mean something."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from evalharness.evidence import Estimate
from gates.decision import CheckResult

MINUS = "\u2212"
NO_BOUND = "\u2013"
"""Stands for a bound that the sample cannot give."""
NOT_MEASURED = "not measured"


def is_measured(estimate: Estimate) -> bool:
    """False where a sample gave neither a number nor a bound."""
    return any(number is not None for number in (estimate.value, estimate.low, estimate.high))


@dataclass(frozen=True, slots=True)
class Scale:
    """How numbers of one check are written: factor, unit and decimals."""

    factor: float
    """A stored number times this is the number shown."""
    unit: str
    """Unit shown after the number: ``%``, ``points``, ``ms``, ``s``, ``USD``, ``\u00d7``..."""
    decimals: int
    """Digits after the point."""
    signed: bool = False
    """True for differences: positive numbers carry a plus."""

    def number(self, value: float | None) -> str:
        """The bare number, ``\u2013`` for None."""
        if value is None or math.isnan(value):
            return NO_BOUND
        if math.isinf(value):
            return "\u221e" if value > 0 else MINUS + "\u221e"
        text = f"{abs(value * self.factor):,.{self.decimals}f}"
        if not any(digit in text for digit in "123456789"):
            return text
        return (MINUS if value < 0 else "+" if self.signed else "") + text

    def value(self, value: float | None) -> str:
        """The number with its unit."""
        return NO_BOUND if value is None else f"{self.number(value)} {self.unit}".strip()

    def bounds(self, estimate: Estimate) -> str:
        """The interval without its unit: ``[84.0, 88.0]``."""
        return f"[{self.number(estimate.low)}, {self.number(estimate.high)}]"

    def interval(self, estimate: Estimate) -> str:
        """The number with unit and interval: ``86.1 % [84.0, 88.0]``."""
        return f"{self.value(estimate.value)} {self.bounds(estimate)}" if is_measured(estimate) else NOT_MEASURED


def measured_scale(checks: Sequence[CheckResult]) -> Scale:
    """The scale of what the checks of one policy entry compare with the limit: a number, difference or ratio."""
    first = checks[0]
    estimates = [c.estimate for c in checks]
    numbers = [n for e in estimates for n in (e.value, e.low, e.high)] + [c.limit for c in checks]
    if first.test == "ratio_ceiling":
        base = Scale(1.0, "\u00d7", 2)
    else:
        base = _base(first.estimate.unit, numbers, difference=first.test == "non_inferiority")
    scale = _with_digits(base, estimates)
    return _telling_apart(scale, [(bound, c.limit) for c in checks for bound in (c.estimate.low, c.estimate.high)])


def own_scale(estimates: Sequence[Estimate]) -> Scale:
    """The scale of plain estimates that are read side by side: both arms' own numbers."""
    numbers = [n for e in estimates for n in (e.value, e.low, e.high)]
    return _with_digits(_base(estimates[0].unit, numbers, difference=False), estimates)


def _base(unit: str, numbers: Iterable[float | None], *, difference: bool) -> Scale:
    if unit == "1":
        return Scale(100.0, "points" if difference else "%", 1, signed=difference)
    if unit == "s":
        largest = max((abs(n) for n in numbers if n is not None and math.isfinite(n)), default=0.0)
        return Scale(1000.0, "ms", 0, signed=difference) if largest < 1.0 else Scale(1.0, "s", 2, signed=difference)
    return Scale(1.0, unit, {"USD": 2}.get(unit, 1), signed=difference)


_MOST_DIGITS = {"%": 2, "points": 2, "\u00d7": 3, "ms": 2, "s": 3, "USD": 8}


def _with_digits(scale: Scale, estimates: Iterable[Estimate]) -> Scale:
    """Decimals so that the narrowest half-width shows two significant digits, within what the unit bears."""
    widths = [e.high - e.low for e in estimates if e.low is not None and e.high is not None and e.high > e.low]
    if not widths:
        return scale
    wanted = 1 - math.floor(math.log10(min(widths) / 2 * scale.factor))
    return replace(scale, decimals=max(scale.decimals, min(wanted, _MOST_DIGITS.get(scale.unit, 2))))


def _telling_apart(scale: Scale, pairs: Sequence[tuple[float | None, float]]) -> Scale:
    """More decimals where a bound would look equal to a limit that it is not equal to."""
    for extra in range(3):
        finer = replace(scale, decimals=scale.decimals + extra)
        same = [b for b, limit in pairs if b is not None and b != limit and finer.number(b) == finer.number(limit)]
        if not same:
            return finer
    return finer


def percent(share: float, *, decimals: int = 1) -> str:
    """A share in [0, 1] as a percentage: ``0.948`` -> ``94.8 %``; trailing zeros are kept."""
    return f"{100 * share:.{decimals}f} %"


def confidence(share: float) -> str:
    """A confidence in (0, 1) as a percentage without needless zeros: ``0.95`` -> ``95 %``."""
    return f"{round(100 * share, 6):g} %"


def count(number: int, noun: str | None = None) -> str:
    """A count with thousands separated; with a noun, which takes an ``s`` unless there is one of it."""
    return f"{number:,}" if noun is None else f"{number:,} {noun}" + ("" if number == 1 else "s")
