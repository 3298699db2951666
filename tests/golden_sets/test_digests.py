"""Canonical JSON: the bytes that RFC 8785 prescribes, whatever the value."""

from __future__ import annotations

import json
import math
import struct
from enum import Enum, IntEnum
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from golden_sets.digests import canonical_json, digest_json

floats = st.floats(allow_nan=False, allow_infinity=False)
texts = st.text(st.characters(exclude_categories=["Cs"]))
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | floats | texts,
    lambda inner: st.lists(inner) | st.dictionaries(texts, inner),
    max_leaves=30,
)


@given(values)
def test_any_value_is_written_as_the_reference_writes_it(value: Any) -> None:
    assert canonical_json(value) == rfc8785.dumps(value)


@given(st.integers(0, 2**64 - 1))
def test_any_number_is_written_as_the_reference_writes_it(bits: int) -> None:
    number = struct.unpack(">d", struct.pack(">Q", bits))[0]
    if math.isfinite(number):
        assert canonical_json(number) == rfc8785.dumps(number)


# RFC 8785, appendix B: the IEEE 754 double and its JSON.
APPENDIX_B = {
    "0000000000000000": "0",
    "8000000000000000": "0",
    "0000000000000001": "5e-324",
    "8000000000000001": "-5e-324",
    "7fefffffffffffff": "1.7976931348623157e+308",
    "ffefffffffffffff": "-1.7976931348623157e+308",
    "4340000000000000": "9007199254740992",
    "c340000000000000": "-9007199254740992",
    "4430000000000000": "295147905179352830000",
    "44b52d02c7e14af5": "9.999999999999997e+22",
    "44b52d02c7e14af6": "1e+23",
    "44b52d02c7e14af7": "1.0000000000000001e+23",
    "444b1ae4d6e2ef4e": "999999999999999700000",
    "444b1ae4d6e2ef4f": "999999999999999900000",
    "444b1ae4d6e2ef50": "1e+21",
    "3eb0c6f7a0b5ed8c": "9.999999999999997e-7",
    "3eb0c6f7a0b5ed8d": "0.000001",
    "41b3de4355555553": "333333333.3333332",
    "41b3de4355555554": "333333333.33333325",
    "41b3de4355555555": "333333333.3333333",
    "41b3de4355555556": "333333333.3333334",
    "41b3de4355555557": "333333333.33333343",
    "becbf647612f3696": "-0.0000033333333333333333",
    "43143ff3c1cb0959": "1424953923781206.2",
}


@pytest.mark.parametrize(("bits", "written"), APPENDIX_B.items())
def test_numbers_of_the_standards_appendix(bits: str, written: str) -> None:
    number = struct.unpack(">d", bytes.fromhex(bits))[0]
    assert canonical_json(number) == written.encode()


def test_the_standards_examples_of_order_and_escapes() -> None:
    keys = {"€": 1, "\r": 2, "\ufb33": 3, "1": 4, "\U0001f600": 5, "\x80": 6, "ö": 7}  # RFC 8785, 3.2.3
    assert list(json.loads(canonical_json(keys)).values()) == [2, 4, 6, 7, 1, 5, 3]
    text = '€$\x0f\nA\'B"\\\\"/'  # RFC 8785, 3.2.2
    assert canonical_json(text).decode() == '"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"'


class Colour(str, Enum):  # noqa: UP042 - what is tested is a text that is more than one
    RED = "red"


class Level(IntEnum):
    HIGH = 3


@pytest.mark.parametrize("value", [Colour.RED, Level.HIGH, {"a": Colour.RED}, [Level.HIGH, True], (1, (2,))])
def test_kinds_of_plain_values_are_written_as_plain_values(value: Any) -> None:
    assert canonical_json(value) == rfc8785.dumps(value)


@pytest.mark.parametrize(
    "value",
    [math.nan, math.inf, -math.inf, 2**53, -(2**53), {1: "a"}, {None: 1}, "\ud800", {"\udfff": 1}, b"x", {"a": {1, 2}}],
)
def test_what_json_cannot_hold_is_refused(value: Any) -> None:
    for nested in (value, [value], {"a": value}):
        with pytest.raises(rfc8785.CanonicalizationError):
            canonical_json(nested)


def test_a_digest_does_not_depend_on_the_order_of_keys() -> None:
    assert digest_json({"a": 1, "b": [1.0, 2.5]}) == digest_json({"b": [1, 2.5], "a": 1})
    assert digest_json({"a": 1}) != digest_json({"a": "1"})
