"""Fitting the shipped detector on the project's own answers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from evalharness.answer_classes import AnswerClass
from evalharness.refusals.detector import RefusalDetector
from evalharness.refusals.detector_files import Training
from evalharness.refusals.encoder import shared_encoder
from evalharness.refusals.features import SIZE, Matrix, features
from evalharness.refusals.logistic import Fold, Head, Problem, choose, fit_head
from evalharness.refusals.segments import Segments
from examples.refusals.composing import Example
from examples.refusals.parts import PARTS, parts
from examples.refusals.sentence_training import SentenceTrainer
from golden_sets.digests import digest_json

WHOLE_ANSWER_WEIGHT = 3.0
"""Worth of an answer that was written as a whole, beside 1 of a composed one."""


def train(examples: Sequence[Example]) -> RefusalDetector:
    """The detector, its regularisation chosen on topics and templates that the folds have not seen."""
    trainer = SentenceTrainer()
    matrix = training_matrix(examples, trainer)
    refusing = np.array([example.label is not AnswerClass.FULL_COMPLIANCE for example in examples])
    partial = np.array([example.label is AnswerClass.PARTIAL_REFUSAL for example in examples])
    head, training = _fit(matrix, refusing, examples)
    refusals = np.flatnonzero(refusing)
    partial_head, _ = _fit(matrix[refusals], partial[refusals], [examples[i] for i in refusals])
    record = training.model_copy(update={"partial": int(partial.sum())})
    return RefusalDetector.of(trainer.heads(), head, partial_head, record)


def training_matrix(examples: Sequence[Example], trainer: SentenceTrainer) -> Matrix:
    """Features of the examples, each with sentence heads that have seen neither its topic nor its template.

    With heads that have, the fit would trust them more than they deserve on answers that nobody has seen.
    """
    topics, templates = parts([e.topic for e in examples]), parts([e.template for e in examples])
    matrix = np.empty((len(examples), SIZE))
    for topic in range(PARTS):
        for template in range(PARTS):
            rows = np.flatnonzero((topics == topic) & (templates == template))
            heads = trainer.heads(without_topics=topic, without_templates=template)
            matrix[rows] = features([Segments.of(examples[row].text) for row in rows], shared_encoder(), heads)
    return matrix


def folds(examples: Sequence[Example]) -> list[Fold]:
    """Measured on are rows of one part of the topics *and* of the templates, fitted on rows of neither."""
    topics, templates = parts([e.topic for e in examples]), parts([e.template for e in examples])
    return [
        (
            np.flatnonzero((topics != part) & (templates != part)),
            np.flatnonzero((topics == part) & (templates == part)),
        )
        for part in range(PARTS)
    ]


def _fit(matrix: Matrix, truth: npt.NDArray[np.bool_], examples: Sequence[Example]) -> tuple[Head, Training]:
    weights = np.array([WHOLE_ANSWER_WEIGHT if example.topic == example.template else 1.0 for example in examples])
    for side in (truth, ~truth):  # both classes count alike, so that .5 is no opinion on how common refusals are
        weights[side] *= 0.5 * weights.size / weights[side].sum()
    problem = Problem(matrix, truth, weights)
    choice = choose(problem, folds(examples))
    print(f"C {choice.penalty}, embedding scale {choice.embedding_scale}, held-out Brier score {choice.brier:.4f}")
    training = Training(
        source="answers written for relgate (examples/refusals)",
        rows=len(examples),
        refusals=int(truth.sum()),
        penalty=choice.penalty,
        embedding_scale=choice.embedding_scale,
        data=digest_json([[example.text, example.label] for example in examples]),
    )
    return fit_head(problem, choice), training
