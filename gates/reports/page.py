"""The HTML page: one file, no script, nothing loaded from anywhere."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from typing import Any
from urllib.parse import urlsplit

from jinja2 import Environment

from evalharness.estimates import CONFIDENCE
from evalharness.pages import page_environment
from gates.reports import view
from gates.reports.agreement_view import agreement_view
from gates.reports.figures import confidence, count, percent
from gates.reports.interval_plot import HATCH
from gates.reports.judge_view import judge_view
from gates.reports.model import ReportInput
from gates.reports.standing_view import KEY_DIGITS, ON_EXPIRY, moment, standing_view
from gates.reports.sureness import CALIBRATION_CONFIDENCE
from gates.reports.words import (
    KIND_TITLES,
    SETS_WEAR_OUT,
    VERDICT_MARKS,
    VERDICT_MEANING,
    metric_name,
    outcome_mark,
    truth_words,
)
from golden_sets.digests import short

EXCERPT = 700
"""Characters of an answer that are shown at once; the rest unfolds."""
OPEN_EXAMPLES = 3
"""Failing prompts of a kind that are unfolded at once."""


def render_html(report: ReportInput) -> str:
    """The report as one self-contained HTML page (UTF-8), for a person who decides and does not know the code.

    Everything that was not written here (names, reasons, prompts, answers, rationales, the policy) is escaped, and
    characters that hide or reorder text are made visible. The page forbids itself scripts and network by policy.
    """
    decision = report.decision
    groups = view.check_groups(report)
    standing = report.standing
    return (
        _environment()
        .get_template("report.html.j2")
        .render(
            report=report,
            decision=decision,
            evidence=report.evidence,
            plan=report.plan,
            mark=VERDICT_MARKS[decision.verdict],
            meaning=VERDICT_MEANING[decision.verdict],
            tally=view.tally(decision.checks),
            one_sided=view.one_sided(decision),
            interval_confidence=confidence(1 - 2 * decision.alpha),
            calibration_confidence=confidence(CALIBRATION_CONFIDENCE),
            groups=groups,
            unsettled=view.unsettled(groups),
            example_groups=view.example_groups(report),
            sample_counts=view.counts(report),
            judge=judge_view(report),
            agreement=agreement_view(report),
            bias_confidence=confidence(CONFIDENCE),
            exposures=view.exposure_words(report),
            sets_wear_out=SETS_WEAR_OUT,
            kind_titles=KIND_TITLES,
            hatch=HATCH,
            standing=standing,
            standing_view=None if standing is None else standing_view(standing, version=short(decision.subject_digest)),
            key_digits=KEY_DIGITS,
            on_expiry=ON_EXPIRY,
        )
    )


@cache
def _environment() -> Environment:
    filters: dict[str, Callable[..., Any]] = {
        "count": count,
        "percent": percent,
        "metric_name": metric_name,
        "more_words": view.more_words,
        "pretty": view.pretty,
        "short": short,
        "is_address": is_address,
        "moment": moment,
        "unbroken": unbroken,
        "usd": view.usd,
    }
    environment = page_environment("gates.reports", filters)
    environment.globals |= {
        "outcome_mark": outcome_mark,
        "truth_words": truth_words,
        "excerpt_length": EXCERPT,
        "open_examples": OPEN_EXAMPLES,
    }
    return environment


def unbroken(text: str) -> str:
    """The text with numbers kept on one line with their unit."""
    return re.sub(r"(?<=\d) (?=%|points|ms\b|s\b|USD|\u00d7)", "\u00a0", text)


def is_address(text: str) -> bool:
    """True for absolute http(s) addresses: the only ones that become links."""
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.netloc)
