"""What every head is: features in, expected quality delta out, and its weights as plain tensors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt
from pydantic import JsonValue

Matrix = npt.NDArray[np.float32]
"""Features of prompts, shape (n, features)."""
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class HeadState:
    """A head as it is stored: tensors for safetensors, settings for JSON. Enough to make the same head again."""

    kind: str
    """Which head it is: ``ridge``, ``logistic``, ``mlp``, ``knn``, ``average``, ``constant``..."""
    settings: Mapping[str, JsonValue]
    """Whatever is no tensor."""
    tensors: Mapping[str, npt.NDArray[np.float32]] = field(default_factory=dict)
    """Weights by name."""


class Head(Protocol):
    """A fitted head. Safe to use from several threads: predicting changes nothing."""

    @property
    def kind(self) -> str:
        """Its name in manifests and reports."""
        ...

    def predict(self, features: Matrix) -> Floats:
        """Expected quality delta of each prompt, shape (n,), not calibrated: only its order is relied on."""
        ...

    def spread(self, features: Matrix) -> Floats:
        """Uncertainty of the prediction, shape (n,), in units of delta: how far members or neighbours disagree."""
        ...

    def state(self) -> HeadState:
        """The head as it is stored."""
        ...
