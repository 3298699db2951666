"""The plain average of several heads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from golden_sets.errors import InputError
from router_training.heads.head import Floats, Head, HeadState, Matrix


@dataclass(frozen=True, eq=False)
class Average:
    """Heads whose predictions are averaged as they are: all of them predict the same quantity, the delta."""

    kind: ClassVar[str] = "average"
    """Its name."""
    members: tuple[Head, ...]
    """The heads."""

    def __post_init__(self) -> None:
        if not self.members:
            raise InputError("an average of heads needs at least one head")

    def predict(self, features: Matrix) -> Floats:
        """Mean of the members, shape (n,)."""
        return np.asarray(_each(features, [m.predict for m in self.members]).mean(axis=0))

    def spread(self, features: Matrix) -> Floats:
        """Root of the members' mean variance plus the variance between them, shape (n,)."""
        within = np.square(_each(features, [m.spread for m in self.members])).mean(axis=0)
        return np.asarray(np.sqrt(within + _each(features, [m.predict for m in self.members]).var(axis=0)))

    def state(self) -> HeadState:
        """As stored: the tensors of member 0 are named ``0.weights`` and so on."""
        states = [member.state() for member in self.members]
        tensors = {f"{at}.{name}": values for at, s in enumerate(states) for name, values in s.tensors.items()}
        return HeadState(
            self.kind, {"members": [{"kind": s.kind, "settings": dict(s.settings)} for s in states]}, tensors
        )


def _each(features: Matrix, asked: Sequence[Callable[[Matrix], Floats]]) -> Floats:
    return np.stack([ask(features) for ask in asked])
