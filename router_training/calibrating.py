"""From a head's prediction to calibrated numbers: P(hard) and the expected delta, both strictly increasing.

A strictly increasing map keeps the order of the prompts, so neither the frontier nor the set of routers among which the
operating point is chosen depends on it. Three shapes compete on held-out folds of whole groups, by log loss (P(hard))
or squared error (delta):

- ``line``: logistic in the prediction (Platt 1999), or a straight line for the delta.
- ``pieces``: logistic in five straight pieces over equally frequent ranges of the prediction, none of them falling.
- ``steps``: isotonic regression over equally frequent bins (Zadrozny and Elkan 2002), joined by straight lines.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import optimize, special

from golden_sets.errors import InputError
from router_training.pairs import Codes, Floats, Rows
from router_training.records import Curve

_KNOTS = 65
_PIECES = 5
_FOLDS = 5
_BEYOND = 0.5
"""A curve goes on beyond the calibration prompts by this share of their range, so that order is kept there."""
_STEEP = 1e-6
"""Least rise of a curve over its whole range: what makes it strictly increasing where the data are flat."""
_EDGE = 1e-4
"""P(hard) stays this far from 0 and 1."""
_PER_BIN = 40
_MOST_BINS = 20
_PULL = 1e-3
"""Ridge on standardised slopes: keeps separable data finite."""

_Shape = Callable[[Floats], Floats]
_Fit = Callable[[Floats, Floats], _Shape]


def fit_p_hard(predictions: npt.ArrayLike, hard: npt.ArrayLike, groups: Codes) -> Curve:
    """Calibrate a head's predictions to the probability that a prompt is hard.

    Args:
        predictions: of prompts the head was not fitted on, shape (n,).
        hard: whether each is hard, shape (n,).
        groups: of the prompts; a group is never split between folds, shape (n,).

    Raises:
        InputError: fewer than 2 prompts, different lengths, or numbers that are not finite.
    """
    x, y = _checked(predictions, hard, groups)
    if y.min() == y.max():
        # Nothing to tell apart: Laplace's rule of succession, the same for every prompt but for the order.
        return _curve(x, _constant((y.sum() + 1) / (y.size + 2)), _EDGE, 1 - _EDGE)
    fits = (_logistic_line, _logistic_pieces, _mean_steps)
    return _curve(x, _chosen(x, y, groups, fits, _log_loss)(x, y), _EDGE, 1 - _EDGE)


def fit_delta(predictions: npt.ArrayLike, delta: npt.ArrayLike, groups: Codes) -> Curve:
    """Calibrate a head's predictions to the expected quality delta, in [-1, 1].

    Args:
        predictions: of prompts the head was not fitted on, shape (n,).
        delta: flagship's score minus the small model's, shape (n,).
        groups: of the prompts; a group is never split between folds, shape (n,).

    Raises:
        InputError: fewer than 2 prompts, different lengths, or numbers that are not finite.
    """
    x, y = _checked(predictions, delta, groups)
    return _curve(x, _chosen(x, y, groups, (_straight_line, _mean_steps), _squares)(x, y), -1.0, 1.0)


def calibrated(curve: Curve, predictions: npt.ArrayLike) -> Floats:
    """Read a curve at the predictions, shape (n,)."""
    return np.asarray(np.interp(np.asarray(predictions, dtype=np.float64), curve.x, curve.y))


@dataclass(frozen=True, eq=False)
class Bin:
    """Prompts of similar P(hard)."""

    predicted: float
    """Mean P(hard)."""
    observed: float
    """Share that is hard."""
    rows: Rows
    """Places of the prompts, shape (n,)."""

    @property
    def n(self) -> int:
        """Prompts."""
        return self.rows.size


def reliability(p: npt.ArrayLike, outcome: npt.ArrayLike, *, bins: int = 10) -> tuple[Bin, ...]:
    """Equally frequent bins of the predicted probability, ascending; prompts of one probability are never torn apart.

    Raises:
        InputError: empty, different lengths, probabilities outside [0, 1].
    """
    chance, happened = _probabilities(p, outcome)
    order = np.argsort(chance, kind="stable")
    sorted_p = chance[order]
    starts = np.searchsorted(sorted_p, sorted_p[np.arange(bins) * chance.size // bins], side="left")
    edges = np.r_[np.unique(starts), chance.size]
    return tuple(
        Bin(float(chance[order[a:b]].mean()), float(happened[order[a:b]].mean()), order[a:b])
        for a, b in itertools.pairwise(edges.tolist())
    )


def ece(p: npt.ArrayLike, outcome: npt.ArrayLike, *, bins: int = 10) -> float:
    """Expected calibration error: mean over prompts of |predicted - observed| of their bin, equally frequent bins.

    Naeini, Cooper and Hauskrecht (AAAI 2015), with equal mass instead of equal width (Nixon et al. 2019). Biased
    upward: a perfectly calibrated forecast has about 0.8 sqrt(p (1 - p) bins / n).

    Raises:
        InputError: as `reliability`.
    """
    parts = reliability(p, outcome, bins=bins)
    return sum(b.n * abs(b.predicted - b.observed) for b in parts) / sum(b.n for b in parts)


def debiased_calibration_error(p: npt.ArrayLike, outcome: npt.ArrayLike, *, bins: int = 10) -> float:
    """Root mean squared calibration error without the part that binomial noise adds; 0 where noise explains it all.

    Kumar, Liang and Ma (NeurIPS 2019), equation 6: observed (1 - observed) / (n - 1) is taken off each squared
    difference.

    Raises:
        InputError: as `reliability`.
    """
    parts = reliability(p, outcome, bins=bins)
    total = sum(b.n for b in parts)
    squares = sum(
        b.n / total * ((b.predicted - b.observed) ** 2 - b.observed * (1 - b.observed) / max(b.n - 1, 1)) for b in parts
    )
    return float(np.sqrt(max(squares, 0.0)))


def brier(p: npt.ArrayLike, outcome: npt.ArrayLike) -> float:
    """Mean squared difference between probability and outcome (Brier 1950); lower is better.

    Raises:
        InputError: as `reliability`.
    """
    chance, happened = _probabilities(p, outcome)
    return float(np.mean((chance - happened) ** 2))


def _checked(predictions: npt.ArrayLike, values: npt.ArrayLike, groups: Codes) -> tuple[Floats, Floats]:
    x, y = np.asarray(predictions, dtype=np.float64), np.asarray(values, dtype=np.float64)
    if x.ndim != 1 or x.shape != y.shape or x.shape != np.shape(groups):
        raise InputError(f"predictions {x.shape}, labels {y.shape} and groups {np.shape(groups)} differ in length")
    if x.size < 2:
        raise InputError("calibration needs at least 2 prompts", do="give more labelled prompts")
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise InputError("predictions and labels must be finite numbers")
    return x, y


def _probabilities(p: npt.ArrayLike, outcome: npt.ArrayLike) -> tuple[Floats, Floats]:
    chance, happened = np.asarray(p, dtype=np.float64), np.asarray(outcome, dtype=np.float64)
    if chance.ndim != 1 or chance.shape != happened.shape or chance.size == 0:
        raise InputError(f"probabilities {chance.shape} and outcomes {happened.shape} must be one number per prompt")
    if not ((chance >= 0) & (chance <= 1)).all():
        raise InputError("probabilities must lie in [0, 1]")
    return chance, happened


def _chosen(
    x: Floats, y: Floats, groups: Codes, fits: tuple[_Fit, ...], loss: Callable[[Floats, Floats], Floats]
) -> _Fit:
    """The fit with the least loss on held-out groups; the simplest where there are too few groups to tell."""
    names, codes = np.unique(groups, return_inverse=True)
    if names.size < _FOLDS:
        return fits[0]
    folds = np.random.default_rng(0).permutation(names.size)[codes.reshape(-1)] % _FOLDS
    losses = np.zeros(len(fits))
    for fold in range(_FOLDS):
        held = folds == fold
        losses += [loss(fit(x[~held], y[~held])(x[held]), y[held]).sum() for fit in fits]
    return fits[int(np.argmin(losses))]


def _log_loss(p: Floats, y: Floats) -> Floats:
    p = np.clip(p, _EDGE, 1 - _EDGE)
    return np.asarray(-(y * np.log(p) + (1 - y) * np.log1p(-p)))


def _squares(value: Floats, y: Floats) -> Floats:
    return np.asarray((value - y) ** 2)


def _constant(value: float) -> _Shape:
    return lambda x: np.full(x.shape, value)


def _logistic(columns: Callable[[Floats], Floats], x: Floats, y: Floats) -> _Shape:
    """Logistic regression on columns whose slopes may not be negative."""
    design = columns(x)
    centre, scale = design.mean(axis=0), np.maximum(design.std(axis=0), 1e-12)
    z = (design - centre) / scale

    def loss(beta: Floats) -> tuple[float, Floats]:
        eta = beta[0] + z @ beta[1:]
        slack = special.expit(eta) - y
        value = float(np.mean(np.logaddexp(0, eta) - y * eta)) + _PULL / 2 * float(beta[1:] @ beta[1:])
        return value, np.r_[slack.mean(), z.T @ slack / y.size + _PULL * beta[1:]]

    start = np.r_[special.logit(np.clip(y.mean(), _EDGE, 1 - _EDGE)), np.zeros(z.shape[1])]
    bounds = [(None, None), *[(0.0, None)] * z.shape[1]]
    beta = optimize.minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds).x
    return lambda new: np.asarray(special.expit(beta[0] + (columns(new) - centre) / scale @ beta[1:]))


def _logistic_line(x: Floats, y: Floats) -> _Shape:
    return _logistic(lambda new: new[:, None], x, y)


def _logistic_pieces(x: Floats, y: Floats) -> _Shape:
    """One rising ramp per piece; the outer ones go on beyond the data."""
    inner = np.unique(np.quantile(x, np.arange(1, _PIECES) / _PIECES))
    low, high = np.r_[-np.inf, inner], np.r_[inner, np.inf]
    start = np.r_[inner[:1], inner]
    return _logistic(lambda new: np.clip(new[:, None], low, high) - start, x, y)


def _straight_line(x: Floats, y: Floats) -> _Shape:
    spread = float(np.sum((x - x.mean()) ** 2))
    slope = max(0.0, float((x - x.mean()) @ (y - y.mean())) / spread) if spread > 0 else 0.0
    centre, level = float(x.mean()), float(y.mean())
    return lambda new: np.asarray(level + slope * (new - centre))


def _mean_steps(x: Floats, y: Floats) -> _Shape:
    """Isotonic means of equally frequent bins, joined at the bins' mean predictions."""
    bins = int(np.clip(x.size // _PER_BIN, 2, _MOST_BINS))
    order = np.argsort(x, kind="stable")
    starts = np.unique(np.searchsorted(x[order], x[order][np.arange(bins) * x.size // bins], side="left"))
    sizes = np.diff(np.r_[starts, x.size])
    centres = np.add.reduceat(x[order], starts) / sizes
    levels = optimize.isotonic_regression(np.add.reduceat(y[order], starts) / sizes, weights=sizes).x
    return lambda new: np.asarray(np.interp(new, centres, levels))


def _curve(x: Floats, shape: _Shape, low: float, high: float) -> Curve:
    """The shape as knots: equally frequent within the calibration prompts, and on beyond them."""
    span = max(float(x.max() - x.min()), 1e-6 * max(1.0, float(np.abs(x).max())))
    inner = np.quantile(x, np.linspace(0, 1, _KNOTS))
    knots = np.unique(np.r_[x.min() - _BEYOND * span, inner, x.max() + _BEYOND * span])
    # Knots closer than this could not be told apart after the rise below is added.
    knots = knots[np.r_[True, np.diff(knots) > 1e-9 * span]]
    rise = _STEEP * (knots - knots[0]) / (knots[-1] - knots[0])
    values = np.maximum.accumulate(np.clip(shape(knots), low, high - _STEEP)) + rise
    return Curve(x=tuple(knots.tolist()), y=tuple(values.tolist()))
