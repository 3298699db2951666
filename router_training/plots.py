"""Figures of an evaluation as SVG: the frontier with its operating point, and the reliability of P(hard).

The same evaluation always gives the same bytes. Lines differ in dash and weight as well as colour (Okabe and Ito 2008:
told apart by colour-blind readers, too), and every figure comes with its content in words.
"""

from __future__ import annotations

from typing import Any, Literal

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, PercentFormatter

from router_training.drawing import INK, LIMIT, MUTED, ROUTER, STYLE, svg
from router_training.evaluation import FrontierPoint, RouterEvaluation

Axis = Literal["share", "usd"]
"""Against the share of calls to the flagship, or against cost."""

TITLES = {
    "random": "random",
    "length": "longer prompts first",
    "knn": "nearest neighbours",
    "logistic": "logistic",
    "oracle": "knowing the answers",
    "always_small": "always small",
    "always_flagship": "always flagship",
}
"""What baselines are called in figures and tables."""

_LINES: dict[str, dict[str, Any]] = {
    "random": {"color": "#8a93a0", "linestyle": (0, (4, 3))},
    "length": {"color": "#d55e00", "linestyle": "-"},
    "knn": {"color": "#009e73", "linestyle": (0, (6, 1.5))},
    "logistic": {"color": "#a0468c", "linestyle": (0, (3, 1, 1, 1))},
    "oracle": {"color": "#8a93a0", "linestyle": (0, (1, 1.5))},
}
_PROMPTS = 1000
"""Costs are drawn per so many prompts."""


def frontier_figure(evaluation: RouterEvaluation, axis: Axis = "share") -> str:
    """Quality against flagship calls or cost: the router, its baselines, and the operating point with its interval.

    Args:
        evaluation: of the router.
        axis: ``usd`` needs prices; without them the figure falls back to shares.

    Returns:
        A whole SVG document.
    """
    priced = axis == "usd" and evaluation.operation.usd is not None
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(8.2, 5.2), layout="constrained")
        axes = figure.subplots()
        for name, line in _LINES.items():
            points = evaluation.baselines[name].frontier if name in evaluation.baselines else ()
            if points:
                axes.plot(*_xy(points, priced=priced), linewidth=1.6, label=TITLES[name], **line)
        axes.plot(*_xy(evaluation.frontier, priced=priced), color=ROUTER, linewidth=3, label="this router", zorder=4)
        _limit(axes, evaluation)
        _operating_point(axes, evaluation, priced=priced)
        _height(axes, evaluation)
        axes.set_ylabel("mean score of the answers")
        if priced:
            axes.set_xlabel(f"cost, USD per {_PROMPTS:,} prompts")
            axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,.3g}"))
        else:
            axes.set_xlabel("prompts that go to the flagship")
            axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
            axes.set_xlim(-0.02, 1.02)
        figure.legend(loc="outside lower center", ncols=4, fontsize=10)
        return svg(figure)


def frontier_words(evaluation: RouterEvaluation) -> str:
    """What the frontier shows, in one sentence for those who cannot see it."""
    operation, apgr = evaluation.operation, evaluation.apgr.value
    area = "undefined" if apgr is None else f"{apgr:.3f}"
    length = evaluation.baselines["length"].apgr
    other = "" if length is None or length.value is None else f", that of length alone {length.value:.3f}"
    return (
        f"From always small ({_score(evaluation.small_quality.value)}) to always flagship "
        f"({_score(evaluation.flagship_quality.value)}) the router recovers an average {area} of the gap{other}. "
        f"At its operating point {_percent(operation.flagship_share.value)} of the prompts go to the flagship and the "
        f"mean score is {_score(operation.quality.value)}."
    )


def reliability_figure(evaluation: RouterEvaluation) -> str:
    """Predicted P(hard) against the share that is hard, in equally frequent bins with their intervals; SVG."""
    bins = evaluation.calibration.bins
    ends = [number for b in bins for number in (b.predicted, b.observed.high or b.predicted)]
    top = min(1.0, 1.08 * max(ends))
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(5.2, 4.8), layout="constrained")
        axes = figure.subplots()
        axes.plot([0, 1], [0, 1], color=MUTED, linewidth=1.2, linestyle=(0, (4, 3)), label="perfect")
        centres = [b.observed.value or 0.0 for b in bins]
        below = [y - (b.observed.low or 0.0) for y, b in zip(centres, bins, strict=True)]
        above = [(1.0 if b.observed.high is None else b.observed.high) - y for y, b in zip(centres, bins, strict=True)]
        axes.errorbar(
            [b.predicted for b in bins],
            centres,
            yerr=[below, above],
            fmt="o",
            color=ROUTER,
            markersize=6,
            elinewidth=1.4,
            label="equally frequent bins",
        )
        axes.axvline(evaluation.operating_point.threshold, color=LIMIT, linewidth=1.2, label="threshold")
        for set_limits in (axes.set_xlim, axes.set_ylim):
            set_limits(0, top)
        axes.set_xlabel("P(hard), as predicted")
        axes.set_ylabel("share that is hard")
        for ticks in (axes.xaxis, axes.yaxis):
            ticks.set_major_formatter(PercentFormatter(1.0, decimals=0))
        figure.legend(loc="outside lower center", ncols=3, fontsize=10)
        return svg(figure)


def reliability_words(evaluation: RouterEvaluation) -> str:
    """What the reliability diagram shows, in one sentence."""
    first, last = evaluation.calibration.bins[0], evaluation.calibration.bins[-1]
    return (
        f"{len(evaluation.calibration.bins)} bins from P(hard) {_percent(first.predicted)}, of which "
        f"{_percent(first.observed.value)} are hard, to {_percent(last.predicted)}, of which "
        f"{_percent(last.observed.value)} are; expected calibration error "
        f"{_percent(evaluation.calibration.ece.value)}."
    )


def _xy(points: tuple[FrontierPoint, ...], *, priced: bool) -> tuple[list[float], list[float]]:
    across = [(point.usd or 0.0) * _PROMPTS if priced else point.flagship_share for point in points]
    return across, [point.quality for point in points]


def _height(axes: Axes, evaluation: RouterEvaluation) -> None:
    """From just below the worst of the rules that need no answers to above the flagship; the oracle leaves the top."""
    kept = [curve.frontier for name, curve in evaluation.baselines.items() if name != "oracle"] + [evaluation.frontier]
    scores = [point.quality for points in kept for point in points]
    low, high = min(scores), max(scores)
    axes.set_ylim(low - 0.06 * (high - low) - 1e-3, high + 0.22 * (high - low) + 1e-3)


def _limit(axes: Axes, evaluation: RouterEvaluation) -> None:
    """The least quality that the operating point allows."""
    flagship = evaluation.flagship_quality.value or 0.0
    label = f"flagship less {100 * evaluation.operation.max_loss:g} points"
    axes.axhline(flagship - evaluation.operation.max_loss, color=LIMIT, linewidth=1.2, linestyle="-", label=label)


def _operating_point(axes: Axes, evaluation: RouterEvaluation, *, priced: bool) -> None:
    """The operating point; its vertical interval is that of the quality given up, which is paired."""
    operation, flagship = evaluation.operation, evaluation.flagship_quality.value or 0.0
    at, factor = (operation.usd, _PROMPTS) if priced and operation.usd else (operation.flagship_share, 1)
    value = at.value or 0.0
    low, high = (value if bound is None else bound for bound in (at.low, at.high))  # one price: no interval
    loss = operation.loss
    centre = flagship - (loss.value or 0.0)
    down = (loss.high if loss.high is not None else 1.0) - (loss.value or 0.0)
    up = (loss.value or 0.0) - (loss.low if loss.low is not None else -1.0)
    axes.errorbar(
        [factor * value],
        [centre],
        xerr=[[factor * (value - low)], [factor * (high - value)]],
        yerr=[[down], [up]],
        fmt="D",
        color=INK,
        markersize=7,
        elinewidth=1.6,
        label="operating point",
        zorder=5,
    )


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.1f} %"


def _score(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
