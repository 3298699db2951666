"""Evidence on disk: ``NAME.json`` beside ``NAME.outcomes.parquet`` and ``NAME.plan.json``, named by digest."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from evalharness.evidence import Evidence
from evalharness.outcomes import OutcomeTable
from evalharness.plan import Plan
from golden_sets.errors import InfrastructureError, InputError

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
    document = read_document(path, FORMAT)
    try:
        evidence = Evidence.model_validate(document.get("evidence"))
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"]))
        raise InputError(f"not evidence: {field}: {first['msg']}", where=path) from error
    if evidence.digest != document.get("digest"):
        raise InputError(
            f"the evidence has digest {evidence.digest}, the file says {document.get('digest')}",
            where=path,
            do="the file was changed after it was written; run the evaluation again",
        )
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
    write_whole(
        path, json_text({"format": PLAN_FORMAT, "digest": plan.digest, "plan": plan.to_json(), **also}).encode()
    )


def read_plan(path: Path) -> Plan:
    """Read a plan, checking its digest.

    Raises:
        InputError: unreadable, not a plan, or changed after it was written.
    """
    document = read_document(path, PLAN_FORMAT)
    try:
        plan = Plan.model_validate(document.get("plan"))
    except ValidationError as error:
        first = error.errors()[0]
        raise InputError(f"not a plan: {'.'.join(map(str, first['loc']))}: {first['msg']}", where=path) from error
    if plan.digest != document.get("digest"):
        raise InputError(
            f"the plan has digest {plan.digest}, the file says {document.get('digest')}",
            where=path,
            do="the file was changed after it was written; plan again",
        )
    return plan


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


def read_document(path: Path, expected_format: str) -> dict[str, Any]:
    """Read a JSON document that names its own format.

    Raises:
        InputError: unreadable, not JSON, another format.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", where=path) from error
    except UnicodeDecodeError as error:
        raise InputError("is not UTF-8 text", where=path) from error
    except json.JSONDecodeError as error:
        raise InputError(f"is not JSON: {error.msg}", where=f"{path}:{error.lineno}") from error
    if not isinstance(document, dict) or document.get("format") != expected_format:
        found = document.get("format") if isinstance(document, dict) else None
        raise InputError(f"is not a '{expected_format}' document (format: {found})", where=path)
    return document


def write_whole(path: Path, data: bytes) -> None:
    """Write a file that appears whole or not at all.

    Raises:
        InfrastructureError: the disk is full or the folder cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            Path(temporary).chmod(0o644)
            Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise InfrastructureError(
            f"cannot be written ({error.strerror})", where=path, do="free some space or choose another place"
        ) from error


def json_text(value: Any) -> str:
    """JSON for files and stdout: sorted nowhere, two spaces, UTF-8 as it is."""
    return json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
