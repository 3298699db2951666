"""A file of pairwise judgments: two answers to each prompt, judged in both orders.

CSV or JSONL, one row a pair. Columns: ``first_order`` (answer 1 was shown first) and ``swapped_order`` (answer 2 was
shown first), each 1, 2, 0 for a tie, or empty where the verdict could not be read; and where they are there ``id``,
``label`` (what people prefer: 1, 2 or 0), ``cluster``, ``length_1`` and ``length_2``. Verdicts name the *answer* by its
number; a file in which ``swapped_order`` names the place (1: the answer shown first) is read with ``by_place``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from evalharness.text_rows import TextRows, is_number, units
from golden_sets.errors import InputError

COLUMNS = ("id", "label", "first_order", "swapped_order", "cluster", "length_1", "length_2")
"""Columns with a meaning."""

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]


@dataclass(frozen=True)
class JudgedPairs:
    """Pairs of answers with what a judge said of them in both orders; 1: answer 1, -1: answer 2, 0: a tie."""

    first: Floats
    """Shape (n,): verdict with answer 1 shown first, NaN unparsed."""
    swapped: Floats
    """Shape (n,): verdict with answer 2 shown first, NaN unparsed."""
    label: Floats
    """Shape (n,): what people prefer, NaN where nobody said."""
    clusters: Codes
    """Shape (n,): code of the independent unit."""
    longer: Floats | None = None
    """Shape (n,): length of answer 1 minus that of answer 2, NaN unknown; None without lengths."""
    notes: tuple[str, ...] = ()
    """What a reader must know of how the file was read."""

    def __len__(self) -> int:
        return int(self.first.size)

    @property
    def verdict(self) -> Floats:
        """Shape (n,): what both orders say; a tie where they disagree, NaN where one could not be read."""
        agreed = np.where(self.first == self.swapped, self.first, 0.0)
        return np.where(np.isnan(self.first) | np.isnan(self.swapped), np.nan, agreed)


def read_judged_pairs(
    path: Path,
    *,
    columns: Mapping[str, str] | None = None,
    where: Mapping[str, str] | None = None,
    by_place: bool = False,
) -> JudgedPairs:
    """Read the file.

    Rows with the same ``cluster`` (without that column: the same ``id``) are not independent of each other.

    Args:
        path: CSV or JSONL.
        columns: ``our name: their column``.
        where: ``column: value``; only rows with these values are read.
        by_place: ``swapped_order`` names the place, not the answer: 1 is the answer shown first, which is answer 2.

    Raises:
        InputError: a missing column, no row, a value that is not understood (with file and line).
        InfrastructureError: the file cannot be read.
    """
    required = (("first_order",), ("swapped_order",))
    rows = TextRows.of(path, where or {}, columns or {}, COLUMNS, required=required)
    swapped = _sides(rows, "swapped_order")
    clusters, notes = units(rows)
    return JudgedPairs(
        first=_sides(rows, "first_order"),
        swapped=-swapped if by_place else swapped,
        label=_sides(rows, "label"),
        clusters=clusters,
        longer=_longer(rows),
        notes=tuple(notes),
    )


def _sides(rows: TextRows, name: str) -> Floats:
    values: Floats = rows.each(name, _side, pa.float64()).to_numpy(zero_copy_only=False)
    return values.astype(np.float64)


def _side(text: str) -> float:
    number = float(text) if is_number(text) else None
    side = {1.0: 1.0, 2.0: -1.0, 0.0: 0.0}.get(-1.0 if number is None else number)
    if side is None:
        raise InputError(f"'{text}' is no preference", do="use 1, 2, 0 for a tie, or nothing for an unreadable verdict")
    return side


def _longer(rows: TextRows) -> Floats | None:
    if not rows.has("length_1") and not rows.has("length_2"):
        return None
    if not (rows.has("length_1") and rows.has("length_2")):
        lone = "length_1" if rows.has("length_1") else "length_2"
        raise InputError(f"only '{lone}' is there", where=rows.table.path, do="give the lengths of both answers")
    return rows.numbers_at_least_zero("length_1") - rows.numbers_at_least_zero("length_2")
