"""Where the judge errs, in words: by arm and cell, against the refusal detector, several judges among themselves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from evalharness.answer_classes import REFUSALS, AnswerClass
from evalharness.judging.file_calibration import Agreement
from evalharness.judging.run_calibration import RunCalibration, run_calibrations
from evalharness.metrics.responses import ResponseCounts, response_counts
from evalharness.outcomes import OutcomeTable
from evalharness.statistics import Interval
from gates.reports.figures import NO_BOUND, Scale, count
from gates.reports.model import ReportInput

_PERCENT, _NUMBER = Scale(100, "%", 1), Scale(1, "", 2)


@dataclass(frozen=True, slots=True)
class AgreementRow:
    """The judge against labels on one part of the labelled answers."""

    part: str
    labels: str
    kappa: str
    sensitivity: str
    specificity: str
    flipped: bool
    """Whether judge and labels certainly agree less than chance."""


@dataclass(frozen=True, slots=True)
class AgreementTable:
    """One rubric on one kind of set."""

    rubric: str
    rows: tuple[AgreementRow, ...]
    reasons: tuple[str, ...]
    """Why the judge may not be trusted here; empty where it may."""


@dataclass(frozen=True, slots=True)
class ResponseRow:
    """What the answers of one arm do with the requests of one kind of set."""

    answers: str
    who: str
    refused_by_judge: str
    refused_by_detector: str
    disagree: str
    none: str
    """Answers that are none by the detector."""


@dataclass(frozen=True, slots=True)
class VoteRow:
    """How far several judges agree under one rubric."""

    rubric: str
    answers: str
    agreement: str
    kappa: str
    split: str
    undecided: str


@dataclass(frozen=True, slots=True)
class AgreementView:
    """Everything the section shows."""

    tables: tuple[AgreementTable, ...]
    responses: tuple[ResponseRow, ...]
    votes: tuple[VoteRow, ...]
    labels: tuple[str, ...]
    """What became of people's labels, a line each."""


def agreement_view(report: ReportInput) -> AgreementView:
    """What the report can tell about where the judge errs."""
    details = report.evidence.provenance.details
    return AgreementView(
        tables=_tables(report.outcomes),
        responses=() if report.outcomes is None else tuple(map(_response, response_counts(report.outcomes))),
        votes=tuple(_vote(rubric, said) for rubric, said in sorted(details.get("judges", {}).items())),
        labels=tuple(str(line) for line in details.get("labels", ())),
    )


def agreement_document(report: ReportInput) -> dict[str, Any]:
    """The same as plain data."""
    table = report.outcomes
    return {
        "agreement": [] if table is None else [one.to_json() for one in run_calibrations(table)],
        "responses": [] if table is None else [one.to_json() for one in response_counts(table)],
        "judges": report.evidence.provenance.details.get("judges", {}),
        "detector": [one.to_json() for one in report.evidence.detector],
    }


def _tables(outcomes: OutcomeTable | None) -> tuple[AgreementTable, ...]:
    return () if outcomes is None else tuple(map(_table, run_calibrations(outcomes)))


def _table(one: RunCalibration) -> AgreementTable:
    parts = {"all answers": one.found.overall, **one.found.arms}
    parts |= {f"{name} {value}": part for (name, value), part in one.cells.items()}
    return AgreementTable(
        rubric=f"{one.rubric} ({one.set_kind.value.replace('_', ' ')})",
        rows=tuple(_row(name, part) for name, part in parts.items()),
        reasons=one.trust.reasons,
    )


def _row(part: str, found: Agreement) -> AgreementRow:
    return AgreementRow(
        part=part,
        labels=count(found.labelled),
        kappa=_text(found.kappa, _NUMBER),
        sensitivity=_text(found.sensitivity, _PERCENT),
        specificity=_text(found.specificity, _PERCENT),
        flipped=found.polarity_flipped,
    )


def _response(one: ResponseCounts) -> ResponseRow:
    return ResponseRow(
        answers=count(one.answers),
        who=f"{one.arm}, {one.kind.value.replace('_', ' ')}",
        refused_by_judge=_refused(one.by_judge),
        refused_by_detector=_refused(one.by_detector),
        disagree=f"{count(one.disagree)} of {count(one.both)}" if one.both else NO_BOUND,
        none=count(one.by_detector.get(AnswerClass.EMPTY_OR_BROKEN, 0)),
    )


def _refused(counts: Mapping[AnswerClass, int]) -> str:
    return count(sum(counts.get(one, 0) for one in REFUSALS)) if counts else NO_BOUND


def _vote(rubric: str, said: Mapping[str, Any]) -> VoteRow:
    return VoteRow(
        rubric=rubric,
        answers=count(int(said["items"])),
        agreement=_plain(said["agreement"], _PERCENT),
        kappa=_plain(said["kappa"], _NUMBER),
        split=_plain(said["split"], _PERCENT),
        undecided=count(int(said["undecided"])),
    )


def _text(interval: Interval | None, scale: Scale) -> str:
    return "not measured" if interval is None else _plain(interval.to_json(), scale)


def _plain(estimate: Mapping[str, Any], scale: Scale) -> str:
    if estimate["value"] is None:
        return NO_BOUND
    return f"{scale.value(estimate['value'])} [{scale.number(estimate['low'])}, {scale.number(estimate['high'])}]"
