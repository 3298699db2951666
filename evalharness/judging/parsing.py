"""From a judge's output to a verdict in [0, 1]: what a judge may say, and how text is read.

In plain text the verdict is the whole number after the *last* prefix (``Score: ``) of the output. Where the server gave
log-probabilities and the number is one token, the score is the expectation over what the judge may say,

    score = sum over d of p(d) * worth(d),    p renormalised over the scale,

which keeps the judge's doubt that the sampled number throws away (G-Eval: Liu et al., EMNLP 2023, arXiv 2303.16634).
Otherwise it is the worth of the number itself. Numbers of more than one digit are always read from the text, because
tokenizers split them differently.

Unparsed, never guessed: no prefix, no number behind it, a number off the scale or with decimals, one of several
(``4-5``, ``3 or 4``) or out of another highest one (``5 out of 100``), less than half of the probability on the scale,
and output that the token limit cut off (its last prefix may be a quotation of the answer).
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from evalharness.engines.wire import TokenLogprobs
from evalharness.generation_records import ParseStatus
from evalharness.judging.rubric import Rubric

MINIMUM_MASS = 0.5
"""Least probability on the scale's values for an expectation to mean anything."""
DEFAULT_PREFIX = "Score: "
DEFAULT_PAIR_PREFIX = "Better: "
TIE, FIRST, SECOND = 0, 1, 2
"""What a judge says of two answers: neither, the first, the second is better."""
_HIGHEST_DIGIT = 9
_MOST_ALTERNATIVES = 20

_NUMBER = re.compile(
    r"""
    [\s*_`"']* (?P<number>[-+]?[0-9]{1,9}(?:[.,][0-9]+)*)
    (?:[ \t]*(?:/|\b(?:(?:points?|stars?)[ \t]+)?(?:out[ \t]+)?of\b)[ \t]*(?P<top>[0-9]{1,9}))?
    (?![\w%+]|[.,][0-9])
    (?![ \t*_`"']*(?:[/%]|(?:(?:points?|stars?)[ \t]+)?(?:out[ \t]+)?of\b))  # of something else than ``top``
    (?![^\w\n.!?(\[]*[0-9])  # 4-5, 4 -> 5, 4, 5
    (?![^\w\n.!?]*(?:or|maybe|perhaps|possibly|per[ ]?cent)\b)  # 3 or 4, 4 (maybe 5)
    (?![ \t*_`"']+(?!(?:because|since|as|for|given|with)\b)[^\W\d]+[ \t]+[0-9])  # 4 to 5, in any language
    """,
    re.VERBOSE | re.IGNORECASE,
)
"""One number, with the highest one that it is out of; not one of several, nor longer than any on a scale."""
_AROUND_A_LINE = " \t\r\n*_"


@dataclass(frozen=True, slots=True)
class Scale:
    """What a judge may say, and what it is worth."""

    worth: Mapping[int, float]
    """Whole number that the judge may say -> score in [0, 1]."""
    key: str
    """Its name in JSON."""
    prefix: str
    """What stands before it in plain text; the last occurrence counts, letter case and space at the end do not."""
    top: int | None = None
    """``4/5`` and ``4 out of 5`` are read as 4 where this is 5."""

    @property
    def single_digits(self) -> bool:
        """Whether every number has one digit, so that a tokenizer cannot split it."""
        return max(self.worth) <= _HIGHEST_DIGIT

    @property
    def alternatives(self) -> int | None:
        """Alternatives to ask for with every token; None where the number is read from the text anyway.

        One for each number and five to spare, at most the 20 that the API allows. A number beyond those is less
        probable than any that is shown, and every alternative costs the server time.
        """
        return min(_MOST_ALTERNATIVES, len(self.worth) + 5) if self.single_digits else None


def score_scale(rubric: Rubric, prefix: str = DEFAULT_PREFIX) -> Scale:
    """What a judge says of one answer."""
    low, high = rubric.scale
    return Scale({d: rubric.normalise(d) for d in range(low, high + 1)}, key="score", prefix=prefix, top=high)


def pair_scale(prefix: str = DEFAULT_PAIR_PREFIX, *, swapped: bool = False) -> Scale:
    """What a judge says of two answers; worth 1 where the candidate's, shown second if ``swapped``, is better."""
    worth = {TIE: 0.5, FIRST: 0.0 if swapped else 1.0, SECOND: 1.0 if swapped else 0.0}
    return Scale(worth, key="better", prefix=prefix)


@dataclass(frozen=True, slots=True)
class Reading:
    """What was read from one output of the judge."""

    score: float | None
    """In [0, 1]; None when unparsed."""
    status: ParseStatus
    """How it was read."""
    likeliest: float | None = None
    """Worth of the most probable number: the score without the doubt; None when unparsed."""


UNPARSED = Reading(None, ParseStatus.UNPARSED)


def read_text(
    text: str,
    scale: Scale,
    *,
    tokens: Sequence[TokenLogprobs] | None = None,
    finish_reason: str | None = "stop",
    at_end: bool = False,
) -> Reading:
    """The verdict of one output in plain text (see the module's text for the rules).

    Args:
        text: what the judge wrote.
        scale: what it may say.
        tokens: the output's tokens with log-probabilities, where the server offers them.
        finish_reason: ``length`` means cut off by the token limit.
        at_end: only a verdict on a line of its own that ends the output counts, as where the judge was to write no
            text and what it wrote may be about the answer.
    """
    if finish_reason == "length":
        return UNPARSED
    found = _number_after_prefix(text, scale, at_end=at_end)
    if found is None:
        return UNPARSED
    token = _token_after_prefix(tokens, found, scale) if tokens and scale.single_digits else None
    if token is None:
        return Reading(scale.worth[found], ParseStatus.TEXT, scale.worth[found])
    return expectation(token, found, scale, ParseStatus.LOGPROBS) or UNPARSED


def expectation(token: TokenLogprobs, said: int, scale: Scale, status: ParseStatus) -> Reading | None:
    """The verdict by a number's token and the alternatives to it; None where less than half of p is on the scale."""
    numbers = {str(number): number for number in scale.worth}
    mass = dict.fromkeys(scale.worth, 0.0)
    for alternative in token.top_logprobs:
        number = numbers.get(alternative.token.strip())
        if number is not None:
            mass[number] += math.exp(min(0.0, alternative.logprob))
    total = sum(mass.values())
    if total < MINIMUM_MASS:
        return None
    likeliest = max(mass, key=lambda number: (mass[number], number == said))
    mean = sum(p * scale.worth[number] for number, p in mass.items()) / total
    return Reading(min(1.0, mean), status, scale.worth[likeliest])


def token_of_number(tokens: Sequence[TokenLogprobs], position: int, number: int) -> TokenLogprobs | None:
    """The token at a position of the joined tokens, if it holds the number there, nothing else but space, and p."""
    end = 0
    for token in tokens:
        end += len(token.token)
        if end > position:
            return token if token.token.strip() == str(number) and token.top_logprobs else None
    return None


def _number_after_prefix(text: str, scale: Scale, *, at_end: bool) -> int | None:
    """The whole number on the scale right behind the last prefix; None where there is none."""
    prefix = _last_prefix(text, scale.prefix)
    found = None if prefix is None else _NUMBER.match(text, prefix.end())
    if prefix is None or found is None or not found["number"].isdigit():
        return None
    if at_end and not _is_last_line(text, prefix.start(), found.end()):
        return None
    if found["top"] is not None and int(found["top"]) != scale.top:
        return None
    value = int(found["number"])
    return value if value in scale.worth else None


def _token_after_prefix(tokens: Sequence[TokenLogprobs], number: int, scale: Scale) -> TokenLogprobs | None:
    joined = "".join(t.token for t in tokens)
    prefix = _last_prefix(joined, scale.prefix)
    found = None if prefix is None else _NUMBER.match(joined, prefix.end())
    return None if found is None else token_of_number(tokens, found.start("number"), number)


def _last_prefix(text: str, prefix: str) -> re.Match[str] | None:
    """The last occurrence of the prefix, ignoring case and the prefix's trailing space."""
    occurrences = list(re.finditer(re.escape(prefix.rstrip()), text, re.IGNORECASE))
    return occurrences[-1] if occurrences else None


def _is_last_line(text: str, start: int, end: int) -> bool:
    """Whether nothing but markup stands before and behind a verdict; a quotation mark left open or closed is more."""
    before = text[:start].rpartition("\n")[2]
    return not before.strip(_AROUND_A_LINE + "#") and not text[end:].strip(_AROUND_A_LINE + ".)]")
