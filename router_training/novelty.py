"""Prompts unlike anything learnt from: far from every training cluster, much longer, or in another script.

A head that never saw such prompts knows nothing of them, whatever number it gives: they go to the flagship.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from router_training.heads.head import Floats, Matrix
from router_training.pairs import Codes, Mask
from router_training.records import Novelty

QUANTILE = 0.995
"""Share of held-out training prompts that count as like training."""
LONGER = 2
"""Prompts this many times longer than the longest training prompt are unlike training."""

_MOST_CLUSTERS = 64
_PROMPTS_PER_CLUSTER = 20
_FOLDS = 5
_SCRIPT_SHARE = 0.1  # of a prompt's letters: a formula's Greek does not make a prompt Greek
_SCRIPT_PROMPTS = 10  # training prompts that make a script known
_SAMPLE_CHARACTERS = 4096  # letters beyond do not change what a prompt is written in


def clusters(embeddings: Matrix, *, seed: int) -> Matrix:
    """Centres of the training embeddings, each of length 1, shape (k, dimensions).

    K-means with a cluster per 20 prompts, at most 64.
    """
    from sklearn.cluster import KMeans
    from threadpoolctl import threadpool_limits

    distinct = len(np.unique(embeddings, axis=0))
    count = max(1, min(_MOST_CLUSTERS, len(embeddings) // _PROMPTS_PER_CLUSTER, distinct))
    with threadpool_limits(1):  # sums in one order: the same clusters on every machine
        found = KMeans(count, n_init=1, random_state=seed).fit(embeddings).cluster_centers_
    return unit_length(found)


def distances(embeddings: Matrix, centres: Matrix) -> Floats:
    """Cosine distance of every embedding to the nearest centre, shape (n,), in [0, 2]."""
    nearest = np.array([np.max(centres @ row) for row in embeddings], dtype=np.float64)  # a row's number is its own
    return np.clip(1.0 - nearest, 0.0, 2.0)


def fit_novelty(
    prompts: Sequence[str], embeddings: Matrix, tokens: npt.NDArray[np.int64], groups: Codes, *, seed: int
) -> Novelty:
    """What training prompts are like.

    The distance is the .995 quantile of distances to clusters that were fitted without the prompt's own group (five
    folds): a prompt like the training prompts exceeds it about once in 200 times.

    Args:
        prompts: the training prompts.
        embeddings: theirs, shape (n, dimensions), each of length 1.
        tokens: their lengths before truncation, shape (n,).
        groups: prompts of one group stay in one fold, shape (n,).
        seed: of k-means and folds.
    """
    from sklearn.model_selection import GroupKFold

    found = np.zeros(len(prompts))
    folds = min(_FOLDS, len(np.unique(groups)))
    if folds > 1:
        for rest, held_out in GroupKFold(folds, shuffle=True, random_state=seed).split(embeddings, groups=groups):
            found[held_out] = distances(embeddings[held_out], clusters(embeddings[rest], seed=seed))
    counts = Counter(script for prompt in prompts for script in scripts(prompt))
    enough = min(_SCRIPT_PROMPTS, len(prompts))
    return Novelty(
        max_distance=float(np.quantile(found, QUANTILE, method="higher")),
        max_tokens=int(tokens.max()),
        max_characters=max(map(len, prompts)),
        scripts=tuple(sorted(script for script, count in counts.items() if count >= enough)),
    )


def unlike(novelty: Novelty, prompts: Sequence[str], tokens: npt.NDArray[np.int64], distance: Floats) -> Mask:
    """Whether each prompt is unlike training: too far, too long, blank, or in a script that was not learnt from."""
    known = frozenset(novelty.scripts)
    odd = [
        not prompt.strip() or len(prompt) > LONGER * novelty.max_characters or not scripts(prompt) <= known
        for prompt in prompts
    ]
    far = (distance > novelty.max_distance) | (tokens > LONGER * novelty.max_tokens)
    return np.asarray(np.array(odd, dtype=np.bool_) | far)


def scripts(text: str) -> frozenset[str]:
    """Scripts that a text is written in: those of at least a tenth of its letters."""
    counts = Counter(filter(None, map(_script, text[:_SAMPLE_CHARACTERS])))
    least = _SCRIPT_SHARE * sum(counts.values())
    return frozenset(script for script, count in counts.items() if count >= least)


def unit_length(rows: npt.NDArray[np.floating]) -> Matrix:
    """Rows scaled to length 1; a zero row stays."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.where(lengths > 0, lengths, 1.0), dtype=np.float32)


@lru_cache(maxsize=16_384)
def _script(character: str) -> str | None:
    """First word of a letter's name; None for what is no letter."""
    if not character.isalpha():
        return None
    return unicodedata.name(character, "UNKNOWN").split(" ", 1)[0].split("-", 1)[0]
