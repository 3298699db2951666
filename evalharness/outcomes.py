"""The outcome table: one row for every request of both arms, and the views that metrics and checks take of it.

Columns (the Parquet schema; a documented file format):

=================  =========================================================================================
``arm``            ``candidate``, ``incumbent`` or ``anchor`` (a fixed earlier version)
``phase``          ``quality`` (scored answers) or ``latency`` (the pass of its own; its answers are not scored)
``set_kind``       ``golden``, ``adversarial`` or ``false_refusal``
``set_name``       name of the set
``prompt_id``      id of the prompt within its set
``prompt_digest``  digest of the prompt's content
``repeat``         0, 1, ...
``cluster``        the randomised unit: rows that share it never count as independent
``error``          error kind of a failed request; null otherwise
``outcome``        1.0 / 0.0 / null (unscored or failed): did the event that the set's rate counts happen?
                   golden: the answer passed; adversarial: it violated; false_refusal: it refused
``score``          the judge's score in [0, 1]; null where there is none
``scored_by``      ``judge``, ``checker`` or ``import``; null where nothing scored it
``rubric``         id of the rubric that the judge applied; null where no judge did
``label``          true outcome, where it is known (same meaning as ``outcome``); null otherwise
``label_p``        probability with which the row was chosen for labelling; null where it was not eligible
``adjudicated``    for flagged answers of safety sets: 1.0 confirmed, 0.0 refuted, null unresolved
``ttft_s``         time to first token, seconds
``tpot_s``         mean time per output token after the first, seconds
``e2e_s``          end-to-end time, seconds
``prompt_tokens``  as the server counted
``output_tokens``  as the server counted
``usd``            cost of the request, USD
``dim.NAME``       one column per cell dimension: ``dim.tier``, ``dim.length_bucket``, ``dim.category``...
=================  =========================================================================================
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from golden_sets.digests import Digest, digest_bytes
from golden_sets.errors import InputError

Arm = Literal["candidate", "incumbent", "anchor"]
ARMS: tuple[Arm, ...] = ("candidate", "incumbent", "anchor")
Phase = Literal["quality", "latency"]
Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]

TEXT_COLUMNS = (
    "arm",
    "phase",
    "set_kind",
    "set_name",
    "prompt_id",
    "prompt_digest",
    "cluster",
    "error",
    "scored_by",
    "rubric",
)
NUMBER_COLUMNS = (
    "outcome",
    "score",
    "label",
    "label_p",
    "adjudicated",
    "ttft_s",
    "tpot_s",
    "e2e_s",
    "prompt_tokens",
    "output_tokens",
    "usd",
)
INTEGER_COLUMNS = ("repeat",)
REQUIRED_COLUMNS = (*TEXT_COLUMNS, *NUMBER_COLUMNS, *INTEGER_COLUMNS)
DIMENSION_PREFIX = "dim."
SET_KEYS = {"set": "set_kind", "set_name": "set_name"}
"""Keys of a policy's ``where`` that speak of the set rather than of a dimension."""

CLIENT_ERRORS = frozenset({"http_4xx", "refused_by_server"})
"""Error kinds that are our own fault: excluded from reliability, reported."""


@dataclass(frozen=True)
class OutcomeTable:
    """A validated, immutable table of outcomes. Every view is again an ``OutcomeTable``."""

    frame: pd.DataFrame

    @classmethod
    def from_rows(cls, rows: Iterable[Mapping[str, Any]]) -> OutcomeTable:
        """Build from one mapping per row; absent columns are null.

        Raises:
            InputError: as :meth:`from_frame`.
        """
        return cls.from_frame(pd.DataFrame(list(rows)))

    @classmethod
    def from_frame(cls, frame: pd.DataFrame) -> OutcomeTable:
        """Build from a data frame; absent columns are null, types are made those of the schema.

        Raises:
            InputError: an unknown column, no row, an outcome or label outside [0, 1], a negative time,
                or two rows with the same arm, phase, set, prompt and repeat.
        """
        unknown = [c for c in frame.columns if c not in REQUIRED_COLUMNS and not c.startswith(DIMENSION_PREFIX)]
        if unknown:
            raise InputError(f"unknown outcome column(s) {unknown}", do="see docs/file-formats.md for the schema")
        if len(frame) == 0:
            raise InputError("there are no outcomes", do="evidence needs at least one row")
        columns: dict[str, Any] = {}
        for name in TEXT_COLUMNS:
            columns[name] = _text(frame, name)
        for name in NUMBER_COLUMNS:
            columns[name] = _numbers(frame, name)
        columns["repeat"] = _numbers(frame, "repeat").fillna(0).astype("int64")
        for name in sorted(c for c in frame.columns if c.startswith(DIMENSION_PREFIX)):
            columns[name] = _text(frame, name)
        table = cls(pd.DataFrame(columns).reset_index(drop=True))
        table._validate()
        return table

    def _validate(self) -> None:
        frame = self.frame
        for name in ("outcome", "score", "label", "label_p", "adjudicated"):
            values = frame[name].to_numpy()
            bad = np.flatnonzero((values < 0) | (values > 1))
            if bad.size:
                raise InputError(f"column '{name}' holds {values[bad[0]]:g}", do="it must lie in [0, 1] or be empty")
        for name in ("ttft_s", "tpot_s", "e2e_s", "prompt_tokens", "output_tokens", "usd"):
            values = frame[name].to_numpy()
            bad = np.flatnonzero(values < 0)
            if bad.size:
                raise InputError(f"column '{name}' holds {values[bad[0]]:g}", do="it must not be negative")
        for name in ("arm", "phase", "set_kind", "set_name", "prompt_id", "cluster"):
            if frame[name].isna().any():
                raise InputError(f"column '{name}' is empty in some rows", do="give every row a value")
        key = ["arm", "phase", "set_name", "prompt_id", "repeat"]
        doubled = frame.duplicated(key)
        if doubled.any():
            row = frame.loc[doubled.idxmax(), key].to_dict()
            raise InputError(f"two outcomes for {row}", do="number independent samples of a prompt with 'repeat'")

    # -- views ---------------------------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self.frame)

    @property
    def dimensions(self) -> tuple[str, ...]:
        """Names of the cell dimensions that the table holds."""
        return tuple(c.removeprefix(DIMENSION_PREFIX) for c in self.frame.columns if c.startswith(DIMENSION_PREFIX))

    @property
    def arms(self) -> tuple[Arm, ...]:
        """The arms that have rows."""
        present = set(self.frame["arm"].unique())
        return tuple(a for a in ARMS if a in present)

    def take(self, mask: npt.NDArray[np.bool_]) -> OutcomeTable:
        """The rows where ``mask`` is true."""
        return OutcomeTable(self.frame[mask])

    def arm(self, arm: Arm) -> OutcomeTable:
        """The rows of one arm."""
        return self.take((self.frame["arm"] == arm).to_numpy())

    def phase(self, phase: Phase) -> OutcomeTable:
        """The rows of one phase."""
        return self.take((self.frame["phase"] == phase).to_numpy())

    def where(self, selector: Mapping[str, str]) -> OutcomeTable:
        """The rows of one cell. Keys: ``set`` (kind), ``set_name``, or a dimension.

        Raises:
            InputError: a dimension that the table does not have.
        """
        mask = np.ones(len(self.frame), dtype=np.bool_)
        for key, value in selector.items():
            mask &= (self.frame[self.column(key)] == value).to_numpy(dtype=np.bool_, na_value=False)
        return self.take(mask)

    def column(self, key: str) -> str:
        """Name of the column behind a selector key.

        Raises:
            InputError: a dimension that the table does not have.
        """
        name = SET_KEYS.get(key, DIMENSION_PREFIX + key)
        if name not in self.frame.columns:
            known = ["set", "set_name", *self.dimensions]
            raise InputError(f"the outcomes have no dimension '{key}'", do=f"use one of {', '.join(known)}")
        return name

    def cells(self, keys: Iterable[str]) -> list[dict[str, str]]:
        """Every combination of values of ``keys`` that occurs, sorted; rows without a value belong to none."""
        keys = list(keys)
        if not keys:
            return [{}]
        columns = [self.column(k) for k in keys]
        rows = self.frame[columns].dropna().drop_duplicates().sort_values(columns)
        return [dict(zip(keys, map(str, row), strict=True)) for row in rows.itertuples(index=False)]

    def without(self, keys: Iterable[str]) -> list[str]:
        """Ids of the prompts whose rows lack a value for one of ``keys``: they belong to no cell."""
        columns = [self.column(k) for k in keys]
        homeless = self.frame[columns].isna().any(axis=1) if columns else pd.Series(False, index=self.frame.index)
        return [str(x) for x in self.frame["prompt_id"][homeless]]

    def with_arm(self, arm: Arm, other: OutcomeTable) -> OutcomeTable:
        """This table with the candidate of ``other`` as its incumbent or anchor, in place of any it had.

        Raises:
            InputError: as :meth:`from_frame`.
        """
        theirs = other.arm("candidate").frame.assign(arm=arm)
        mine = self.take((self.frame["arm"] != arm).to_numpy())
        return OutcomeTable.from_frame(pd.concat([mine.frame, theirs], ignore_index=True))

    # -- arrays --------------------------------------------------------------------------------------------

    def numbers(self, column: str) -> Floats:
        """A number column; null is NaN."""
        return np.asarray(self.frame[column].to_numpy(dtype=np.float64))

    def failed(self) -> npt.NDArray[np.bool_]:
        """True for requests that ended in an error."""
        return np.asarray(self.frame["error"].notna().to_numpy(dtype=np.bool_))

    def client_errors(self) -> npt.NDArray[np.bool_]:
        """True for requests that failed by our own fault."""
        return np.asarray(self.frame["error"].isin(CLIENT_ERRORS).to_numpy(dtype=np.bool_))

    def clusters(self) -> Codes:
        """Integer code of the randomised unit of every row (per set: clusters never span sets)."""
        return np.asarray(pd.factorize(self.frame["set_name"] + "\x1f" + self.frame["cluster"])[0], dtype=np.int64)

    # -- storage -------------------------------------------------------------------------------------------

    def to_parquet(self) -> bytes:
        """The table as a Parquet blob, rows in a fixed order, so that equal tables give equal bytes."""
        ordered = self.frame.sort_values(["arm", "phase", "set_name", "prompt_id", "repeat"], kind="stable")
        table = pa.Table.from_pandas(ordered, preserve_index=False).replace_schema_metadata(None)
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
        try:
            frame = pq.read_table(io.BytesIO(data)).to_pandas()
        except (pa.ArrowInvalid, OSError) as error:
            raise InputError(f"not a Parquet table of outcomes ({error})", where=where) from error
        return cls.from_frame(frame)


def _text(frame: pd.DataFrame, name: str) -> Any:
    if name not in frame.columns:
        return pd.Series([None] * len(frame), dtype="string")
    return frame[name].astype("string").reset_index(drop=True)


def _numbers(frame: pd.DataFrame, name: str) -> Any:
    if name not in frame.columns:
        return pd.Series(np.full(len(frame), np.nan))
    try:
        return pd.to_numeric(frame[name]).astype("float64").reset_index(drop=True)
    except (ValueError, TypeError) as error:
        raise InputError(f"column '{name}' holds something that is not a number ({error})") from error
