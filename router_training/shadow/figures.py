"""Figures of shadow validation as SVG: evidence against "nothing has changed", and the cost dashboard beside it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, PercentFormatter

from router_training.drawing import INK, LIMIT, MUTED, ROUTER, STYLE, svg
from router_training.shadow.dashboard import TOLERANCE, DashboardDay
from router_training.shadow.summary import Delay, ShadowSummary

_MOST_POINTS = 2000
_REQUESTS = 1000
_LINES: Mapping[str, tuple[str, Any]] = {
    "composition": ("#0072b2", "-"),
    "novelty": ("#d55e00", (0, (6, 1.5))),
    "band": ("#009e73", (0, (3, 1, 1, 1))),
    "quality given up": ("#a0468c", (0, (4, 2))),
    "large differences": ("#8a6d00", (0, (1, 1.5))),
}
"""Colour and dash of each test's line."""


def evidence_figure(evidence: Mapping[str, tuple[Sequence[int], Sequence[float]]], summary: ShadowSummary) -> str:
    """Evidence of every test over the requests, each scaled to its own alarm: 1 is where it rings.

    Args:
        evidence: by test, numbers of requests and the common logarithm of the capital after each.
        summary: limits, and when each test rang.
    """
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(8.2, 3.9), layout="constrained")
        axes, low = figure.subplots(), -0.3
        for test in summary.tests:
            numbers, values = evidence.get(test.name, ((), ()))
            if not len(numbers):
                continue
            colour, dash = _LINES[test.name]
            x, y = _thinned(np.asarray(numbers), np.asarray(values) / math.log10(test.needed))
            axes.plot(x, y, color=colour, linestyle=dash, linewidth=1.8, label=test.name)
            low = min(low, float(y.min()))
            if test.rang_at is not None:
                axes.plot([test.rang_at], [1.0], marker="D", color=colour, markersize=7, zorder=5)
        axes.axhline(1.0, color=LIMIT, linewidth=1.2, label="alarm")
        _arrival(axes, summary.delays, summary.requests)
        axes.set_ylim(max(low, -1.5) - 0.05, 1.25)
        axes.set_xlabel("requests, in the order of arrival")
        axes.set_ylabel("evidence, as a share of\nwhat rings the alarm (log)")
        axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,.0f}"))
        figure.legend(loc="outside lower center", ncols=4, fontsize=10)
        return svg(figure)


def dashboard_figure(summary: ShadowSummary) -> str:
    """Cost of 1,000 requests (without prices: the flagship share) of every day against its forecast."""
    days = summary.dashboard
    forecast = summary.prices.per_request(summary.forecast_flagship_share)
    priced = forecast is not None
    level = summary.forecast_flagship_share if forecast is None else _REQUESTS * forecast
    values = [_cost(day) if priced else day.flagship_share for day in days]
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(8.2, 3.2), layout="constrained")
        axes = figure.subplots()
        centres = [(day.first_request + day.last_request) / 2 for day in days]
        widths = [0.9 * (day.last_request - day.first_request + 1) for day in days]
        colours = ["#7cc29a" if day.green else "#e08a80" for day in days]
        axes.bar(centres, values, width=widths, color=colours, edgecolor=MUTED, linewidth=0.6)
        axes.axhline(level, color=INK, linewidth=1.2, label="forecast")
        axes.axhline(TOLERANCE * level, color=LIMIT, linewidth=1.2, linestyle=(0, (4, 3)), label="forecast + 10 %")
        _arrival(axes, summary.delays, summary.requests)
        axes.set_ylim(0, 1.25 * max([TOLERANCE * level, *values, 1e-12]))
        axes.set_xlabel("requests, in the order of arrival; a bar is a day")
        axes.set_ylabel(f"USD per {_REQUESTS:,} requests" if priced else "share that goes\nto the flagship")
        axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,.0f}"))
        if not priced:
            axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        figure.legend(loc="outside lower center", ncols=4, fontsize=10)
        return svg(figure)


def _arrival(axes: Axes, delays: Sequence[Delay], requests: int) -> None:
    if not delays:
        return
    first, rang_at = delays[0].first, min(one.rang_at for one in delays)
    axes.axvspan(first, requests, color="#f3ead2", zorder=0, label="new family is there")
    axes.axvline(rang_at, color=ROUTER, linewidth=1.2, linestyle=(0, (1, 1.5)), label="first alert")


def _cost(day: DashboardDay) -> float:
    return _REQUESTS * (day.usd_per_request or 0.0)


def _thinned(x: Any, y: Any) -> tuple[Any, Any]:
    """At most `_MOST_POINTS` points, the last one kept."""
    if x.size <= _MOST_POINTS:
        return x, y
    rows = np.unique(np.append(np.linspace(0, x.size - 1, _MOST_POINTS).astype(np.int64), x.size - 1))
    return x[rows], y[rows]
