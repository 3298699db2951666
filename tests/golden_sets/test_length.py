"""Length buckets by the reference tokenizer."""

from __future__ import annotations

import pytest

from golden_sets.length import LENGTH_BUCKETS, count_tokens, length_bucket


@pytest.mark.parametrize(
    ("tokens", "bucket"),
    [(0, "le16"), (16, "le16"), (17, "le64"), (64, "le64"), (65, "le256"), (256, "le256"), (257, "le1024"),
     (1024, "le1024"), (1025, "gt1024"), (10**6, "gt1024")],
)  # fmt: skip
def test_buckets_include_their_upper_limit(tokens: int, bucket: str) -> None:
    assert length_bucket(tokens) == bucket
    assert bucket in LENGTH_BUCKETS


def test_words_pieces_and_punctuation_are_counted_without_special_tokens() -> None:
    assert count_tokens(["hello world", "hello, world!", "zxqv", ""]) == [2, 4, 4, 0]


def test_long_texts_are_not_truncated() -> None:
    assert count_tokens(["word " * 3000]) == [3000]


def test_many_texts_are_counted_one_by_one() -> None:
    assert count_tokens(["a"] * 5000 + ["a b"]) == [1] * 5000 + [2]
