"""Documents on disk: JSON that names its own format, written whole or not at all, its digest checked on reading."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError
from rfc8785 import CanonicalizationError

from golden_sets.errors import InfrastructureError, InputError
from golden_sets.records import Record

RecordType = TypeVar("RecordType", bound=Record)


def read_record(path: Path, expected_format: str, key: str, type_: type[RecordType]) -> RecordType:
    """Read the record that a document holds under a key, beside its own digest.

    Raises:
        InputError: unreadable, another format, not such a record, or changed after it was written.
    """
    document = read_document(path, expected_format)
    try:
        record = type_.model_validate(document.get(key))
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"]))
        raise InputError(f"not a valid {key}: {field}: {first['msg']}", where=path) from error
    try:
        found = record.digest
    except CanonicalizationError as error:
        raise InputError(f"not a valid {key}: {error}", where=path) from error
    if found != document.get("digest"):
        raise InputError(
            f"the {key} has digest {found}, the file says {document.get('digest')}",
            where=path,
            do="the file was changed after it was written; make it again",
        )
    return record


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
    except ValueError as error:  # Python reads no integer of thousands of digits
        raise InputError("holds a number with too many digits", where=path) from error
    except RecursionError as error:
        raise InputError("is nested too deeply", where=path) from error
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
