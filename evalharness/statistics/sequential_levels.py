"""Levels of planned looks, both ways: nominal levels of an overall one, and the overall level a look's p-value reaches.

The second is the p-value to carry across looks and across checks. A sequential p-value is the smallest overall level
at which the spending boundary would have been crossed at one of the looks so far, that is, the running minimum of
`overall_level`: Liu and Anderson, J. American Statistical Association 103 (2008) 1621; Maurer and Bretz, Statistics in
Biopharmaceutical Research 5 (2013) 311, who also give Holm over such p-values. The chance that it ever falls to a or
below is at most a, whatever made the run stop, as long as the nominal level of every look rises with the overall one
(true for the five spending functions here; the tests check it).
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike
from scipy import interpolate, special

from evalharness.spending import Spending
from evalharness.statistics._inputs import Vector
from evalharness.statistics.sequential import boundaries
from evalharness.statistics.sequential_design import SequentialDesign, design_sequence
from golden_sets.errors import InputError

SMALLEST_LEVEL = 1e-9
"""Overall levels below this are reported as this."""
LARGEST_LEVEL = 0.5
"""Overall levels above this are reported as 1: nothing is claimed."""

_OVERALL_Z = np.arange(-0.2, 6.21, 0.1)
"""Normal quantiles of the tabulated overall levels, a little beyond the range that is reported."""
_FARTHEST_Z = 8.0
"""Boundaries farther out than this are beyond what the recursive integration resolves."""
_ROUNDING = 1.0 + 3e-5
"""Rounding up of an interpolated level, by more than the error measured for overall levels down to 1e-7."""


@lru_cache(maxsize=512)
def look_alphas(fractions: tuple[float, ...], alpha: float, kind: Spending) -> tuple[float, ...]:
    """Nominal one-sided level of each look when ``alpha`` is spent over all of them (cached).

    Raises:
        InputError: fractions not increasing in (0, 1] or not ending at 1, alpha outside (0, 1), unknown kind.
    """
    # One look spends all: no detour through a normal quantile, so that unplanned checks keep their alpha to the bit.
    nominal = boundaries(fractions, alpha=alpha, kind=kind).nominal_alphas
    return nominal if len(nominal) > 1 else (alpha,)


@lru_cache(maxsize=64)
def design_for(
    fractions: tuple[float, ...], alpha: float, power: float, kind: Spending, futility: Spending | None
) -> SequentialDesign:
    """`design_sequence`, cached: the stops of one check with pass and fail spending ``alpha`` each.

    Raises:
        InputError: as `design_sequence`.
    """
    return design_sequence(fractions, alpha=alpha, power=power, kind=kind, futility=futility)


def overall_level(fractions: tuple[float, ...], look: int, p: ArrayLike, kind: Spending) -> Vector:
    """Smallest overall level at which look number ``look`` (0-based) claims at a nominal p-value of ``p``.

    Elementwise: the a with ``look_alphas(fractions, a, kind)[look] == p``, rounded up by about 3e-5 of itself;
    never below 1e-9, and 1.0 where it would exceed 0.5. With one look it is ``p`` itself.

    Raises:
        InputError: p outside [0, 1] or NaN, a look that is not planned, looks and kind as in `look_alphas`.
    """
    nominal = np.asarray(p, dtype=np.float64)
    if not ((nominal >= 0) & (nominal <= 1)).all():
        raise InputError("p-values must lie in [0, 1]")
    if not 0 <= look < len(fractions):
        raise InputError(f"look {look} is not one of the {len(fractions)} planned (counted from 0)")
    if len(fractions) == 1:
        look_alphas(fractions, 0.05, kind)
        return nominal
    z, curve = -special.ndtri(nominal), _curves(fractions, kind)[look]
    overall_z = curve(np.clip(z, curve.x[0], curve.x[-1]))
    level = np.clip(special.ndtr(-overall_z) * _ROUNDING, SMALLEST_LEVEL, 1.0)
    return np.asarray(np.where(level > LARGEST_LEVEL, 1.0, level), dtype=np.float64)


@lru_cache(maxsize=32)
def _curves(fractions: tuple[float, ...], kind: Spending) -> tuple[interpolate.PchipInterpolator, ...]:
    """Per look the monotone curve from the normal quantile of the nominal level to that of the overall level."""
    rows = [boundaries(fractions, alpha=float(a), kind=kind).z for a in special.ndtr(-_OVERALL_Z)]
    curves = []
    for nominal_z in np.array(rows).T:
        kept = nominal_z < _FARTHEST_Z
        curves.append(interpolate.PchipInterpolator(nominal_z[kept], _OVERALL_Z[kept]))
    return tuple(curves)
