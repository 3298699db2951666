"""The rows of an imported file under our names: chosen, translated, and every bad value named with its line."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from evalharness.outcomes import DIMENSION_PREFIX
from evalharness.text_tables import TextTable, read_text_table
from golden_sets.errors import InputError
from golden_sets.explaining import nearest
from golden_sets.records import STANDARD_DIMENSIONS

MEASUREMENTS = ("ttft_s", "tpot_s", "e2e_s", "prompt_tokens", "output_tokens", "usd")
"""Number columns that must not be negative."""
COLUMNS = ("prompt_id", "outcome", "set", "set_name", "repeat", "cluster", "error", "score", *MEASUREMENTS)
"""Columns with a meaning of their own."""

Mask = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]


class ImportedRows:
    """The chosen rows of a file under our names."""

    def __init__(self, table: TextTable, names: Mapping[str, str], where: Mapping[str, str]) -> None:
        self.table = table
        self._names = names
        self.kept = _matching(table, where)
        self.ignored = sorted(set(table.names) - set(names.values()) - set(where))

    @classmethod
    def read(cls, path: Path, where: Mapping[str, str], columns: Mapping[str, str]) -> ImportedRows:
        """Read a file and choose its rows.

        Args:
            path: CSV or JSONL.
            where: ``column: value`` that chosen rows must have.
            columns: ``our name: their column``; an empty column hides one that is called like ours by chance.

        Raises:
            InputError: an unknown name, a column that is not there, no row left.
            InfrastructureError: the file cannot be read.
        """
        _check_names(columns)
        mapped = [theirs for theirs in columns.values() if theirs]
        columns = {**{name: name for name in (*COLUMNS, *STANDARD_DIMENSIONS)}, **columns}
        sources = {ours: theirs for ours, theirs in columns.items() if theirs}
        wanted = {*sources.values(), *where}
        table = read_text_table(path, lambda name: name in wanted or name.startswith(DIMENSION_PREFIX))
        for name in (*where, *mapped):
            if name not in table.names:
                raise InputError(f"there is no column '{name}'", where=path, do=_columns_there(table))
        declared = {name: name for name in table.columns if name.startswith(DIMENSION_PREFIX)}
        names = {ours: theirs for ours, theirs in {**declared, **sources}.items() if theirs in table.columns}
        if "prompt_id" not in names:
            raise InputError("there is no column 'prompt_id'", where=path, do=_map_advice(table, "prompt_id"))
        if "outcome" not in names and not {"error", *MEASUREMENTS} & set(names):
            raise InputError("there is no column 'outcome'", where=path, do=_map_advice(table, "outcome"))
        return cls(table, names, where)

    def has(self, name: str) -> bool:
        """Whether the column is there."""
        return name in self._names

    @property
    def dimensions(self) -> list[str]:
        """Our names of the dimensions that are there."""
        return [n for n in self._names if n in STANDARD_DIMENSIONS or n.startswith(DIMENSION_PREFIX)]

    def texts(self, name: str) -> pa.Array:
        """A column's chosen rows, text without surrounding blanks, empty as null; all null where it is absent."""
        if name not in self._names:
            return pa.nulls(int(self.kept.sum()), pa.string())
        column = self.table.columns[self._names[name]].filter(pa.array(self.kept))
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
        self._refuse(name, filled & ~np.isfinite(numbers), texts, "is not a finite number")
        return numbers

    def numbers_at_least_zero(self, name: str) -> Floats:
        """A number column that must not be negative, null as NaN."""
        numbers = self.numbers(name)
        self._refuse(name, numbers < 0, self.texts(name), "is negative")
        return numbers

    def repeats(self) -> npt.NDArray[np.int64]:
        """The repeat of every row; 0 where none is given."""
        numbers = np.nan_to_num(self.numbers_at_least_zero("repeat"))
        self._refuse("repeat", numbers != np.floor(numbers), self.texts("repeat"), "is not a whole number")
        self._refuse("repeat", numbers > np.iinfo(np.int32).max, self.texts("repeat"), "is too large")
        return numbers.astype(np.int64)

    def required(self, name: str) -> pa.Array:
        """A text column without gaps."""
        texts = self.texts(name)
        if texts.null_count:
            row = int(np.flatnonzero(texts.is_null().to_numpy(zero_copy_only=False))[0])
            raise InputError(f"{self._names[name]} is empty", where=self.where(row), do="give every row a value")
        return texts

    def scores(self) -> Floats:
        """Scores in [0, 1]."""
        scores = self.numbers_at_least_zero("score")
        self._refuse("score", scores > 1, self.texts("score"), "lies outside [0, 1]")
        return scores

    def _refuse(self, name: str, bad: Mask, texts: pa.Array, why: str) -> None:
        rows = np.flatnonzero(bad)
        if rows.size:
            raise self._bad(name, int(rows[0]), texts, why)

    def _bad(self, name: str, row: int, texts: pa.Array, why: str) -> InputError:
        return InputError(f"{self._names[name]}: '{texts[row].as_py()}' {why}", where=self.where(row))


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


def _check_names(columns: Mapping[str, str]) -> None:
    known = (*COLUMNS, *STANDARD_DIMENSIONS)
    for name in columns:
        if name not in known and not name.startswith(DIMENSION_PREFIX):
            close = nearest(name, known)
            raise InputError(
                f"there is no column '{name}' to map to",
                where="--column",
                do=f"did you mean '{close}'?" if close else f"use one of {', '.join(known)}, or dim.NAME",
            )


def is_number(text: str) -> bool:
    """Whether the text is a number as Python writes them."""
    try:
        float(text)
    except ValueError:
        return False
    return "_" not in text


def _columns_there(table: TextTable) -> str:
    return f"the columns are {', '.join(table.names)}"


def _map_advice(table: TextTable, name: str) -> str:
    return f"map one with --column {name}=COLUMN; {_columns_there(table)}"
