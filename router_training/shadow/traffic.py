"""The traffic log: JSONL with a prompt and its arrival time on every line, read from where the last run stopped."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

from golden_sets.errors import InfrastructureError, InputError

FIELDS = ("prompt", "time", "id", "family", "reference", "rubric", "checker")
"""What a line may hold; other keys are passed over."""
EXPECTED = ("reference", "rubric", "checker")
_HEAD_BYTES = 4096
_LATEST = 253_402_300_800
"""Unix seconds of the year 10000: what lies beyond was meant in milliseconds."""
_LONGEST_LINE = 16_000_000


@dataclass(frozen=True, slots=True)
class Request:
    """One request of the log."""

    id: str
    """Its ``id``, else the log's first line and the place in it."""
    prompt: str
    """The text that is routed."""
    time: float | None
    """Arrival, Unix seconds or seconds since any other moment; None where the log has none."""
    family: str | None
    """Task family, where the log names one: for reports only."""
    expected: Mapping[str, Any] | None = None
    """What its answer is scored by, where the log knows: ``reference`` (the ideal answer), ``rubric`` (id), ``checker``
    (a rule by which a program scores)."""


@dataclass(frozen=True, slots=True)
class Place:
    """How far a log has been read."""

    head: str
    """What tells this log from the one that follows when it is rotated: digest of its first line."""
    offset: int
    """Bytes read, up to the end of a line."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Some lines of a log."""

    requests: tuple[Request, ...]
    """Those that could be read."""
    place: Place
    """Where the next batch begins."""
    malformed: tuple[str, ...] = ()
    """What was wrong with each of the others, with its place."""


class _MalformedError(ValueError):
    """Why a line is no request."""


def read_batches(
    path: Path, places: Mapping[str, int], *, columns: Mapping[str, str] | None = None, size: int = 256
) -> Iterator[Batch]:
    """Read what has come since, in batches. A last line without a line break waits until it is whole.

    A whole line that is no request is passed over and told about: a live log is not stopped by one bad line.

    Args:
        path: the log.
        places: offset by head, as far as logs were read before.
        columns: our name to theirs, e.g. ``{"prompt": "question"}``.
        size: most requests of a batch.

    Raises:
        InputError: no such file, an unknown column, or the first ten lines hold no request.
        InfrastructureError: it cannot be read.
    """
    names = {name: name for name in FIELDS} | _checked(columns or {})
    try:
        with path.open("rb") as file:
            head = _head(file)
            if head is None:
                return
            offset = places.get(head, 0)
            if offset > path.stat().st_size:
                raise InputError(
                    "the log is shorter than what was read of it before",
                    where=path,
                    do="a log may be rotated, not cut; begin a new --state directory for it",
                )
            yield from _batches(file, path, Place(head, offset), names, size)
    except FileNotFoundError as error:
        raise InputError("there is no such log", where=path, do="name a JSONL file with --traffic") from error
    except OSError as error:
        raise InfrastructureError(f"cannot be read ({error.strerror})", where=path) from error


def seconds_of(value: Any) -> float | None:
    """An arrival time, Unix seconds: from a number, or a text that is one or an ISO 8601 time (UTC without a zone).

    Raises:
        _MalformedError: neither.
    """
    if value is None or value == "":
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise _MalformedError(f"time {value!r} is neither seconds nor an ISO 8601 time")
    try:
        seconds = float(value)
    except OverflowError:
        seconds = math.inf
    except ValueError:
        try:
            moment = datetime.fromisoformat(str(value))
        except ValueError:
            raise _MalformedError(f"time '{value}' is neither seconds nor an ISO 8601 time") from None
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    if not math.isfinite(seconds):
        raise _MalformedError(f"time '{value}' is not finite")
    if abs(seconds) >= _LATEST:
        raise _MalformedError(f"time '{value}' lies beyond the year 9999: give seconds, not milliseconds")
    return seconds


def _batches(file: BinaryIO, path: Path, place: Place, names: Mapping[str, str], size: int) -> Iterator[Batch]:
    file.seek(place.offset)
    offset = place.offset
    requests: list[Request] = []
    malformed: list[str] = []
    while True:
        line = file.readline(_LONGEST_LINE)
        whole = line.endswith(b"\n")
        if line and not whole and len(line) < _LONGEST_LINE:
            line = b""  # still being written
        elif not whole and line:
            raise InputError(f"a line is longer than {_LONGEST_LINE:,} bytes", where=f"{path}: byte {offset}")
        if line.strip():
            try:
                requests.append(_request(line, names, f"{place.head}:{offset}"))
            except _MalformedError as error:
                malformed.append(f"{path}: byte {offset}: {error}")
                if offset < _LONGEST_LINE and len(malformed) >= 10 and not requests and place.offset == 0:
                    raise InputError(
                        f"the first lines hold no request: {error}",
                        where=f"{path}: byte {offset}",
                        do="every line is a JSON object with a 'prompt'; map another key with --column prompt=KEY",
                    ) from error
        offset += len(line)
        if not line or len(requests) + len(malformed) >= size:
            if requests or malformed:
                yield Batch(tuple(requests), Place(place.head, offset), tuple(malformed))
            if not line:
                return
            requests, malformed = [], []


def _request(line: bytes, names: Mapping[str, str], default_id: str) -> Request:
    try:
        row = json.loads(line)
        if b"\\ud" in line.lower():  # half of a pair of surrogates can be written nowhere
            row = json.loads(json.dumps(row, ensure_ascii=False).encode("utf-8", "replace"))
    except UnicodeDecodeError:
        raise _MalformedError("not UTF-8 text") from None
    except json.JSONDecodeError as error:
        raise _MalformedError(f"not JSON ({error.msg})") from None
    except RecursionError:
        raise _MalformedError("JSON nested too deeply") from None
    except ValueError:
        raise _MalformedError("a number of too many digits") from None
    if not isinstance(row, dict):
        raise _MalformedError("not a JSON object")
    prompt, family, given = row.get(names["prompt"]), row.get(names["family"]), row.get(names["id"])
    if not isinstance(prompt, str):
        raise _MalformedError(f"no text under '{names['prompt']}'")
    known = given is not None and given != ""
    return Request(
        id=str(given) if known else default_id,
        prompt=prompt,
        time=seconds_of(row.get(names["time"])),
        family=None if family is None else str(family),
        expected={name: row[names[name]] for name in EXPECTED if row.get(names[name]) is not None} or None,
    )


def _head(file: BinaryIO) -> str | None:
    """Digest of the first line, or of its first bytes; None while it is not whole."""
    line = file.readline(_HEAD_BYTES)
    if not line.endswith(b"\n") and len(line) < _HEAD_BYTES:
        return None
    return hashlib.sha256(line).hexdigest()[:16]


def _checked(columns: Mapping[str, str]) -> dict[str, str]:
    for name in columns:
        if name not in FIELDS:
            raise InputError(
                f"there is no column '{name}' to map to", where="--column", do=f"use one of {', '.join(FIELDS)}"
            )
    return dict(columns)
