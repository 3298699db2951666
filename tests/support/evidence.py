"""Outcome tables and evidence with known content."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

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


def measured(
    outcomes: OutcomeTable,
    *,
    name: str = "candidate",
    sets: Mapping[str, str] | None = None,
    calibrations: Sequence[Calibration] = (),
    plan: str | None = None,
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
        plan_digest=plan,
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
