"""Simulated releases: outcomes with a known truth, the evidence and policies that gates are tried on."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks.error_rates_report import ALPHA, Rates, rates_of
from evalharness.evidence import Calibration, Evidence, Provenance
from evalharness.outcomes import OutcomeTable
from evalharness.plan import Plan
from gates.gate import Measured
from gates.policy import Policy
from golden_sets.digests import digest_json

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
Codes = NDArray[np.int64]


@dataclass(frozen=True)
class Setting:
    """A kind of release that can be simulated again and again."""

    section: str
    told: str
    """What is simulated, for people."""
    verdict: Callable[[np.random.Generator], str]
    """Draws one release and asks the gate: promote, block or inconclusive."""
    error: Literal["promote", "block", "none"] = "promote"
    """Which verdict is an error."""
    limit: float | None = ALPHA
    """How often it may be made; None: a peer's rule."""

    def rates(self, releases: int) -> Rates:
        """Simulate so many releases, the same at every call."""
        rng = np.random.default_rng(zlib.crc32(f"{self.section}/{self.told}".encode()))
        verdicts = [self.verdict(rng) for _ in range(releases)]
        return rates_of(self.section, self.told, verdicts, self.error, limit=self.limit)


_PROVENANCE = Provenance(relgate="-", python="-", platform="-", started_at="-", finished_at="-")


def rows(
    outcomes: Floats, *, arm: str = "candidate", kind: str = "golden", scored_by: str = "checker", **columns: Any
) -> pd.DataFrame:
    """One scored answer per outcome; ``columns`` add to or replace what is given here."""
    ids = [f"{kind}-{i}" for i in range(outcomes.size)]
    return pd.DataFrame(
        {
            "arm": arm,
            "phase": "quality",
            "set_kind": kind,
            "set_name": kind,
            "prompt_id": ids,
            "prompt_digest": ids,
            "cluster": ids,
            "outcome": outcomes,
            "scored_by": scored_by,
            **columns,
        }
    )


def both_arms(candidate: Floats, incumbent: Floats, **columns: Any) -> OutcomeTable:
    """The same prompts answered by both arms; ``columns`` as in `rows`."""
    frames = [
        rows(outcomes, arm=arm, **columns) for arm, outcomes in (("candidate", candidate), ("incumbent", incumbent))
    ]
    return OutcomeTable.from_frame(pd.concat(frames, ignore_index=True))


def evidence_of(table: OutcomeTable, *, calibrations: Sequence[Calibration] = (), plan: Plan | None = None) -> Measured:
    """Evidence about a table. The gate decides on the table itself: its file is not written."""
    incumbent = "incumbent" in table.arms
    evidence = Evidence(
        subject_name="candidate",
        subject_digest=digest_json("candidate"),
        incumbent_name="incumbent" if incumbent else None,
        incumbent_digest=digest_json("incumbent") if incumbent else None,
        set_digests={} if plan is None else plan.set_digests,
        calibrations=tuple(calibrations),
        plan_digest=None if plan is None else plan.digest,
        outcomes=digest_json("not written"),
        outcome_rows=len(table),
        provenance=_PROVENANCE,
    )
    return Measured(evidence, table, plan)


def policy(*checks: Mapping[str, Any], **options: Any) -> Policy:
    """A policy of these checks, the first being the primary one."""
    data = {"name": "simulated", "version": "1", "alpha": ALPHA, "primary": checks[0]["id"], "checks": checks}
    return Policy.model_validate({**data, **options})


def floor(threshold: float, **options: Any) -> dict[str, Any]:
    """A floor on the pass rate."""
    return {"id": "floor", "metric": "pass_rate", "test": "floor", "threshold": threshold, **options}


def margin(size: float, **options: Any) -> dict[str, Any]:
    """No more than ``size`` worse than the incumbent."""
    return {"id": "margin", "metric": "pass_rate", "test": "non_inferiority", "margin": size, **options}


def ceiling(threshold: float, **options: Any) -> dict[str, Any]:
    """A ceiling on the violation rate."""
    return {"id": "ceiling", "metric": "violation_rate", "test": "ceiling", "threshold": threshold, **options}


# -- draws -------------------------------------------------------------------------------------------------------


def beta_rates(rng: np.random.Generator, count: int, mean: float, icc: float) -> Floats:
    """Success rates of units that differ: outcomes of one unit have the intra-class correlation ``icc``."""
    if icc == 0:
        return np.full(count, mean)
    scale = (1 - icc) / icc
    return np.asarray(rng.beta(mean * scale, (1 - mean) * scale, size=count), dtype=np.float64)


def bernoulli(rng: np.random.Generator, chances: Floats) -> Floats:
    """0 or 1 with these chances."""
    return np.asarray(rng.random(chances.size) < chances, dtype=np.float64)


def paired_outcomes(
    rng: np.random.Generator,
    n: int,
    *,
    discordance: float,
    difference: float,
    incumbent: float = 0.85,
    clusters: Codes | None = None,
    icc: float = 0.0,
) -> tuple[Floats, Floats]:
    """Outcomes of candidate and incumbent on n prompts whose true difference is known.

    Args:
        rng: source of chance.
        n: prompts.
        discordance: chance that the arms differ on a prompt.
        difference: candidate's rate minus the incumbent's.
        incumbent: the incumbent's rate.
        clusters: code of each prompt's cluster; None: all independent.
        icc: share of clusters whose prompts all share one outcome, which is the correlation within clusters.
    """
    lots = rng.random(n)
    if clusters is not None:
        count = int(clusters.max()) + 1
        lots = np.where((rng.random(count) < icc)[clusters], rng.random(count)[clusters], lots)
    wins, losses = (discordance + difference) / 2, (discordance - difference) / 2
    both = incumbent - losses
    candidate = (lots < wins) | ((lots >= wins + losses) & (lots < wins + losses + both))
    incumbents = (lots >= wins) & (lots < wins + losses + both)
    return candidate.astype(np.float64), incumbents.astype(np.float64)
