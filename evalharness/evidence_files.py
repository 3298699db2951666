"""Evidence on disk: ``NAME.json`` beside ``NAME.outcomes.parquet`` and ``NAME.plan.json``, named by digest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from evalharness.evidence import Evidence
from evalharness.outcomes import OutcomeTable
from evalharness.plan import Plan
from golden_sets.documents import json_text, read_record, write_whole
from golden_sets.errors import InputError

FORMAT = "relgate.evidence/1"
PLAN_FORMAT = "relgate.plan/1"


def write_evidence(evidence: Evidence, outcomes: bytes, path: Path, plan: Plan | None = None) -> None:
    """Write evidence with its outcomes and plan; each file appears whole or not at all, the evidence last.

    Raises:
        InfrastructureError: the disk is full or the folder cannot be written.
    """
    document = {"format": FORMAT, "digest": evidence.digest, "evidence": evidence.to_json()}
    write_whole(outcomes_path(path), outcomes)
    if plan is not None:
        write_plan(plan, plan_path(path))
    write_whole(path, json_text(document).encode())


def read_evidence(path: Path) -> tuple[Evidence, OutcomeTable]:
    """Read evidence and the outcomes beside it, checking both digests.

    Raises:
        InputError: unreadable, not evidence, or changed after it was written.
    """
    evidence = read_record(path, FORMAT, "evidence", Evidence)
    blob = outcomes_path(path)
    try:
        data = blob.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read the outcomes ({error.strerror})", where=blob) from error
    return evidence, OutcomeTable.from_parquet(data, expected=evidence.outcomes, where=str(blob))


def write_plan(plan: Plan, path: Path, **also: Any) -> None:
    """Write a plan, with anything else that people or machines want to know of it.

    Raises:
        InfrastructureError: the disk is full or the folder cannot be written.
    """
    write_whole(path, json_text(plan_document(plan, **also)).encode())


def plan_document(plan: Plan, **also: Any) -> dict[str, Any]:
    """A plan as the JSON document that :func:`read_plan` reads."""
    return {"format": PLAN_FORMAT, "digest": plan.digest, "plan": plan.to_json(), **also}


def read_plan(path: Path) -> Plan:
    """Read a plan, checking its digest.

    Raises:
        InputError: unreadable, not a plan, or changed after it was written.
    """
    return read_record(path, PLAN_FORMAT, "plan", Plan)


def plan_beside(evidence: Evidence, path: Path) -> Plan | None:
    """The plan that evidence names, from the file beside it; None for unplanned evidence.

    Raises:
        InputError: it is missing, damaged, or another plan.
    """
    if evidence.plan_digest is None:
        return None
    beside = plan_path(path)
    if not beside.exists():
        raise InputError(
            "the plan that the evidence names is missing", where=beside, do="restore it, or evaluate again"
        )
    plan = read_plan(beside)
    if plan.digest != evidence.plan_digest:
        raise InputError(
            f"is not the plan that the evidence names ({evidence.plan_digest})", where=beside, do="evaluate again"
        )
    return plan


def plan_path(path: Path) -> Path:
    """Where the plan of an evidence file lies."""
    return path.with_name(path.stem + ".plan.json")


def outcomes_path(path: Path) -> Path:
    """Where the outcomes of an evidence file lie."""
    return path.with_name(path.stem + ".outcomes.parquet")
