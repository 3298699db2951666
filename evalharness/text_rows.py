"""Rows of a CSV or JSONL file under our names: chosen, translated, and every bad value named with its line."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from evalharness.text_tables import TextTable, read_text_table
from golden_sets.errors import InputError
from golden_sets.explaining import nearest

Mask = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]


class TextRows:
    """The chosen rows of a file under our names."""

    def __init__(self, table: TextTable, names: Mapping[str, str], where: Mapping[str, str]) -> None:
        self.table = table
        self._names = names
        self.kept = _matching(table, where)
        used = {part for theirs in names.values() for part in _parts(theirs, table.names)}
        self.ignored = sorted(set(table.names) - used - set(where))

    @classmethod
    def of(
        cls,
        path: Path,
        where: Mapping[str, str],
        columns: Mapping[str, str],
        known: Sequence[str],
        *,
        required: Sequence[Sequence[str]] = (),
        prefix: str | None = None,
    ) -> Self:
        """Read a file and choose its rows.

        Args:
            path: CSV or JSONL.
            where: ``column: value`` that chosen rows must have.
            columns: ``our name: their column``; an empty column hides one that is called like ours by chance, and
                ``one,other`` joins two that only together tell rows apart.
            known: our names.
            required: groups of our names; one of each group must be there.
            prefix: columns that begin so are ours too.

        Raises:
            InputError: an unknown name, a column that is not there, no row left.
            InfrastructureError: the file cannot be read.
        """
        _check_names(columns, known, prefix)
        given = list(columns.values())
        columns = {**{name: name for name in known}, **columns}
        sources = {ours: theirs for ours, theirs in columns.items() if theirs}
        wanted = {*where}.union(*({theirs, *theirs.split(",")} for theirs in sources.values()))
        table = read_text_table(path, lambda name: name in wanted or _begins(name, prefix))
        for name in (*where, *(part for theirs in given if theirs for part in _parts(theirs, table.names))):
            if name not in table.names:
                raise InputError(f"there is no column '{name}'", where=path, do=_columns_there(table))
        declared = {name: name for name in table.columns if _begins(name, prefix)}
        names = {
            ours: theirs
            for ours, theirs in {**declared, **sources}.items()
            if all(part in table.columns for part in _parts(theirs, table.names))
        }
        for group in required:
            if not any(name in names for name in group):
                advice = f"map one with --column {group[0]}=COLUMN; {_columns_there(table)}"
                raise InputError(f"there is no column '{group[0]}'", where=path, do=advice)
        return cls(table, names, where)

    def __len__(self) -> int:
        return int(self.kept.sum())

    def has(self, name: str) -> bool:
        """Whether the column is there."""
        return name in self._names

    def texts(self, name: str) -> pa.Array:
        """A column's chosen rows, text without surrounding blanks, empty as null; all null where it is absent."""
        if name not in self._names:
            return pa.nulls(int(self.kept.sum()), pa.string())
        parts = [self._column(part) for part in _parts(self._names[name], self.table.names)]
        return parts[0] if len(parts) == 1 else pc.binary_join_element_wise(*parts, "/")

    def _column(self, theirs: str) -> pa.Array:
        column = self.table.columns[theirs].filter(pa.array(self.kept))
        text = pc.utf8_trim_whitespace(column.combine_chunks())
        return pc.if_else(pc.equal(text, ""), pa.scalar(None, pa.string()), text)

    def where(self, row: int) -> str:
        """``file:line`` of a chosen row."""
        return self.table.where(int(np.flatnonzero(self.kept)[row]))

    def each(self, name: str, meaning: Callable[[str], Any], kind: pa.DataType) -> pa.Array:
        """A column with few distinct values, each translated once; null stays null.

        Raises:
            InputError: ``meaning`` raised one; the line is added.
        """
        encoded = self.texts(name).dictionary_encode()
        values: list[Any] = []
        for code, text in enumerate(encoded.dictionary.to_pylist()):
            try:
                values.append(meaning(text))
            except InputError as error:
                row = pc.index(encoded.indices, pa.scalar(code, encoded.indices.type)).as_py()
                what = f"{self._names[name]}: {error.what}"
                raise InputError(what, where=self.where(row), do=error.do) from None
        return pa.array(values, kind).take(encoded.indices)

    def numbers(self, name: str) -> Floats:
        """A number column, null as NaN.

        Raises:
            InputError: something that is not a finite number.
        """
        texts = self.texts(name)
        try:
            values = pc.cast(texts, pa.float64())
        except pa.ArrowInvalid:
            given = texts.to_pylist()
            row = next((i for i, text in enumerate(given) if text is not None and not is_number(text)), None)
            if row is not None:
                raise self._bad(name, row, texts, "is not a number") from None
            values = pa.array([None if text is None else float(text) for text in given], pa.float64())
        numbers: Floats = values.to_numpy(zero_copy_only=False).astype(np.float64)
        filled = texts.is_valid().to_numpy(zero_copy_only=False)
        self.refuse(name, filled & ~np.isfinite(numbers), "is not a finite number")
        return numbers

    def numbers_at_least_zero(self, name: str) -> Floats:
        """A number column that must not be negative, null as NaN.

        Raises:
            InputError: something that is not a finite number of at least 0.
        """
        numbers = self.numbers(name)
        self.refuse(name, numbers < 0, "is negative")
        return numbers

    def required(self, name: str, *, do: str = "give every row a value") -> pa.Array:
        """A text column without gaps.

        Raises:
            InputError: a row without a value.
        """
        texts = self.texts(name)
        if texts.null_count:
            row = int(np.flatnonzero(texts.is_null().to_numpy(zero_copy_only=False))[0])
            raise InputError(f"{self._names[name]} is empty", where=self.where(row), do=do)
        return texts

    def refuse(self, name: str, bad: Mask, why: str, *, do: str | None = None) -> None:
        """Refuse the first bad row of a column.

        Raises:
            InputError: there is one.
        """
        rows = np.flatnonzero(bad)
        if rows.size:
            raise self._bad(name, int(rows[0]), self.texts(name), why, do)

    def _bad(self, name: str, row: int, texts: pa.Array, why: str, do: str | None = None) -> InputError:
        return InputError(f"{self._names[name]}: '{texts[row].as_py()}' {why}", where=self.where(row), do=do)


def units(rows: TextRows) -> tuple[npt.NDArray[np.int64], list[str]]:
    """Which rows are independent: code of each row's ``cluster``, else of its ``id``, else of the row itself.

    Returns:
        The codes, and a note where rows share an id.
    """
    n = len(rows)
    name = "cluster" if rows.has("cluster") else "id"
    own = np.arange(n, dtype=np.int64)
    if not rows.has(name):
        return own, []
    encoded = rows.texts(name).dictionary_encode()
    codes = pc.fill_null(encoded.indices, -1).to_numpy(zero_copy_only=False).astype(np.int64)
    found = np.where(codes >= 0, codes, len(encoded.dictionary) + own)
    distinct = int(np.unique(found).size)
    shared = (
        []
        if name == "cluster" or distinct == n
        else [f"{n} rows have {distinct} ids: rows of one id count as one cluster"]
    )
    return found, shared


def is_number(text: str) -> bool:
    """Whether the text is a number as Python writes them."""
    try:
        float(text)
    except ValueError:
        return False
    return "_" not in text


def _matching(table: TextTable, where: Mapping[str, str]) -> Mask:
    kept = np.ones(table.rows, dtype=np.bool_)
    for column, value in where.items():
        texts = table.columns[column]
        kept &= pc.fill_null(pc.equal(texts, value), value == "").to_numpy(zero_copy_only=False).astype(np.bool_)
        if not kept.any():
            there = [str(v) for v in pc.unique(texts).to_pylist()[:10]]
            what = f"no row has {column}={value}" if len(where) == 1 else "no row has all the values asked for"
            raise InputError(what, where=table.path, do=f"values of '{column}' are {', '.join(there)}...")
    if not kept.any():
        raise InputError("the file has no rows", where=table.path)
    return kept


def _parts(theirs: str, there: Sequence[str]) -> list[str]:
    """The columns that ``one,other`` joins; the one column where it is called so."""
    return [theirs] if theirs in there else theirs.split(",")


def _begins(name: str, prefix: str | None) -> bool:
    return prefix is not None and name.startswith(prefix)


def _check_names(columns: Mapping[str, str], known: Sequence[str], prefix: str | None) -> None:
    for name in columns:
        if name not in known and not _begins(name, prefix):
            close = nearest(name, known)
            further = f", or {prefix}NAME" if prefix else ""
            raise InputError(
                f"there is no column '{name}' to map to",
                where="--column",
                do=f"did you mean '{close}'?" if close else f"use one of {', '.join(known)}{further}",
            )


def _columns_there(table: TextTable) -> str:
    return f"the columns are {', '.join(table.names)}"
