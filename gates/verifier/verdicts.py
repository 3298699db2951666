"""Verdicts, derived again: the gate is run on policy, plan, evidence and per-prompt outcomes, and must say the same."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from evalharness.evidence import Evidence
from evalharness.outcomes import OutcomeTable
from evalharness.plan import Plan
from gates.decision import CheckResult, Decision
from gates.gate import Measured, gate
from gates.policy import Policy
from gates.staleness import Served
from gates.verifier.contents import Contents
from golden_sets.digests import Digest, short
from golden_sets.errors import InputError

REL_TOLERANCE = 1e-9
"""Relative difference up to which numbers of another machine count as the same."""

_UNPLANNED = "the plan was not in the log before the run"


def rests_on(decision: Decision, contents: Contents) -> dict[str, Digest]:
    """Everything that a verdict is derived from, by what it is.

    Raises:
        InputError: the evidence is not at hand.
    """
    found = {"policy": decision.policy_digest}
    apart = {"incumbent's ": decision.incumbent_evidence_digest, "anchor's ": decision.anchor_evidence_digest}
    for whose, digest in {"": decision.evidence_digest, **apart}.items():
        if digest is None:
            continue
        evidence = contents.record(digest, Evidence)
        found |= {f"{whose}evidence": digest, f"{whose}outcomes": evidence.outcomes}
        if evidence.plan_digest is not None:
            found[f"{whose}plan"] = evidence.plan_digest
    return found


def differences(
    decision: Decision,
    contents: Contents,
    *,
    planned_at: int | None,
    serving: Mapping[str, Digest] | None = None,
) -> list[str]:
    """What the gate says otherwise than a recorded decision, for people; empty: the same.

    Args:
        decision: what was decided.
        contents: where everything it rests on is found.
        planned_at: where the log has its plan; evidence that names another place counts as unplanned.
        serving: of a router: what the channels of its models served then, by channel.
    """
    try:
        policy = contents.record(decision.policy_digest, Policy)
        candidate = _measured(decision.evidence_digest, contents)
        incumbent, anchor = (
            None if digest is None else _measured(digest, contents)
            for digest in (decision.incumbent_evidence_digest, decision.anchor_evidence_digest)
        )
        committed = planned_at is not None and planned_at == candidate.evidence.plan_index
        is_router = candidate.evidence.subject_kind == "router"
        found: list[str] | None = None
        for must_plan in (False, True):  # a release requires a plan where the policy is silent, a gate does not
            again = gate(
                policy,
                candidate,
                incumbent,
                anchor=anchor,
                require_plan=must_plan,
                unplanned=None if committed or candidate.plan is None else _UNPLANNED,
                serving={role: Served(d) for role, d in serving.items()} if is_router and serving else None,
            )
            told = list(_compared(decision, again))
            found = told if found is None or len(told) < len(found) else found
            if not found:
                break
    except InputError as error:
        return [f"the verdict cannot be derived again: {error.what}"]
    return found or []


def _measured(digest: Digest, contents: Contents) -> Measured:
    """Evidence with the outcomes and the plan that it names."""
    evidence = contents.record(digest, Evidence)
    table = OutcomeTable.from_parquet(contents.get(evidence.outcomes), expected=evidence.outcomes)
    if len(table) != evidence.outcome_rows:
        raise InputError(f"evidence {short(digest)} tells of {evidence.outcome_rows} outcomes, there are {len(table)}")
    plan = None if evidence.plan_digest is None else contents.record(evidence.plan_digest, Plan)
    return Measured(evidence, table, plan)


def _compared(said: Decision, again: Decision) -> Iterator[str]:
    for name in ("verdict", "primary", "superior", "attempt", "subject_digest", "incumbent_digest", "anchor_digest"):
        ours, theirs = getattr(again, name), getattr(said, name)
        if ours != theirs:
            yield f"{name}: recorded {_told(theirs)}, derived {_told(ours)}"
    if not _same(said.alpha, again.alpha):
        yield f"alpha: recorded {said.alpha:g}, derived {again.alpha:g}"
    if bool(said.refusals) != bool(again.refusals) and said.verdict != "promote":
        yield f"refusals: recorded {list(said.refusals)}, derived {list(again.refusals)}"
    recorded, derived = ({check.id: check for check in d.checks} for d in (said, again))
    if len(recorded) != len(said.checks) or recorded.keys() != derived.keys():
        other = sorted(recorded.keys() ^ derived.keys()) or "one is there twice"
        yield f"checks: recorded and derived are not the same: {other}"
    for id_ in recorded.keys() & derived.keys():
        yield from (f"check {id_}: {text}" for text in _check(recorded[id_], derived[id_]))


def _check(said: CheckResult, again: CheckResult) -> Iterator[str]:
    """Everything but sentences must be the same."""
    ours, theirs = _numbers(again), _numbers(said)
    for name in sorted(ours.keys() | theirs.keys()):
        if not _same(ours.get(name), theirs.get(name)):
            yield f"{name}: recorded {_told(theirs.get(name))}, derived {_told(ours.get(name))}"


def _numbers(result: CheckResult) -> dict[str, Any]:
    found: dict[str, Any] = {}

    def take(name: str, value: Any) -> None:
        if isinstance(value, Mapping):
            for key, inner in value.items():
                take(f"{name}.{key}" if name else key, inner)
        elif name.rpartition(".")[2] not in ("reason", "note"):
            found[name] = value

    take("", result.to_json())
    return found


def _same(ours: Any, theirs: Any) -> bool:
    if isinstance(ours, float) and isinstance(theirs, (int, float)):
        return math.isclose(ours, theirs, rel_tol=REL_TOLERANCE, abs_tol=1e-12)
    return bool(ours == theirs)


def _told(value: Any) -> str:
    return "nothing" if value is None else str(value)
