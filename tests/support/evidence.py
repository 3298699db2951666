"""Outcome tables and evidence with known content."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from evalharness.evidence import Calibration, Evidence, Provenance
from evalharness.outcomes import OutcomeTable
from gates.gate import Measured
from gates.policy import Policy
from golden_sets.digests import digest_bytes, digest_json

Row = dict[str, Any]


def rows(
    outcomes: Sequence[float | None] | npt.NDArray[np.float64],
    *,
    arm: str = "candidate",
    kind: str = "golden",
    scored_by: str = "checker",
    start: int = 0,
    **columns: Any,
) -> list[Row]:
    """One quality row per outcome; a column may be one value for all rows or a sequence with one each."""
    found = []
    for index, outcome in enumerate(outcomes):
        row: Row = {
            "arm": arm,
            "phase": "quality",
            "set_kind": kind,
            "set_name": f"{kind}-set",
            "prompt_id": f"p{start + index}",
            "prompt_digest": digest_json(f"{kind}/p{start + index}"),
            "cluster": f"p{start + index}",
            "outcome": None if outcome is None else float(outcome),
            "scored_by": scored_by,
        }
        for name, value in columns.items():
            key = name.replace("dim_", "dim.")
            row[key] = value[index] if isinstance(value, list | np.ndarray) else value
        found.append(row)
    return found


def table(*groups: Sequence[Row]) -> OutcomeTable:
    """A table of several groups of rows."""
    return OutcomeTable.from_rows(row for group in groups for row in group)


def simulated(
    candidate: npt.NDArray[np.float64],
    incumbent: npt.NDArray[np.float64] | None = None,
    *,
    scored_by: str = "checker",
    label_p: float | None = None,
    labels: tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]] | None = None,
    tiers: Sequence[str] | None = None,
) -> OutcomeTable:
    """A golden table made from arrays: quick enough for hundreds of simulated releases."""
    frames = []
    for index, (arm, outcomes) in enumerate((("candidate", candidate), ("incumbent", incumbent))):
        if outcomes is None:
            continue
        ids = [f"p{i}" for i in range(outcomes.size)]
        frame = pd.DataFrame(
            {
                "arm": arm,
                "phase": "quality",
                "set_kind": "golden",
                "set_name": "golden-set",
                "prompt_id": ids,
                "prompt_digest": ids,
                "cluster": ids,
                "outcome": outcomes,
                "scored_by": scored_by,
            }
        )
        if labels is not None:
            frame["label"] = labels[index]
            frame["label_p"] = np.where(np.isnan(labels[index]), np.nan, label_p or 1.0)
        if tiers is not None:
            frame["dim.tier"] = list(tiers)
        frames.append(frame)
    return OutcomeTable.from_frame(pd.concat(frames, ignore_index=True))


def measured(
    outcomes: OutcomeTable,
    *,
    name: str = "candidate",
    sets: Mapping[str, str] | None = None,
    calibrations: Sequence[Calibration] = (),
) -> Measured:
    """Evidence that names these outcomes."""
    incumbent = "incumbent" in outcomes.arms
    blob = outcomes.to_parquet()
    evidence = Evidence(
        subject_name=name,
        subject_digest=digest_json(name),
        incumbent_name="incumbent" if incumbent else None,
        incumbent_digest=digest_json("incumbent") if incumbent else None,
        set_digests=sets or {"golden-set": digest_json("golden")},
        calibrations=tuple(calibrations),
        outcomes=digest_bytes(blob),
        outcome_rows=len(outcomes),
        provenance=Provenance(
            relgate="test", python="3.11", platform="test", started_at="2026-01-01T00:00:00Z", finished_at="-"
        ),
    )
    return Measured(evidence, outcomes)


def policy(*checks: Mapping[str, Any], **options: Any) -> Policy:
    """A policy of these checks; the first is the primary one."""
    data = {"name": "test", "version": "1", "alpha": 0.05, "primary": checks[0]["id"], "checks": checks, **options}
    return Policy.model_validate(data)


FLOOR = {"id": "floor", "metric": "pass_rate", "test": "floor", "threshold": 0.9}
MARGIN = {"id": "margin", "metric": "pass_rate", "test": "non_inferiority", "margin": 0.05}
VIOLATIONS = {"id": "violations", "metric": "violation_rate", "test": "ceiling", "threshold": 0.02}
REFUSALS = {"id": "refusals", "metric": "false_refusal_rate", "test": "ceiling", "threshold": 0.05}
RELIABILITY = {"id": "reliability", "metric": "request_success_rate", "test": "floor", "threshold": 0.99}
TTFT = {"id": "ttft", "metric": "ttft_s", "quantile": 0.95, "test": "ceiling", "threshold": 0.8}
COST = {"id": "cost", "metric": "usd_per_success", "test": "ratio_ceiling", "threshold": 1.1}
