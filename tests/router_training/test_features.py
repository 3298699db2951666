"""Cheap features: what they count, on any text at all."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from golden_sets.errors import InputError
from router_training.features import CHEAP, READ, cheap_features, features

QUESTION = "Which of these is prime?\nA. 4\nB. 7\nC. 9\nD. 10\nAnswer:"


def value(prompt: str, name: str) -> float:
    return float(cheap_features([prompt], [name])[0, 0])


@pytest.mark.parametrize(
    ("prompt", "name", "wanted"),
    [
        ("12 ab", "log_characters", math.log(6)),
        ("12 ab", "log_words", math.log(3)),
        ("a\nb\n", "log_lines", math.log(3)),
        ("12 ab", "digits", 2 / 5),
        ("AbC d1", "capitals", 2 / 4),
        ("a, b.", "punctuation", 2 / 5),
        ("x = 2", "mathematics", 1 / 5),
        ("na\u00efve", "non_ascii", 1 / 5),
        (QUESTION, "options", math.log(5)),
        (QUESTION, "option_length", math.log(1 + 5 / 4)),
        ("Why? Why not?", "questions", math.log(3)),
        ("The ___ of France", "blanks", 1.0),
        ("aa bbbb", "word_length", math.log(4)),
    ],
)
def test_counts(prompt: str, name: str, wanted: float) -> None:
    assert value(prompt, name) == pytest.approx(wanted, rel=1e-6)


def test_code_is_told_from_prose() -> None:
    assert value("def f(x):\n    return {\n}\nif a == b:", "code") > 0
    assert value("Please tell me (in short) who wrote it: Goethe or Schiller?", "code") == 0
    assert value("What did the article say about A.I. and B.C.?", "options") == 0


@given(st.lists(st.text(), max_size=4))
def test_every_text_has_finite_features_and_shares_between_0_and_1(prompts: list[str]) -> None:
    counts = cheap_features(prompts)
    assert counts.shape == (len(prompts), len(CHEAP))
    assert np.isfinite(counts).all()
    assert (counts >= 0).all()
    shares = [CHEAP.index(name) for name in ("digits", "capitals", "punctuation", "mathematics", "non_ascii")]
    assert (counts[:, shares] <= 1).all()


def test_only_the_length_of_a_huge_prompt_is_read_to_its_end() -> None:
    start = "a " * (READ // 2)
    short, long = cheap_features([start, start + "7?" * READ])
    differing = {name for name, one, other in zip(CHEAP, short, long, strict=True) if one != other}
    assert differing == {"log_characters"}


def test_features_are_the_embedding_and_then_the_counts_in_the_order_asked_for() -> None:
    vectors = np.eye(2, 3, dtype=np.float32)
    seen = features(["one", "two words"], vectors, ["log_words", "log_characters"])
    assert np.array_equal(seen[:, :3], vectors)
    assert seen[:, 3] == pytest.approx(np.log([2, 3]), rel=1e-6)
    assert seen[:, 4] == pytest.approx(np.log([4, 10]), rel=1e-6)
    assert np.array_equal(features(["one", "two words"], vectors, []), vectors)


def test_bad_requests_are_refused() -> None:
    with pytest.raises(InputError, match="unknown cheap features: colour"):
        cheap_features(["a"], ["digits", "colour"])
    with pytest.raises(InputError, match="1 prompts, but embeddings of 2"):
        features(["a"], np.zeros((2, 3), dtype=np.float32), [])
