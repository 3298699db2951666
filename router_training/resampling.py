"""Bootstrap by group: what is drawn again is the unit that is independent, not the prompt."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from evalharness.statistics import Interval
from golden_sets.errors import InputError
from router_training.pairs import Codes, Floats

DRAWS = 2000
"""Resamples behind every interval."""
SEED = 20240618
"""Every interval draws the same resamples of the same groups: intervals repeat, and differences are paired."""
_CHUNK = 100


class Resamples(NamedTuple):
    """How to draw groups with replacement, the same way every time."""

    groups: Codes
    """Group of every prompt, shape (n,)."""
    draws: int = DRAWS
    """Resamples."""
    seed: int = SEED
    """Seed of the draws."""

    def chunks(self) -> Iterator[npt.NDArray[np.int64]]:
        """How often every prompt is in each resample, shape (up to 100, n), until all are drawn."""
        _, codes = np.unique(self.groups, return_inverse=True)
        count = int(codes.max()) + 1
        generator = np.random.default_rng(self.seed)
        for start in range(0, self.draws, _CHUNK):
            size = min(_CHUNK, self.draws - start)
            drawn = generator.integers(0, count, size=(size, count)) + np.arange(size)[:, None] * count
            times = np.bincount(drawn.reshape(-1), minlength=size * count).reshape(size, count)
            yield times[:, codes.reshape(-1)]


def percentile_interval(
    value: float | None, draws: Floats, groups: Codes, *, confidence: float = 0.95, note: str | None = None
) -> Interval:
    """Percentile interval of a statistic from its bootstrap draws (Efron and Tibshirani 1993, chapter 13).

    A draw in which the statistic is undefined is NaN; when any is, there are no bounds and the note says why.

    Args:
        value: the statistic on the sample; None where it is undefined.
        draws: the statistic on every resample, shape (draws,).
        groups: group of every prompt, shape (n,).
        confidence: of the two-sided interval.
        note: what else a reader must know.

    Raises:
        InputError: confidence outside (0, 1).
    """
    if not 0 < confidence < 1:
        raise InputError(f"confidence must be strictly between 0 and 1, got {confidence}")
    n, clusters, method = len(groups), len(np.unique(groups)), "percentile-bootstrap"
    undefined = float(np.isnan(draws).mean()) if draws.size else 1.0
    if value is None or undefined > 0:
        missing = f"undefined in {undefined:.1%} of the resamples: no bounds" if value is not None else None
        return Interval(value, None, None, confidence, method, n, clusters, "; ".join(filter(None, (missing, note))))
    low, high = np.quantile(draws, [(1 - confidence) / 2, (1 + confidence) / 2])
    # A percentile interval can miss a statistic that is biased under resampling; it is then stretched to hold it.
    return Interval(value, min(float(low), value), max(float(high), value), confidence, method, n, clusters, note)
