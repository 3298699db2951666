"""Columns of text as integer codes into their distinct values: millions of rows compare, group and join as numbers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Codes = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
Rows = npt.NDArray[np.intp]

TEXT = pa.large_string()
NULL = -1
ABSENT = -2
_MOST_CODES = 2**62


@dataclass(frozen=True, slots=True, eq=False)
class TextColumn:
    """One code per row: the place of its text in ``values``, -1 for null."""

    codes: npt.NDArray[np.int32]
    """Shape (rows,)."""
    values: pa.Array
    """Distinct texts, in no particular order; some may occur in no row."""

    @classmethod
    def of(cls, texts: pa.Array | pa.ChunkedArray) -> TextColumn:
        """Encode an Arrow column; what is not text is written as Arrow writes it.

        Raises:
            pyarrow.ArrowInvalid: something that has no text.
        """
        if pa.types.is_dictionary(texts.type):
            texts = texts.cast(texts.type.value_type)
        texts = texts.cast(TEXT)
        encoded = (texts.combine_chunks() if isinstance(texts, pa.ChunkedArray) else texts).dictionary_encode()
        return cls(_numbers(encoded.indices), encoded.dictionary)

    @classmethod
    def constant(cls, text: str | None, rows: int) -> TextColumn:
        """The same text, or null, in every row."""
        return cls(np.full(rows, NULL if text is None else 0, np.int32), pa.array([] if text is None else [text], TEXT))

    @classmethod
    def concatenated(cls, columns: Sequence[TextColumn]) -> TextColumn:
        """The rows of several columns under common values."""
        first = columns[0].values
        if all(column.values.equals(first) for column in columns):  # as of two versions asked the same prompts
            return cls(np.concatenate([column.codes for column in columns]), first)
        merged = pa.concat_arrays([column.values for column in columns]).dictionary_encode()
        places = np.split(_numbers(merged.indices), np.cumsum([len(column.values) for column in columns])[:-1])
        codes = [
            np.append(place, np.int32(NULL))[column.codes]  # the code -1 finds the entry appended
            for place, column in zip(places, columns, strict=True)
        ]
        return cls(np.concatenate(codes), merged.dictionary)

    def take(self, rows: Rows) -> TextColumn:
        """Some rows, in any order; the values are shared."""
        return TextColumn(self.codes[rows], self.values)

    def code_of(self, text: str) -> int:
        """The code of a text; -2, which no row has, where it is not among the values."""
        place = int(pc.index(self.values, pa.scalar(text, TEXT)).as_py())
        return ABSENT if place < 0 else place

    def codes_of(self, texts: Iterable[str]) -> npt.NDArray[np.int32]:
        """The code of each text; -2 where it is not among the values."""
        return _numbers(pc.index_in(pa.array(texts, TEXT), self.values), missing=ABSENT)

    def ranks(self) -> Codes:
        """Place of each row's text in the order of code points; null comes last."""
        order = pc.array_sort_indices(self.values).to_numpy()
        rank = np.empty(order.size + 1, dtype=np.int64)
        rank[order] = np.arange(order.size)
        rank[NULL] = order.size
        return rank[self.codes]

    def distinct(self) -> list[str]:
        """The texts that occur, sorted."""
        there = np.flatnonzero(np.bincount(self.codes[self.codes >= 0], minlength=len(self.values)))
        return sorted(self.values.take(pa.array(there)).to_pylist())

    def to_list(self) -> list[Any]:
        """The texts of all rows, null as None; equal ones are one object."""
        present, places = np.unique(self.codes, return_inverse=True)
        texts = TextColumn(present, self.values).to_arrow().to_pylist()
        return [texts[place] for place in places.tolist()]

    def to_arrow(self) -> Any:
        """The texts of all rows, shape (rows,)."""
        return self.values.take(pa.array(self.codes, mask=self.codes == NULL))


def joint_codes(parts: Sequence[npt.NDArray[np.integer[Any]]]) -> Codes:
    """One code, 0 or more, per combination of the parts' numbers, shape (rows,), in their lexical order."""
    joint: Codes = np.zeros(parts[0].size, dtype=np.int64)
    width = 1
    for part in parts:
        low = int(part.min(initial=0))
        span = int(part.max(initial=0)) - low + 1
        if width * span > _MOST_CODES:  # number what occurs: at most one code per row
            (joint, width), (part, span), low = _dense(joint), _dense(part), 0
        joint = joint * span + (part - low)
        width *= span
    return joint


def repeated(codes: Codes) -> Rows:
    """The rows whose code an earlier row has, in order."""
    order = np.argsort(codes, kind="stable")
    return np.sort(order[1:][codes[order[1:]] == codes[order[:-1]]])


def _dense(numbers: npt.NDArray[np.integer[Any]]) -> tuple[Codes, int]:
    distinct, places = np.unique(numbers, return_inverse=True)
    return places.reshape(-1).astype(np.int64), distinct.size


def _numbers(codes: pa.Array, missing: int = NULL) -> npt.NDArray[np.int32]:
    return np.asarray(codes.fill_null(missing).to_numpy(zero_copy_only=False), dtype=np.int32)
