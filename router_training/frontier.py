"""Quality against the share of calls to the flagship: the metrics of RouteLLM, on the test's own quantiles or fixed.

Definitions: Ong et al., RouteLLM, arXiv 2406.18665, section 3, as its published evaluation computes them
(github.com/lm-sys/RouteLLM, routellm/evals): thresholds at the deciles of the router's scores on the test, flagship
at or above a threshold, nothing above the last one. The performance gap recovered (PGR) at each is
(quality - small) / (flagship - small); APGR is the trapezoid of PGR over the realised share of flagship calls,
CPT(x) the least share at which PGR, interpolated linearly, reaches x.

Two things that code leaves open are settled here: prompts with one score are never torn apart (the trapezoid then
mixes them at random, so a constant score gets .5 exactly), and where PGR is not monotone CPT takes the first crossing,
as the paper defines it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from golden_sets.errors import InputError
from router_training.pairs import Floats

DECILES = 10
"""RouteLLM's number of equal bins."""
NO_GAP = "the flagship is no better than the small model on these prompts: there is no gap to recover"


@dataclass(frozen=True, eq=False)
class Frontier:
    """Share of flagship calls and share of the performance gap recovered; one or many resamples."""

    shares: Floats
    """Share of prompts that go to the flagship, ascending from 0 to 1, shape (..., points + 1)."""
    recovered: Floats
    """Performance gap recovered at each, shape (..., points + 1); NaN where there is no gap."""

    @cached_property
    def apgr(self) -> Floats:
        """Area under it, shape (...); NaN where there is no gap."""
        middles = (self.recovered[..., 1:] + self.recovered[..., :-1]) / 2
        return np.asarray((middles * np.diff(self.shares, axis=-1)).sum(axis=-1))

    def cpt(self, level: float) -> Floats:
        """Least share of flagship calls that recovers ``level`` of the gap, shape (...); NaN where there is no gap."""
        shares, recovered = np.atleast_2d(self.shares), np.atleast_2d(self.recovered)
        rows = np.arange(len(shares))
        first = np.argmax(recovered >= level, axis=1)
        before = np.maximum(first - 1, 0)
        low, high = recovered[rows, before], recovered[rows, first]
        rise = np.where(high > low, high - low, 1.0)
        step = np.where(first == 0, 0.0, (level - low) / rise)
        crossing = shares[rows, before] + step * (shares[rows, first] - shares[rows, before])
        crossing = np.where(np.isnan(recovered).any(axis=1), np.nan, crossing)
        return np.asarray(crossing.reshape(self.shares.shape[:-1]))


class Ranking:
    """Prompts in the order in which a router gives them to the flagship; every frontier is read from it.

    Args:
        predictions: the router's scores, higher: rather the flagship; shape (n,).
        delta: flagship's score minus the small model's, shape (n,).

    Raises:
        InputError: empty, of different lengths, or not finite.
    """

    def __init__(self, predictions: npt.ArrayLike, delta: npt.ArrayLike) -> None:
        scores, gains = np.asarray(predictions, dtype=np.float64), np.asarray(delta, dtype=np.float64)
        if scores.ndim != 1 or scores.shape != gains.shape or scores.size == 0:
            raise InputError(f"predictions {scores.shape} and deltas {gains.shape} must be one number per prompt")
        if not (np.isfinite(scores).all() and np.isfinite(gains).all()):
            raise InputError("predictions and deltas must be finite numbers")
        self._order = np.argsort(scores, kind="stable")
        self._scores, self._gains = scores[self._order], gains[self._order]
        self._starts = np.flatnonzero(np.r_[True, np.diff(self._scores) > 0])

    def deciles(self, times: npt.NDArray[np.int64] | None = None, *, points: int = DECILES) -> Frontier:
        """The frontier with thresholds at the quantiles of the very prompts it is measured on (RouteLLM's).

        Args:
            times: how often each prompt counts, shape (n,) or (resamples, n); None: once.
            points: equal bins between the thresholds.
        """
        counts, gains = self._below(times)
        total = counts[:, -1].astype(np.int64)
        # Position of the i-th quantile among the prompts counted with their multiplicity, rounded up.
        positions = -(-np.arange(points)[None, :] * (total[:, None] - 1) // points)
        places = np.stack(
            [np.searchsorted(row[1:], at, side="right") for row, at in zip(counts, positions, strict=True)]
        )
        return self._frontier(counts, gains, places, single=times is None or times.ndim == 1)

    def fixed(self, thresholds: npt.ArrayLike, times: npt.NDArray[np.int64] | None = None) -> Frontier:
        """The frontier with thresholds given beforehand; all-flagship and all-small are its ends."""
        counts, gains = self._below(times)
        wanted = np.sort(np.asarray(thresholds, dtype=np.float64))
        places = np.searchsorted(self._scores[self._starts], wanted, side="left")
        places = np.broadcast_to(np.r_[0, places], (len(counts), places.size + 1))
        return self._frontier(counts, gains, places, single=times is None or times.ndim == 1)

    def _below(self, times: npt.NDArray[np.int64] | None) -> tuple[Floats, Floats]:
        """Prompts and gains below each distinct score, and all of them last; shape (resamples, distinct + 1)."""
        weights = np.ones((1, self._order.size)) if times is None else np.atleast_2d(times)[:, self._order]
        zeros = np.zeros((len(weights), 1))
        counts = np.cumsum(np.add.reduceat(weights, self._starts, axis=1), axis=1, dtype=np.float64)
        gains = np.cumsum(np.add.reduceat(weights * self._gains, self._starts, axis=1), axis=1)
        return np.hstack([zeros, counts]), np.hstack([zeros, gains])

    def _frontier(self, counts: Floats, gains: Floats, places: npt.NDArray[np.int64], *, single: bool) -> Frontier:
        last = np.full((len(places), 1), counts.shape[1] - 1)
        places = np.hstack([places, last])[:, ::-1]
        gap = gains[:, -1:]
        shares = 1.0 - np.take_along_axis(counts, places, axis=1) / counts[:, -1:]
        recovered = (gap - np.take_along_axis(gains, places, axis=1)) / np.where(gap > 1e-12, gap, np.nan)
        return Frontier(shares[0], recovered[0]) if single else Frontier(shares, recovered)


def apgr(predictions: npt.ArrayLike, delta: npt.ArrayLike, *, points: int = DECILES) -> float | None:
    """Average performance gap recovered; None where the flagship is no better on these prompts.

    Args:
        predictions: the router's scores, higher: rather the flagship; shape (n,).
        delta: flagship's score minus the small model's, shape (n,).
        points: equal bins between the thresholds: 10 is RouteLLM's number; with 100 the trapezoid cuts less off a
            curved frontier, and APGR is about .002 higher.

    Raises:
        InputError: empty, of different lengths, or not finite.
    """
    return number(Ranking(predictions, delta).deciles(points=points).apgr)


def cpt(predictions: npt.ArrayLike, delta: npt.ArrayLike, level: float) -> float | None:
    """Least share of flagship calls that recovers ``level`` (0.5, 0.8) of the gap; None where there is no gap.

    Raises:
        InputError: as `apgr`; a level outside (0, 1].
    """
    if not 0 < level <= 1:
        raise InputError(f"the share of the gap to recover must lie in (0, 1], got {level}", do="write CPT(50) as 0.5")
    return number(Ranking(predictions, delta).deciles().cpt(level))


def apgr_fixed(predictions: npt.ArrayLike, delta: npt.ArrayLike, calibration: npt.ArrayLike) -> float | None:
    """APGR with the thresholds fixed beforehand at the deciles of the scores on calibration prompts.

    Raises:
        InputError: as `apgr`.
    """
    return number(Ranking(predictions, delta).fixed(decile_thresholds(calibration)).apgr)


def decile_thresholds(calibration: npt.ArrayLike, *, points: int = DECILES) -> Floats:
    """Thresholds between ``points`` equally frequent ranges of the scores, shape (points - 1,)."""
    return np.asarray(np.quantile(np.asarray(calibration, dtype=np.float64), np.arange(1, points) / points))


def number(value: Floats | float) -> float | None:
    """A plain number; None for NaN."""
    return None if np.isnan(value) else float(value)
