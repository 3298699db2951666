"""Scores from real-looking outputs: log-probabilities first, text as the fallback, never a guess."""

from __future__ import annotations

import math
from typing import Any

import pytest

from evalharness.engines.wire import TokenLogprobs, TopLogprob
from evalharness.generation_records import ParseStatus
from evalharness.judging.parsing import UNPARSED, Reading, read_text, score_scale
from evalharness.judging.rubric import Rubric

RUBRIC = Rubric(id="correctness", version="1", criteria="The answer gives the reference value.")


def read_score(text: str, rubric: Rubric, *, prefix: str = "Score: ", **more: Any) -> Reading:
    return read_text(text, score_scale(rubric, prefix), **more)


def token(text: str, *alternatives: tuple[str, float]) -> TokenLogprobs:
    top = [TopLogprob(token=t, logprob=p) for t, p in (alternatives or ((text, 0.0),))]
    return TokenLogprobs(token=text, logprob=top[0].logprob, top_logprobs=top)


# The tokens and numbers of an output of a small judge behind vLLM 0.32.
REAL = [
    token("F"),
    token("in"),
    token("al"),
    token(":"),
    token(" ", (" ", -0.001), (" d", -9.188), (" C", -9.501)),
    token("3", ("3", -0.0), ("5", -8.188), ("2", -9.657)),
    token(" S"),
    token("c"),
    token("ore"),
    token(":", (":", -0.0), ("in", -15.875)),
    token(" ", (" ", -0.0), (" '", -16.75)),
    token("5", ("5", -0.001), ("3", -7.126), ("2", -9.688), ("9", -11.438), ("7", -12.157), ("1", -12.345)),
    token("</s>", ("</s>", -0.0), ("c", -20.188)),
]


def test_expectation_over_the_scale_from_a_real_payload() -> None:
    reading = read_score("Final: 3 Score: 5", RUBRIC, tokens=REAL)
    on_scale = {5: -0.001, 3: -7.126, 2: -9.688, 1: -12.345}
    mass = sum(math.exp(p) for p in on_scale.values())
    expected = sum(math.exp(p) * (d - 1) / 4 for d, p in on_scale.items()) / mass
    assert reading.status is ParseStatus.LOGPROBS
    assert reading.score == pytest.approx(expected, rel=1e-12)
    assert reading.score != 1.0


def test_values_with_and_without_leading_space_count_together() -> None:
    tokens = [
        token("Score"),
        token(":"),
        token(" 5", (" 5", math.log(0.5)), ("5", math.log(0.2)), (" 1", math.log(0.3))),
    ]
    reading = read_score("Score: 5", RUBRIC, tokens=tokens)
    assert reading.score == pytest.approx(0.7)


def test_the_last_prefix_counts() -> None:
    assert read_score("Final: Score: 5 Score: 1", RUBRIC).score == 0.0
    tokens = [token("Score:"), token(" 5"), token(" Score:"), token(" 1", (" 1", math.log(0.9)), (" 5", math.log(0.1)))]
    assert read_score("Score: 5 Score: 1", RUBRIC, tokens=tokens).score == pytest.approx(0.1)


def test_output_cut_off_by_the_token_limit_is_unparsed() -> None:
    """The last prefix may then be the judge's quotation of an answer that asked for a score."""
    assert read_score("Final: Score: 5", RUBRIC, finish_reason="length") == UNPARSED


def test_too_little_probability_on_the_scale_is_unparsed() -> None:
    doubtful = [token("Score:"), token(" 5", (" 7", math.log(0.6)), (" 5", math.log(0.4)))]
    sure = [token("Score:"), token(" 5", (" 5", math.log(0.6)), (" 7", math.log(0.4)))]
    assert read_score("Score: 5", RUBRIC, tokens=doubtful) == UNPARSED
    assert read_score("Score: 5", RUBRIC, tokens=sure).score == 1.0


@pytest.mark.parametrize(
    ("text", "score"),
    [
        ("Score: 1", 0.0),
        ("Score: 3", 0.5),
        ("Score: 5.", 1.0),
        ("The value is right.\nScore: 4\n", 0.75),
        ("**Score:** 5", 1.0),
        ("**Score: 5**", 1.0),
        ("score: `2`", 0.25),
        ("Score: 4/5", 0.75),
        ("Score:5", 1.0),
        ("Final: 54 Score: 5", 1.0),
        ("Score: 4.", 0.75),
        ("Score: **4**  \n\n", 0.75),
        ("Score: 4 / 5.", 0.75),
        ("Score: 4 out of 5", 0.75),
        ("Score: 4 points out of 5", 0.75),
        ("Score: 4 because 2 of 3 facts are right.", 0.75),
        ("Score: 4 (80%)", 0.75),
        ("Score: 4. 1 fact is wrong.", 0.75),
        ("Score: 4\n1. It is right.\n2. It is short.", 0.75),
        ("Score: 4 | Confidence: 3", 0.75),
        ("<b>Score: 4</b>", 0.75),
    ],
)
def test_text_fallback(text: str, score: float) -> None:
    reading = read_score(text, RUBRIC)
    assert reading.status is ParseStatus.TEXT
    assert reading.score == pytest.approx(score)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "   ",
        "The answer looks correct to me.",
        "Die Antwort ist richtig. Bewertung: 5",
        "答案是正确的。分数：5",
        "Score: five",
        "Score: ",
        "Score: 0",
        "Score: 6",
        "Score: 45",
        "Score: -3",
        "Score: 4.5",
        "Score: 4,5",
        "Score: 80%",
        "Score: 4/10",
        "Score: 3rd",
        "Score: ٤",
        "Score: 5 because ... Score: unclear",
        "Score: 4-5",
        "Score: 4 – 5",
        "Score: 4, 5",
        "Score: 4 5",
        "Score: 1 -> 5",
        "Score: 4 ± 1",
        "Score: 4+",
        "Score: 3 or 4",
        "Score: 3 or maybe four",
        "Score: **3** or **4**",
        "Score: 3 (or 4)",
        "Score: 3 to 4",
        "Score: 3 bis 4",
        "Score: 4/5/10",
        "Score: 4/5.5",
        "Score: 4.5x",
        "Score: 5 out of 100",
        "Score: 5 of 10",
        "Score: 5 points out of 100",
        "Score: 5 stars out of ten",
        "Score: 5 von 100",
        "Score: 5 / 100",
        "Score: 5 %",
        "Score: 5 percent",
    ],
)
def test_what_is_no_score_is_unparsed(text: str) -> None:
    assert read_score(text, RUBRIC) == UNPARSED
    assert read_score(text, RUBRIC, tokens=[token(text)] if text else []) == UNPARSED


@pytest.mark.parametrize("text", ["Score: " + "9" * 5000, "Score: 5/" + "5" * 5000, "Score: " + "0" * 5000 + "5"])
@pytest.mark.parametrize("finish_reason", ["stop", "length"])
def test_a_number_too_long_to_be_one_is_unparsed(text: str, finish_reason: str) -> None:
    assert read_score(text, RUBRIC, finish_reason=finish_reason) == UNPARSED
    assert read_score(text, RUBRIC, tokens=[token(text)], finish_reason=finish_reason) == UNPARSED


def test_a_number_of_several_digits_beside_logprobs_is_not_read_as_its_first_digit() -> None:
    tokens = [token("Score: "), token("4"), token("5")]
    assert read_score("Score: 45", RUBRIC, tokens=tokens) == UNPARSED


def test_a_token_that_holds_more_than_the_number_falls_back_to_the_text() -> None:
    reading = read_score("Score: 4/5", RUBRIC, tokens=[token("Score: "), token("4/5")])
    assert (reading.score, reading.status) == (0.75, ParseStatus.TEXT)


def test_scales_of_several_digits_are_read_from_the_text() -> None:
    ten = Rubric(id="r", version="1", criteria="c", scale=(0, 10))
    assert score_scale(ten).alternatives is None
    reading = read_score("Score: 10", ten, tokens=[token("Score: "), token("1"), token("0")])
    assert (reading.score, reading.status) == (1.0, ParseStatus.TEXT)


def test_a_prefix_of_its_own() -> None:
    assert read_score("Bewertung: 5", RUBRIC, prefix="Bewertung: ").score == 1.0
    assert read_score("Score: 5", RUBRIC, prefix="Bewertung: ") == UNPARSED


@pytest.mark.parametrize(("scale", "wanted"), [((1, 5), 10), ((0, 1), 7), ((0, 9), 15)])
def test_alternatives_wanted(scale: tuple[int, int], wanted: int) -> None:
    assert score_scale(Rubric(id="r", version="1", criteria="c", scale=scale)).alternatives == wanted
