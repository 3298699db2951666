"""Candidates exactly at a limit, scored by a judge of sensitivity .9 and specificity .9 whose error is measured.

Labels are drawn and counted by the code of a real run (`labelled_subsample`, `calibrate`): a random sample of the
prompts, stratified by what the judge said of both arms, labelled on both. Flagged violations are adjudicated.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.simulated_evidence import (
    Floats,
    Mask,
    Setting,
    bernoulli,
    both_arms,
    ceiling,
    evidence_of,
    floor,
    margin,
    paired_outcomes,
    policy,
    rows,
)
from evalharness.evidence import Calibration
from evalharness.judging.calibration import LabelledVerdict, calibrate
from evalharness.judging.labelling import labelled_subsample
from evalharness.outcomes import Arm, OutcomeTable
from gates.gate import gate
from golden_sets.records import SetKind
from pipelines.judge_run import LEAST_OF_FIRST

QUALITY = 0.9
"""Sensitivity and specificity of the judge."""
PROMPTS = 1000
RUBRIC = "quality"
JUDGED: dict[str, Any] = {"scored_by": "judge", "rubric": RUBRIC}


@dataclass(frozen=True)
class Judged:
    """Truth and verdicts on the answers of both arms, and which prompts are labelled."""

    truth: tuple[Floats, Floats]
    said: tuple[Floats, Floats]
    chance: Floats
    """Probability of each prompt to be labelled."""
    labelled: Mask

    @property
    def columns(self) -> list[dict[str, Any]]:
        """What the outcome table of each arm holds about labels."""
        known = [np.where(self.labelled, truth, np.nan) for truth in self.truth]
        return [{"label": label, "label_p": np.where(self.labelled, self.chance, np.nan)} for label in known]

    def verdicts(self) -> list[LabelledVerdict]:
        """The labelled answers of both arms."""
        arms: tuple[Arm, Arm] = ("candidate", "incumbent")
        return [
            LabelledVerdict(
                arm=arm, unit=str(i), truth=bool(truth[i]), seen=bool(said[i]), probability=float(self.chance[i])
            )
            for arm, truth, said in zip(arms, self.truth, self.said, strict=True)
            for i in np.flatnonzero(self.labelled).tolist()
        ]


def judged_outcomes(
    rng: np.random.Generator, truth: tuple[Floats, Floats], *, labels: int, least: int = LEAST_OF_FIRST
) -> Judged:
    """Judge answers whose truth is known, and draw the prompts to be labelled.

    Args:
        rng: source of chance.
        truth: whether the event happened, for both arms.
        labels: prompts to label; 0: none.
        least: of each combination of verdicts, at least.
    """
    said = tuple(np.abs(arm - (rng.random(arm.size) >= QUALITY)) for arm in truth)
    seen = {i: (bool(ours), bool(theirs)) for i, (ours, theirs) in enumerate(zip(*said, strict=True))}
    chance, labelled = np.zeros(len(seen)), np.zeros(len(seen), dtype=np.bool_)
    if labels:
        drawn = labelled_subsample(seen, per_arm=labels, least=least, seed=int(rng.integers(2**31)))
        chance[:] = [drawn.probability[i] for i in range(len(seen))]
        labelled[list(drawn.chosen)] = True
    return Judged(truth, (said[0], said[1]), chance, labelled)


def table_of(judged: Judged, kind: str = "golden") -> OutcomeTable:
    """The outcome table of a judged run."""
    frames = [
        rows(said, arm=arm, kind=kind, **JUDGED, **columns)
        for arm, said, columns in zip(("candidate", "incumbent"), judged.said, judged.columns, strict=True)
    ]
    return OutcomeTable.from_frame(pd.concat(frames, ignore_index=True))


def judged_at_the_limit() -> list[Setting]:
    """One look at judged outcomes, with 100 and with 300 labelled prompts; and with none."""
    found = []
    for labels in (100, 300):
        told = f"n = {PROMPTS}, {labels} labels per arm"
        found += [
            Setting("judged", f"margin 3 points, discordance 0.09, {told}", partial(_margin, labels, 0.03, 0.09)),
            Setting("judged", f"margin 5 points, discordance 0.2, {told}", partial(_margin, labels, 0.05, 0.2)),
            Setting("judged", f"floor 90%, {told}", partial(_floor, labels, 0.9)),
            Setting("judged", f"floor 70%, {told}", partial(_floor, labels, 0.7)),
            Setting(
                "judged",
                f"violations <= 2%, n = {PROMPTS}, {labels} positive controls",
                partial(_violations, labels, 0.02),
            ),
        ]
    word = f"margin 3 points, discordance 0.09, n = {PROMPTS}, the judge taken at its word"
    return [*found, Setting("judged, peers", word, _uncorrected, limit=None)]


def _pairs(rng: np.random.Generator, labels: int, size: float, discordance: float) -> Judged:
    truth = paired_outcomes(rng, PROMPTS, discordance=discordance, difference=-size)
    return judged_outcomes(rng, truth, labels=labels)


def _margin(labels: int, size: float, discordance: float, rng: np.random.Generator) -> str:
    found = table_of(_pairs(rng, labels, size, discordance))
    return gate(policy(margin(size)), evidence_of(found)).verdict.value


def _uncorrected(rng: np.random.Generator) -> str:
    found = _pairs(rng, 0, 0.03, 0.09)
    return gate(policy(margin(0.03)), evidence_of(both_arms(*found.said))).verdict.value


def _floor(labels: int, limit: float, rng: np.random.Generator) -> str:
    truth = paired_outcomes(rng, PROMPTS, discordance=0.09, difference=0.0, incumbent=limit)
    judged = judged_outcomes(rng, truth, labels=labels)
    calibration = calibrate(RUBRIC, SetKind.GOLDEN, judged.verdicts())
    return gate(policy(floor(limit)), evidence_of(table_of(judged), calibrations=[calibration])).verdict.value


def _violations(controls: int, limit: float, rng: np.random.Generator) -> str:
    truth = bernoulli(rng, np.full(PROMPTS, limit))
    said = np.abs(truth - (rng.random(PROMPTS) >= QUALITY))
    adjudicated = np.where(said == 1.0, truth, np.nan)
    table = OutcomeTable.from_frame(rows(said, kind="adversarial", adjudicated=adjudicated, **JUDGED))
    return gate(policy(ceiling(limit)), evidence_of(table, calibrations=[_controls(rng, controls)])).verdict.value


def _controls(rng: np.random.Generator, count: int) -> Calibration:
    """The judge on answers that are known to violate."""
    seen = rng.random(count) < QUALITY
    planted = [
        LabelledVerdict(arm="control", unit=f"c{i}", truth=True, seen=bool(found)) for i, found in enumerate(seen)
    ]
    return calibrate(RUBRIC, SetKind.ADVERSARIAL, [], controls=planted)
