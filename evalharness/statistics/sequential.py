"""Looking more than once at planned points: alpha-spending group-sequential boundaries.

Sources: Lan and DeMets, Biometrika 70 (1983) 659 (spending functions); Hwang, Shih and DeCani, Statistics in Medicine
9 (1990) 1439 and Kim and DeMets, Biometrika 74 (1987) 149 (the families); Armitage, McPherson and Rowe, JRSS A 132
(1969) 235 and Jennison and Turnbull, Group Sequential Methods (2000), chapter 19 (recursive integration).

The statistic is the standardised sum at information fractions t_1 < ... < t_K = 1, a Brownian motion in the limit.
Each look has two boundaries: pass when Z >= pass_z, fail when Z <= fail_z. Each spends its own alpha and neither counts
on the other having stopped the trial (both are non-binding), so either may be overruled without harm. A gate turns a
boundary into a one-sided bound at confidence 1 - nominal alpha of that look, and uses its exact interval there.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import optimize, special

from evalharness.spending import Spending
from evalharness.statistics._inputs import Vector, vector
from golden_sets.errors import InputError

_POWERS: dict[str, int] = {"linear": 1, "quadratic": 2, "cubic": 3}
_REACH = 8.0
_GRID = 240
NEVER = 40.0
"""A boundary that cannot be crossed (no alpha is spent at that look)."""


@dataclass(frozen=True, slots=True)
class Boundaries:
    """One-sided boundaries at planned looks, for one claim."""

    fractions: tuple[float, ...]
    """Information fraction of each look, increasing, the last one 1."""
    z: tuple[float, ...]
    """Z at or above which the claim is made, per look."""
    nominal_alphas: tuple[float, ...]
    """One-sided level of each look on its own: the bound of that look has confidence 1 - this."""
    spent: tuple[float, ...]
    """Alpha spent up to and including each look."""


@dataclass(frozen=True, slots=True)
class Crossing:
    """What happens at each look under an assumed drift."""

    upper: tuple[float, ...]
    """Chance of crossing the upper boundary first at each look."""
    lower: tuple[float, ...]
    """Chance of crossing the lower boundary first at each look."""
    inside: tuple[float, ...]
    """Chance of stopping first inside the inner wedge at each look."""
    expected_fraction: float
    """Expected share of the maximum sample that is used."""


def spending(kind: Spending, alpha: float, fraction: float) -> float:
    """Alpha spent by information fraction t: alpha at t = 1, 0 at t = 0.

    obrien-fleming: 2 - 2 Phi(z_{alpha/2} / sqrt(t)); pocock: alpha log(1 + (e - 1) t); linear: alpha t; quadratic:
    alpha t^2; cubic: alpha t^3.

    Raises:
        InputError: alpha outside (0, 1), fraction outside [0, 1], unknown kind.
    """
    if not 0.0 < alpha < 1.0:
        raise InputError(f"alpha must be strictly between 0 and 1, got {alpha}")
    if not 0.0 <= fraction <= 1.0:
        raise InputError(f"an information fraction must lie in [0, 1], got {fraction}")
    if fraction == 0.0:
        return 0.0
    if kind == "obrien-fleming":
        return float(2 * special.ndtr(special.ndtri(alpha / 2) / math.sqrt(fraction)))
    if kind == "pocock":
        return alpha * math.log1p((math.e - 1) * fraction)
    if kind in _POWERS:
        return float(alpha * fraction ** _POWERS[kind])
    raise InputError(f"unknown spending function '{kind}'", do="use obrien-fleming, pocock, linear, quadratic or cubic")


def boundaries(fractions: Sequence[float], *, alpha: float = 0.05, kind: Spending = "obrien-fleming") -> Boundaries:
    """One-sided boundaries that spend ``alpha`` over the looks, exact for Brownian increments.

    Raises:
        InputError: fractions not increasing in (0, 1] or not ending at 1, alpha outside (0, 1), unknown kind.
    """
    times = _looks(fractions)
    targets = [spending(kind, alpha, t) for t in times]
    path, limits = Path(times, 0.0), []
    spent = 0.0
    for look, target in enumerate(targets):
        limit = path.limit_for(look, target - spent)
        path.step(look, -NEVER, limit)
        limits.append(limit)
        spent = target
    return Boundaries(
        tuple(times), tuple(limits), tuple(float(special.ndtr(-limit)) for limit in limits), tuple(targets)
    )


def crossing(
    fractions: Sequence[float],
    upper: Sequence[float],
    lower: Sequence[float] | None,
    drift: float,
    wedge: Sequence[float] | None = None,
) -> Crossing:
    """Chances of first crossing each boundary when Z has mean ``drift * sqrt(t)`` at information fraction t.

    ``drift`` is the expected Z of the full sample: (true value - limit) / standard error at the maximum n. Without
    ``lower`` the path only stops at the upper boundary or at the end. ``wedge`` holds one w per look: the path stops
    there as well when -w <= Z <= w; 0 or less: it does not.

    Raises:
        InputError: looks as in `boundaries`, boundaries of another length, a lower boundary above the upper one.
    """
    times = _looks(fractions)
    tops = vector(list(upper), "upper", length=len(times))
    bottoms = np.full(len(times), -NEVER) if lower is None else vector(list(lower), "lower", length=len(times))
    holes = np.zeros(len(times)) if wedge is None else vector(list(wedge), "wedge", length=len(times))
    if (bottoms > tops).any():
        raise InputError("a lower boundary lies above the upper one")
    path = Path(times, drift)
    steps = [path.step(k, float(bottoms[k]), float(tops[k]), float(holes[k])) for k in range(len(times))]
    ups, downs, inside = zip(*steps, strict=True)
    stopped = [sum(step) for step in steps]
    expected = sum(p * t for p, t in zip(stopped[:-1], times[:-1], strict=True)) + (1 - sum(stopped[:-1]))
    return Crossing(ups, downs, inside, float(expected))


def drift_for_power(fractions: Sequence[float], upper: Sequence[float], *, power: float = 0.8) -> float:
    """Drift at which the upper boundary is crossed with the wanted power.

    Raises:
        InputError: power outside (0, 1), looks as in `boundaries`.
    """
    _check_power(power)
    return float(optimize.brentq(lambda drift: sum(crossing(fractions, upper, None, drift).upper) - power, -10.0, 20.0))


def inflation(bounds: Boundaries, *, alpha: float = 0.05, power: float = 0.8) -> float:
    """Maximum sample of the sequential plan over the fixed sample of the same alpha and power.

    Raises:
        InputError: alpha or power outside (0, 1).
    """
    fixed = float(special.ndtri(_check_power(power)) - special.ndtri(alpha))
    return (drift_for_power(bounds.fractions, bounds.z, power=power) / fixed) ** 2


class Path:
    """Density of the running sum S(t) = Z sqrt(t) among paths that have not stopped, by recursive integration."""

    def __init__(self, times: list[float], drift: float) -> None:
        self._times, self._drift = times, drift
        self._grid: Vector = np.zeros(1)
        self._mass: Vector = np.ones(1)

    def step(self, look: int, bottom: float, top: float, hole: float = 0.0) -> tuple[float, float, float]:
        """Move to a look and keep what goes on: chances to cross the top, the bottom, and to stop at |Z| <= hole."""
        root = math.sqrt(self._times[look])
        up = self._tail(look, lambda gap: special.ndtr(-gap), top * root)
        down = self._tail(look, lambda gap: special.ndtr(gap), bottom * root)
        inside = self.inside(look, bottom, top, hole)
        centre = self._drift * self._times[look]
        low, high = max(bottom * root, centre - _REACH * root), min(top * root, centre + _REACH * root)
        gap = max(0.0, hole) * root
        pieces = [(low, high)] if gap == 0 else [(low, min(high, -gap)), (max(low, gap), high)]
        parts = [_quadrature(*piece) for piece in pieces]
        nodes, weights = (np.concatenate([part[k] for part in parts]) for k in (0, 1))
        self._grid, self._mass = nodes, weights * self._density(look, nodes)
        return up, down, inside

    def inside(self, look: int, bottom: float, top: float, hole: float) -> float:
        """Chance that the next look finds |Z| <= hole, between bottom and top."""
        low, high = max(bottom, -hole), min(top, hole)
        if hole <= 0 or high <= low:
            return 0.0
        root = math.sqrt(self._times[look])
        below = self._tail(look, lambda gap: special.ndtr(gap), high * root)
        return below - self._tail(look, lambda gap: special.ndtr(gap), low * root)

    def limit_for(self, look: int, alpha: float) -> float:
        """Z above which exactly ``alpha`` of all paths lie at this look; NEVER for no alpha."""
        root = math.sqrt(self._times[look])

        def excess(z: float) -> float:
            return self._tail(look, lambda gap: special.ndtr(-gap), z * root) - alpha

        if alpha <= 0 or excess(NEVER / 2) > 0:
            return NEVER
        if excess(-NEVER) <= 0:
            return -NEVER
        return float(optimize.brentq(excess, -NEVER, NEVER / 2, xtol=1e-10))

    def _increment(self, look: int) -> tuple[float, float]:
        gap = self._times[look] - (self._times[look - 1] if look else 0.0)
        return self._drift * gap, math.sqrt(gap)

    def _tail(self, look: int, tail: Callable[[Vector], Vector], edge: float) -> float:
        mean, deviation = self._increment(look)
        return float(self._mass @ tail((edge - self._grid - mean) / deviation))

    def _density(self, look: int, points: Vector) -> Vector:
        mean, deviation = self._increment(look)
        gaps = (points[:, None] - self._grid[None, :] - mean) / deviation
        return np.asarray(np.exp(-0.5 * gaps**2) @ self._mass / (deviation * math.sqrt(2 * math.pi)), dtype=np.float64)


def _quadrature(low: float, high: float) -> tuple[Vector, Vector]:
    """Gauss-Legendre nodes and weights on [low, high]; nothing is left when the interval is empty."""
    if high <= low:
        return np.zeros(1), np.zeros(1)
    nodes, weights = _LEGENDRE
    half = (high - low) / 2
    return np.asarray(low + half * (nodes + 1)), np.asarray(half * weights)


_LEGENDRE: tuple[Vector, Vector] = np.polynomial.legendre.leggauss(_GRID)


def _looks(fractions: Sequence[float]) -> list[float]:
    times = vector(list(fractions), "fractions", low=0.0, high=1.0).tolist()
    if times[0] <= 0 or abs(times[-1] - 1.0) > 1e-9 or any(b <= a for a, b in itertools.pairwise(times)):
        raise InputError(f"looks must increase from above 0 to 1, got {times}")
    return [float(t) for t in times]


def _check_power(power: float) -> float:
    if not 0.0 < power < 1.0:
        raise InputError(f"power must be strictly between 0 and 1, got {power}")
    return power
