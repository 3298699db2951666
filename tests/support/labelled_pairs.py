"""Made prompts with known chances of a right answer, for tests of heads and of choosing one."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import special

from router_training.heads.head import Floats, Matrix
from router_training.pairs import Codes, Pairs

Logits = Callable[[Matrix], Floats]


def pairs_of(
    small: Floats, flagship: Floats, *, groups: Codes | None = None, prompts: tuple[str, ...] | None = None
) -> Pairs:
    """Pairs with these scores; every prompt is a group of its own unless told otherwise."""
    n = len(small)
    names = tuple(f"prompt {row}" for row in range(n))
    return Pairs(prompts or names, names, small, flagship, np.arange(n) if groups is None else groups)


def drawn(n: int, width: int, small: Logits, flagship: Logits, *, seed: int = 0) -> tuple[Matrix, Pairs]:
    """Standard normal features and right or wrong answers with these logits."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(n, width)).astype(np.float32)
    scores = [(rng.random(n) < special.expit(logits(features))).astype(np.float64) for logits in (small, flagship)]
    return features, pairs_of(*scores)
