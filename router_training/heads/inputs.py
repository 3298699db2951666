"""What a head's weights multiply: features on one scale, or their likeness to landmarks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np

from router_training.heads.head import Floats, HeadState, Matrix
from router_training.heads.tensors import Tensor, tensor

FLAT = 1e-6
"""A column whose standard deviation is below this tells nothing and is set to zero."""
DEPENDENT = 1e-5
"""Directions of the landmarks' kernel with an eigenvalue below this are dropped."""


class Inputs(Protocol):
    """Features to inputs, shapes (n, features) and (n, inputs)."""

    @property
    def width(self) -> int:
        """Number of inputs."""
        ...

    def __call__(self, features: Matrix) -> Matrix:
        """The inputs of prompts."""
        ...

    def tensors(self) -> Mapping[str, Tensor]:
        """As stored."""
        ...


@dataclass(frozen=True, eq=False)
class Scaling:
    """Every feature minus its mean over the training prompts, divided by its standard deviation."""

    mean: Tensor
    """Shape (features,)."""
    scale: Tensor
    """One over the standard deviation, shape (features,); 0 for a constant column."""

    @property
    def width(self) -> int:
        """Number of inputs: every feature is one."""
        return len(self.mean)

    def __call__(self, features: Matrix) -> Matrix:
        """Scaled features, shape (n, features)."""
        return np.asarray((features - self.mean) * self.scale, dtype=np.float32)

    def tensors(self) -> Mapping[str, Tensor]:
        """As stored."""
        return {"mean": self.mean, "scale": self.scale}


@dataclass(frozen=True, eq=False)
class Landmarks:
    """Gaussian kernel between a prompt and some training prompts."""

    scaling: Scaling
    points: Tensor
    """Scaled features of the landmarks over `bandwidth`, shape (landmarks, features)."""
    bandwidth: Tensor
    """Root of the median squared distance between a training prompt and a landmark over the sharpness, shape (1,)."""

    @property
    def width(self) -> int:
        """Number of inputs: one for each landmark."""
        return len(self.points)

    def __call__(self, features: Matrix) -> Matrix:
        """exp(-d^2) to each landmark, shape (n, landmarks)."""
        return _kernel(self.scaling(features) / self.bandwidth, self.points, self._squares)

    @cached_property
    def _squares(self) -> Matrix:
        return _squares(self.points)

    def tensors(self) -> Mapping[str, Tensor]:
        """As stored."""
        return {**self.scaling.tensors(), "points": self.points, "bandwidth": self.bandwidth}

    def whitening(self) -> Floats:
        """What maps the kernel values to coordinates in which a ridge penalty is the kernel's own norm.

        Shape (landmarks, coordinates); the Nystroem method (Williams and Seeger, NIPS 2000).
        """
        values, vectors = np.linalg.eigh(_kernel(self.points, self.points, self._squares).astype(np.float64))
        kept = values > DEPENDENT
        return np.asarray(vectors[:, kept] / np.sqrt(values[kept]))


def fit_scaling(features: Matrix) -> Scaling:
    """Mean and standard deviation of every column of features, shape (n, features)."""
    mean = features.mean(axis=0, dtype=np.float64)
    deviation = features.std(axis=0, dtype=np.float64)
    scale = np.divide(1.0, deviation, out=np.zeros_like(deviation), where=deviation > FLAT)
    return Scaling(mean.astype(np.float32), scale.astype(np.float32))


def fit_landmarks(features: Matrix, *, landmarks: int, sharpness: float, seed: int) -> Landmarks:
    """Landmarks drawn at random from training prompts.

    Args:
        features: shape (n, features).
        landmarks: how many; all prompts where there are fewer.
        sharpness: how fast likeness falls off; the kernel is exp(-sharpness) at the median squared distance.
        seed: of the draw.
    """
    scaling = fit_scaling(features)
    scaled = scaling(features)
    chosen = np.random.default_rng([seed, 2]).choice(len(features), min(landmarks, len(features)), replace=False)
    squared = _squared_distances(scaled, scaled[np.sort(chosen)], _squares(scaled[np.sort(chosen)]))
    bandwidth = np.sqrt(np.array([max(float(np.median(squared)), FLAT) / sharpness], dtype=np.float32))
    return Landmarks(scaling, scaled[np.sort(chosen)] / bandwidth, bandwidth)


def scaling_of(state: HeadState) -> Scaling:
    """The scaling of a stored head.

    Raises:
        InputError: a tensor is missing or unfit.
    """
    mean = tensor(state, "mean", (None,))
    return Scaling(mean, tensor(state, "scale", mean.shape))


def landmarks_of(state: HeadState) -> Landmarks:
    """The landmarks of a stored head.

    Raises:
        InputError: a tensor is missing or unfit.
    """
    scaling = scaling_of(state)
    points = tensor(state, "points", (None, len(scaling.mean)))
    return Landmarks(scaling, points, tensor(state, "bandwidth", (1,)))


def _kernel(a: Matrix, b: Matrix, b_squares: Matrix) -> Matrix:
    return np.asarray(np.exp(-_squared_distances(a, b, b_squares)), dtype=np.float32)


def _squared_distances(a: Matrix, b: Matrix, b_squares: Matrix) -> Matrix:
    squared = _squares(a)[:, None] + b_squares - 2 * (a @ b.T)
    return np.asarray(np.maximum(squared, 0), dtype=np.float32)


def _squares(rows: Matrix) -> Matrix:
    """Squared length of every row: summed once for the landmarks, that is most of a single prompt's time."""
    return np.asarray(np.square(rows).sum(axis=1))
