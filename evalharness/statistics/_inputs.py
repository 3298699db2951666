"""Checks of what comes in: every function of the room refuses bad numbers with one clear error."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from golden_sets.errors import InputError

Vector = NDArray[np.float64]
"""A one-dimensional array of float64."""


def vector(
    values: ArrayLike,
    name: str,
    *,
    low: float = -math.inf,
    high: float = math.inf,
    allow_infinite: bool = False,
    length: int | None = None,
) -> Vector:
    """A non-empty vector of float64 within [low, high].

    Raises:
        InputError: not numbers, not one-dimensional, empty, of the wrong length, NaN, infinite or out of range.
    """
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"{name} must be numbers") from error
    if array.ndim != 1:
        raise InputError(f"{name} must be one-dimensional, got shape {array.shape}")
    if array.size == 0:
        raise InputError(f"{name} is empty", do="give at least one observation")
    if length is not None and array.size != length:
        raise InputError(f"{name} has {array.size} entries, expected {length}")
    if np.isnan(array).any():
        raise InputError(f"{name} holds NaN at position {int(np.flatnonzero(np.isnan(array))[0])}")
    if not allow_infinite and np.isinf(array).any():
        raise InputError(f"{name} holds an infinite number at position {int(np.flatnonzero(np.isinf(array))[0])}")
    outside = (array < low) | (array > high)
    if outside.any():
        first = int(np.flatnonzero(outside)[0])
        raise InputError(f"{name} must lie in [{low:g}, {high:g}], got {array[first]:g} at position {first}")
    return array


def count(value: float, name: str, *, at_least: float = 0) -> float:
    """A count (an effective count may be fractional).

    Raises:
        InputError: NaN, infinite, or below ``at_least``.
    """
    if not math.isfinite(value) or value < at_least:
        raise InputError(f"{name} must be a finite count of at least {at_least:g}, got {value}")
    return float(value)


def successes_of(successes: float, n: float, name: str = "successes", of: str = "n") -> tuple[float, float]:
    """A count of successes and its number of trials.

    Raises:
        InputError: a negative or non-finite count, no trials, or more successes than trials.
    """
    trials = count(n, of, at_least=1)
    if count(successes, name) > trials:
        raise InputError(f"{name} = {successes:g} exceeds {of} = {n:g}")
    return float(successes), trials


def rate(value: float, name: str) -> float:
    """A rate in [0, 1].

    Raises:
        InputError: NaN or outside [0, 1].
    """
    if not 0.0 <= value <= 1.0:
        raise InputError(f"{name} must lie in [0, 1], got {value}", do="write 90 % as 0.9")
    return float(value)


def shares_of(weights: ArrayLike | None, n: int) -> Vector | None:
    """Weights that sum to 1; None when they are all alike.

    Raises:
        InputError: not one finite number above 0 for each of the n observations.
    """
    if weights is None:
        return None
    w = vector(weights, "weights", low=0.0, length=n)
    if (w <= 0).any():
        raise InputError("weights must be above 0", do="give the inverse of each label's sampling probability")
    return None if (w == w[0]).all() else w / w.sum()


@dataclass(frozen=True, slots=True)
class Clusters:
    """Observations grouped into independent units."""

    codes: NDArray[np.intp]
    """Cluster of each observation, 0 .. count - 1."""
    sizes: Vector
    """Observations per cluster."""

    @property
    def count(self) -> int:
        """Number of clusters."""
        return int(self.sizes.size)

    @property
    def singletons(self) -> bool:
        """True when every observation is a cluster of its own."""
        return self.count == self.codes.size

    @property
    def effective_count(self) -> float:
        """Kish's number of equal-sized clusters, n^2 / sum(size^2): the sample size when clusters are copies."""
        return float(self.codes.size**2 / np.sum(self.sizes**2))

    def sums(self, values: Vector) -> Vector:
        """Sum of ``values`` in each cluster."""
        return np.bincount(self.codes, weights=values, minlength=self.count).astype(np.float64)


def clusters_of(codes: ArrayLike | None, n: int) -> Clusters:
    """Group n observations; None makes every observation its own cluster.

    Raises:
        InputError: not one code per observation.
    """
    if codes is None:
        return Clusters(np.arange(n, dtype=np.intp), np.ones(n))
    array = np.asarray(codes)
    if array.shape != (n,):
        raise InputError(f"clusters has shape {array.shape}, expected one code for each of the {n} observations")
    if array.dtype.kind == "f" and np.isnan(array).any():
        raise InputError("clusters holds NaN", do="give a prompt without a cluster a code of its own")
    if array.dtype.kind in "iu" and (dense := _dense(array)) is not None:
        return dense
    _, inverse, sizes = np.unique(array, return_inverse=True, return_counts=True)
    return Clusters(inverse.reshape(-1).astype(np.intp), sizes.astype(np.float64))


def _dense(codes: NDArray[np.integer[Any]]) -> Clusters | None:
    """Renumber integer codes without sorting them; None where they are spread too far apart for that."""
    low, high = int(codes.min()), int(codes.max())
    if high - low > 4 * codes.size + 1000:
        return None
    sizes = np.bincount(codes - low)
    present = sizes > 0
    numbers = np.cumsum(present) - 1
    return Clusters(numbers[codes - low], sizes[present].astype(np.float64))
