"""Intervals for people: one sentence that says what the numbers mean, and a small table."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from evalharness.statistics.interval import Interval
from pipelines.cli.output import emit, line, stdout, table

Wording = Callable[[float], str]


def percent(rate: float) -> str:
    """A rate in percent with three digits of what separates it from 0 or 100 %: ``0.994 %``, ``99.97 %``."""
    x = 100 * rate
    return f"{_decimal(x, min(abs(x), abs(100 - x)))} %"


def points(difference: float) -> str:
    """A difference of rates in percentage points: ``-2.81 points``."""
    x = 100 * difference
    return f"{_decimal(x, abs(x), signed=True)} points"


def plain(value: float) -> str:
    """A number without unit; +inf is a failed request."""
    return f"{value:.6g}" if math.isfinite(value) else "infinite"


def claim(interval: Interval, subject: str, wording: Wording) -> str:
    """``with 95 % confidence the rate is at most 0.994 %``, from the bounds that there are."""
    opening = f"with {100 * interval.confidence:g} % confidence {subject} is"
    low, high = interval.low, interval.high
    if high is not None and math.isinf(high):
        high = None
    if low is not None and high is not None:
        return f"{opening} between {wording(low)} and {wording(high)}"
    if low is not None:
        return f"{opening} at least {wording(low)}"
    if high is not None:
        return f"{opening} at most {wording(high)}"
    return f"nothing can be said about {subject} with {100 * interval.confidence:g} % confidence"


def answer(
    sentence: str,
    rows: Mapping[str, tuple[Interval, Wording]],
    document: dict[str, Any],
    *,
    as_json: bool,
) -> None:
    """Print one document, or the sentence, a table of the intervals and what a reader must know about them."""
    if as_json:
        emit(document)
        return
    console = stdout()
    line(console, sentence)
    columns = ("", "estimate", "low", "high", "confidence", "n", "method")
    console.print(table(None, columns, [_row(name, *row) for name, row in rows.items()]))
    for name, (interval, _) in rows.items():
        note = interval.to_json()["note"]
        if note:
            line(console, f"note: {name}: {note}")


def _row(name: str, interval: Interval, wording: Wording) -> tuple[str, ...]:
    numbers = ("-" if x is None else wording(x) for x in (interval.value, interval.low, interval.high))
    return name, *numbers, f"{100 * interval.confidence:g} %", str(interval.n), interval.method


def _decimal(x: float, distance: float, *, signed: bool = False) -> str:
    """Decimals enough for three digits of ``distance``, between 1 and 6; whole ends without any."""
    if distance == 0:
        return f"{x:.0f}"
    decimals = min(6, max(1, 2 - math.floor(math.log10(distance))))
    return f"{x:+.{decimals}f}" if signed else f"{x:.{decimals}f}"
