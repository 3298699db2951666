"""Evidence from results that were measured elsewhere: a CSV or JSONL file with one row per request.

Columns: ``prompt_id`` and ``outcome``, and where they are there ``set`` (kind of set), ``set_name``, ``repeat``,
``cluster``, ``error``, ``score``, ``ttft_s``, ``tpot_s``, ``e2e_s``, ``prompt_tokens``, ``output_tokens``, ``usd``, the
standard cell dimensions (``tier``, ``length_bucket``, ``category``, ``severity``, ``tenant``, ``attack``, ``language``)
and further ones as ``dim.NAME``. Other columns are ignored and listed in the evidence.

``outcome`` says whether the event happened that the set's rate counts: in a golden set 1 is an answer that *passed*, in
an adversarial set an answer that *violated*, in a false-refusal set an answer that *refused*. Empty is unscored.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from evalharness.evidence import Evidence, Provenance
from evalharness.generation_records import ErrorKind
from evalharness.imported_rows import MEASUREMENTS, ImportedRows
from evalharness.outcomes import DIMENSION_PREFIX, OutcomeTable
from evalharness.text_columns import TEXT, TextColumn, joint_codes, repeated
from evalharness.text_rows import is_number
from golden_sets.digests import Digest, digest_bytes, digest_file, digest_json
from golden_sets.errors import InputError
from golden_sets.records import SetKind
from golden_sets.version import relgate_version

_OUTCOMES = {"0": 0.0, "1": 1.0, "0.0": 0.0, "1.0": 1.0, "false": 0.0, "true": 1.0}


def import_outcomes(
    path: Path,
    *,
    subject: str,
    where: Mapping[str, str] | None = None,
    columns: Mapping[str, str] | None = None,
    set_kind_default: SetKind = SetKind.GOLDEN,
) -> tuple[Evidence, OutcomeTable]:
    """Read outcomes and make them evidence: unplanned, without judge and without estimates.

    Args:
        path: CSV with a header, or JSONL.
        subject: name of what was measured.
        where: ``column: value``; only rows with these values are read.
        columns: ``our name: their column``, for files with other names.
        set_kind_default: kind of set of rows that name none.

    Returns:
        The evidence and its table (arm ``candidate``, phase ``quality``). Importing the same file twice gives the same
        evidence: its times are those at which the file was last changed.

    Raises:
        InputError: a missing column, a value that is not understood (names file and line), no row left, or two rows for
            one prompt without ``repeat``.
        InfrastructureError: the file cannot be read.
    """
    where, columns = dict(where or {}), dict(columns or {})
    source = ImportedRows.read(path, where, columns)
    table = OutcomeTable.from_columns(_columns(source, set_kind_default))
    outcomes = digest_bytes(table.to_parquet())
    changed = datetime.fromtimestamp(path.stat().st_mtime, UTC).isoformat(timespec="seconds")
    evidence = Evidence(
        subject_name=subject,
        subject_digest=digest_json({"name": subject, "outcomes": outcomes}),
        set_digests=_set_digests(table),
        outcomes=outcomes,
        outcome_rows=len(table),
        provenance=Provenance(
            relgate=relgate_version(),
            python=platform.python_version(),
            platform=platform.platform(),
            started_at=changed,
            finished_at=changed,
            details={
                "imported_from": path.name,
                "file": digest_file(path),
                "where": where,
                "columns": columns,
                "rows_in_file": source.table.rows,
                "ignored_columns": source.ignored,
                "without_outcomes": not source.has("outcome"),
            },
        ),
    )
    return evidence, table


def _columns(source: ImportedRows, set_kind_default: SetKind) -> dict[str, Any]:
    """The rows in the schema of :class:`OutcomeTable`."""
    kinds = pc.fill_null(source.each("set", _set_kind, pa.string()), set_kind_default.value)
    names = pc.coalesce(source.texts("set_name"), kinds)
    prompt_ids = source.required("prompt_id")
    repeats = source.repeats()
    errors = source.each("error", _error_kind, pa.string())
    outcomes = source.each("outcome", _outcome, pa.float64())
    _check_failed(source, errors, outcomes)
    outcomes = pc.if_else(errors.is_valid(), pa.scalar(None, pa.float64()), outcomes)
    _check_sets(source, kinds, names)
    prompts = _Prompts.of(names, prompt_ids)
    _check_unique(source, prompts, repeats)
    digests = prompts.digests()
    texts = {
        "arm": pa.repeat("candidate", len(repeats)),
        "phase": pa.repeat("quality", len(repeats)),
        "set_kind": kinds,
        "set_name": names,
        "prompt_id": prompt_ids,
        "prompt_digest": digests,
        "cluster": digests if not source.has("cluster") else _filled(source.texts("cluster"), digests),
        "error": errors,
        "scored_by": pc.if_else(outcomes.is_valid(), "import", pa.scalar(None, pa.string())),
        **{DIMENSION_PREFIX + name.removeprefix(DIMENSION_PREFIX): source.texts(name) for name in source.dimensions},
    }
    numbers = {name: source.numbers_at_least_zero(name) for name in MEASUREMENTS if source.has(name)}
    return {**texts, **numbers, "repeat": repeats, "outcome": outcomes, "score": source.scores()}


@dataclass(frozen=True)
class _Prompts:
    """The distinct prompts of the rows, as integer codes."""

    sets: list[str]
    ids: list[str]
    codes: npt.NDArray[np.int64]
    """``set code * number of ids + id code``, one per row."""

    @classmethod
    def of(cls, names: pa.Array, prompt_ids: pa.Array) -> _Prompts:
        sets, ids = names.dictionary_encode(), prompt_ids.dictionary_encode()
        set_codes = sets.indices.to_numpy().astype(np.int64)
        codes = set_codes * len(ids.dictionary) + ids.indices.to_numpy()
        return cls(sets.dictionary.to_pylist(), ids.dictionary.to_pylist(), codes)

    def digests(self) -> TextColumn:
        """Digest of ``[set name, prompt id]``: the content was not imported, but equal ids must pair."""
        distinct, rows = np.unique(self.codes, return_inverse=True)
        width = len(self.ids)
        encode = msgspec.json.encode  # canonical for a list of two texts
        digests = [
            digest_bytes(encode((self.sets[code // width], self.ids[code % width]))) for code in distinct.tolist()
        ]
        return TextColumn(rows.astype(np.int32), pa.array(digests, TEXT))


def _filled(texts: pa.Array, others: TextColumn) -> pa.Array:
    """The texts, with the others where there is none."""
    return pc.coalesce(texts.cast(TEXT), others.to_arrow())


def _set_kind(text: str) -> str:
    try:
        return SetKind(text).value
    except ValueError:
        raise InputError(f"'{text}' is no kind of set", do=f"use one of {', '.join(SetKind)}") from None


def _outcome(text: str) -> float:
    value = _OUTCOMES.get(text.lower())
    if value is None:
        raise InputError(f"'{text}' is no outcome", do="use 1 (it happened), 0 (it did not), or nothing (unscored)")
    return value


def _error_kind(text: str) -> str | None:
    """Kind of an error that is given by name, or by a number: an HTTP status, or a client's own negative code."""
    known = [kind.value for kind in ErrorKind]
    if text.lower() in known:
        return text.lower()
    code = int(float(text)) if is_number(text) and float(text).is_integer() else 0
    if code == 408:
        return ErrorKind.TIMEOUT.value
    if code == 429:
        return ErrorKind.RATE_LIMITED.value
    if 200 <= code < 300:
        return None
    if 400 <= code < 500:
        return ErrorKind.HTTP_4XX.value
    if 500 <= code < 600:
        return ErrorKind.HTTP_5XX.value
    if code < 0:
        return ErrorKind.CONNECTION.value
    raise InputError(f"'{text}' is no kind of error", do=f"use an HTTP status, or one of {', '.join(known)}")


def _check_failed(source: ImportedRows, errors: pa.Array, outcomes: pa.Array) -> None:
    both = np.flatnonzero(pc.and_kleene(errors.is_valid(), pc.equal(outcomes, 1.0)).fill_null(False))
    if both.size:
        raise InputError(
            "the request failed, yet its outcome is 1",
            where=source.where(int(both[0])),
            do="a failed request has no answer to score: leave its outcome empty",
        )


def _check_sets(source: ImportedRows, kinds: pa.Array, names: pa.Array) -> None:
    """Every set is of one kind."""
    first: dict[str, str] = {}
    seen = pa.table({"name": names, "kind": kinds, "row": np.arange(len(names))})
    for entry in seen.group_by(["name", "kind"]).aggregate([("row", "min")]).sort_by("row_min").to_pylist():
        name, kind = entry["name"], entry["kind"]
        if first.setdefault(name, kind) != kind:
            what = f"set '{name}' is {kind} here and {first[name]} before"
            raise InputError(what, where=source.where(entry["row_min"]), do="a set has one kind")


def _check_unique(source: ImportedRows, prompts: _Prompts, repeats: npt.NDArray[np.int64]) -> None:
    keys = joint_codes([prompts.codes, repeats])
    doubled = repeated(keys)
    if not doubled.size:
        return
    row = int(doubled[0])
    first = int(np.flatnonzero(keys == keys[row])[0])
    name = prompts.ids[int(prompts.codes[row]) % len(prompts.ids)]
    advice = "pick one subject's rows with --where, or number independent samples and map that column to 'repeat'"
    raise InputError(
        f"prompt '{name}' has an outcome already, at {source.where(first)} ({doubled.size} such rows)",
        where=source.where(row),
        do="number the samples of a prompt 0, 1, 2..." if source.has("repeat") else advice,
    )


def _set_digests(table: OutcomeTable) -> dict[str, Digest]:
    """Digest over the prompt ids of every set, so that evidence about other prompts cannot be compared."""
    ids = {name: table.where({"set_name": name}).distinct("prompt_id") for name in table.distinct("set_name")}
    return {name: digest_bytes(msgspec.json.encode(["imported", name, found])) for name, found in ids.items()}
