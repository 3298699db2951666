"""What controls alone make of a mean outcome: the mean less what it would be had the controls been zero.

The effect is close to a product (a slope times the mean of the control), whose estimate is skewed and whose error grows
with it: Student's t around a delta-method error covered 90 to 93 % where 95 % was claimed (60 to 100 pairs, seeded
simulation). The bounds are therefore percentiles of a bootstrap of the clusters, every draw fitted anew, at the level
that makes up for small samples (expanded percentiles: Hesterberg, The American Statistician 69 (2015) 371).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from evalharness.statistics._inputs import Vector, clusters_of, vector
from evalharness.statistics.clustered import MINIMUM_CLUSTERS, t_quantile
from evalharness.statistics.interval import Interval, Side, tails, without_bounds
from evalharness.statistics.logistic import logistic_fit

METHOD = "logistic-controlled-bootstrap"
DRAWS = 2000
_TAIL = 20.0
"""Draws beyond the outermost percentile that is read off; farther out bounds grow with the quantiles of t."""
_NEWTON_STEPS = 6
_CELLS = 2_000_000
"""Draws times observations handled at once."""


@dataclass(frozen=True, slots=True)
class ControlEffect:
    """The effect with its bootstrap."""

    value: float
    """The plain mean minus the controlled one."""
    draws: Vector
    """The same of every draw, in rising order."""
    n: int
    """Observations."""
    clusters: int
    """Independent units."""

    def interval(self, confidence: float = 0.95, side: Side = "two-sided") -> Interval:
        """Expanded percentiles of the draws; without bounds below 10 clusters.

        Raises:
            InputError: confidence outside (0, 1).
        """
        below, above = tails(confidence, side)
        if self.clusters < MINIMUM_CLUSTERS:
            note = f"{self.clusters} independent units: need at least {MINIMUM_CLUSTERS}"
            return without_bounds(self.value, confidence, METHOD, self.n, note, clusters=self.clusters)
        low = None if below is None else self._bound(below, -1.0)
        high = None if above is None else self._bound(above, 1.0)
        if confidence >= 0.5:  # percentiles of a skewed sample may lie on one side of the estimate
            low = None if low is None else min(low, self.value)
            high = None if high is None else max(high, self.value)
        return Interval(self.value, low, high, confidence, METHOD, self.n, self.clusters)

    def _bound(self, confidence: float, sign: float) -> float:
        """The percentile at the normal level of the expanded t quantile; beyond the draws, in proportion to it."""
        factor = np.sqrt(self.clusters / (self.clusters - 1))
        wanted = factor * t_quantile(confidence, self.clusters - 1)
        farthest = float(special.ndtri(1 - _TAIL / self.draws.size))
        reached = min(max(wanted, -farthest), farthest)
        found = float(np.quantile(self.draws, special.ndtr(sign * reached)))
        if reached == wanted:
            return found
        centre = float(np.median(self.draws))
        return centre + (found - centre) * float(wanted / reached)


def control_effect(
    outcomes: ArrayLike, controls: ArrayLike, clusters: ArrayLike | None = None, *, seed: int = 0
) -> ControlEffect | None:
    """Measure the effect; the same numbers give the same bounds.

    Args:
        outcomes: shape (n,), in [0, 1].
        controls: shape (n, k), zero where they should have no influence.
        clusters: shape (n,), one code per observation; None when all are independent.
        seed: seed of the bootstrap.

    Returns:
        None where no finite regression exists.

    Raises:
        InputError: as `logistic_fit`.
    """
    y = vector(outcomes, "outcomes", low=0.0, high=1.0)
    x = np.column_stack([np.ones(y.size), np.asarray(controls, dtype=np.float64)])
    fit = logistic_fit(x, y, clusters)
    if fit is None:
        return None
    value = float(y.mean() - special.expit(fit.coefficients[0]))
    groups = clusters_of(clusters, y.size)
    rng = np.random.default_rng(seed)
    block = max(1, _CELLS // y.size)
    draws = [
        _drawn(
            x,
            y,
            fit.coefficients,
            rng.multinomial(groups.count, [1 / groups.count] * groups.count, size=size)[:, groups.codes],
        )
        for size in (min(block, DRAWS - start) for start in range(0, DRAWS, block))
    ]
    found = np.concatenate(draws)
    return ControlEffect(value, np.sort(found[np.isfinite(found)]), y.size, groups.count)


def _drawn(x: NDArray[np.float64], y: Vector, start: Vector, times: NDArray[np.int64]) -> Vector:
    """The effect in resampled observations, shape (draws,): Newton's method from the fit of the whole."""
    weights = times.astype(np.float64)
    products = (x[:, :, None] * x[:, None, :]).reshape(y.size, -1)
    beta = np.tile(start, (weights.shape[0], 1))
    for _ in range(_NEWTON_STEPS):
        p = special.expit(beta @ x.T)
        information = ((weights * p * (1 - p)) @ products).reshape(-1, x.shape[1], x.shape[1])
        information += 1e-9 * np.eye(x.shape[1])  # a draw that its controls tell apart perfectly has none
        score = (weights * (y - p)) @ x
        beta = np.clip(beta + np.linalg.solve(information, score[:, :, None])[:, :, 0], -30.0, 30.0)
    return np.asarray((weights @ y) / weights.sum(axis=1) - special.expit(beta[:, 0]))
