"""Evidence on disk: ``NAME.json`` beside ``NAME.outcomes.parquet``, which the JSON names by digest."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from evalharness.evidence import Evidence
from evalharness.outcomes import OutcomeTable
from golden_sets.errors import InfrastructureError, InputError

FORMAT = "relgate.evidence/1"


def write_evidence(evidence: Evidence, outcomes: bytes, path: Path) -> None:
    """Write both files; each appears whole or not at all, the JSON last.

    Raises:
        InfrastructureError: the disk is full or the folder cannot be written.
    """
    document = {"format": FORMAT, "digest": evidence.digest, "evidence": evidence.to_json()}
    write_whole(outcomes_path(path), outcomes)
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
