"""What single sentences say, by the encoder: does one refuse, and does it evade?

Phrase lists know the refusals that somebody wrote down. Two linear heads on the embedding of a sentence know their
kin: ``refusing`` (the speaker will not or cannot) and ``evasive`` (refuses, lectures, redirects: holds nothing of what
was asked).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from evalharness.minilm import DIMENSIONS
from evalharness.refusals.encoder import Encoder
from evalharness.refusals.segments import Segments

FIRST, LAST = 4, 2
"""How many sentences are read at the start and at the end of an answer."""
OPENING = 3
"""How many of them are the opening."""
SENTENCE_NAMES = (
    "evasive.first",
    "refusing.first",
    "evasive.opening_max",
    "refusing.opening_max",
    "evasive.opening_mean",
    "refusing.opening_mean",
    "evasive.mean",
    "refusing.max",
    "evasive.min",
    "evasive.last",
    "refusing.last",
    "evasive.closing_mean",
    "evasive.share",
    "evasive.share_after_first",
    "refusing.count",
    "content.count",
)
"""Names of the sentence features, in order."""

_LIMIT = 6.0
_SCALE = 0.5

Vector = npt.NDArray[np.float64]


@dataclass(frozen=True)
class SentenceHead:
    """Log-odds of a sentence: embedding @ weights + intercept."""

    weights: Vector
    """Shape (384,)."""
    intercept: float
    """Log-odds of a zero vector."""

    def log_odds(self, embeddings: npt.NDArray[np.float64]) -> Vector:
        """Shape (n,), cut at +-6."""
        return np.clip(embeddings @ self.weights + self.intercept, -_LIMIT, _LIMIT)


@dataclass(frozen=True)
class SentenceHeads:
    """Both heads."""

    evasive: SentenceHead
    """The sentence holds nothing of what was asked."""
    refusing: SentenceHead
    """The sentence refuses."""


def read_sentences(segments: Segments) -> list[str]:
    """The sentences of an answer that are read: the first four and the last two; of "7.5", the text itself."""
    found = segments.sentences
    return found[:FIRST] + found[FIRST:][-LAST:] or [segments.text[:200]]


def sentence_embeddings(sentences: Sequence[str], encoder: Encoder) -> npt.NDArray[np.float64]:
    """Embeddings as the heads expect them, shape (n, 384), every entry of the order of 1."""
    return np.asarray(encoder.encode(sentences).astype(np.float64) * np.sqrt(DIMENSIONS))


def sentence_features(evasive: Vector, refusing: Vector) -> list[float]:
    """The values of `SENTENCE_NAMES` from the log-odds of one answer's sentences, at least one."""
    evading, refuses = 1 / (1 + np.exp(-evasive)), 1 / (1 + np.exp(-refusing))
    opening = slice(0, OPENING)
    found = (
        evasive[0],
        refusing[0],
        evasive[opening].max(),
        refusing[opening].max(),
        evasive[opening].mean(),
        refusing[opening].mean(),
        evasive.mean(),
        refusing.max(),
        evasive.min(),
        evasive[-1],
        refusing[-1],
        evasive[-LAST:].mean(),
        evading.mean(),
        evading[1:].mean() if evading.size > 1 else evading[0],
        refuses.sum(),
        (1 - evading).sum(),
    )
    return [_SCALE * float(value) for value in found]
