"""The page of shadow validation: one file, no script, nothing loaded from anywhere."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Any

from jinja2 import Environment

from evalharness.pages import image_address, page_environment
from golden_sets.digests import short
from router_training.shadow.alerts import NewCluster
from router_training.shadow.drift import QUESTIONS
from router_training.shadow.figures import dashboard_figure, evidence_figure
from router_training.shadow.quality import LARGE, LARGE_SHARE, SECONDS_A_DAY
from router_training.shadow.summary import ShadowSummary
from router_training.shadow.watching import Watch

EXCERPT = 400
"""Characters of an example that are shown."""
_YEAR_2000 = 946_684_800


def render_shadow(watch: Watch, summary: ShadowSummary, clusters: Sequence[NewCluster]) -> str:
    """The page (UTF-8): alerts first, then how long they took, the tests, the replays and what is new.

    Prompts and names are escaped, and characters that hide or reorder text are made visible.
    """
    return (
        _environment()
        .get_template("shadow.html.j2")
        .render(
            summary=summary,
            clusters=clusters,
            evidence=image_address(evidence_figure(_evidence(watch), summary)),
            evidence_words=_evidence_sentence(summary),
            dashboard=image_address(dashboard_figure(summary)) if summary.dashboard else None,
            large=LARGE,
            large_share=LARGE_SHARE,
            excerpt=EXCERPT,
        )
    )


def _evidence(watch: Watch) -> dict[str, tuple[Sequence[int], Sequence[float]]]:
    columns = watch.store.requests([f"e_{name}" for name in QUESTIONS])
    found: dict[str, tuple[Sequence[int], Sequence[float]]] = {
        name: (range(1, len(columns[f"e_{name}"]) + 1), columns[f"e_{name}"]) for name in QUESTIONS
    }
    for name, column in (("quality given up", "e_loss"), ("large differences", "e_large")):
        judged = [one for one in watch.store.replays() if one[column] is not None]
        found[name] = ([one["number"] for one in judged], [one[column] for one in judged])
    return found


@cache
def _environment() -> Environment:
    filters: dict[str, Callable[..., Any]] = {
        "short": short,
        "percent": _percent,
        "points": _points,
        "count": lambda number: f"{number:,}",
        "evidence": _evidence_words,
        "moment": _moment,
        "day": _day,
        "chance": lambda share: f"{100 * share:.2g} %",
    }
    return page_environment("router_training", filters)


def _evidence_sentence(summary: ShadowSummary) -> str:
    rang = [f"{one.name} at request {one.rang_at:,}" for one in summary.tests if one.rang_at is not None]
    alarms = ", ".join(rang) or "none"
    return f"Evidence of each test over {summary.requests:,} requests; it reached the alarm for: {alarms}."


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.1f} %"


def _points(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:+.1f}".replace("-", "\N{MINUS SIGN}")


def _evidence_words(capital: float) -> str:
    return f"{capital:.2g}" if capital < 100 else f"{capital:,.0f}"


def _moment(seconds: float | None) -> str:
    if seconds is None:
        return ""
    if seconds < _YEAR_2000:
        return f"{seconds:,.0f} s"
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M} UTC"


def _day(day: int) -> str:
    return (
        f"day {day}" if day * SECONDS_A_DAY < _YEAR_2000 else f"{datetime.fromtimestamp(day * SECONDS_A_DAY, UTC):%F}"
    )
