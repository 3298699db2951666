"""What a head's weights multiply: features on one scale, or their likeness to landmarks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from router_training.heads.head import HeadState, Matrix
from router_training.heads.tensors import Tensor, tensor

FLAT = 1e-6
"""A column whose standard deviation is below this tells nothing and is set to zero."""
DEPENDENT = 1e-6
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
    """Gaussian kernel between a prompt and some training prompts, in coordinates in which a ridge penalty is that of
    the kernel's own norm (the Nystroem method: Williams and Seeger, NIPS 2000)."""

    scaling: Scaling
    points: Tensor
    """Scaled features of the landmarks over `bandwidth`, shape (landmarks, features)."""
    whitening: Tensor
    """Shape (landmarks, inputs)."""
    bandwidth: Tensor
    """Root of the median squared distance between a training prompt and a landmark, shape (1,)."""

    @property
    def width(self) -> int:
        """Number of inputs: at most one for each landmark."""
        return int(self.whitening.shape[1])

    def __call__(self, features: Matrix) -> Matrix:
        """Inputs, shape (n, inputs)."""
        return np.asarray(self.kernel(self.scaling(features) / self.bandwidth) @ self.whitening, dtype=np.float32)

    def kernel(self, scaled: Matrix) -> Matrix:
        """exp(-d^2) to each landmark, shape (n, landmarks)."""
        return np.asarray(np.exp(-_squared_distances(scaled, self.points)), dtype=np.float32)

    def tensors(self) -> Mapping[str, Tensor]:
        """As stored."""
        own = {"points": self.points, "whitening": self.whitening, "bandwidth": self.bandwidth}
        return {**self.scaling.tensors(), **own}


def fit_scaling(features: Matrix) -> Scaling:
    """Mean and standard deviation of every column of features, shape (n, features)."""
    mean = features.mean(axis=0, dtype=np.float64)
    deviation = features.std(axis=0, dtype=np.float64)
    scale = np.divide(1.0, deviation, out=np.zeros_like(deviation), where=deviation > FLAT)
    return Scaling(mean.astype(np.float32), scale.astype(np.float32))


def fit_landmarks(features: Matrix, *, landmarks: int, seed: int) -> Landmarks:
    """Landmarks drawn at random from training prompts.

    Args:
        features: shape (n, features).
        landmarks: how many; all prompts where there are fewer.
        seed: of the draw.
    """
    scaling = fit_scaling(features)
    scaled = scaling(features)
    chosen = np.random.default_rng(seed).choice(len(features), min(landmarks, len(features)), replace=False)
    squared = _squared_distances(scaled, scaled[np.sort(chosen)])
    bandwidth = np.sqrt(np.array([max(float(np.median(squared)), FLAT)], dtype=np.float32))
    points = scaled[np.sort(chosen)] / bandwidth
    between = np.exp(-_squared_distances(points, points).astype(np.float64))
    values, vectors = np.linalg.eigh(between)
    kept = values > DEPENDENT
    whitening = (vectors[:, kept] / np.sqrt(values[kept])).astype(np.float32)
    return Landmarks(scaling, points, np.ascontiguousarray(whitening), bandwidth)


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
    return Landmarks(scaling, points, tensor(state, "whitening", (len(points), None)), tensor(state, "bandwidth", (1,)))


def _squared_distances(a: Matrix, b: Matrix) -> Matrix:
    squared = np.square(a).sum(axis=1)[:, None] + np.square(b).sum(axis=1) - 2 * (a @ b.T)
    return np.asarray(np.maximum(squared, 0), dtype=np.float32)
