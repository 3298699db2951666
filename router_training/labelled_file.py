"""Files of labelled prompts: a prompt a row, with the scores of both models' answers.

CSV or JSONL. Columns: ``prompt``, ``small_score`` and ``flagship_score`` (in [0, 1]; true and false are 1 and 0), and
where they are there ``id``, ``group`` (what is never split), ``family`` (kind of task, for reports), ``small_usd`` and
``flagship_usd``, and ``teach_only`` (true: the row was picked and stands for no traffic).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from evalharness.text_rows import TextRows, is_number
from evalharness.text_tables import read_text_table
from golden_sets.digests import digest_bytes
from golden_sets.errors import InputError
from router_training.grouping import groups_of
from router_training.pairs import Floats, Pairs

COLUMNS = (
    *("prompt", "small_score", "flagship_score", "id", "group", "family", "small_usd", "flagship_usd"),
    "teach_only",
)
"""Columns with a meaning."""
LEAST_PAIRS = 50
"""Fewer labelled prompts say nothing about a router."""
NO_FAMILY = "none"
"""Family of a row that names none."""

_TRUTH = {"true": 1.0, "false": 0.0}


def read_pairs(
    path: Path | Sequence[Path],
    *,
    columns: Mapping[str, str] | None = None,
    where: Mapping[str, str] | None = None,
    least: int = LEAST_PAIRS,
) -> Pairs:
    """Read labelled prompts; near-duplicates, shared payloads and declared groups make the groups.

    Prompts that occur twice are kept, as one group. Blanks around a prompt do not count. Costs are kept where
    every file has them.

    Args:
        path: the file, or several; a group declared in one of them is another than that of the same name in the next.
        columns: ``our name: their column``; what is nested in JSON is called ``outer.inner``. Of several files one that
            lacks their column may have it under our name.
        where: ``column: value``; only rows with these values are read.
        least: so many labelled prompts are needed.

    Raises:
        InputError: a missing column, an empty prompt or score, a score that is no number in [0, 1], a negative
            cost (with file and line), or too few rows.
        InfrastructureError: a file cannot be read.
    """
    paths = [path] if isinstance(path, Path) else list(path)
    mapped = columns or {}
    parts = [_File.read(one, mapped if len(paths) == 1 else _held(one, mapped), where or {}) for one in paths]
    prompts = [prompt for part in parts for prompt in part.prompts]
    if len(prompts) < least:
        raise InputError(
            f"{len(prompts)} labelled prompts, at least {least} are needed",
            where=", ".join(map(str, paths)),
            do="label more prompts with both models; a router learns from hundreds to thousands",
        )
    declared = [
        None if group is None else f"{number}/{group}" for number, part in enumerate(parts) for group in part.groups
    ]
    families = [family for part in parts for family in part.families]
    return Pairs(
        prompts=tuple(prompts),
        ids=tuple(name for part in parts for name in part.ids),
        small=np.concatenate([part.small for part in parts]),
        flagship=np.concatenate([part.flagship for part in parts]),
        groups=groups_of(prompts, declared),
        families=tuple(family or NO_FAMILY for family in families) if any(families) else None,
        small_usd=all_or_none([part.small_usd for part in parts]),
        flagship_usd=all_or_none([part.flagship_usd for part in parts]),
        teach_only=np.concatenate([part.teach_only for part in parts]),
    )


class _File:
    """The columns of one file."""

    def __init__(self, rows: TextRows, path: Path) -> None:
        self.prompts: list[str] = rows.required("prompt").to_pylist()
        names = rows.texts("id").to_pylist()
        self.ids = [
            name or digest_bytes(prompt.encode("utf-8", "surrogatepass"))
            for name, prompt in zip(names, self.prompts, strict=True)
        ]
        self.small, self.flagship = _scores(rows, "small_score"), _scores(rows, "flagship_score")
        self.groups: list[str | None] = rows.texts("group").to_pylist()
        self.families: list[str | None] = rows.texts("family").to_pylist()
        if rows.has("small_usd") != rows.has("flagship_usd"):
            there, missing = ("small_usd", "flagship_usd") if rows.has("small_usd") else ("flagship_usd", "small_usd")
            raise InputError(f"there is '{there}' but no '{missing}'", where=path, do="give both costs, or neither")
        self.small_usd, self.flagship_usd = _usd(rows, "small_usd"), _usd(rows, "flagship_usd")
        self.teach_only = np.array(
            rows.each("teach_only", _yes, pa.bool_()).fill_null(False).to_pylist(), dtype=np.bool_
        )

    @classmethod
    def read(cls, path: Path, columns: Mapping[str, str], where: Mapping[str, str]) -> _File:
        needed = (("prompt",), ("small_score",), ("flagship_score",))
        return cls(TextRows.of(path, where, columns, COLUMNS, required=needed), path)


def _held(path: Path, columns: Mapping[str, str]) -> Mapping[str, str]:
    """The mapped columns without those that this file has under our name instead."""
    names = read_text_table(path, lambda _name: False).names
    return {ours: theirs for ours, theirs in columns.items() if theirs in names or ours not in names}


def _scores(rows: TextRows, name: str) -> Floats:
    rows.required(name, do="score both answers, or leave the row out; a request that failed scores 0")
    return np.asarray(rows.each(name, _score, pa.float64()).to_numpy(zero_copy_only=False), dtype=np.float64)


def _score(text: str) -> float:
    if text.lower() in _TRUTH:
        return _TRUTH[text.lower()]
    if not is_number(text):
        raise InputError(f"'{text}' is not a number", do="write the score of the answer, in [0, 1]")
    score = float(text)
    if not math.isfinite(score):
        raise InputError(f"'{text}' is not a finite number", do="score the answer, or leave the row out")
    if not 0 <= score <= 1:
        advice = "scale the scores to [0, 1], for instance (score - lowest) / (highest - lowest)"
        raise InputError(f"'{text}' is outside [0, 1]", do=advice)
    return score


def _yes(text: str) -> bool:
    known = {"true": True, "1": True, "false": False, "0": False}
    if text.lower() not in known:
        raise InputError(f"'{text}' is neither true nor false", do="write true for a row that may only teach")
    return known[text.lower()]


def _usd(rows: TextRows, name: str) -> Floats | None:
    if not rows.has(name):
        return None
    rows.required(name)
    return rows.numbers_at_least_zero(name)


def all_or_none(parts: Sequence[Floats | None]) -> Floats | None:
    """The columns of several collections as one; None where some collection has none."""
    there = [part for part in parts if part is not None]
    return np.concatenate(there) if len(there) == len(parts) else None
