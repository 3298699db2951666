"""Logistic regression on the feature blocks, its regularisation chosen by cross-validation.

Chosen are the L2 penalty and the weight of the embeddings beside the phrases, by the Brier score of held-out rows: like
the log loss it is a proper score, but one confident mistake on an odd answer does not decide it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression

from evalharness.refusals.features import BLOCKS, Matrix

PENALTIES = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
"""Candidates for the inverse strength C of the L2 penalty."""
EMBEDDING_SCALES = (0.05, 0.15, 0.4)
"""Candidates for the weight of the embeddings beside the phrases: the larger, the less they are shrunk."""
PRIOR_SCALE = 0.5
"""Weight of a prior head's log-odds, which are of the order of 5, as a feature."""

Vector = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Fold = tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]
"""Rows to fit on, and rows to measure on."""


@dataclass(frozen=True)
class Head:
    """One linear decision: probability = sigmoid(features @ weights + intercept)."""

    weights: Vector
    """Shape (`SIZE`,)."""
    intercept: float
    """Log-odds where all features are 0."""

    def probabilities(self, matrix: Matrix) -> Vector:
        """Shape (n,), each in [0, 1]."""
        logits = np.clip(matrix @ self.weights + self.intercept, -500, 500)
        return 1.0 / (1.0 + np.exp(-logits))


@dataclass(frozen=True)
class Choice:
    """The regularisation that was chosen."""

    penalty: float = 0.3
    """C."""
    embedding_scale: float = 0.15
    """Weight of the embeddings."""
    brier: float | None = None
    """Mean squared error of the probabilities of held-out rows; None: nothing could be held out."""


@dataclass(frozen=True)
class Problem:
    """What is to be learnt."""

    matrix: Matrix
    """Features, shape (n, `SIZE`)."""
    truth: Mask
    """Shape (n,), both classes present."""
    weights: Vector | None = None
    """Worth of every row, shape (n,); None: 1 each."""
    prior: Head | None = None
    """A head whose log-odds are one more feature: the fit is shrunk towards a multiple of it, not towards 0."""

    def rows(self, chosen: npt.NDArray[np.int64]) -> Problem:
        """The same on some rows."""
        weights = None if self.weights is None else self.weights[chosen]
        return Problem(self.matrix[chosen], self.truth[chosen], weights, self.prior)


def fit_head(problem: Problem, choice: Choice) -> Head:
    """Fit one head with a given regularisation. With a prior, the result is linear in the same features."""
    scale, prior = _scale(choice.embedding_scale), problem.prior
    columns = problem.matrix * scale
    if prior is not None:
        columns = np.column_stack([columns, PRIOR_SCALE * (problem.matrix @ prior.weights)])
    model = LogisticRegression(C=choice.penalty, max_iter=2000)
    model.fit(columns, problem.truth, sample_weight=problem.weights)
    weights = model.coef_[0, : scale.size] * scale
    if prior is not None:
        weights = weights + PRIOR_SCALE * model.coef_[0, -1] * prior.weights
    return Head(weights, float(model.intercept_[0]))


def choose(problem: Problem, folds: Sequence[Fold]) -> Choice:
    """The regularisation with the least Brier score on what is held out; the strongest penalty among equals.

    Folds whose training rows hold one class only are left out; without any left, a middling one is taken.
    """
    usable = [fold for fold in folds if fold[1].size and len(np.unique(problem.truth[fold[0]])) == 2]
    if not usable:
        return Choice()
    candidates = [Choice(penalty, scale) for penalty in PENALTIES for scale in EMBEDDING_SCALES]
    scored = [replace(choice, brier=_held_out_brier(problem, usable, choice)) for choice in candidates]
    return min(scored, key=lambda choice: choice.brier if choice.brier is not None else np.inf)


def _held_out_brier(problem: Problem, folds: Sequence[Fold], choice: Choice) -> float:
    total = worth = 0.0
    for train, test in folds:
        held_out = problem.rows(test)
        weights = np.ones(test.size) if held_out.weights is None else held_out.weights
        found = fit_head(problem.rows(train), choice).probabilities(held_out.matrix)
        total += float(weights @ (found - held_out.truth) ** 2)
        worth += float(weights.sum())
    return total / worth


def _scale(embedding_scale: float) -> Vector:
    embedded = ("opening", "whole")
    return np.concatenate([np.full(n, embedding_scale if name in embedded else 1.0) for name, n in BLOCKS.items()])
