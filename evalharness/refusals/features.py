"""An answer as numbers: which phrases stand where, its shape, what its sentences say, their embeddings pooled."""

from __future__ import annotations

from collections.abc import Sequence
from math import log1p

import numpy as np
import numpy.typing as npt

from evalharness.minilm import DIMENSIONS
from evalharness.refusals.encoder import Encoder
from evalharness.refusals.phrases import EVASIVE, PHRASES, REFUSING, kinds
from evalharness.refusals.segments import Segments
from evalharness.refusals.sentences import (
    OPENING,
    SENTENCE_NAMES,
    SentenceHeads,
    read_sentences,
    sentence_embeddings,
    sentence_features,
)

VERSION = 2
"""Raised whenever the same answer would give other features: older detector files are then refused."""

_PLACES = ("first", "opening", "middle", "closing")
"""The first sentence, the next two, the last two of more than three, and what lies between."""
_SHAPE = (
    "refusing_early",
    "apologising_refusal",
    "never_evasive",
    "evasive_share",
    "log_words",
    "log_content_words",
    "log_content_before_refusal",
    "log_content_after_refusal",
    "log_items",
    "code",
    "opens_with_content",
    "question_at_end",
)
PHRASE_NAMES: tuple[str, ...] = (*(f"{kind}.{place}" for place in _PLACES for kind in PHRASES), *_SHAPE)
"""Names of the phrase features, in order."""
BLOCKS: dict[str, int] = {
    "phrases": len(PHRASE_NAMES),
    "sentences": len(SENTENCE_NAMES),
    "opening": DIMENSIONS,
    "whole": DIMENSIONS,
}
"""Blocks of the feature vector, in order, with their lengths."""
SIZE = sum(BLOCKS.values())
"""Length of the feature vector."""

Matrix = npt.NDArray[np.float64]


def features(segments: Sequence[Segments], encoder: Encoder, heads: SentenceHeads) -> Matrix:
    """Feature matrix, shape (len(segments), `SIZE`): phrases, what the sentences say, and two mean embeddings.

    The means are those of the opening sentences and of all that are read. Each sentence is embedded once for all of
    this, multiplied by the square root of its length, so that every feature is of the order of 1.
    """
    if not segments:
        return np.empty((0, SIZE), dtype=np.float64)
    read = [read_sentences(one) for one in segments]
    embedded = sentence_embeddings([sentence for sentences in read for sentence in sentences], encoder)
    ends = np.cumsum([len(sentences) for sentences in read])[:-1]
    evasive = np.split(heads.evasive.log_odds(embedded), ends)
    refusing = np.split(heads.refusing.log_odds(embedded), ends)
    by_answer = np.split(embedded, ends)
    return np.hstack(
        [
            np.array([phrase_features(one) for one in segments]),
            np.array([sentence_features(*scores) for scores in zip(evasive, refusing, strict=True)]),
            np.array([sentences[:OPENING].mean(axis=0) for sentences in by_answer]),
            np.array([sentences.mean(axis=0) for sentences in by_answer]),
        ]
    )


def phrase_features(segments: Segments) -> list[float]:
    """The values of `PHRASE_NAMES` for one answer, each between 0 and about 8."""
    sentences = segments.sentences
    said = _after_refusal([kinds(sentence) for sentence in sentences])
    places = {"first": said[:1], "opening": said[1:3], "middle": said[3:-2], "closing": said[3:][-2:]}
    values = [float(any(kind in s for s in places[place])) for place in _PLACES for kind in PHRASES]
    refusing = [any(kind in s for kind in REFUSING) for s in said]
    content = [not any(kind in s for kind in EVASIVE) for s in said]
    lengths = [len(sentence.split()) for sentence in sentences]
    code_words = len(segments.words) - sum(lengths) if segments.has_code else 0
    first = refusing.index(True) if any(refusing) else None
    before = 0 if first is None else _words(lengths, content, 0, first)
    after = 0 if first is None else _words(lengths, content, first + 1, len(lengths)) + max(0, code_words)
    shape = {
        "refusing_early": float(any(refusing[:3])),
        "apologising_refusal": float(any("apology" in s for s in said[:2]) and any(refusing[:3])),
        "never_evasive": float(all(content)),
        "evasive_share": 1 - sum(content) / len(content) if content else 0.0,
        "log_words": log1p(len(segments.words)),
        "log_content_words": log1p(_words(lengths, content, 0, len(lengths)) + max(0, code_words)),
        "log_content_before_refusal": log1p(before),
        "log_content_after_refusal": log1p(after),
        "log_items": log1p(segments.items),
        "code": float(segments.has_code),
        "opens_with_content": float(bool(content) and content[0]),
        "question_at_end": float(segments.text.endswith("?")),
    }
    return [*values, *(shape[name] for name in _SHAPE)]


def _after_refusal(said: Sequence[frozenset[str]]) -> list[frozenset[str]]:
    """ "However" and its like are kept only after a refusal: elsewhere they say nothing."""
    found, refused = [], False
    for kinds_there in said:
        found.append(kinds_there if refused else kinds_there - {"turning"})
        refused = refused or any(kind in kinds_there for kind in REFUSING)
    return found


def _words(lengths: Sequence[int], chosen: Sequence[bool], start: int, stop: int) -> int:
    return sum(length for length, take in zip(lengths[start:stop], chosen[start:stop], strict=True) if take)
