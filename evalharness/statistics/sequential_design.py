"""A whole sequential plan for one check: when to stop and pass, stop and fail, or stop because a pass is out of reach.

Sources: Pampallona, Tsiatis and Kim, Drug Information Journal 35 (2001) 1113 (alpha and beta spending together);
Jennison and Turnbull, Group Sequential Methods (2000), chapters 4 and 7.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import optimize, special, stats

from evalharness.statistics._inputs import Vector, rate
from evalharness.statistics.sequential import (
    NEVER,
    Boundaries,
    Crossing,
    Path,
    Spending,
    boundaries,
    crossing,
    drift_for_power,
    spending,
)
from golden_sets.errors import InputError


@dataclass(frozen=True, slots=True)
class SequentialDesign:
    """Boundaries of one check at planned looks, on the Z scale of its limit (positive = on the passing side)."""

    passing: Boundaries
    """Pass when Z >= passing.z: spends alpha, whatever the other boundaries do."""
    failing: Boundaries
    """Fail when Z <= -failing.z: spends its own alpha, whatever the other boundaries do."""
    futility_z: tuple[float, ...]
    """Stop as inconclusive when Z <= this: at the planned effect the pass is lost with the spent beta at most."""
    drift: float
    """Expected Z of the full sample at the planned effect."""
    inflation: float
    """Maximum sample over the fixed sample of the same alpha and power."""

    def outcome(self, multiple: float) -> Crossing:
        """Chances to pass (upper) and to stop without a pass (lower) when the effect is ``multiple`` times the planned.

        0 is exactly at the limit, 1 the planned effect, negative values are on the failing side.
        """
        lower = [max(f, -z) for f, z in zip(self.futility_z, self.failing.z, strict=True)]
        return crossing(
            self.passing.fractions,
            self.passing.z,
            [min(low, top) for low, top in zip(lower, self.passing.z, strict=True)],
            self.drift * multiple,
        )

    def expected_size(self, multiple: float) -> float:
        """Expected sample over the fixed sample of the same alpha and power, at a multiple of the planned effect."""
        return self.inflation * self.outcome(multiple).expected_fraction


def design_sequence(
    fractions: Sequence[float],
    *,
    alpha: float = 0.05,
    power: float = 0.9,
    kind: Spending = "quadratic",
    futility: Spending | None = "cubic",
    fail_alpha: float | None = None,
) -> SequentialDesign:
    """Plan the looks of one check so that it passes with ``power`` at the effect it is sized for.

    Args:
        fractions: information fraction of each look, increasing to 1.
        alpha: one-sided chance of a false pass over all looks.
        power: chance to pass at the planned effect, futility stops included.
        kind: how the alphas of pass and fail are spent.
        futility: how 1 - power is spent on stopping early without a pass; None: only a fail stops early. Never binding:
            a run that goes on past a futility stop keeps its alpha.
        fail_alpha: one-sided chance of a false fail over all looks; alpha when None.

    Raises:
        InputError: looks, alphas or power out of range, unknown spending function.
    """
    passing = boundaries(fractions, alpha=alpha, kind=kind)
    failing = boundaries(fractions, alpha=alpha if fail_alpha is None else fail_alpha, kind=kind)
    drift = drift_for_power(passing.fractions, passing.z, power=power)
    stops = [-NEVER] * len(passing.z)
    if futility is not None:
        drift = float(
            optimize.brentq(lambda d: _missed(passing, d, power, futility) - (1 - power), drift, 2 * drift, xtol=1e-8)
        )
        stops = _futility(passing, drift, power, futility)[0]
    fixed = float(special.ndtri(power) - special.ndtri(alpha))
    return SequentialDesign(passing, failing, tuple(stops), drift, (drift / fixed) ** 2)


def _missed(passing: Boundaries, drift: float, power: float, kind: Spending) -> float:
    return _futility(passing, drift, power, kind)[1]


def _futility(passing: Boundaries, drift: float, power: float, kind: Spending) -> tuple[list[float], float]:
    """Futility boundary that spends 1 - power before the last look, and the chance of no pass under ``drift``."""
    path, stops, spent, missed = Path(list(passing.fractions), drift), [], 0.0, 0.0
    for look, (fraction, top) in enumerate(zip(passing.fractions[:-1], passing.z, strict=False)):
        target = spending(kind, 1 - power, fraction)
        stop = min(path.limit_for(look, target - spent, downward=True), top)
        missed += path.step(look, stop, top)[1]
        stops.append(stop)
        spent = target
    last = passing.z[-1]
    return [*stops, last], missed + path.step(len(stops), last, last)[1]


@dataclass(frozen=True, slots=True)
class BinomialPath:
    """Exact behaviour of a sequential plan on independent 0/1 outcomes."""

    passed: tuple[float, ...]
    """Chance to stop with a pass at each look."""
    failed: tuple[float, ...]
    """Chance to stop with a fail at each look."""
    expected_n: float
    """Expected number of outcomes used."""


def binomial_path(
    sizes: Sequence[int], pass_at: Sequence[int], fail_at: Sequence[int], true_rate: float
) -> BinomialPath:
    """Follow the count of successes through the looks exactly, by convolution.

    Args:
        sizes: outcomes seen at each look, increasing.
        pass_at: successes at or above which the look passes (above its size: it cannot).
        fail_at: successes at or below which the look fails (-1: it cannot).
        true_rate: success probability.

    Raises:
        InputError: sizes that do not increase, lengths that differ, a rate outside [0, 1], boundaries that cross.
    """
    p = rate(true_rate, "true_rate")
    if not sizes or sizes[0] < 1 or any(b <= a for a, b in itertools.pairwise(sizes)):
        raise InputError(f"sizes must increase from at least 1, got {list(sizes)}")
    if not len(sizes) == len(pass_at) == len(fail_at):
        raise InputError("sizes, pass_at and fail_at must have one entry per look")
    mass: Vector = np.ones(1)
    passed, failed, expected, before = [], [], 0.0, 0
    for size, top, bottom in zip(sizes, pass_at, fail_at, strict=True):
        if bottom >= top:
            raise InputError(f"at n = {size} a count passes and fails: pass at {top}, fail at {bottom}")
        expected += float(mass.sum()) * (size - before)
        mass = np.convolve(mass, stats.binom.pmf(np.arange(size - before + 1), size - before, p))
        counts = np.arange(mass.size)
        passed.append(float(mass[counts >= top].sum()))
        failed.append(float(mass[counts <= bottom].sum()))
        mass = np.where((counts < top) & (counts > bottom), mass, 0.0)
        before = size
    return BinomialPath(tuple(passed), tuple(failed), expected)


def floor_counts(
    sizes: Sequence[int], floor: float, pass_alphas: Sequence[float], fail_alphas: Sequence[float]
) -> tuple[list[int], list[int]]:
    """Counts of successes that pass and fail a floor at each look, by exact one-sided bounds at the looks' alphas.

    Raises:
        InputError: floor outside (0, 1), lengths that differ.
    """
    if not 0.0 < floor < 1.0:
        raise InputError(f"floor must be strictly between 0 and 1, got {floor}")
    if not len(sizes) == len(pass_alphas) == len(fail_alphas):
        raise InputError("sizes and alphas must have one entry per look")
    pass_at = [int(stats.binom.isf(a, n, floor)) + 1 for n, a in zip(sizes, pass_alphas, strict=True)]
    fail_at = []
    for n, a in zip(sizes, fail_alphas, strict=True):
        count = int(stats.binom.ppf(a, n, floor))
        fail_at.append(count if stats.binom.cdf(count, n, floor) <= a else count - 1)
    return pass_at, fail_at
