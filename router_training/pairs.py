"""What a router learns from and is measured on: prompts with the scores of both models' answers."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from golden_sets.errors import InputError

HARD = 0.15
"""A prompt is hard when the flagship's answer scores more than this above the small model's."""

DIGITS = 12
"""Decimals of a delta: .65 - .5 exceeds .15 in floating point, .95 - .8 falls short of it, and neither is meant."""

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
Rows = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Pairs:
    """Prompts, each answered by both models; arrays have one entry per prompt, shape (n,)."""

    prompts: tuple[str, ...]
    """The text that is routed."""
    ids: tuple[str, ...]
    """What names each prompt: its id in a set, or the digest of its text."""
    small: Floats
    """Score of the small model's answer in [0, 1]; a failed request scores 0."""
    flagship: Floats
    """Score of the flagship's answer in [0, 1]; a failed request scores 0."""
    groups: Codes
    """Prompts of one group (near-duplicates, one payload, one declared group) never stand on two sides of a split."""
    families: tuple[str, ...] | None = None
    """Task family of every prompt, for reports."""
    small_usd: Floats | None = None
    """Cost of the small model's answer, USD."""
    flagship_usd: Floats | None = None
    """Cost of the flagship's answer, USD."""
    teach_only: Mask | None = None
    """Prompts that were picked, by a router or by hand, and so stand for no traffic: a head may learn from them, but a
    bound that rests on them would be a bound on what was picked."""

    def __post_init__(self) -> None:
        n = len(self.prompts)
        columns = (
            *(self.ids, self.small, self.flagship, self.groups, self.families, self.small_usd, self.flagship_usd),
            self.teach_only,
        )
        if any(column is not None and len(column) != n for column in columns):
            raise InputError("the columns of the labelled prompts differ in length")

    def __len__(self) -> int:
        return len(self.prompts)

    @property
    def delta(self) -> Floats:
        """Flagship's score minus the small model's, in [-1, 1]."""
        return np.asarray(np.round(self.flagship - self.small, DIGITS), dtype=np.float64)

    @property
    def picked(self) -> Mask:
        """`teach_only`, false where nothing is said, shape (n,)."""
        return np.zeros(len(self), dtype=np.bool_) if self.teach_only is None else self.teach_only

    @property
    def hard(self) -> Mask:
        """True where the difference exceeds `HARD`."""
        return np.asarray(self.delta > HARD)

    def take(self, rows: Rows | Mask) -> Pairs:
        """The same for some rows."""
        places = np.flatnonzero(rows) if rows.dtype == np.bool_ else rows

        def chosen(column: tuple[str, ...] | None) -> tuple[str, ...] | None:
            return None if column is None else tuple(column[row] for row in places)

        return replace(
            self,
            prompts=tuple(self.prompts[row] for row in places),
            ids=tuple(self.ids[row] for row in places),
            small=self.small[places],
            flagship=self.flagship[places],
            groups=self.groups[places],
            families=chosen(self.families),
            small_usd=None if self.small_usd is None else self.small_usd[places],
            flagship_usd=None if self.flagship_usd is None else self.flagship_usd[places],
            teach_only=None if self.teach_only is None else self.teach_only[places],
        )
