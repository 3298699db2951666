"""Logistic regression of outcomes in [0, 1] with cluster-robust errors: what a judge prefers beside quality.

Sources: McCullagh and Nelder, Generalized Linear Models (1989), chapter 4 (iteratively reweighted least squares);
Papke and Wooldridge, J. Applied Econometrics 11 (1996) 619 (fractional outcomes, such as a tie of 0.5, with robust
errors); Cameron and Miller, J. Human Resources 50 (2015) 317 (cluster-robust variance, t with C - 1 degrees of
freedom); Albert and Anderson, Biometrika 71 (1984) 1 (when there is no finite estimate).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from evalharness.statistics._inputs import Vector, clusters_of, vector
from evalharness.statistics.clustered import MINIMUM_CLUSTERS, t_quantile
from evalharness.statistics.interval import Interval, check_confidence, without_bounds
from golden_sets.errors import InputError

_STEPS = 50
_SEPARATED = 15.0
"""A linear predictor beyond this (odds of three million) on standardised features: the estimate runs away."""


@dataclass(frozen=True, slots=True)
class LogisticFit:
    """Coefficients with what each cluster adds to them."""

    coefficients: Vector
    """One per feature."""
    influence: NDArray[np.float64]
    """Shape (clusters, features): first-order contribution of each cluster to each coefficient."""
    n: int
    """Observations."""
    adjustment: float
    """Finite-sample factor of the variance, C / (C - 1) * (n - 1) / (n - features)."""

    @property
    def clusters(self) -> int:
        """Independent units."""
        return int(self.influence.shape[0])

    def error(self, derivative: ArrayLike, beside: Vector | None = None) -> float:
        """Standard error of a function of the coefficients.

        Args:
            derivative: of the function, by coefficient.
            beside: shape (clusters,), contributions of each cluster to a quantity that is added to it.
        """
        moved = self.influence @ np.asarray(derivative, dtype=np.float64) + (0.0 if beside is None else beside)
        return math.sqrt(self.adjustment * float(np.sum(moved**2)))

    def interval(self, feature: int, *, confidence: float = 0.95) -> Interval:
        """Two-sided interval for one coefficient, by t with C - 1 degrees of freedom.

        With fewer than 10 clusters there are no bounds, and the note says so.

        Raises:
            InputError: confidence outside (0, 1).
        """
        value = float(self.coefficients[feature])
        unit = np.zeros(self.coefficients.size)
        unit[feature] = 1.0
        return t_interval(value, self.error(unit), confidence, "logistic-cluster-robust", self.n, self.clusters)


def t_interval(value: float, error: float, confidence: float, method: str, n: int, clusters: int) -> Interval:
    """Two-sided interval from a cluster-robust standard error; no bounds with fewer than 10 clusters.

    Raises:
        InputError: confidence outside (0, 1).
    """
    check_confidence(confidence)
    if clusters < MINIMUM_CLUSTERS:
        note = f"{clusters} independent units: need at least {MINIMUM_CLUSTERS}"
        return without_bounds(value, confidence, method, n, note, clusters=clusters)
    half = t_quantile((1 + confidence) / 2, clusters - 1) * error
    return Interval(value, value - half, value + half, confidence, method, n, clusters)


def logistic_fit(features: ArrayLike, outcomes: ArrayLike, clusters: ArrayLike | None = None) -> LogisticFit | None:
    """Fit P(outcome) = 1 / (1 + exp(-features @ coefficients)) by (quasi-)maximum likelihood.

    Args:
        features: shape (n, k); give the intercept as a column of ones.
        outcomes: shape (n,), in [0, 1]; a tie may be 0.5.
        clusters: shape (n,), one code per observation; None when all are independent.

    Returns:
        The fit; None where none is finite and unique: outcomes that the features tell apart perfectly, features that
        depend on each other, or fewer clusters than features.

    Raises:
        InputError: empty, not finite, outcomes outside [0, 1], lengths that differ.
    """
    y = vector(outcomes, "outcomes", low=0.0, high=1.0)
    x = np.asarray(features, dtype=np.float64)
    if x.ndim != 2 or x.shape[0] != y.size or x.shape[1] < 1:
        raise InputError(f"features must have shape ({y.size}, k), got {x.shape}")
    if not np.isfinite(x).all():
        raise InputError("features must be finite")
    groups = clusters_of(clusters, y.size)
    scale = np.sqrt(np.mean(x**2, axis=0))
    if groups.count <= x.shape[1] or (scale == 0).any() or np.linalg.matrix_rank(x / scale) < x.shape[1]:
        return None
    scaled = x / scale
    found = _maximum(scaled, y)
    if found is None:
        return None
    p = special.expit(scaled @ found)
    information = (scaled * (p * (1 - p))[:, None]).T @ scaled
    scores = np.stack([groups.sums(column) for column in (scaled * (y - p)[:, None]).T], axis=1)
    influence = np.linalg.solve(information, scores.T).T / scale
    adjustment = groups.count / (groups.count - 1) * (y.size - 1) / max(1, y.size - x.shape[1])
    return LogisticFit(found / scale, influence, y.size, adjustment)


@dataclass(frozen=True, slots=True)
class ControlledMean:
    """A mean outcome as it is, and as it would be had the controls been zero."""

    controlled: Interval
    """Where no finite regression exists, without value and bounds."""
    difference: Interval | None
    """The plain mean minus the controlled one: what the controls alone make of it."""


def controlled_mean(
    outcomes: ArrayLike, controls: ArrayLike, clusters: ArrayLike | None = None, *, confidence: float = 0.95
) -> ControlledMean:
    """The mean outcome with the part that goes with the controls taken out, by logistic regression.

    The interval is that of the intercept, on the scale of the outcome; the difference has the error of both together
    (delta method), so it may be certain where the two intervals overlap.

    Args:
        outcomes: shape (n,), in [0, 1].
        controls: shape (n, k), zero where they should have no influence.
        clusters: shape (n,), one code per observation; None when all are independent.
        confidence: of the two-sided intervals.

    Raises:
        InputError: as `logistic_fit`; confidence outside (0, 1).
    """
    y = vector(outcomes, "outcomes", low=0.0, high=1.0)
    fit = logistic_fit(np.column_stack([np.ones(y.size), np.asarray(controls, dtype=np.float64)]), y, clusters)
    if fit is None:
        note = "no finite regression of the outcomes on the controls"
        return ControlledMean(
            without_bounds(None, check_confidence(confidence), "logistic-controlled", y.size, note), None
        )
    found = fit.interval(0, confidence=confidence)
    value, low, high = (None if x is None else float(special.expit(x)) for x in (found.value, found.low, found.high))
    raw, controlled = float(y.mean()), float(special.expit(fit.coefficients[0]))
    derivative = np.zeros(fit.coefficients.size)
    derivative[0] = -controlled * (1 - controlled)
    error = fit.error(derivative, clusters_of(clusters, y.size).sums(y - raw) / y.size)
    return ControlledMean(
        replace(found, value=value, low=low, high=high, method="logistic-controlled"),
        t_interval(raw - controlled, error, confidence, "logistic-controlled-delta", y.size, fit.clusters),
    )


def _maximum(x: NDArray[np.float64], y: Vector) -> Vector | None:
    """Newton's method with halved steps; None where the likelihood grows without end."""
    found = np.zeros(x.shape[1])
    best = _likelihood(x, y, found)
    for _ in range(_STEPS):
        p = special.expit(x @ found)
        information = (x * (p * (1 - p))[:, None]).T @ x
        try:
            step = np.linalg.solve(information, x.T @ (y - p))
        except np.linalg.LinAlgError:
            return None
        while _likelihood(x, y, found + step) < best - 1e-12 * abs(best) and np.abs(step).max() > 1e-12:
            step = step / 2
        found = found + step
        best = _likelihood(x, y, found)
        if np.abs(x @ found).max() > _SEPARATED and _split(x @ found, y):
            return None
        if np.abs(step).max() < 1e-9:
            return np.asarray(found, dtype=np.float64)
    return None


def _likelihood(x: NDArray[np.float64], y: Vector, coefficients: Vector) -> float:
    eta = x @ coefficients
    return float(np.sum(y * eta - np.logaddexp(0.0, eta)))


def _split(eta: Vector, y: Vector) -> bool:
    """Whether outcomes far from the boundary lie all on their own side: (quasi-)complete separation."""
    far = np.abs(eta) > _SEPARATED
    return bool((np.abs(y - special.expit(eta))[far] < 1e-6).all())
