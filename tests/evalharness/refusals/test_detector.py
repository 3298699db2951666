"""The shipped detector on answers that it has never seen, and on what is no answer at all."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml

from evalharness.answer_classes import AnswerClass
from evalharness.refusals import RefusalDetector
from evalharness.refusals.encoder import Encoder
from evalharness.refusals.features import Matrix, features
from evalharness.refusals.segments import Segments
from evalharness.refusals.sentences import SentenceHeads
from examples.refusals.composing import examples
from golden_sets.digests import digest_json
from golden_sets.errors import InputError

ANSWERS: dict[str, list[str]] = yaml.safe_load((Path(__file__).parent / "answers.yaml").read_text("utf-8"))
KNOWN = [(label, text) for label, texts in ANSWERS.items() for text in texts]


def said(*answers: str) -> list[str]:
    return [verdict.label.value for verdict in RefusalDetector.shipped().classify(answers)]


def test_unseen_answers_are_classified() -> None:
    found = said(*(text for _, text in KNOWN))
    wrong = [(label, seen, text[:60]) for (label, text), seen in zip(KNOWN, found, strict=True) if label != seen]
    assert len(wrong) <= 2, wrong
    assert {label for label, _ in KNOWN} == {"full_compliance", "full_refusal", "partial_refusal"}


def test_the_shipped_detector_is_made_from_the_projects_own_answers_and_no_test_answer_is_among_them() -> None:
    own = examples()
    training = RefusalDetector.shipped().training
    assert training.data == digest_json([[example.text, example.label] for example in own])
    assert training.rows == len(own)
    texts = {" ".join(example.text.split()) for example in own}
    assert not [text for _, text in KNOWN if " ".join(text.split()) in texts]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "empty"),
        (" \n\t", "empty"),
        ("\u200b\ufeff", "empty"),
        ("<|im_end|></s>", "empty"),
        ("...!?", "no words"),
        ("**\n---", "no words"),
        ("\ufffd" * 5 + "ab", "not text"),
        ("ha" * 200, "loop"),
        ("I like tea. " * 30, "loop"),
        ("and then the cat sat down " * 6, "loop"),
        ("Sure, here is a list of", "cut short"),
        ("I'm sorry, but I", "cut short"),
    ],
)
def test_what_is_no_answer_is_broken_and_says_why(text: str, why: str) -> None:
    [verdict] = RefusalDetector.shipped().classify([text])
    assert (verdict.label, verdict.broken) == (AnswerClass.EMPTY_OR_BROKEN, why)
    assert verdict.refuses is None
    assert verdict.probability is None


@pytest.mark.parametrize("text", ["Sure.", "B", "42", "7.5", "Paris", "No, no, no, no!", "```\nx = 1\n```"])
def test_short_answers_are_answers(text: str) -> None:
    [verdict] = RefusalDetector.shipped().classify([text])
    assert verdict.label is AnswerClass.FULL_COMPLIANCE
    assert verdict.broken is None


def test_a_few_words_are_broken_only_where_the_token_limit_cut_them() -> None:
    detector = RefusalDetector.shipped()
    cut, whole, sentence = detector.classify(
        ["The answer", "The answer", "The answer is no."], truncated=[True, False, True]
    )
    assert cut.broken == "cut short"
    assert whole.broken is None
    assert sentence.broken is None


def test_what_is_quoted_programmed_or_written_for_somebody_else_refuses_nothing() -> None:
    assert said(
        'The guard said "I cannot help you with that" and shut the door. The crew sailed at dawn without him.',
        "```python\nprint(\"I'm sorry, I can't help with that.\")\n```",
    ) == ["full_compliance", "full_compliance"]


def test_every_answer_gets_its_own_verdict_whatever_comes_with_it() -> None:
    detector = RefusalDetector.shipped()
    texts = [text for _, text in KNOWN[:12]] + ["", KNOWN[0][1], ""]
    together = detector.classify(texts)
    alone = [detector.classify([text])[0] for text in texts]
    assert [verdict.label for verdict in together] == [verdict.label for verdict in alone]
    for one, other in zip(together, alone, strict=True):
        assert one.probability == pytest.approx(other.probability, abs=1e-4)
    assert together[0] == together[-2]


def test_equal_answers_cost_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []

    def counted(segments: Sequence[Segments], encoder: Encoder, heads: SentenceHeads) -> Matrix:
        read.append(len(segments))
        return features(segments, encoder, heads)

    monkeypatch.setattr("evalharness.refusals.detector.features", counted)
    found = RefusalDetector.shipped().classify(["I must decline.", "Take two eggs."] * 500)
    assert len(found) == 1000
    assert sum(read) == 2


def test_odd_characters_and_great_length_are_read() -> None:
    labels = said("\ud800 The capital of Chad is N'Djamena.", "I'm sorry, I can't help with that. " + "x " * 200_000)
    assert len(labels) == 2
    assert labels[0] == "full_compliance"


def test_nothing_to_classify_is_nothing() -> None:
    assert RefusalDetector.shipped().classify([]) == []


def test_as_many_truncations_as_answers() -> None:
    with pytest.raises(InputError, match="1 values of 'truncated' for 2 answers"):
        RefusalDetector.shipped().classify(["a", "b"], truncated=[True])
