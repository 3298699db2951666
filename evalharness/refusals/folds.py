"""Folds in which nothing that is held out has a twin among what is fitted on."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from evalharness.refusals.logistic import Fold

_SEED = 7

Codes = npt.NDArray[np.int64]


def held_out_folds(units: Codes, groups: npt.NDArray[np.str_] | None, parts: int, *, doubles: Codes) -> list[Fold]:
    """Rows to fit on and rows to measure on; every row is measured on exactly once.

    Args:
        units: shape (n,); rows of one unit are never on both sides.
        groups: shape (n,); what is held out in turn: a fold measures rows of one group and fits on the others. None,
            or one group only: units alone are held out.
        parts: into how many parts the units are split, at random but always alike, about equal in rows.
        doubles: shape (n,); rows that share a code with a row measured on are not fitted on.
    """
    part = _parts(units, parts)
    names = [None] if groups is None or len(np.unique(groups)) < 2 else list(np.unique(groups))
    folds = []
    for name in names:
        mine = np.ones(units.size, dtype=bool) if name is None else np.asarray(groups == name)
        for number in range(parts):
            test = mine & (part == number)
            if test.any():
                others = (part != number) & ~np.isin(doubles, doubles[test])
                folds.append((np.flatnonzero(others if name is None else others & ~mine), np.flatnonzero(test)))
    return folds


def _parts(units: Codes, parts: int) -> Codes:
    """Part of every row: units in random order, largest first, each to the part with the fewest rows."""
    names, rows, counts = np.unique(units, return_inverse=True, return_counts=True)
    shuffled = np.random.default_rng(_SEED).permutation(names.size)
    filled = np.zeros(parts, dtype=np.int64)
    chosen = np.zeros(names.size, dtype=np.int64)
    for unit in shuffled[np.argsort(-counts[shuffled], kind="stable")]:
        chosen[unit] = int(np.argmin(filled))
        filled[chosen[unit]] += counts[unit]
    return chosen[rows]
