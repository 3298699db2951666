"""Records: frozen, closed, and identified by their content."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from golden_sets.records import Checker, Message, Prompt, PromptSet, SetKind


def prompt(name: str = "a", text: str = "What is 2 + 2?") -> Prompt:
    return Prompt(id=name, messages=(Message(role="user", content=text),), reference="4", source="here")


def test_a_copy_with_other_content_has_another_digest() -> None:
    first = prompt()
    before = first.digest
    second = first.model_copy(update={"reference": "5"})
    assert first.digest == before
    assert second.digest != before
    assert second.digest == Prompt(id="a", messages=first.messages, reference="5").digest


def test_id_and_source_do_not_count_towards_a_prompts_identity() -> None:
    assert prompt("a").digest == prompt("b").model_copy(update={"source": None}).digest


def test_a_generation_depends_on_the_messages_alone() -> None:
    other = prompt().model_copy(update={"reference": "5", "rubric": "strict"})
    assert other.request_digest == prompt().request_digest
    assert other.digest != prompt().digest


def test_a_sets_digest_does_not_depend_on_order() -> None:
    one, two = prompt("a"), prompt("b", "What is 3 + 3?")
    digests = {
        PromptSet(kind=SetKind.GOLDEN, name="g", version="1", prompts=order).digest
        for order in ((one, two), (two, one))
    }
    assert len(digests) == 1


def test_records_are_frozen_and_closed() -> None:
    with pytest.raises(ValidationError):
        prompt().id = "b"  # type: ignore[misc]
    with pytest.raises(ValidationError):
        Prompt.model_validate({"id": "a", "messages": [{"role": "user", "content": "x"}], "refrence": "4"})


def test_checkers_take_a_value_exactly_where_they_need_one() -> None:
    assert Checker(kind="number", value="4").value == "4"
    with pytest.raises(ValidationError, match="needs a value"):
        Checker(kind="number")
    with pytest.raises(ValidationError, match="takes no value"):
        Checker(kind="refusal", value="no")
