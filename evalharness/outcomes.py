"""The outcome table: one row for every request of both arms, and the views that metrics and checks take of it.

Its columns are described in :mod:`evalharness.outcome_columns`. A view is a choice of rows: it copies nothing, and a
metric reads only the columns it needs.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from evalharness.outcome_columns import (
    ALWAYS_FILLED,
    DIMENSION_PREFIX,
    IN_UNIT_INTERVAL,
    KEY,
    NUMBER_COLUMNS,
    OPTIONAL_COLUMNS,
    REQUIRED_COLUMNS,
    SET_KEYS,
    TEXT_COLUMNS,
    Floats,
    Integers,
    is_text,
    number_column,
    repeat_column,
    text_column,
    unchanging,
)
from evalharness.text_columns import Codes, Mask, Rows, TextColumn, joint_codes, repeated
from golden_sets.digests import Digest, digest_bytes
from golden_sets.errors import InputError

__all__ = ["ARMS", "CLIENT_ERRORS", "DIMENSION_PREFIX", "Arm", "Codes", "Floats", "Mask", "OutcomeTable", "Phase"]

Arm = Literal["candidate", "incumbent", "anchor"]
ARMS: tuple[Arm, ...] = ("candidate", "incumbent", "anchor")
Phase = Literal["quality", "latency", "routing", "criterion", "pairwise", "consistency", "planted"]
OF_ARMS: tuple[Phase, ...] = ("quality", "criterion", "latency", "routing")
"""The phases whose rows are about an arm itself; the others tell about the judge."""

CLIENT_ERRORS = frozenset({"http_4xx", "refused_by_server"})
"""Error kinds that are our own fault: excluded from reliability, reported."""


@dataclass(frozen=True, eq=False)
class OutcomeTable:
    """A validated, immutable table of outcomes. Every view is again an ``OutcomeTable`` and shares the columns."""

    _texts: Mapping[str, TextColumn]
    """Text columns of the whole table."""
    _numbers: Mapping[str, Floats]
    """Number columns of the whole table; null is NaN."""
    _repeats: Integers
    """The column ``repeat`` of the whole table."""
    _rows: Rows | None = None
    """The rows of this view; None: all."""

    @classmethod
    def from_rows(cls, rows: Iterable[Mapping[str, Any]]) -> OutcomeTable:
        """Build from one mapping per row; absent columns are null.

        Raises:
            InputError: as :meth:`from_columns`.
        """
        return cls.from_frame(pd.DataFrame(list(rows)))

    @classmethod
    def from_frame(cls, frame: pd.DataFrame) -> OutcomeTable:
        """Build from a data frame; absent columns are null, types are made those of the schema.

        Raises:
            InputError: as :meth:`from_columns`.
        """
        return cls.from_columns({name: frame[name] for name in frame.columns})

    @classmethod
    def from_columns(cls, columns: Mapping[str, Any]) -> OutcomeTable:
        """Build from pandas series, Arrow columns or arrays of numbers, all of one length; absent columns are null.

        Raises:
            InputError: an unknown column, no row, an outcome or label outside [0, 1], a negative time,
                or two rows with the same arm, phase, set, prompt, variant and repeat.
        """
        unknown = [c for c in columns if c not in REQUIRED_COLUMNS and not c.startswith(DIMENSION_PREFIX)]
        if unknown:
            raise InputError(f"unknown outcome column(s) {unknown}", do="see docs/file-formats.md for the schema")
        dimensions = sorted(c for c in columns if c.startswith(DIMENSION_PREFIX))
        texts = {name: text_column(columns[name]) for name in (*TEXT_COLUMNS, *dimensions) if name in columns}
        numbers = {name: number_column(name, columns[name]) for name in NUMBER_COLUMNS if name in columns}
        n = max([text.codes.size for text in texts.values()] + [array.size for array in numbers.values()], default=0)
        if n == 0:
            raise InputError("there are no outcomes", do="evidence needs at least one row")
        null, nothing = TextColumn.constant(None, n), unchanging(np.full(n, np.nan))
        table = cls(
            {name: texts.get(name, null) for name in (*TEXT_COLUMNS, *dimensions)},
            {name: numbers.get(name, nothing) for name in NUMBER_COLUMNS},
            repeat_column(columns.get("repeat", nothing)),
        )
        table._validate(numbers)
        return table

    def _validate(self, given: Mapping[str, Floats]) -> None:
        for name, values in given.items():
            bad = np.flatnonzero((values < 0) | (values > 1) if name in IN_UNIT_INTERVAL else values < 0)
            if bad.size:
                do = "it must lie in [0, 1] or be empty" if name in IN_UNIT_INTERVAL else "it must not be negative"
                raise InputError(f"column '{name}' holds {values[bad[0]]:g}", do=do)
        for name in ALWAYS_FILLED:
            if (self._texts[name].codes < 0).any():
                raise InputError(f"column '{name}' is empty in some rows", do="give every row a value")
        doubled = repeated(joint_codes([*(self._texts[name].codes for name in KEY), self._repeats]))
        if doubled.size:
            row = doubled[:1]
            found = {name: text for name in KEY if (text := self._texts[name].take(row).to_list()[0]) is not None}
            found["repeat"] = str(self._repeats[row[0]])
            raise InputError(f"two outcomes for {found}", do="number independent samples of a prompt with 'repeat'")

    # -- views ---------------------------------------------------------------------------------------------

    def __len__(self) -> int:
        return self._repeats.size if self._rows is None else self._rows.size

    @property
    def dimensions(self) -> tuple[str, ...]:
        """Names of the cell dimensions that the table holds."""
        return tuple(c.removeprefix(DIMENSION_PREFIX) for c in self._texts if c.startswith(DIMENSION_PREFIX))

    @property
    def arms(self) -> tuple[Arm, ...]:
        """The arms that have rows."""
        present = self.distinct("arm")
        return tuple(a for a in ARMS if a in present)

    def take(self, rows: Mask | Rows) -> OutcomeTable:
        """The rows where a mask is true, or the rows at these places, in that order."""
        places = np.flatnonzero(rows) if rows.dtype == np.bool_ else rows.astype(np.intp, copy=False)
        return OutcomeTable(
            self._texts, self._numbers, self._repeats, places if self._rows is None else self._rows[places]
        )

    def arm(self, arm: Arm) -> OutcomeTable:
        """The rows of one arm."""
        return self.take(self.matches("arm", arm))

    def phase(self, *phases: Phase) -> OutcomeTable:
        """The rows of one phase, or of several."""
        return self.take(np.isin(self.codes("phase"), self._texts["phase"].codes_of(phases)))

    def where(self, selector: Mapping[str, str]) -> OutcomeTable:
        """The rows of one cell. Keys: ``set`` (kind), ``set_name``, ``rubric``, or a dimension.

        Raises:
            InputError: a dimension that the table does not have.
        """
        mask = np.ones(len(self), dtype=np.bool_)
        for key, value in selector.items():
            mask &= self.matches(self.column(key), value)
        return self.take(mask)

    def column(self, key: str) -> str:
        """Name of the column behind a selector key.

        Raises:
            InputError: a dimension that the table does not have.
        """
        name = SET_KEYS.get(key, DIMENSION_PREFIX + key)
        if name not in self._texts:
            known = [*SET_KEYS, *self.dimensions]
            raise InputError(f"the outcomes have no dimension '{key}'", do=f"use one of {', '.join(known)}")
        return name

    def cells(self, keys: Iterable[str]) -> list[dict[str, str]]:
        """Every combination of values of ``keys`` that occurs, sorted; rows without a value belong to none."""
        found: list[tuple[dict[str, str], OutcomeTable]] = [({}, self)]
        for key in keys:
            found = [
                ({**cell, key: value}, rows.where({key: value}))
                for cell, rows in found
                for value in rows.distinct(rows.column(key))
            ]
        return [cell for cell, _ in found]

    def without(self, keys: Iterable[str]) -> list[str]:
        """Ids of the prompts whose rows lack a value for one of ``keys``: they belong to no cell."""
        homeless = np.zeros(len(self), dtype=np.bool_)
        for key in keys:
            homeless |= self.codes(self.column(key)) < 0
        return self.take(homeless).text("prompt_id").to_list()

    def with_arm(self, arm: Arm, other: OutcomeTable) -> OutcomeTable:
        """This table with the candidate of ``other`` as its incumbent or anchor, in place of any it had.

        What ``other`` tells about its own judge (pairs, repeats, planted answers) stays with it.

        Raises:
            InputError: neither has a row left.
        """
        theirs, mine = other.arm("candidate").phase(*OF_ARMS), self.take(~self.matches("arm", arm))
        if len(mine) + len(theirs) == 0:
            raise InputError("there are no outcomes", do="evidence needs at least one row")
        dimensions = sorted(DIMENSION_PREFIX + name for name in {*self.dimensions, *other.dimensions})
        texts = {
            name: TextColumn.concatenated([mine.text(name), theirs.text(name)]) for name in (*TEXT_COLUMNS, *dimensions)
        }
        renamed = [mine.text("arm"), TextColumn.constant(arm, len(theirs))]
        return OutcomeTable(
            {**texts, "arm": TextColumn.concatenated(renamed)},
            {name: unchanging(np.concatenate([mine.numbers(name), theirs.numbers(name)])) for name in NUMBER_COLUMNS},
            unchanging(np.concatenate([mine.repeats(), theirs.repeats()])),
        )

    # -- arrays, one entry per row -----------------------------------------------------------------------------

    def numbers(self, column: str) -> Floats:
        """A number column; null is NaN."""
        return self._numbers[column] if self._rows is None else self._numbers[column][self._rows]

    def repeats(self) -> Integers:
        """The column ``repeat``."""
        return self._repeats if self._rows is None else self._repeats[self._rows]

    def text(self, column: str) -> TextColumn:
        """A text column; all null where the table has no such dimension."""
        found = self._texts.get(column)
        if found is None:
            return TextColumn.constant(None, len(self))
        return found if self._rows is None else found.take(self._rows)

    def codes(self, column: str) -> npt.NDArray[np.int32]:
        """The codes of a text column."""
        return self.text(column).codes

    def matches(self, column: str, text: str) -> Mask:
        """True where a text column holds this text."""
        return np.asarray(self.codes(column) == self._texts[column].code_of(text))

    def distinct(self, column: str) -> list[str]:
        """The texts that occur in a text column, sorted."""
        return self.text(column).distinct()

    def failed(self) -> Mask:
        """True for requests that ended in an error."""
        return np.asarray(self.codes("error") >= 0)

    def client_errors(self) -> Mask:
        """True for requests that failed by our own fault."""
        return np.isin(self.codes("error"), self._texts["error"].codes_of(CLIENT_ERRORS))

    def clusters(self) -> Codes:
        """Integer code of the randomised unit of every row (per set: clusters never span sets)."""
        return joint_codes([self.codes("set_name"), self.codes("cluster")])

    @property
    def frame(self) -> pd.DataFrame:
        """The rows as a data frame, made anew at every call: for people and for small tables."""
        texts = {name: pd.array(self.text(name).to_arrow(), dtype="string") for name in self._texts}
        numbers = {name: self.numbers(name) for name in NUMBER_COLUMNS}
        columns = {**texts, **numbers, "repeat": self.repeats()}
        return pd.DataFrame({name: columns[name] for name in self._written})

    @property
    def _written(self) -> list[str]:
        """The columns of a file, in order."""
        absent = [name for name in OPTIONAL_COLUMNS if np.isnan(self.numbers(name)).all()]
        dimensions = [name for name in self._texts if name.startswith(DIMENSION_PREFIX)]
        return [name for name in (*REQUIRED_COLUMNS, *dimensions) if name not in absent]

    # -- storage -------------------------------------------------------------------------------------------

    def to_parquet(self) -> bytes:
        """The table as a Parquet blob, rows in a fixed order, so that equal tables give equal bytes."""
        return self._parquet

    @cached_property
    def _parquet(self) -> bytes:
        ordered = self.take(
            np.argsort(joint_codes([*(self.text(n).ranks() for n in KEY), self.repeats()]), kind="stable")
        )
        columns: dict[str, Any] = {name: ordered.text(name).to_arrow() for name in self._texts}
        columns |= {name: pa.array(ordered.numbers(name), from_pandas=True) for name in NUMBER_COLUMNS}
        columns["repeat"] = pa.array(ordered.repeats())
        table = pa.table({name: columns[name] for name in self._written})
        sink = io.BytesIO()
        pq.write_table(table, sink, compression="zstd", version="2.6")
        return sink.getvalue()

    @classmethod
    def from_parquet(cls, data: bytes, *, expected: Digest | None = None, where: str | None = None) -> OutcomeTable:
        """Read a blob, checking its digest when one is expected.

        Raises:
            InputError: the digest differs, or the blob is not a Parquet table of this schema.
        """
        if expected is not None and (actual := digest_bytes(data)) != expected:
            raise InputError(
                f"the outcomes have digest {actual}, the evidence names {expected}",
                where=where,
                do="the file was changed after the evidence was written; run the evaluation again",
            )

        def column(name: str, found: pa.ChunkedArray) -> Any:
            return text_column(found) if is_text(name) else found

        try:
            file = pq.ParquetFile(pa.BufferReader(data))
            # One by one: a column of text takes far more memory before it is encoded than after.
            columns = {name: column(name, file.read([name]).column(0)) for name in file.schema_arrow.names}
        except (pa.ArrowException, OSError) as error:
            raise InputError(f"not a Parquet table of outcomes ({error})", where=where) from error
        return cls.from_columns(columns)
