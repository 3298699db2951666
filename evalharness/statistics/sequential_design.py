"""A whole sequential plan for one check: when to stop and pass, stop and fail, or stop because neither is in reach.

Stopping without a result is an inner wedge around the limit: what lies clearly on the failing side goes on until it has
failed, instead of ending undecided. Sources: Pampallona, Tsiatis and Kim, Drug Information Journal 35 (2001) 1113
(alpha and beta spending together); Jennison and Turnbull, Group Sequential Methods (2000), chapters 4, 5 (inner wedge)
and 7.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import optimize, special, stats

from evalharness.spending import Spending
from evalharness.statistics._inputs import Vector, rate
from evalharness.statistics.sequential import (
    NEVER,
    Boundaries,
    Crossing,
    Path,
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
    """Stop as inconclusive when |Z| <= this: at the planned effect the pass is lost with the spent beta at most. 0: not
    at this look, which is always so at the last one."""
    drift: float
    """Expected Z of the full sample at the planned effect."""
    inflation: float
    """Maximum sample over the fixed sample of the same alpha and power."""

    def outcome(self, multiple: float) -> Crossing:
        """Chances to pass (upper), fail (lower) or stop without either, at ``multiple`` times the planned effect.

        0 is exactly at the limit, 1 the planned effect, negative values are on the failing side.
        """
        return crossing(
            self.passing.fractions,
            self.passing.z,
            [-z for z in self.failing.z],
            self.drift * multiple,
            [min(f, p, q) for f, p, q in zip(self.futility_z, self.passing.z, self.failing.z, strict=True)],
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
    futility: Spending | None = None,
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
    stops = [0.0] * len(passing.z)
    if futility is not None:
        drift = float(
            optimize.brentq(
                lambda d: power - _wedge(passing, d, power, futility)[1], drift - 0.01, 2 * drift, xtol=1e-8
            )
        )
        stops = _wedge(passing, drift, power, futility)[0]
    fixed = float(special.ndtri(power) - special.ndtri(alpha))
    return SequentialDesign(passing, failing, tuple(stops), drift, (drift / fixed) ** 2)


def _wedge(passing: Boundaries, drift: float, power: float, kind: Spending) -> tuple[list[float], float]:
    """Inner wedge that spends 1 - power before the last look, and the chance to pass under ``drift``.

    What a look cannot spend, because the path is hardly ever near the limit yet, is left to the next ones.
    """
    path, stops, spent, passed = Path(list(passing.fractions), drift), [], 0.0, 0.0
    for look, (fraction, top) in enumerate(zip(passing.fractions[:-1], passing.z, strict=False)):
        stop = _half_width(path, look, top, spending(kind, 1 - power, fraction) - spent)
        up, _, inside = path.step(look, -NEVER, top, stop)
        stops.append(stop)
        spent, passed = spent + inside, passed + up
    return [*stops, 0.0], passed + path.step(len(stops), -NEVER, passing.z[-1])[0]


def _half_width(path: Path, look: int, top: float, budget: float) -> float:
    """The w for which |Z| <= w has the chance ``budget`` at the next look; at most the passing boundary."""
    if budget <= 0:
        return 0.0
    most = min(top, NEVER)
    if path.inside(look, -NEVER, top, most) <= budget:
        return most
    return float(optimize.brentq(lambda w: path.inside(look, -NEVER, top, w) - budget, 0.0, most, xtol=1e-10))


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
