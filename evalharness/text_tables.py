"""CSV and JSONL files as columns of text: fast for millions of rows, and any row's line can be told.

What is nested in a JSON object is a column, too: ``{"scores": {"a": 1}}`` has the column ``scores.a``.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec
import pyarrow as pa
import pyarrow.csv

from golden_sets.errors import InfrastructureError, InputError


@dataclass(frozen=True)
class TextTable:
    """The wanted columns of a file; every value is text, or null where it was empty or absent."""

    path: Path
    """The file."""
    kind: Literal["csv", "jsonl"]
    """Its format."""
    columns: dict[str, pa.ChunkedArray]
    """The wanted columns that are there."""
    names: tuple[str, ...]
    """Names of all columns."""
    rows: int
    """Number of rows."""

    def where(self, row: int) -> str:
        """``file:line`` of a row (from 0). Reads the file again: for error messages."""
        starts = _csv_lines(self.path) if self.kind == "csv" else _jsonl_lines(self.path)
        for number, line in enumerate(starts):
            if number == row:
                return f"{self.path}:{line}"
        return str(self.path)


def read_text_table(path: Path, wanted: Callable[[str], bool]) -> TextTable:
    """Read the wanted columns of a CSV file with a header, or of a JSONL file (told apart by the first character).

    Args:
        path: the file, UTF-8.
        wanted: whether the column of this name is wanted.

    Raises:
        InputError: no such file, an empty one, a row of another length than the header, a line that is no JSON object.
        InfrastructureError: the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            start = file.read(4096).removeprefix(b"\xef\xbb\xbf").lstrip()
        if not start:
            raise InputError("the file is empty", where=path)
        if start.startswith(b"["):
            raise InputError("a JSON list", where=path, do="write one JSON object a line, or CSV")
        return _read_jsonl(path, wanted) if start.startswith(b"{") else _read_csv(path, wanted)
    except FileNotFoundError as error:
        raise InputError("the file does not exist", where=path, do="check the path") from error
    except IsADirectoryError as error:
        raise InputError("this is a directory", where=path, do="name a file") from error
    except OSError as error:
        raise InfrastructureError(f"cannot be read: {error}", where=path) from error


# -- CSV -----------------------------------------------------------------------------------------------------------


def _read_csv(path: Path, wanted: Callable[[str], bool]) -> TextTable:
    names = tuple(next((row for row, _ in _csv_rows(path)), []))
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"two columns are called '{name}'", where=f"{path}:1", do="rename one")
    chosen = [name for name in names if wanted(name)]
    if not chosen:
        return TextTable(path, "csv", {}, names, 0)
    try:
        table = pyarrow.csv.read_csv(
            path,
            parse_options=pyarrow.csv.ParseOptions(newlines_in_values=True),
            convert_options=pyarrow.csv.ConvertOptions(
                include_columns=chosen,
                column_types=dict.fromkeys(chosen, pa.string()),
                null_values=[""],
                strings_can_be_null=True,
            ),
        )
    except pa.ArrowInvalid as error:
        raise _csv_error(path, len(names), error) from error
    return TextTable(path, "csv", {name: table.column(name) for name in chosen}, names, table.num_rows)


def _csv_rows(path: Path) -> Iterator[tuple[list[str], int]]:
    """Rows that are not blank, each with the line it starts on."""
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        reader = csv.reader(file)
        line = 1
        try:
            for row in reader:
                if row:
                    yield row, line
                line = reader.line_num + 1
        except csv.Error:  # a field beyond csv's limit: the rest cannot be told apart
            return


def _csv_lines(path: Path) -> Iterator[int]:
    rows = _csv_rows(path)
    next(rows, None)  # the header
    return (line for _, line in rows)


def _csv_error(path: Path, width: int, error: pa.ArrowInvalid) -> InputError:
    for row, line in _csv_rows(path):
        if len(row) != width:
            what = f"{len(row)} values under a header of {width}"
            return InputError(what, where=f"{path}:{line}", do="quote values that hold commas")
    if "UTF8" in str(error):
        with path.open("rb") as file:
            for number, content in enumerate(file, 1):
                if not _is_utf8(content):
                    return InputError("not UTF-8 text", where=f"{path}:{number}", do="save the file as UTF-8")
    return InputError(f"not a CSV file: {error}", where=path)


def _is_utf8(content: bytes) -> bool:
    try:
        content.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


# -- JSONL ---------------------------------------------------------------------------------------------------------


def _jsonl_lines(path: Path) -> Iterator[int]:
    with path.open("rb") as file:
        for number, content in enumerate(file, 1):
            if content.strip():
                yield number


def _read_jsonl(path: Path, wanted: Callable[[str], bool]) -> TextTable:
    decoder = msgspec.json.Decoder(dict[str, Any])
    columns: dict[str, list[str | None]] = {}
    unwanted: set[str] = set()
    rows = 0
    with path.open("rb") as file:
        for number, content in enumerate(file, 1):
            data = content.removeprefix(b"\xef\xbb\xbf") if number == 1 else content
            if not data.strip():
                continue
            try:
                values = decoder.decode(data)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                what = f"not a JSON object: {error}"
                raise InputError(what, where=f"{path}:{number}", do="write one JSON object a line") from error
            for name, value in _flat(values):
                column = columns.get(name)
                if column is None:
                    if name in unwanted:
                        continue
                    if not wanted(name):
                        unwanted.add(name)
                        continue
                    column = columns[name] = []
                if len(column) < rows:
                    column.extend([None] * (rows - len(column)))
                column.append(_text(value, name, path, number))
            rows += 1
    for column in columns.values():
        column.extend([None] * (rows - len(column)))
    chunked = {name: pa.chunked_array([pa.array(column, pa.string())]) for name, column in columns.items()}
    return TextTable(path, "jsonl", chunked, (*columns, *sorted(unwanted)), rows)


def _flat(values: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The values of an object; what is nested is called ``outer.inner``."""
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def _text(value: Any, name: str, path: Path, line: int) -> str | None:
    if value is None or value == "":
        return None
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    raise InputError(f"'{name}' is neither text nor a number", where=f"{path}:{line}", do="write a plain value")
