"""How far a run's judge agrees with the labels, from the outcome table alone, so that anybody can derive it again.

Per rubric and kind of set, in terms of the event that the set's rate counts (a pass, a violation, a refusal): overall,
by arm and by cell. The gate's corrections rest on `calibration`, whose counts hold controls as well; this is what
people read, and it says where one correction does not fit all.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from evalharness.judging.file_calibration import Agreement, FileCalibration, agreement, calibrate_answers
from evalharness.judging.labelled_file import LabelledAnswers
from evalharness.judging.trust import MINIMUM_YOUDEN, Trust, flips, trust
from evalharness.metrics.calibrated import scored_by_judge
from evalharness.outcomes import Floats, OutcomeTable
from golden_sets.records import SetKind

Cell = tuple[str, str]
"""A dimension and one of its values."""


@dataclass(frozen=True)
class RunCalibration:
    """A judge against the labels of one run, under one rubric on one kind of set."""

    rubric: str
    set_kind: SetKind
    found: FileCalibration
    """Overall and by arm; positive is the set's event."""
    cells: Mapping[Cell, Agreement]
    """By every value of every dimension that has a label, all arms together."""
    drawn: int
    """Answers drawn for labelling."""
    unlabelled: int
    """Of these, how many have no label yet."""
    trust: Trust
    """Whether it may correct anything, and if not, why and how many labels it would take. On safety sets, where
    sensitivity rests on controls too and flagged answers are adjudicated, only a judge shown to be poor is not."""

    @property
    def flipped(self) -> dict[str, Agreement]:
        """Where judge and labels certainly agree less than chance: ``all answers``, arms, ``dimension=value``."""
        parts = {"all answers": self.found.overall, **self.found.arms}
        parts |= {f"{name}={value}": part for (name, value), part in self.cells.items()}
        return {name: part for name, part in parts.items() if part.polarity_flipped}

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "rubric": self.rubric,
            "set": self.set_kind.value,
            **self.found.overall.to_json(),
            "arms": {name: arm.to_json() for name, arm in self.found.arms.items()},
            "cells": [{"cell": {name: value}, **part.to_json()} for (name, value), part in self.cells.items()],
            "drawn": self.drawn,
            "unlabelled": self.unlabelled,
            "flipped": list(self.flipped),
            "trusted": self.trust.trusted,
            "reasons": list(self.trust.reasons),
            "labels_needed": self.trust.labels_needed,
        }

    def text(self) -> str:
        """The whole of it in a line or two; polarity flips and missing labels are named."""
        all_of_it = self.found.overall
        told = [
            f"judge under rubric '{self.rubric}' on {self.set_kind.value} sets, {all_of_it.labelled} labels: "
            f"kappa {_number(all_of_it.kappa.value)}, sensitivity {_percent(all_of_it, 'sensitivity')}, "
            f"specificity {_percent(all_of_it, 'specificity')}, unparsed {all_of_it.unparsed}"
        ]
        if self.flipped:
            where = ", ".join(f"{name} (kappa {_number(part.kappa.value)})" for name, part in self.flipped.items())
            told.append(f"polarity flipped, judge and labels agree less than chance: {where}")
        if self.unlabelled:
            told.append(f"{self.unlabelled} of {self.drawn} answers drawn for labelling have no label yet")
        return "; ".join(told)


def run_calibrations(table: OutcomeTable) -> tuple[RunCalibration, ...]:
    """The judge's agreement with the labels of a run, one entry for each rubric and kind of set that has a label.

    Args:
        table: the outcomes of a run; a row counts where a judge scored it or could not, on scored answers and further
            criteria. Weights are the inverse of ``label_p`` (1 where it is not told), clusters the randomised units.
    """
    rows = table.phase("quality", "criterion")
    judged = rows.take(scored_by_judge(rows))
    return tuple(
        _calibration(rubric, SetKind(kind), mine)
        for kind in judged.distinct("set_kind")
        for of_kind in [judged.where({"set": kind})]
        for rubric in of_kind.distinct("rubric")
        for mine in [of_kind.where({"rubric": rubric})]
        if not np.isnan(mine.numbers("label")).all()
    )


def _calibration(rubric: str, kind: SetKind, rows: OutcomeTable) -> RunCalibration:
    found = calibrate_answers(_answers(rows))
    drawn = ~np.isnan(rows.numbers("label_p"))
    return RunCalibration(
        rubric=rubric,
        set_kind=kind,
        found=found,
        cells=dict(_cells(rows)),
        drawn=int(drawn.sum()),
        unlabelled=int((drawn & np.isnan(rows.numbers("label"))).sum()),
        trust=trust(found) if kind is SetKind.GOLDEN else _trust_on_safety(found),
    )


def _answers(rows: OutcomeTable) -> LabelledAnswers:
    truth, chance = _events(rows.numbers("label")), rows.numbers("label_p")
    labelled = ~np.isnan(truth) & ~np.isnan(chance)
    return LabelledAnswers(
        truth=truth,
        seen=_events(rows.numbers("outcome")),
        clusters=rows.clusters(),
        weights=np.where(labelled, 1.0 / np.where(labelled, chance, 1.0), 1.0),
        arms=tuple(rows.arms),
        arm=np.select([rows.matches("arm", arm) for arm in rows.arms], list(range(len(rows.arms))), -1),
    )


def _events(outcomes: Floats) -> Floats:
    return np.where(np.isnan(outcomes), np.nan, (outcomes > 0).astype(np.float64))


def _cells(rows: OutcomeTable) -> Iterable[tuple[Cell, Agreement]]:
    for name in rows.dimensions:
        for value in rows.distinct(rows.column(name)):
            inside = rows.where({name: value})
            if not np.isnan(inside.numbers("label")).all():
                yield (name, value), agreement(_answers(inside))


def _trust_on_safety(found: FileCalibration) -> Trust:
    reasons = list(flips(found))
    youden = found.overall.youden
    if youden is not None and youden.high is not None and youden.high < MINIMUM_YOUDEN:
        reasons.append(
            f"the judge shows at most {youden.high:.2f} of a true difference: no number of labels would help"
        )
    return Trust(not reasons, tuple(reasons), None)


def _number(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.2f}"


def _percent(found: Agreement, name: str) -> str:
    interval = found.sensitivity if name == "sensitivity" else found.specificity
    if interval is None or interval.value is None or interval.low is None or interval.high is None:
        return "not measured"
    return f"{interval.value:.1%} [{interval.low:.1%}, {interval.high:.1%}]"
