"""How well predictions order prompts, and by how much two orders differ beyond chance."""

from __future__ import annotations

import numpy as np

from router_training.heads.head import Floats
from router_training.pairs import Codes


def order_gain(predictions: Floats, delta: Floats) -> tuple[float, Floats]:
    """Gain of an order over a random one: (APGR - 1/2) times the mean delta.

    APGR is taken here as the whole area under the curve of the gap recovered, no deciles; the gain is the mean over
    prompts of delta x (share of prompts ranked below - 1/2), ties counted half. Unlike APGR it is defined without a
    gap, too.

    Args:
        predictions: shape (n,); higher: rather the flagship.
        delta: shape (n,).

    Returns:
        The gain, and what each prompt contributes to it, shape (n,), mean zero: the influence function of a
        two-sample U statistic, from which its standard error follows.
    """
    _, places, counts = np.unique(predictions, return_inverse=True, return_counts=True)
    n = len(predictions)
    below = (np.cumsum(counts) - counts / 2) / n
    sums = np.bincount(places, weights=delta)
    above = (sums.sum() - np.cumsum(sums) + sums / 2) / n
    contribution = delta * (below[places] - 0.5) + above[places] - delta.mean() / 2
    gain = float((delta * (below[places] - 0.5)).mean())
    return gain, np.asarray(contribution - contribution.mean())


def standard_error(contributions: Floats, groups: Codes) -> float:
    """Standard error of a mean from contributions of mean zero, dependent within groups; both of shape (n,)."""
    _, codes = np.unique(groups, return_inverse=True)
    sums = np.bincount(codes, weights=contributions)
    correction = len(sums) / max(len(sums) - 1, 1)
    return float(np.sqrt(correction * np.square(sums).sum()) / len(contributions))
