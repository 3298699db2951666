"""The decision: verdict, every check with its numbers and reason, and what more data would settle it."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, ClassVar, Literal

from pydantic import Field

from evalharness.evidence import Estimate
from golden_sets.digests import Digest
from golden_sets.records import GrownRecord, Record


class Status(StrEnum):
    """The trichotomy of one check."""

    PASS = "pass"  # noqa: S105 - a status, not a password
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"


class Verdict(StrEnum):
    """The trichotomy of a release."""

    PROMOTE = "promote"
    BLOCK = "block"
    INCONCLUSIVE = "inconclusive"

    @property
    def exit_code(self) -> int:
        """0 promoted, 1 blocked, 3 inconclusive."""
        return {Verdict.PROMOTE: 0, Verdict.BLOCK: 1, Verdict.INCONCLUSIVE: 3}[self]


class MoreData(Record):
    """What would settle an inconclusive check."""

    n: int = Field(ge=0)
    """Further prompts wanted in this cell, per arm."""
    usd: float | None = None
    """What asking them would cost both arms, USD, at the measured mean cost per answer."""
    note: str | None = None
    """What is wanted where it is not prompts: labels, an incumbent, a repaired server."""


class CheckResult(Record):
    """One check in one cell."""

    id: str
    """Check id, with its cell's values after slashes: ``golden-floor/easy``."""
    check: str
    """Id of the policy's check."""
    metric: str
    """The metric."""
    test: Literal["floor", "ceiling", "non_inferiority", "ratio_ceiling"]
    """How the estimate is compared with the limit."""
    against: Literal["incumbent", "anchor"] = "incumbent"
    """Whom a comparison is with."""
    cell: Mapping[str, str] = Field(default_factory=dict)
    """Set kind and dimension values."""
    status: Status
    """Pass, fail or inconclusive."""
    limit: float
    """What the bound must clear: threshold, ``-margin`` (non-inferiority) or ratio."""
    estimate: Estimate
    """Two-sided interval at ``1 - 2 alpha``: the one-sided bound at ``1 - alpha`` is its end."""
    candidate: Estimate | None = None
    """For comparisons: the candidate's own number."""
    incumbent: Estimate | None = None
    """The incumbent's own number (the anchor's, where the check is against that), where there is one."""
    reason: str
    """One sentence for people: what was found and why it leads to the status."""
    p_fail: float | None = None
    """p-value of the claim that the limit is violated (Holm is applied to these)."""
    regressed: bool = False
    """True where the interval excludes the incumbent on the worse side, even inside the margin."""
    safety: bool = False
    """True for checks whose block no other check can buy back."""
    waivable: bool = True
    """False: no waiver may lift it."""
    owner: str | None = None
    """Who answers for the threshold."""
    more: MoreData | None = None
    """What would settle it, when inconclusive."""
    look: int | None = None
    """At which planned look it stopped, 1 being the first; None: it was examined once, at the end."""
    looks: int = 1
    """How many looks were planned."""


class Decision(GrownRecord):
    """The verdict on one subject under one policy with one body of evidence."""

    grown: ClassVar[tuple[str, ...]] = ("refusals",)

    verdict: Verdict
    """Promote, block or inconclusive."""
    reason: str
    """One sentence for people."""
    subject_name: str
    """Name of the subject."""
    subject_digest: Digest
    """Digest of the subject's manifest."""
    policy_name: str
    """Name of the policy."""
    policy_version: str
    """Version of the policy."""
    policy_digest: Digest
    """Digest of the policy."""
    evidence_digest: Digest
    """Digest of the candidate's evidence."""
    incumbent_evidence_digest: Digest | None = None
    """Digest of the incumbent's evidence, where it was measured apart; None: it is in the candidate's."""
    incumbent_name: str | None
    """Name of the incumbent."""
    incumbent_digest: Digest | None
    """Digest of the incumbent's manifest."""
    anchor_evidence_digest: Digest | None = None
    """Digest of the anchor's evidence, where it was measured apart."""
    anchor_name: str | None = None
    """Name of the fixed version that checks against an anchor compare with."""
    anchor_digest: Digest | None = None
    """Digest of its manifest."""
    plan_digest: Digest | None
    """The plan; None: unplanned evidence."""
    alpha: float
    """Error rate of each check."""
    attempt: int | None = None
    """Which attempt of its lineage on these sets it was; None: unplanned evidence, not counted."""
    primary: str
    """The pre-registered check, the only one that may claim superiority."""
    superior: bool = False
    """True where the primary check's bound lies above the incumbent."""
    checks: tuple[CheckResult, ...]
    """Every check in every cell."""
    refusals: tuple[str, ...] = ()
    """Why this evidence cannot be promoted on, whatever its checks say: no waiver lifts these."""
    notes: tuple[str, ...] = ()
    """Whatever else a reader must know (unplanned evidence, excluded client errors...)."""

    def ids(self, status: Status) -> list[str]:
        """Ids of the checks with this status, in the policy's order."""
        return [c.id for c in self.checks if c.status is status]

    def summary(self) -> dict[str, Any]:
        """The part of ``--json`` that every gate command shares (a documented interface)."""
        return {
            "verdict": self.verdict.value,
            "reason": self.reason,
            "subject": {"name": self.subject_name, "digest": self.subject_digest},
            "incumbent": None
            if self.incumbent_digest is None
            else {"name": self.incumbent_name, "digest": self.incumbent_digest},
            "anchor": None if self.anchor_digest is None else {"name": self.anchor_name, "digest": self.anchor_digest},
            "attempt": self.attempt,
            "policy": {"name": self.policy_name, "version": self.policy_version, "digest": self.policy_digest},
            "evidence": self.evidence_digest,
            "plan": self.plan_digest,
            "decision": self.digest,
            "failed_checks": self.ids(Status.FAIL),
            "inconclusive_checks": self.ids(Status.INCONCLUSIVE),
            "passed_checks": self.ids(Status.PASS),
            "checks": [c.to_json() for c in self.checks],
            "notes": list(self.notes),
        }
