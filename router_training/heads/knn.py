"""Nearest neighbours: the mean delta of the training prompts most like the prompt, by cosine of the scaled features."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from golden_sets.errors import InputError
from router_training.heads.head import Floats, HeadState, Matrix
from router_training.heads.inputs import Scaling, fit_scaling, scaling_of
from router_training.heads.tensors import Tensor, number, tensor
from router_training.pairs import Pairs

NEIGHBOURS = 150
"""How many, unless told otherwise."""
AT_ONCE = 1024
"""Prompts whose similarities are held in memory at a time."""


@dataclass(frozen=True, eq=False)
class Neighbours:
    """A fitted kNN head. A neighbour weighs by how much nearer it is than the first one left out."""

    kind: ClassVar[str] = "knn"
    """Its name."""
    scaling: Scaling
    points: Tensor
    """Scaled features of the training prompts, of unit length, shape (n, features)."""
    delta: Tensor
    """Their deltas, shape (n,)."""
    neighbours: int
    """How many are asked."""

    def predict(self, features: Matrix) -> Floats:
        """Weighted mean delta of the neighbours, shape (n,)."""
        return self._moments(features)[0]

    def spread(self, features: Matrix) -> Floats:
        """Standard error of that mean, from how far the neighbours' deltas lie apart, shape (n,)."""
        return self._moments(features)[1]

    def state(self) -> HeadState:
        """As stored."""
        tensors = {**self.scaling.tensors(), "points": self.points, "delta": self.delta}
        return HeadState(self.kind, {"neighbours": self.neighbours}, tensors)

    def _moments(self, features: Matrix) -> tuple[Floats, Floats]:
        parts = [self._moments_of(features[start : start + AT_ONCE]) for start in range(0, len(features), AT_ONCE)]
        if not parts:
            return np.zeros(0), np.zeros(0)
        return np.concatenate([means for means, _ in parts]), np.concatenate([errors for _, errors in parts])

    def _moments_of(self, features: Matrix) -> tuple[Floats, Floats]:
        likeness = _unit(self.scaling(features)) @ self.points.T
        k = min(self.neighbours, len(self.points))
        nearest = np.argpartition(-likeness, k - 1, axis=1)[:, :k]
        near = np.take_along_axis(likeness, nearest, axis=1).astype(np.float64)
        weights = near - near.min(axis=1, keepdims=True) + 1e-6
        weights /= weights.sum(axis=1, keepdims=True)
        deltas = self.delta[nearest].astype(np.float64)
        means = (weights * deltas).sum(axis=1)
        squares = np.square(weights * (deltas - means[:, None])).sum(axis=1)
        return means, np.sqrt(squares)


def fit_knn(features: Matrix, pairs: Pairs, *, neighbours: int = NEIGHBOURS) -> Neighbours:
    """A kNN head: it remembers every training prompt.

    Args:
        features: shape (n, features).
        pairs: the prompts with both scores, n of them.
        neighbours: how many are asked.

    Raises:
        InputError: fewer than one neighbour.
    """
    if neighbours < 1:
        raise InputError(f"a kNN head needs at least one neighbour, not {neighbours}")
    scaling = fit_scaling(features)
    return Neighbours(scaling, _unit(scaling(features)), pairs.delta.astype(np.float32), neighbours)


def knn_of(state: HeadState) -> Neighbours:
    """A stored kNN head.

    Raises:
        InputError: a tensor is missing or unfit.
    """
    scaling = scaling_of(state)
    points = tensor(state, "points", (None, len(scaling.mean)))
    neighbours = int(number(state, "neighbours"))
    if neighbours < 1:
        raise InputError("the router's knn head asks no neighbour: train the router again")
    return Neighbours(scaling, points, tensor(state, "delta", (len(points),)), neighbours)


def _unit(rows: Matrix) -> Matrix:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.maximum(lengths, 1e-12), dtype=np.float32)
