"""A column of numbers from a file or from stdin: one a line, every line counted."""

from __future__ import annotations

import math
import sys
from pathlib import Path

from golden_sets.errors import InputError

STDIN = "-"


def read_numbers(
    source: str, *, low: float = -math.inf, high: float = math.inf, allow_infinite: bool = False
) -> list[float]:
    """Read numbers, one a line; blank lines are allowed at the end only, because a missing number is not no request.

    Args:
        source: path of a UTF-8 text file, or ``-`` for stdin.
        low: smallest number allowed.
        high: largest number allowed.
        allow_infinite: whether ``inf``, a failed request, is allowed.

    Raises:
        InputError: missing, unreadable or empty, or a line that is no such number; with file and line.
    """
    name, text = _read(source)
    lines = text.rstrip().split("\n") if text.strip() else []
    if not lines:
        raise InputError("no numbers", where=name, do="give one number a line")
    return [_number(entry.strip(), f"{name}:{i}", low, high, allow_infinite) for i, entry in enumerate(lines, 1)]


def _read(source: str) -> tuple[str, str]:
    name = "stdin" if source == STDIN else source
    try:
        data = sys.stdin.buffer.read() if source == STDIN else Path(source).read_bytes()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(
            f"cannot be read: {reason}", where=name, do="give a file with one number a line, or - for stdin"
        ) from error
    try:
        return name, data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError("not a text file in UTF-8", where=name, do="give one number a line") from error


def _number(entry: str, where: str, low: float, high: float, allow_infinite: bool) -> float:
    if not entry:
        raise InputError(
            "a blank line between numbers", where=where, do="write inf for a failed request, or remove the line"
        )
    try:
        # Python also reads 1_000, which nobody who exports numbers writes.
        value = math.nan if "_" in entry else float(entry)
    except ValueError:
        value = math.nan
    if math.isnan(value):
        raise InputError(
            f"not a number: '{entry[:40]}'", where=where, do="give one number a line, without a header or other columns"
        )
    if math.isinf(value) and not (allow_infinite and value > 0):
        do = "only inf is allowed, for a failed request" if allow_infinite else "give finite numbers"
        raise InputError(f"an infinite number: '{entry[:40]}'", where=where, do=do)
    if not low <= value <= high:
        raise InputError(
            f"{value:g} lies outside [{low:g}, {high:g}]", where=where, do="give the range with --low and --high"
        )
    return value
