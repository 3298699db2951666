"""Penalised linear and logistic regression, and how their weights would differ on other prompts.

Logistic regression takes any target in [0, 1], not only 0 and 1 (fractional logistic regression: Papke and Wooldridge,
1996). The resampled weights are the score bootstrap (Kline and Santos, 2012): one Newton step from the estimate, with
the contribution of every group of prompts weighted at random (exponential weights, mean 1).
"""

from __future__ import annotations

import numpy as np
from scipy import linalg, optimize, special

from router_training.heads.head import Floats, Matrix
from router_training.heads.tensors import Tensor
from router_training.pairs import Codes

ITERATIONS = 200
"""Of L-BFGS, at most."""
CERTAIN = 1e-3
"""Targets are kept this far from 0 and 1, so that a model that is always right has finite weights."""
RESAMPLES = 16
"""Resampled sets of weights."""


def ridge_weights(inputs: Matrix, target: Floats, groups: Codes, *, penalty: float, seed: int) -> Tensor:
    """Least squares with a ridge penalty; the intercept is free.

    Args:
        inputs: shape (n, d).
        target: shape (n,).
        groups: what is resampled together, shape (n,).
        penalty: on half the squared weights, against half the squared errors.
        seed: of the resamples.

    Returns:
        Weights and, last, the intercept: the estimate, then resampled ones; shape (1 + RESAMPLES, d + 1).
    """
    design = _with_intercept(inputs)
    curvature = _penalised(design.T @ design, penalty)
    factor = linalg.cho_factor(curvature, check_finite=False)
    weights = linalg.cho_solve(factor, design.T @ target, check_finite=False)
    return _with_resamples(design, weights, target - design @ weights, groups, factor, seed)


def logistic_weights(inputs: Matrix, target: Floats, groups: Codes, *, penalty: float, seed: int) -> Tensor:
    """Logistic regression with a ridge penalty; the intercept is free. Arguments and result as `ridge_weights`.

    The target lies in [0, 1].
    """
    design = _with_intercept(inputs)
    wanted = np.clip(target, CERTAIN, 1 - CERTAIN)
    penalties = np.full(design.shape[1], penalty)
    penalties[-1] = 0.0
    start = np.zeros(design.shape[1])
    start[-1] = special.logit(wanted.mean())

    def loss(weights: Floats) -> tuple[float, Floats]:
        margins = design @ weights
        value = np.logaddexp(0, margins).sum() - wanted @ margins + (penalties * weights * weights).sum() / 2
        return float(value), design.T @ (special.expit(margins) - wanted) + penalties * weights

    found = optimize.minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": ITERATIONS, "ftol": 1e-9})
    chances = special.expit(design @ found.x)
    curvature = _penalised((design * (chances * (1 - chances))[:, None]).T @ design, penalty)
    factor = linalg.cho_factor(curvature, check_finite=False)
    return _with_resamples(design, found.x, wanted - chances, groups, factor, seed)


def _with_intercept(inputs: Matrix) -> Floats:
    return np.concatenate([inputs.astype(np.float64), np.ones((len(inputs), 1))], axis=1)


def _penalised(curvature: Floats, penalty: float) -> Floats:
    size = len(curvature)
    curvature[np.arange(size - 1), np.arange(size - 1)] += penalty
    curvature[size - 1, size - 1] += 1e-9
    return curvature


def _with_resamples(
    design: Floats, weights: Floats, errors: Floats, groups: Codes, factor: tuple[Floats, bool], seed: int
) -> Tensor:
    _, codes = np.unique(groups, return_inverse=True)
    drawn = np.random.default_rng([seed, 3]).exponential(size=(int(codes.max()) + 1, RESAMPLES)) - 1
    steps = linalg.cho_solve(factor, design.T @ (errors[:, None] * drawn[codes]), check_finite=False)
    return np.ascontiguousarray(np.vstack([weights, weights + steps.T]), dtype=np.float32)
