from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as some

from evalharness.text_columns import ABSENT, NULL, TextColumn, joint_codes, repeated

TEXTS = some.lists(some.one_of(some.none(), some.text(max_size=3)), min_size=1, max_size=30)


def column(texts: list[str | None]) -> TextColumn:
    return TextColumn.of(pa.array(texts, pa.string()))


@given(TEXTS)
def test_texts_survive_encoding(texts: list[str | None]) -> None:
    found = column(texts)
    assert found.to_arrow().to_pylist() == texts
    assert found.to_list() == texts
    assert [code == NULL for code in found.codes] == [text is None for text in texts]


@pytest.mark.parametrize(
    "texts",
    [
        pa.chunked_array([["a", "b"], [None, "a"]]),
        pa.array(["a", "b", None, "a"], pa.large_string()),
        pa.array(["a", "b", None, "a"]).dictionary_encode(),
        pa.chunked_array([pa.array(["a", "b"]).dictionary_encode(), pa.array([None, "a"]).dictionary_encode()]),
    ],
)
def test_every_arrow_form_of_text_is_read(texts: pa.Array) -> None:
    assert TextColumn.of(texts).to_list() == ["a", "b", None, "a"]


def test_numbers_become_text() -> None:
    assert TextColumn.of(pa.array([1, 2, None])).to_list() == ["1", "2", None]


@given(TEXTS, TEXTS)
def test_columns_are_joined_under_common_codes(first: list[str | None], second: list[str | None]) -> None:
    both = TextColumn.concatenated([column(first), column(second)])
    assert both.to_list() == first + second
    for text in {*first, *second} - {None}:
        assert [t == text for t in first + second] == (both.codes == both.code_of(str(text))).tolist()


def test_columns_of_the_same_texts_are_joined_as_they_are() -> None:
    one, other = column(["a", "b"]), column(["a", "b"]).take(np.array([1, 0, 1]))
    assert TextColumn.concatenated([one, other, TextColumn.constant(None, 1)]).to_list() == [*"abbab", None]


@given(TEXTS)
def test_ranks_order_rows_like_their_texts_with_null_last(texts: list[str | None]) -> None:
    order = np.argsort(column(texts).ranks(), kind="stable")
    assert [texts[i] for i in order] == sorted(texts, key=lambda text: (text is None, text or ""))


@given(TEXTS)
def test_distinct_texts_are_those_of_the_rows_that_are_there(texts: list[str | None]) -> None:
    half = column(texts).take(np.arange(len(texts) // 2))
    assert half.distinct() == sorted({text for text in texts[: len(texts) // 2] if text is not None})


def test_an_unknown_text_has_a_code_that_no_row_has() -> None:
    found = column(["a", None])
    assert found.code_of("b") == ABSENT
    assert found.codes_of(["b", "a"]).tolist() == [ABSENT, 0]
    assert not (found.codes == ABSENT).any()


@given(some.lists(some.tuples(some.integers(-1, 4), some.integers(-(2**61), 2**61)), min_size=1, max_size=20))
def test_joint_codes_tell_combinations_apart_in_lexical_order(pairs: list[tuple[int, int]]) -> None:
    codes = joint_codes([np.array([a for a, _ in pairs]), np.array([b for _, b in pairs])])
    order = np.argsort(codes, kind="stable")
    assert [pairs[i] for i in order] == sorted(pairs)
    assert (codes >= 0).all()
    assert len(set(codes.tolist())) == len(set(pairs))


def test_repeated_rows_are_those_that_came_before() -> None:
    assert repeated(np.array([5, 3, 5, 5, 3, 1])).tolist() == [2, 3, 4]
