"""Intervals drawn against their limit, as inline SVG without script.

Positions are percentages of the width, so a plot fits any column and its text never scales. The side that is worse
than the limit is hatched as well as tinted, statuses differ in shape as well as colour, and each plot says in words
(``title`` and ``desc``) what it shows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from markupsafe import Markup

from evalharness.evidence import Estimate
from gates.decision import CheckResult, Status
from gates.reports.figures import NOT_MEASURED, Scale, is_measured
from gates.reports.words import STATUS_MARKS, limit_text, metric_name, worse_below

HEIGHT = 40
_MIDDLE = 20
_SHARES = ("%",)
_SHAPES = {
    Status.PASS: Markup('<circle class="dot" r="5"/>'),
    Status.FAIL: Markup('<path class="dot" d="M-5-5 H5 V5 H-5 Z"/>'),
    Status.INCONCLUSIVE: Markup('<path class="dot" d="M0-6 L6 5 L-6 5 Z"/>'),
}
"""The point estimate: statuses differ in shape as well as in colour."""

HATCH = Markup(
    '<svg class="defs" width="0" height="0" aria-hidden="true" focusable="false"><defs>'
    '<pattern id="hatch" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
    '<line class="hatch" x1="0" y1="0" x2="0" y2="6"/></pattern></defs></svg>'
)
"""The hatching that all plots of a page share; put it into the page once."""


@dataclass(frozen=True, slots=True)
class Axis:
    """The range of numbers that all plots of one policy entry share."""

    low: float
    """Number at the left edge."""
    high: float
    """Number at the right edge."""
    ticks: tuple[float, ...]
    """Round numbers to be marked."""
    zero: float | None
    """Where candidate and incumbent are equal, for comparisons: 0 or 1."""

    def at(self, value: float) -> float:
        """Position in per cent of the width, clipped to the plot."""
        return min(100.0, max(0.0, 100 * (value - self.low) / (self.high - self.low)))

    def label(self, tick: float, scale: Scale) -> str:
        """A tick's number, with as many decimals as the steps between ticks need."""
        step = (self.ticks[1] - self.ticks[0]) * scale.factor if len(self.ticks) > 1 else 1.0
        return replace(scale, decimals=max(0, -math.floor(math.log10(step) + 1e-9))).number(tick)


def axis_for(checks: Sequence[CheckResult], scale: Scale) -> Axis:
    """A range that shows every interval, every limit and the incumbent."""
    test = checks[0].test
    zero = {"non_inferiority": 0.0, "ratio_ceiling": 1.0}.get(test)
    numbers = [c.limit for c in checks] + ([] if zero is None else [zero])
    for check in checks:
        numbers += _numbers(check.estimate)
        if zero is None and check.incumbent is not None:
            numbers += _numbers(check.incumbent)
    low, high = min(numbers), max(numbers)
    margin = 0.08 * (high - low) or abs(high) * 0.1 or 1.0
    low, high = low - margin, high + margin
    if zero is None:
        # Rates, times and costs are never negative; an axis that comes near zero shows it.
        low = 0.0 if low < high / 2 else low
        if scale.unit in _SHARES:
            high = min(high, 1.0)
        # A limit or bound on the very edge would hide its line.
        low, high = low - 0.015 * (high - low), high + 0.015 * (high - low)
    return Axis(low, high, _ticks(low, high, scale), zero)


def axis_plot(axis: Axis, checks: Sequence[CheckResult], scale: Scale) -> Markup:
    """The head of a column of plots: tick labels, and the limit where all checks share one."""
    parts = [
        Markup('<text class="tick" x="{:.2f}%" y="34" text-anchor="{}">{}</text>').format(
            axis.at(tick), _anchor(axis.at(tick)), axis.label(tick, scale)
        )
        for tick in axis.ticks
    ]
    if len({c.limit for c in checks}) == 1:
        at = axis.at(checks[0].limit)
        label = f"limit {limit_text(checks[0], scale)}"
        parts.append(
            Markup('<text class="limit-label" x="{:.2f}%" y="14" text-anchor="{}">{}</text>').format(
                at, _anchor(at, reach=22), label
            )
        )
    return Markup(
        '<svg class="plot axis" width="100%" height="{}" aria-hidden="true" focusable="false">{}</svg>'
    ).format(HEIGHT, Markup("").join(parts))


def interval_plot(check: CheckResult, axis: Axis, scale: Scale, *, key: str) -> Markup:
    """One check: hatched side, limit line, the incumbent and the interval with its point estimate.

    Args:
        check: what to draw.
        axis: range shared with the other cells of the same policy entry.
        scale: how its numbers are written.
        key: unique within the page; names the title and the description.
    """
    parts = [_gridlines(axis), _worse_side(check, axis), _incumbent(check, axis), _limit(check, axis)]
    parts.append(_interval(check, axis))
    mark = STATUS_MARKS[check.status]
    title = f"{check.id}: {mark.word.lower()}"
    return Markup(
        '<svg class="plot {style}" width="100%" height="{height}" role="img" aria-labelledby="{key}-t {key}-d">'
        '<title id="{key}-t">{title}</title><desc id="{key}-d">{desc}</desc>{body}</svg>'
    ).format(
        style=mark.style, height=HEIGHT, key=key, title=title, desc=describe(check, scale), body=Markup("").join(parts)
    )


def bias_plot(estimate: Estimate, top: float, limits: Sequence[float], *, name: str, key: str) -> Markup:
    """A number between 0 and ``top`` with its interval, and the limits that checks set it.

    Args:
        estimate: what to draw.
        top: number at the right edge.
        limits: at each a line is drawn.
        name: what is measured, for people who do not see it.
        key: unique within the page.
    """
    axis = Axis(0.0, top, (), None)
    scale = Scale(100.0, "%", 1)
    lines = [
        Markup('<line class="limit" x1="{0:.2f}%" x2="{0:.2f}%" y1="0" y2="{1}"/>').format(axis.at(limit), HEIGHT)
        for limit in limits
    ]
    title = f"{name}: {scale.interval(estimate)}"
    return Markup(
        '<svg class="plot bias" width="100%" height="{height}" role="img" aria-labelledby="{key}-t">'
        '<title id="{key}-t">{title}</title><line class="grid" x1="0.5" x2="0.5" y1="0" y2="{height}"/>'
        "{lines}{body}</svg>"
    ).format(
        height=HEIGHT,
        key=key,
        title=title,
        lines=Markup("").join(lines),
        body=_drawn(estimate, axis, Markup('<circle class="dot" r="5"/>')),
    )


def describe(check: CheckResult, scale: Scale) -> str:
    """What a plot shows, in words."""
    estimate = check.estimate
    what = metric_name(check.metric)
    if check.test == "non_inferiority":
        what += f", candidate minus {check.against}"
    if check.test == "ratio_ceiling":
        what += f", candidate divided by {check.against}"
    low = "no lower bound" if estimate.low is None else f"lower bound {scale.value(estimate.low)}"
    high = "no upper bound" if estimate.high is None else f"upper bound {scale.value(estimate.high)}"
    value = NOT_MEASURED if estimate.value is None else scale.value(estimate.value)
    text = f"{what}: {value}, {low}, {high}; limit {limit_text(check, scale)}"
    if check.incumbent is not None and axis_is_shared(check):
        text += f"; {check.incumbent.arm} {scale.value(check.incumbent.value)}"
    return text + "."


def axis_is_shared(check: CheckResult) -> bool:
    """True where the incumbent's own number lies on the same axis as the estimate (not for comparisons)."""
    return check.test in ("floor", "ceiling")


def _numbers(estimate: Estimate) -> list[float]:
    return [n for n in (estimate.value, estimate.low, estimate.high) if n is not None and math.isfinite(n)]


def _ticks(low: float, high: float, scale: Scale) -> tuple[float, ...]:
    """Up to five or six round numbers (1, 2 or 5 times a power of ten, in the unit shown) within the range."""
    span = (high - low) * scale.factor
    raw = span / 5
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= raw)
    first = math.ceil(low * scale.factor / step - 1e-9)
    last = math.floor(high * scale.factor / step + 1e-9)
    return tuple(k * step / scale.factor for k in range(first, last + 1))


def _anchor(at: float, reach: float = 6) -> str:
    return "start" if at < reach else "end" if at > 100 - reach else "middle"


def _gridlines(axis: Axis) -> Markup:
    lines = [
        Markup('<line class="grid" x1="{0:.2f}%" x2="{0:.2f}%" y1="0" y2="{1}"/>').format(axis.at(t), HEIGHT)
        for t in axis.ticks
    ]
    return Markup("").join(lines)


def _worse_side(check: CheckResult, axis: Axis) -> Markup:
    at = axis.at(check.limit)
    left, width = (0.0, at) if worse_below(check) else (at, 100 - at)
    return Markup(
        '<rect class="worse" x="{0:.2f}%" y="0" width="{1:.2f}%" height="{2}"/>'
        '<rect class="hatched" x="{0:.2f}%" y="0" width="{1:.2f}%" height="{2}" fill="url(#hatch)"/>'
    ).format(left, width, HEIGHT)


def _limit(check: CheckResult, axis: Axis) -> Markup:
    return Markup('<line class="limit" x1="{0:.2f}%" x2="{0:.2f}%" y1="0" y2="{1}"/>').format(
        axis.at(check.limit), HEIGHT
    )


def _incumbent(check: CheckResult, axis: Axis) -> Markup:
    """A hollow diamond at the incumbent's number; for comparisons a dashed line where both arms are equal."""
    if axis.zero is not None:
        return Markup('<line class="equal" x1="{0:.2f}%" x2="{0:.2f}%" y1="0" y2="{1}"/>').format(
            axis.at(axis.zero), HEIGHT
        )
    if check.incumbent is None or check.incumbent.value is None:
        return Markup("")
    return Markup(
        '<svg x="{:.2f}%" y="{}" overflow="visible"><path class="incumbent" d="M0-5 L5 0 L0 5 L-5 0 Z"/></svg>'
    ).format(axis.at(check.incumbent.value), _MIDDLE + 12)


def _interval(check: CheckResult, axis: Axis) -> Markup:
    return _drawn(check.estimate, axis, _SHAPES[check.status])


def _drawn(estimate: Estimate, axis: Axis, shape: Markup) -> Markup:
    if not is_measured(estimate):
        return Markup('<text class="nothing" x="50%" y="{}" text-anchor="middle">no estimate</text>').format(
            _MIDDLE + 4
        )
    left = 0.0 if estimate.low is None else axis.at(estimate.low)
    right = 100.0 if estimate.high is None else axis.at(estimate.high)
    parts = [
        Markup('<line class="bar" x1="{:.2f}%" x2="{:.2f}%" y1="{}" y2="{}"/>').format(left, right, _MIDDLE, _MIDDLE),
        _end(left, "M7-5 L1 0 L7 5") if estimate.low is None else _end(left, "M0-6 L0 6"),
        _end(right, "M-7-5 L-1 0 L-7 5") if estimate.high is None else _end(right, "M0-6 L0 6"),
    ]
    if estimate.value is not None:
        parts.append(
            Markup('<svg x="{:.2f}%" y="{}" overflow="visible">{}</svg>').format(
                axis.at(estimate.value), _MIDDLE, shape
            )
        )
    return Markup("").join(parts)


def _end(at: float, path: str) -> Markup:
    return Markup('<svg x="{:.2f}%" y="{}" overflow="visible"><path class="end" d="{}"/></svg>').format(
        at, _MIDDLE, path
    )
