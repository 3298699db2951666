"""The page of `relgate router eval -o`: one self-contained HTML file, no script, nothing loaded from anywhere."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment

from evalharness.evidence import Estimate
from evalharness.pages import image_address, page_environment
from golden_sets.digests import short
from golden_sets.documents import json_text
from golden_sets.visible_text import visible
from router_training.evaluation import RouterEvaluation
from router_training.plots import (
    TITLES,
    frontier_figure,
    frontier_words,
    reliability_figure,
    reliability_words,
)

PAGE = "report.html"
DOCUMENT = "evaluation.json"
MOST_FAMILIES = 60
"""Task families that are listed; those that lose most come first."""
_MINUS = "\u2212"
_DASH = "\u2013"

_BOUND = {
    "holds": ("pass", "holds", "These prompts confirm the limit: the upper bound lies within it."),
    "exceeded": ("fail", "exceeded", "These prompts contradict the limit: even the lower bound lies beyond it."),
    "open": (
        "open",
        "not shown",
        "The limit was proven on calibration prompts; these others are too few to confirm or contradict it.",
    ),
}


def write_report(evaluation: RouterEvaluation, directory: Path) -> Path:
    """Write ``report.html`` and ``evaluation.json`` into a directory, which is made where it is missing.

    Returns:
        The page.
    """
    directory.mkdir(parents=True, exist_ok=True)
    page = directory / PAGE
    page.write_text(render_page(evaluation), encoding="utf-8")
    (directory / DOCUMENT).write_text(json_text(evaluation.to_json()), encoding="utf-8")
    return page


def render_page(evaluation: RouterEvaluation) -> str:
    """The evaluation as HTML, for a person who decides: quality and cost first, then how they compare and where.

    Everything that was not written here (prompts, families, names) is escaped, and characters that hide or reorder
    text are made visible. The page forbids itself scripts and network by policy.
    """
    figures = [(frontier_figure(evaluation), frontier_words(evaluation))]
    if evaluation.operation.usd is not None:
        words = "The same against cost: " + frontier_words(evaluation)
        figures.append((frontier_figure(evaluation, "usd"), words))
    return (
        _environment()
        .get_template("evaluation.html.j2")
        .render(
            e=evaluation,
            o=evaluation.operation,
            point=evaluation.operating_point,
            bound=_BOUND[evaluation.operation.bound],
            figures=[(image_address(svg), words) for svg, words in figures],
            reliability=(image_address(reliability_figure(evaluation)), reliability_words(evaluation)),
            curves={TITLES.get(name, name): evaluation.baselines[name] for name in _drawn_first(evaluation)},
            families=evaluation.families[:MOST_FAMILIES],
        )
    )


def _drawn_first(evaluation: RouterEvaluation) -> list[str]:
    """Baselines with a frontier, in the order of the figures' names; others after them."""
    curves = [name for name, found in evaluation.baselines.items() if found.apgr is not None]
    return sorted(curves, key=lambda name: list(TITLES).index(name) if name in TITLES else len(TITLES))


@cache
def _environment() -> Environment:
    filters: dict[str, Callable[..., Any]] = {
        "visible": visible,
        "percent": _percent,
        "points": _points,
        "lost": _lost,
        "plain": _plain,
        "usd": _usd,
        "short": short,
    }
    return page_environment("router_training", filters)


def _percent(number: Estimate | float | None) -> str:
    """A share as a percentage, with its interval where it has one."""
    if not isinstance(number, Estimate):
        return _DASH if number is None else f"{100 * number:.1f} %".replace("-", _MINUS)
    return _with_bounds(number, lambda x: f"{100 * x:.1f}", " %")


def _points(number: Estimate | float | None) -> str:
    """A difference of shares in percentage points, signed."""
    if not isinstance(number, Estimate):
        return _DASH if number is None else f"{100 * number:+.1f} points".replace("-", _MINUS)
    return _with_bounds(number, lambda x: f"{100 * x:+.1f}", " points")


def _lost(number: float | None) -> str:
    """Percentage points without a plus."""
    return _points(number).removeprefix("+")


def _plain(number: Estimate | float | None) -> str:
    """A number to three decimals, with its interval where it has one."""
    if not isinstance(number, Estimate):
        return _DASH if number is None else f"{number:.3f}".replace("-", _MINUS)
    return _with_bounds(number, lambda x: f"{x:.3f}", "")


def _usd(number: Estimate | float | None) -> str:
    """USD per prompt, shown for 1,000 prompts."""
    if not isinstance(number, Estimate):
        return _DASH if number is None else f"{1000 * number:,.3g} USD"
    return _with_bounds(number, lambda x: f"{1000 * x:,.3g}", " USD")


def _with_bounds(estimate: Estimate, written: Callable[[float], str], unit: str) -> str:
    if estimate.value is None:
        return _DASH
    low, high = (_DASH if x is None else written(x) for x in (estimate.low, estimate.high))
    bounds = "" if estimate.low is None and estimate.high is None else f" [{low}, {high}]"
    return f"{written(estimate.value)}{unit}{bounds}".replace("-", _MINUS)
