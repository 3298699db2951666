"""Numbers as people read them, in reasons and reports."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gates.label_advice import Advice  # brings statistics with it: a command line that moves a pointer needs none


def number(value: float | None, unit: str) -> str:
    """A number with its unit: rates in percent, short times in milliseconds, money in USD."""
    if value is None:
        return "unknown"
    if math.isinf(value):
        return "infinite" if value > 0 else "-infinite"
    if unit == "1":
        return f"{100 * value:.{_digits(abs(100 * value))}f} %"
    if unit == "s":
        return f"{1000 * value:.0f} ms" if abs(value) < 1 else f"{value:.2f} s"
    if unit == "USD":
        return f"{value:.2f} USD" if abs(value) >= 0.1 else f"{value:.3g} USD"
    if unit == "ratio":
        return f"{value:.3f} x"
    return f"{value:.4g} {unit}".strip()


def bound_text(side: str, edge: float | None, unit: str, confidence: float) -> str:
    """A one-sided bound in words: ``lower 95 % bound 84.0 %``."""
    return f"{side} {100 * confidence:g} % bound {number(edge, unit)}"


def advice_text(advice: Advice) -> str:
    """What labels would do for a check: ``about 300 more prompts with about 240 labelled answers in all...``."""
    return f"about {advice.prompts} more prompts {advice.text}" if advice.prompts else advice.text


def _digits(percent: float) -> int:
    return 2 if 0 < percent < 10 else 1
