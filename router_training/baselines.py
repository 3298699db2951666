"""Rules that a router must beat, scored on the same prompts.

``random`` and ``length`` need no training; ``oracle`` knows the answers and bounds what any router could do; ``knn``
and ``logistic`` are single heads on the same features, fitted on the same training prompts (`heads.fitting`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from router_training.heads.fitting import Kind, fit_head
from router_training.heads.head import Head, Matrix
from router_training.pairs import Floats, Pairs

FITTED: tuple[Kind, ...] = ("knn", "logistic")
"""Kinds of head that stand as baselines."""


def length_scores(prompts: Sequence[str]) -> Floats:
    """Number of words of each prompt: longer goes to the flagship first.

    Words rank a little better than characters or tokens on the public data we measured (MMLU, nine models).
    """
    return np.array([len(prompt.split()) for prompt in prompts], dtype=np.float64)


def untrained_baselines(pairs: Pairs) -> Mapping[str, Floats]:
    """Scores by which the rules without training rank these prompts, each of shape (n,).

    ``random`` is a constant: prompts of one score are mixed at random, and its expectation needs no draw.
    """
    return {
        "random": np.zeros(len(pairs)),
        "length": length_scores(pairs.prompts),
        "oracle": pairs.delta,
    }


def fit_baselines(features: Matrix, pairs: Pairs, *, seed: int = 0) -> Mapping[str, Head]:
    """The single heads that stand as baselines, with their default settings, by name.

    Args:
        features: of the training prompts, shape (n, features).
        pairs: the same prompts with both models' scores.
        seed: of whatever is drawn at random.

    Raises:
        InputError: as `heads.fitting.fit_head`.
    """
    return {kind: fit_head(kind, features, pairs, seed=seed) for kind in FITTED}
