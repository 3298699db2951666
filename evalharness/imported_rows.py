"""The rows of a file of outcomes under our names."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt

from evalharness.outcomes import DIMENSION_PREFIX
from evalharness.text_rows import Floats, TextRows
from golden_sets.records import STANDARD_DIMENSIONS

MEASUREMENTS = ("ttft_s", "tpot_s", "e2e_s", "prompt_tokens", "output_tokens", "usd")
"""Number columns that must not be negative."""
COLUMNS = ("prompt_id", "outcome", "set", "set_name", "repeat", "cluster", "error", "score", *MEASUREMENTS)
"""Columns with a meaning of their own."""


class ImportedRows(TextRows):
    """The chosen rows of a file of outcomes."""

    @classmethod
    def read(cls, path: Path, where: Mapping[str, str], columns: Mapping[str, str]) -> Self:
        """Read a file and choose its rows.

        Args:
            path: CSV or JSONL.
            where: ``column: value`` that chosen rows must have.
            columns: ``our name: their column``; an empty column hides one that is called like ours by chance.

        Raises:
            InputError: an unknown name, a column that is not there, no row left.
            InfrastructureError: the file cannot be read.
        """
        known = (*COLUMNS, *STANDARD_DIMENSIONS)
        required = (("prompt_id",), ("outcome", "error", *MEASUREMENTS))
        return cls.of(path, where, columns, known, required=required, prefix=DIMENSION_PREFIX)

    @property
    def dimensions(self) -> list[str]:
        """Our names of the dimensions that are there."""
        return [n for n in self._names if n in STANDARD_DIMENSIONS or n.startswith(DIMENSION_PREFIX)]

    def repeats(self) -> npt.NDArray[np.int64]:
        """The repeat of every row; 0 where none is given."""
        numbers = np.nan_to_num(self.numbers_at_least_zero("repeat"))
        self.refuse("repeat", numbers != np.floor(numbers), "is not a whole number")
        self.refuse("repeat", numbers > np.iinfo(np.int32).max, "is too large")
        return numbers.astype(np.int64)

    def scores(self) -> Floats:
        """Scores in [0, 1]."""
        scores = self.numbers_at_least_zero("score")
        self.refuse("score", scores > 1, "lies outside [0, 1]")
        return scores
