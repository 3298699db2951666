"""What is known of the judge, in words: its error by rubric and arm, its biases, planted answers, pairs, open flags."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from markupsafe import Markup

from evalharness.evidence import Calibration, Estimate
from evalharness.metrics import METRICS
from evalharness.metrics.calibrated import unadjudicated
from evalharness.metrics.planted import FamilyCounts, family_counts
from evalharness.metrics.preferences import WinCounts, win_counts
from evalharness.outcomes import ARMS
from evalharness.statistics import Interval
from gates.decision import CheckResult
from gates.reports.figures import NO_BOUND, Scale, count
from gates.reports.interval_plot import bias_plot
from gates.reports.model import ReportInput
from gates.reports.sureness import judge_error
from gates.reports.words import STATUS_MARKS, Mark, limit_text, metric_meaning, metric_name

NO_BREAK = "\u00a0"
"""A blank at which no line ends."""
_PERCENT = Scale(100, "%", 1)
JUDGED_WIN_RATE = "judged_win_rate"


@dataclass(frozen=True, slots=True)
class CalibrationRow:
    """One rubric's calibration, or that of one arm under it."""

    rubric: str
    arm: str | None
    """None: all arms."""
    labels: str
    sensitivity: str
    specificity: str
    agreement: str
    kappa: str
    unparsed: str
    source: str


@dataclass(frozen=True, slots=True)
class GatedBy:
    """A check that bounds a bias."""

    check: str
    limit: str
    mark: Mark


@dataclass(frozen=True, slots=True)
class BiasRow:
    """One bias with its interval."""

    name: str
    meaning: str
    value: str
    bounds: str
    n: str
    checks: tuple[GatedBy, ...]
    """The checks that gate on it; empty: it is reported alone."""
    note: str
    plot: Markup


@dataclass(frozen=True, slots=True)
class JudgeView:
    """Everything the section shows."""

    calibrations: tuple[CalibrationRow, ...]
    biases: tuple[BiasRow, ...]
    """What it goes by beside quality."""
    preferences: tuple[BiasRow, ...]
    """Win rates."""
    top: str
    """Where the axis of the biases ends."""
    families: tuple[FamilyCounts, ...]
    wins: WinCounts | None
    unadjudicated: Mapping[str, int]
    """Flagged answers of the candidate that nobody has confirmed or refuted, by set."""

    @property
    def attacks(self) -> tuple[FamilyCounts, ...]:
        """Planted answers that speak to the judge."""
        return tuple(f for f in self.families if f.kind == "injection")


def judge_view(report: ReportInput) -> JudgeView:
    """What the report can tell about the judge."""
    table = report.outcomes
    return JudgeView(
        calibrations=tuple(row for one in report.evidence.calibrations for row in _calibration_rows(one)),
        biases=_rows(report, biases=True),
        preferences=_rows(report, biases=False),
        top=_PERCENT.value(axis_top(report)),
        families=() if table is None else family_counts(table),
        wins=None if table is None else win_counts(table),
        unadjudicated={} if table is None else unadjudicated(table),
    )


def judge_document(report: ReportInput) -> dict[str, Any]:
    """The same as plain data; calibrations stand in the evidence."""
    seen = judge_view(report)
    return {
        "biases": [e.to_json() for e in bias_estimates(report)],
        "planted": [asdict(one) for one in seen.families],
        "pairs": None if seen.wins is None else asdict(seen.wins),
        "unadjudicated": dict(seen.unadjudicated),
    }


def bias_estimates(report: ReportInput) -> list[Estimate]:
    """The evidence's estimates of what the judge goes by beside quality, and of the win rate."""
    return [
        e
        for e in report.evidence.estimates
        if e.metric == JUDGED_WIN_RATE or (e.metric in METRICS and METRICS[e.metric].is_probed)
    ]


def _rows(report: ReportInput, *, biases: bool) -> tuple[BiasRow, ...]:
    found = [e for e in bias_estimates(report) if _is_bias(e) is biases]
    checks = [[c for c in report.decision.checks if _shown_at(c, found) == number] for number in range(len(found))]
    top = axis_top(report) if biases else 1.0
    return tuple(
        _bias_row(e, mine, top=top, key=f"bias-{number}")
        for number, (e, mine) in enumerate(zip(found, checks, strict=True))
    )


def axis_top(report: ReportInput) -> float:
    """Where the axis that all biases share ends: the next tenth beyond every bound and limit."""
    numbers = [n for e in bias_estimates(report) if _is_bias(e) for n in (e.high, e.value) if n is not None]
    numbers += [c.limit for c in report.decision.checks if c.metric in METRICS and METRICS[c.metric].family == "bias"]
    return min(1.0, max(1, math.ceil(10 * max(numbers, default=0.0) - 1e-9)) / 10)


def _bias_row(estimate: Estimate, checks: list[CheckResult], *, top: float, key: str) -> BiasRow:
    where = ", ".join(f"{name} {value}" for name, value in estimate.cell.items())
    limits = [c.limit for c in checks]
    return BiasRow(
        name=metric_name(estimate.metric) + (f" ({where})" if where else ""),
        meaning="" if where else metric_meaning(estimate.metric),
        value=_PERCENT.value(estimate.value),
        bounds=_PERCENT.bounds(estimate),
        n=count(estimate.n),
        checks=tuple(GatedBy(c.id, limit_text(c, _PERCENT), STATUS_MARKS[c.status]) for c in checks),
        note=estimate.note or "",
        plot=bias_plot(estimate, top, limits, name=metric_name(estimate.metric), key=key),
    )


def _is_bias(estimate: Estimate) -> bool:
    return estimate.metric in METRICS and METRICS[estimate.metric].family == "bias"


def _shown_at(check: CheckResult, found: Sequence[Estimate]) -> int | None:
    """Place of the estimate that a check is shown with: that of its cell, else the one over everything."""
    cells = {tuple(sorted(e.cell.items())): number for number, e in enumerate(found) if e.metric == check.metric}
    return cells.get(tuple(sorted(check.cell.items())), cells.get(()))


def _calibration_rows(known: Calibration) -> list[CalibrationRow]:
    error = judge_error(known)
    controls = f", {count(known.controls)} of them controls" if known.controls else ""
    kind = "" if known.set_kind is None else f" ({known.set_kind.value.replace('_', ' ')})"
    rows = [
        CalibrationRow(
            rubric=known.rubric + kind,
            arm=None,
            labels=count(known.positives + known.negatives) + controls,
            sensitivity=_share(error.sensitivity, known.true_positives, known.positives),
            specificity=_share(error.specificity, known.true_negatives, known.negatives),
            agreement=_PERCENT.value(known.agreement),
            kappa=NO_BOUND if known.kappa is None else Scale(1, "", 2).value(known.kappa),
            unparsed=count(known.unparsed),
            source=known.label_source,
        )
    ]
    for arm in (*ARMS, "control"):
        plain = known.by_arm.get(arm)
        if plain is None:
            continue
        agreement, kappa = plain.get("agreement"), plain.get("kappa")
        rows.append(
            CalibrationRow(
                rubric=known.rubric + kind,
                arm=arm,
                labels=count(int(plain.get("labelled") or 0)),
                sensitivity=_of(plain.get("true_positives"), plain.get("positives")),
                specificity=_of(plain.get("true_negatives"), plain.get("negatives")),
                agreement=_PERCENT.value(agreement),
                kappa=NO_BOUND if kappa is None else Scale(1, "", 2).value(kappa),
                unparsed=count(int(plain.get("unparsed") or 0)),
                source="",
            )
        )
    return rows


def _of(hits: float | None, n: float | None) -> str:
    return f"{count(int(hits or 0))} of {count(int(n))}".replace(" ", NO_BREAK) if n else "not measured"


def _share(interval: Interval | None, successes: int, n: int) -> str:
    if interval is None:
        return "not measured"
    bounds = f"[{_PERCENT.number(interval.low)}, {_PERCENT.number(interval.high)}]"
    counts = f"({count(successes)} of {count(n)})"
    return f"{_PERCENT.value(interval.value)} {bounds}".replace(" ", NO_BREAK) + " " + counts.replace(" ", NO_BREAK)
