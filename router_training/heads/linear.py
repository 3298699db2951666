"""Heads that are linear in their inputs: ridge on delta, logistic on hardness, logistic on both models' scores.

- ``ridge``: expected delta = w.x + b.
- ``logistic``: P(hard) = s(w.x + b), the usual recipe; expected delta is the mean delta of hard prompts and of all
  others, weighted with it. Everything about a prompt that is not hard (a tie, a small model that was better) is in one
  mean.
- ``scores``: two logistic regressions, one on each model's score; expected delta is s(w_f.x + b_f) - s(w_s.x + b_s).
  Ties and prompts on which the small model is better count for what they are.
- ``kernel``: ``scores`` on likeness to landmarks instead of the features: curved where the others are flat.

s is the logistic function. The spread is the standard deviation of the delta over weights resampled by group.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import special

from golden_sets.errors import InputError
from router_training.heads.head import Floats, HeadState, Matrix
from router_training.heads.inputs import Inputs, fit_landmarks, fit_scaling, landmarks_of, scaling_of
from router_training.heads.logistic_fit import logistic_weights, ridge_weights
from router_training.heads.tensors import Tensor, number, tensor
from router_training.pairs import Pairs

LinearKind = Literal["ridge", "logistic", "scores", "kernel"]
DEFAULT_PENALTY: dict[LinearKind, float] = {"ridge": 1600.0, "logistic": 1000.0, "scores": 2000.0, "kernel": 2.0}
"""For features scaled to unit variance (kernel: for a kernel that is 1 between a prompt and itself)."""
LANDMARKS = 800
"""Of the kernel head."""


@dataclass(frozen=True, eq=False)
class Linear:
    """A fitted linear head."""

    kind: LinearKind
    """Which."""
    penalty: float
    """Ridge penalty on its weights."""
    inputs: Inputs
    """Features to inputs."""
    small: Tensor | None
    """Weights for the small model's score, of ``scores`` and ``kernel``; the first row is the estimate, the others are
    resampled; shape (1 + resamples, inputs + 1), the intercept last."""
    main: Tensor
    """Weights for the flagship's score, for hardness, or for delta itself; same shape."""
    gains: Tensor
    """Mean delta of the prompts that are not hard and of those that are, of ``logistic``; shape (2,)."""

    def predict(self, features: Matrix) -> Floats:
        """Expected delta, shape (n,)."""
        return self._deltas(features, slice(0, 1))[:, 0]

    def spread(self, features: Matrix) -> Floats:
        """Standard deviation over the resampled weights, shape (n,)."""
        return np.asarray(self._deltas(features, slice(1, None)).std(axis=1))

    def state(self) -> HeadState:
        """As stored."""
        weights = {"weights": self.main} if self.small is None else {"weights": self.main, "small": self.small}
        tensors = {**self.inputs.tensors(), **weights, "gains": self.gains}
        return HeadState(self.kind, {"penalty": self.penalty}, tensors)

    def _deltas(self, features: Matrix, rows: slice) -> Floats:
        inputs = self.inputs(features)
        margins = _margins(inputs, self.main[rows])
        if self.small is not None:
            return np.asarray(special.expit(margins) - special.expit(_margins(inputs, self.small[rows])))
        if self.kind == "logistic":
            return np.asarray(self.gains[0] + (self.gains[1] - self.gains[0]) * special.expit(margins))
        return margins


def fit_linear(
    kind: LinearKind,
    features: Matrix,
    pairs: Pairs,
    *,
    seed: int,
    penalty: float | None = None,
    landmarks: int = LANDMARKS,
    sharpness: float = 1.0,
) -> Linear:
    """A linear head.

    Args:
        kind: which.
        features: shape (n, features).
        pairs: the prompts with both scores, n of them.
        seed: of the landmarks and the resampled weights.
        penalty: ridge penalty on the weights; None: `DEFAULT_PENALTY`.
        landmarks: of ``kernel``.
        sharpness: of ``kernel``: how fast likeness falls off with distance.

    Raises:
        InputError: penalty or sharpness is not above 0, or there are no landmarks.
    """
    strength = DEFAULT_PENALTY[kind] if penalty is None else penalty
    if not min(strength, sharpness) > 0 or landmarks < 1:
        raise InputError(
            f"penalty ({strength}), sharpness ({sharpness}) and landmarks ({landmarks}) of a head must be above 0"
        )
    transform: Inputs = fit_scaling(features)
    inputs, whitening = transform(features), None
    if kind == "kernel":
        transform = kernel = fit_landmarks(features, landmarks=landmarks, sharpness=sharpness, seed=seed)
        whitening = kernel.whitening()
        inputs = np.asarray(kernel(features) @ whitening, dtype=np.float32)

    def logistic(target: Floats) -> Tensor:
        weights = logistic_weights(inputs, target, pairs.groups, penalty=strength, seed=seed)
        return weights if whitening is None else _on_kernel(weights, whitening)

    hard = pairs.hard
    gains = np.array([_mean(pairs.delta[~hard]), _mean(pairs.delta[hard])], dtype=np.float32)
    if kind == "ridge":
        weights = ridge_weights(inputs, pairs.delta, pairs.groups, penalty=strength, seed=seed)
        return Linear(kind, strength, transform, None, weights, gains)
    if kind == "logistic":
        return Linear(kind, strength, transform, None, logistic(hard.astype(np.float64)), gains)
    return Linear(kind, strength, transform, logistic(pairs.small), logistic(pairs.flagship), gains)


def linear_of(kind: LinearKind, state: HeadState) -> Linear:
    """A stored linear head.

    Raises:
        InputError: a tensor is missing or unfit.
    """
    transform: Inputs = landmarks_of(state) if kind == "kernel" else scaling_of(state)
    main = tensor(state, "weights", (None, transform.width + 1))
    small = tensor(state, "small", main.shape) if kind in ("scores", "kernel") else None
    return Linear(kind, number(state, "penalty"), transform, small, main, tensor(state, "gains", (2,)))


def _on_kernel(weights: Tensor, whitening: Floats) -> Tensor:
    """The weights on the kernel values themselves, which saves a router the whitening of every prompt."""
    return np.concatenate([weights[:, :-1] @ whitening.T, weights[:, -1:]], axis=1).astype(np.float32)


def _margins(inputs: Matrix, weights: Tensor) -> Floats:
    return np.asarray(inputs @ weights[:, :-1].T + weights[:, -1], dtype=np.float64)


def _mean(values: Floats) -> float:
    return float(values.mean()) if values.size else 0.0
