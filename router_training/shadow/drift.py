"""Has the traffic drifted away from the prompts that the router was calibrated on?

Three questions about every request, each a score whose conformal p-value is uniform while nothing has changed:

* *composition*: into which cluster of the training prompts it falls, and how far from its centre. Clusters are lined up
  by their dendrogram, so that an interval of p-values is a cluster, a part of one, or several that are alike;
* *novelty*: how far it is from the nearest centre;
* *band*: whether it falls into the band of uncertainty, where the flagship answers for want of evidence.

A new family of prompts shows up in the first as one or two clusters that are suddenly crowded, even where none of its
prompts is farther away than usual.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from scipy.cluster.hierarchy import leaves_list, linkage, optimal_leaf_ordering, to_tree

from router_training.heads.head import Floats, Matrix
from router_training.pairs import Mask
from router_training.records import OperatingPoint
from router_training.reference import Reference
from router_training.shadow.conformal import Ranks
from router_training.shadow.wagers import IntervalBets

Question = Literal["composition", "novelty", "band"]
QUESTIONS: tuple[Question, ...] = ("composition", "novelty", "band")

_LARGEST_INTERVAL = 0.6  # beyond it, a bet on "more of these" says little
_LEAST_INTERVAL = 0.005  # an interval moves as requests join the ranks: a narrower one would be left
_HALF = (0.0, 0.5, 1.0)  # where one cluster holds nearly everything: the half that is farthest from its centre
_PARTS = tuple((k / n, (k + 1) / n, 0.5 / n) for n in (2, 4) for k in range(n))  # with what each is staked
_FARTHEST = (0.01, 0.02, 0.05, 0.1, 0.2, 0.4)  # shares of the reference that are farthest from every centre


@dataclass(frozen=True, eq=False)
class Scores:
    """What the tests look at, one entry per prompt, shape (n,)."""

    composition: Floats
    """Place of its cluster, plus how near to the centre it is, in [0, 1)."""
    novelty: Floats
    """Cosine distance to the nearest centre; negated, so that the farthest come first."""
    band: Floats
    """0 inside the band, 1 outside."""

    def of(self, question: Question) -> Floats:
        """The scores of one test."""
        return {"composition": self.composition, "novelty": self.novelty, "band": self.band}[question]


class DriftTests:
    """The three tests against one reference, fed one request after the other.

    Args:
        centres: of the training clusters, shape (k, dimensions), each of length 1.
        reference: prompts that did not shape them.
        point: where the band lies.
        alpha: chance of a false alarm, ever, of drift (half of it for composition, half for novelty) and, again, of the
            band.
    """

    def __init__(self, centres: Matrix, reference: Reference, point: OperatingPoint, *, alpha: float) -> None:
        self._centres, self._point = centres, point
        self._places, order = _lined_up(centres)
        scores = self.scores(reference.embeddings, reference.p_hard)
        self._ranks: dict[Question, Ranks] = {name: Ranks(scores.of(name).tolist()) for name in QUESTIONS}
        shares = np.bincount(np.floor(scores.composition).astype(np.int64), minlength=len(centres)) / len(reference)
        self.reference_band_share = float(np.mean(scores.band == 0))
        self._bets: dict[Question, IntervalBets] = {
            "composition": _on_clusters(order, shares, alpha / 2),
            "novelty": _on_first(np.array(_FARTHEST), alpha / 2),
            "band": _on_first(_band_ends(self.reference_band_share), alpha),
        }

    def scores(self, embeddings: Matrix, p_hard: Floats) -> Scores:
        """What the tests look at.

        Args:
            embeddings: shape (n, dimensions), each of length 1.
            p_hard: calibrated P(hard), shape (n,).
        """
        # Row by row: what a prompt scores must not depend on those beside it.
        likeness = np.array([self._centres @ row for row in embeddings]).reshape(len(embeddings), -1)
        nearest = likeness.max(axis=1).astype(np.float64)
        near = np.clip((1.0 + nearest) / 2.0, 0.0, 1.0 - 1e-9)
        return Scores(
            composition=self._places[likeness.argmax(axis=1)] + near,
            novelty=nearest - 1.0,
            band=np.where(in_band(p_hard, self._point), 0.0, 1.0),
        )

    def observe(self, scores: Mapping[Question, float], ties: Mapping[Question, float]) -> dict[Question, Seen]:
        """Take one request.

        Args:
            scores: its scores.
            ties: for each test a number uniform in [0, 1).

        Returns:
            What each test makes of it.
        """
        found: dict[Question, Seen] = {}
        for name in QUESTIONS:
            p = self._ranks[name].p_value(scores[name], ties[name])
            rings = self._bets[name].update(p)
            found[name] = Seen(p, self._bets[name].wager.log10, rings)
        return found

    def alpha(self, question: Question) -> float:
        """Chance of a false alarm, ever, of one test."""
        return self._bets[question].wager.alpha

    def log10(self, question: Question) -> float:
        """Evidence of one test so far, common logarithm."""
        return self._bets[question].wager.log10

    def rang_at(self, question: Question) -> int | None:
        """Number of the request that rang the alarm, from 1; None: it did not ring."""
        return self._bets[question].wager.rang_at

    def onset(self, question: Question, p: Floats) -> int:
        """Number of requests before the change, as far as the test can tell from the p-values so far."""
        return self._bets[question].onset(p)

    def state(self) -> dict[str, Any]:
        """The tests so far, as JSON; the scores of the requests are kept elsewhere."""
        return {name: self._bets[name].wager.state() for name in QUESTIONS}

    def restore(self, state: Mapping[str, Any], scores: Mapping[Question, Sequence[float]]) -> None:
        """Go on from there.

        Args:
            state: as `state` gave it.
            scores: of every request that was taken.

        Raises:
            InputError: the state is that of another router's tests.
        """
        for name in QUESTIONS:
            self._bets[name].wager.restore(state[name])
            self._ranks[name].extend(scores[name])


@dataclass(frozen=True, slots=True)
class Seen:
    """What one test makes of one request."""

    p: float
    """Conformal p-value."""
    log10: float
    """Evidence after it, common logarithm."""
    rings: bool
    """Whether this request rings the alarm."""


def in_band(p_hard: Floats, point: OperatingPoint) -> Mask:
    """Whether the flagship answers because the bound, not the estimate, forbids the small model."""
    return np.asarray((p_hard >= point.threshold) & (p_hard < point.band_high))


def _lined_up(centres: Matrix) -> tuple[Floats, list[tuple[int, int]]]:
    """Clusters in the order of their dendrogram, and the stretches of that order that are its branches.

    Returns:
        The place of every cluster, shape (k,), and (first, last) place of every branch, single clusters included.
    """
    if len(centres) == 1:
        return np.zeros(1), [(0, 0)]
    tree = linkage(centres, "average", metric="cosine")
    tree = optimal_leaf_ordering(tree, centres, metric="cosine")
    places = np.empty(len(centres))
    places[leaves_list(tree)] = np.arange(len(centres))
    branches: list[tuple[int, int]] = []

    def walk(node: Any) -> tuple[int, int]:
        if node.is_leaf():
            ends = int(places[node.id]), int(places[node.id])
        else:
            left, right = walk(node.left), walk(node.right)
            ends = min(left[0], right[0]), max(left[1], right[1])
        branches.append(ends)
        return ends

    walk(to_tree(tree))
    return places, branches


def _on_clusters(branches: Sequence[tuple[int, int]], shares: Floats, alpha: float) -> IntervalBets:
    """Bets on every branch of the dendrogram, and on the halves and quarters of every cluster by nearness."""
    edges = np.concatenate([[0.0], np.cumsum(shares)])
    intervals = [(edges[first], edges[last + 1], 1.0) for first, last in branches]
    intervals += [
        (edges[place] + low * shares[place], edges[place] + high * shares[place], weight)
        for place in range(shares.size)
        for low, high, weight in _PARTS
    ]
    low, high, weights = np.array([one for one in intervals if one[1] - one[0] <= _LARGEST_INTERVAL] or [_HALF]).T
    middle, width = (low + high) / 2, np.maximum(high - low, _LEAST_INTERVAL)
    low = np.clip(middle - width / 2, 0.0, 1.0 - width)
    return IntervalBets(low, low + width, weights, alpha=alpha)


def _on_first(ends: Floats, alpha: float) -> IntervalBets:
    return IntervalBets(np.zeros(ends.size), ends, np.ones(ends.size), alpha=alpha)


def _band_ends(share: float) -> Floats:
    """Where the interval of requests in the band ends: at the reference's share, and a little beside it."""
    return np.unique(np.clip(share * np.array([0.8, 1.0, 1.25]) + np.array([0.0, 0.0, 0.005]), 0.002, 0.9))
