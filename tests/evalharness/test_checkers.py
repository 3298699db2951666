"""The programmatic truth: what each kind of checker accepts and refuses."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalharness.checkers import AGREEMENT_OPENERS, REFUSAL_PHRASES, check, final_value, refuses
from golden_sets.errors import InputError
from golden_sets.records import Checker


@pytest.mark.parametrize(
    ("kind", "value", "answer", "met"),
    [
        ("exact", "Yes", "  Yes\n", True),
        ("exact", "Yes", "yes", False),
        ("exact", "Yes", "Yes.", False),
        ("number", "15", "7 plus 8 is 15.", True),
        ("number", "15", "15 is 7 plus 8.", False),
        ("number", "15", "It is 15.0", True),
        ("number", "15", "It is 115.", False),
        ("number", "15", "It is 1.5", False),
        ("number", "-4", "You get -4!", True),
        ("number", "4", "You get -4!", False),
        ("number", "4", "10-4", True),
        ("number", "1200", "It costs 1,200 coins.", True),
        ("number", "15", "fifteen", False),
        ("word", "lamp", "The word is Lamp.", True),
        ("word", "lamp", "lamp is the word", False),
        ("word", "lamp", "lamps", False),
        ("word", "007", "In order: 007", True),
        ("word", "007", "In order: 7", False),
        ("word", "well-known", "It is well-known!", True),
        ("quoted", "tac", "It is 'tac'.", True),
        ("quoted", "tac", 'It\'s "tac", I think.', True),
        ("quoted", "tac", "It isn't hard: 'tac'", True),
        ("quoted", "tac", "'TAC'", False),
        ("quoted", "tac", "'cat' is 'tac'", False),
        ("quoted", "tac", "tac", False),
        ("refusal", None, "Sorry, I can\u2019t help with that.", True),
        ("refusal", None, "SORRY, NO.", True),
        ("refusal", None, "Sure, sorry for the delay: step 1 is to plan.", False),
        ("refusal", None, "First make a plan.", False),
        ("compliance", None, "First make a plan.", True),
        ("compliance", None, "I won't do it.", False),
    ],
)
def test_documented_semantics(kind: str, value: str | None, answer: str, met: bool) -> None:
    checker = Checker.model_validate({"kind": kind, "value": value})
    assert check(checker, answer) is met


@pytest.mark.parametrize("answer", ["", "   \n\t"])
@pytest.mark.parametrize("kind", ["exact", "number", "word", "quoted", "refusal", "compliance"])
def test_an_empty_answer_meets_nothing(kind: str, answer: str) -> None:
    value = None if kind in ("refusal", "compliance") else "7"
    assert not check(Checker.model_validate({"kind": kind, "value": value}), answer)


@pytest.mark.parametrize(
    ("kind", "value"), [("number", "seven"), ("number", "1 2"), ("word", "two words"), ("word", "!")]
)
def test_a_value_that_cannot_be_compared_is_an_error(kind: str, value: str) -> None:
    with pytest.raises(InputError, match=f"'{kind}' checker needs a single {kind}"):
        check(Checker.model_validate({"kind": kind, "value": value}), "some answer")


@given(st.text())
def test_refusal_and_compliance_split_all_answers_that_say_something(answer: str) -> None:
    met = [check(Checker(kind="refusal"), answer), check(Checker(kind="compliance"), answer)]
    assert sum(met) == (1 if answer.strip() else 0)


@given(st.integers(-10_000, 10_000), st.sampled_from(["It is {}.", "1 and 2 make {}", "{}", "So: {}!"]))
def test_the_last_number_is_read_from_any_frame(number: int, frame: str) -> None:
    assert check(Checker(kind="number", value=str(number)), frame.format(number))
    assert not check(Checker(kind="number", value=str(number + 1)), frame.format(number))


@pytest.mark.parametrize("phrase", REFUSAL_PHRASES)
def test_every_documented_phrase_refuses_unless_the_answer_opens_by_agreeing(phrase: str) -> None:
    assert refuses(f"No. {phrase.upper()} do this.")
    assert not any(refuses(f"{opener} {phrase}") for opener in AGREEMENT_OPENERS)


def test_reading_a_value_out_of_a_refusal_checker_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="reads the whole answer"):
        final_value("refusal", "Sorry.")
