"""The head that says the same of every prompt: what is left where nothing can be learnt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from router_training.heads.head import Floats, HeadState, Matrix
from router_training.heads.tensors import number
from router_training.pairs import Pairs


@dataclass(frozen=True)
class Constant:
    """A head without inputs."""

    kind: ClassVar[str] = "constant"
    """Its name."""
    value: float
    """The expected delta of every prompt."""

    def predict(self, features: Matrix) -> Floats:
        """`value` for every prompt, shape (n,)."""
        return np.full(len(features), self.value)

    def spread(self, features: Matrix) -> Floats:
        """Zero, shape (n,)."""
        return np.zeros(len(features))

    def state(self) -> HeadState:
        """As stored."""
        return HeadState(self.kind, {"value": self.value})


def fit_constant(pairs: Pairs) -> Constant:
    """The mean delta."""
    return Constant(float(pairs.delta.mean()))


def constant_of(state: HeadState) -> Constant:
    """A stored constant head.

    Raises:
        InputError: its value is missing.
    """
    return Constant(number(state, "value"))
