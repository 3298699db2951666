"""Fitting the sentence heads on the sentences of the project's own refusals and answers."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression

from evalharness.refusals.encoder import shared_encoder
from evalharness.refusals.phrases import REFUSING, kinds
from evalharness.refusals.segments import Segments
from evalharness.refusals.sentences import SentenceHead, SentenceHeads, sentence_embeddings
from examples.refusals.composing import filled, read_data
from examples.refusals.parts import parts

SEED = 1
PENALTY = 0.01
"""C of both heads: about the strongest whose held-out loss is within noise of the best."""
_TOPICS_EACH = {"refusals": 3, "openings": 6, "compliances": 2}


@dataclass(frozen=True)
class LabelledSentence:
    """One sentence and where it comes from."""

    text: str
    evasive: bool
    refusing: bool
    topic: str
    template: str


class SentenceTrainer:
    """The labelled sentences with their embeddings; fits heads on all or some of them."""

    def __init__(self) -> None:
        self.sentences = labelled_sentences()
        self._embedded = sentence_embeddings([one.text for one in self.sentences], shared_encoder())
        self._topics = parts([one.topic for one in self.sentences])
        self._templates = parts([one.template for one in self.sentences])

    def heads(self, *, without_topics: int | None = None, without_templates: int | None = None) -> SentenceHeads:
        """Heads that have not seen one part of the topics and one of the templates."""
        kept = np.ones(len(self.sentences), dtype=bool)
        if without_topics is not None:
            kept &= self._topics != without_topics
        if without_templates is not None:
            kept &= self._templates != without_templates
        chosen = np.flatnonzero(kept)
        return SentenceHeads(
            self._head(chosen, [self.sentences[row].evasive for row in chosen]),
            self._head(chosen, [self.sentences[row].refusing for row in chosen]),
        )

    def _head(self, rows: npt.NDArray[np.int64], truth: Sequence[bool]) -> SentenceHead:
        model = LogisticRegression(C=PENALTY, max_iter=2000, class_weight="balanced")
        model.fit(self._embedded[rows], truth)
        return SentenceHead(model.coef_[0], float(model.intercept_[0]))


def labelled_sentences() -> list[LabelledSentence]:
    """Every sentence that was written for relgate, with what it does; templates on a few topics each."""
    draw = random.Random(SEED)  # noqa: S311 - a fixed draw, no secret
    topics = read_data("topics.yaml")
    passages, answers = read_data("passages.yaml"), read_data("answers.yaml")
    found: list[LabelledSentence] = []

    def add(text: str, topic: str, template: str, *, evasive: bool, refusing: bool | None = False) -> None:
        for sentence in Segments.of(text).sentences:
            refuses = bool(kinds(sentence) & set(REFUSING)) if refusing is None else refusing
            found.append(LabelledSentence(sentence, evasive, refuses, topic, template))

    for style, texts in read_data("refusals.yaml").items():
        for i, text in enumerate(texts):
            for topic in draw.sample(topics, _TOPICS_EACH["refusals"]):
                add(filled(text, topic), topic["doing"], f"{style}-{i}", evasive=True, refusing=None)
    for text in passages["openings"]:
        for topic in draw.sample(topics, _TOPICS_EACH["openings"]):
            add(filled(text, topic), topic["doing"], f"long-{text}", evasive=True, refusing=True)
    for kind in ("lectures", "alternatives", "closers"):
        for text in passages[kind]:
            add(text, text, text, evasive=True)
    for i, text in enumerate(answers["full_refusal"]):
        add(text, f"full_refusal-{i}", f"full_refusal-{i}", evasive=True, refusing=None)
    for i, text in enumerate(answers["full_compliance"]):
        add(text, f"full_compliance-{i}", f"full_compliance-{i}", evasive=False)
    for topic in topics:
        add(topic.get("answer", ""), topic["doing"], topic["doing"], evasive=False)
    for kind in ("cautions", "more"):
        for text in passages[kind]:
            add(text, text, text, evasive=False)
    for i, text in enumerate(read_data("compliances.yaml")):
        for topic in draw.sample(topics, _TOPICS_EACH["compliances"]):
            add(filled(text.replace("{answer}", ""), topic), topic["doing"], f"compliance-{i}", evasive=False)
    return found
