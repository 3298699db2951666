"""Conformal p-values: how a request ranks among the reference and all requests before it.

While traffic and reference are exchangeable (drawn alike, in any order), the p-values of a fixed score are independent
and uniform, exactly, however small the reference is: Vovk, Gammerman and Shafer, Algorithmic Learning in a Random
World (2005), theorem 8.1. Ties are broken at random.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterable


class Ranks:
    """The scores so far, in order: those of the reference, then of every request.

    Args:
        reference: scores of the reference prompts.
    """

    def __init__(self, reference: Iterable[float]) -> None:
        self._scores = sorted(reference)

    def p_value(self, score: float, tie: float) -> float:
        """Share of scores below this one, in [0, 1): small scores have small p-values. The score joins the others.

        Args:
            score: of the request.
            tie: uniform in [0, 1), drawn for this request: where it stands among equal scores.
        """
        low = bisect.bisect_left(self._scores, score)
        high = bisect.bisect_right(self._scores, score)
        self._scores.insert(high, score)
        return (low + tie * (high - low + 1)) / len(self._scores)

    def extend(self, scores: Iterable[float]) -> None:
        """Take scores of requests whose p-values are known already."""
        self._scores = sorted([*self._scores, *scores])
