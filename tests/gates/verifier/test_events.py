"""Events as plain data: the canonical form is told from every other, and hashed the same way whoever makes it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gates.verifier.events import Event, event_terms, read_canonical
from golden_sets.digests import canonical_json
from golden_sets.errors import InputError

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
SAFE = 2**53 - 1
FRACTIONS = st.floats(-SAFE, SAFE) | st.floats(1e21, allow_infinity=False)
"""Whole floats between are written as integers that RFC 8785 does not take back."""
NUMBERS = st.integers(-SAFE, SAFE) | FRACTIONS
DATA = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(TEXTS, DATA, max_size=5))
@example({'\x7f\x00"\\\n': "\x1f/é", "a": 10**15, "b": 1e21, "c": 1.0, "d": -0.0})
@example({"﷐": 1, "\U0001f600": 2})
def test_what_is_canonical_is_told_so_and_every_other_form_is_not(data: dict[str, Any]) -> None:
    text = canonical_json(data).decode()
    assert read_canonical(text)[1] is True
    assert canonical_json(read_canonical(text)[0]).decode() == text
    for other in (json.dumps(data), json.dumps(data, separators=(",", ":")), text + " ", "{ " + text[1:]):
        assert read_canonical(other)[1] is (other == text)


@pytest.mark.parametrize(
    "text", ['{"a":1,"a":1}', '{"b":1,"a":1}', '{"a":1.0}', '{"a":-0}', '{"a":"\\u0041"}', '{"a":1e2}', '{"a":10.0e0}']
)
def test_other_forms_of_the_same(text: str) -> None:
    assert read_canonical(text)[1] is False


@pytest.mark.parametrize("text", ["", "{", '{"a":NaN}', '{"a":9007199254740993}', '{"a":Infinity}', '{"a":1}}'])
def test_what_is_no_canonical_json_at_all(text: str) -> None:
    with pytest.raises(ValueError):
        read_canonical(text)


@given(TEXTS, TEXTS, st.dictionaries(TEXTS, DATA, max_size=3), st.integers(0, 2**40))
@example("\x7f", "é", {}, 0)
def test_a_leaf_is_the_same_however_it_is_made(actor: str, time: str, payload: dict[str, Any], position: int) -> None:
    event = Event(position, time, "named", actor, payload)
    assert event.leaf_around(canonical_json(payload).decode()) == event.leaf_hash
    assert Event.from_json(json.loads(event.leaf_data)).leaf_hash == event.leaf_hash


def test_what_is_no_event() -> None:
    event = Event(1, "t", "named", "a", {"name": "x"})
    assert Event.from_json(event.to_json()) == event
    assert event_terms(event) == [("name", "x")]
    whole = event.to_json()
    missing = {key: value for key, value in whole.items() if key != "time"}
    others: list[object] = [None, [], missing, {**whole, "position": True}, {**whole, "payload": []}]
    for broken in (*others, {**whole, "more": 1}):
        with pytest.raises(InputError, match="not an event"):
            Event.from_json(broken)
